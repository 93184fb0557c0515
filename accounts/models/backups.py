"""That a backup was made, or was not: what pages, status and metrics tell of it, wherever its file lies."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class Backup(models.Model):
    """One try to back up the database. The file and its manifest are elsewhere (`vibex/backup/`)."""

    name = models.CharField(max_length=60, help_text="Name of the backup, as `manage.py backup --list` shows it.")
    at = models.DateTimeField(default=timezone.now, help_text="The moment whose state it holds.")
    well = models.BooleanField(help_text="Whether it is whole and in its place.")
    place = models.CharField(max_length=300, help_text="Folder or bucket.")
    bytes = models.PositiveBigIntegerField(default=0)
    seconds = models.FloatField(default=0.0)
    encrypted = models.BooleanField(default=False)
    verified = models.DateTimeField(null=True, blank=True, help_text="When it was restored into a scratch database.")
    problem = models.TextField(blank=True, help_text="Why there is none.")

    class Meta:
        ordering = ["-at"]
        indexes = [models.Index(fields=["well", "-at"], name="backup_newest")]

    def __str__(self) -> str:
        return f"{self.name}: {'made' if self.well else self.problem[:80]}"
