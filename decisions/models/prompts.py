"""The texts that bots send, as versioned data."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from accounts.models import Bot, User


class PromptTemplate(models.Model):
    """A version of the text that bots of this template send. Versions are added, not changed."""

    name = models.SlugField(max_length=60)
    version = models.PositiveIntegerField()
    text = models.TextField()
    note = models.CharField(
        max_length=200, blank=True, db_default="", help_text="What is different from the version before."
    )
    house = models.BooleanField(
        default=False,
        db_default=False,
        editable=False,
        help_text="Came with Vibex; a newer one of the house may follow it.",
    )
    author = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, editable=False, related_name="+")
    created = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["name", "-version"]
        constraints = [models.UniqueConstraint(fields=["name", "version"], name="prompt_template_version_unique")]

    def __str__(self) -> str:
        return f"{self.name} v{self.version}"


class OutsideText(models.Model):
    """A text from outside, a person's note or a piece of news, that a bot may be shown as something not to be trusted."""

    bot = models.ForeignKey(Bot, on_delete=models.CASCADE, related_name="outside_texts")
    source = models.CharField(max_length=60, help_text="Who says it, for example the name of a news feed.")
    text = models.TextField(max_length=4_000)
    at = models.DateTimeField(default=timezone.now)
    until = models.DateTimeField(null=True, blank=True, help_text="Not shown any more from then on. Empty: for a day.")
    author = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, editable=False, related_name="+")

    class Meta:
        ordering = ["-at"]
        indexes = [models.Index(fields=["bot", "-at"], name="outside_text_newest_of_bot")]

    def __str__(self) -> str:
        return f"{self.source}: {self.text[:60]}"
