"""What should not have happened, and who did what."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from accounts.models.account import Account
from accounts.models.people import User


class Incident(models.Model):
    """Something that should not happen. Open until a person or proof resolves it."""

    class Severity(models.TextChoices):
        WARNING = "warning", "warning"
        ERROR = "error", "error"
        CRITICAL = "critical", "critical"

    account = models.ForeignKey(Account, on_delete=models.PROTECT, null=True, blank=True, related_name="incidents")
    kind = models.SlugField(max_length=60)
    severity = models.CharField(max_length=8, choices=Severity, default=Severity.ERROR)
    text = models.TextField()
    data = models.JSONField(default=dict, blank=True)
    opened = models.DateTimeField(default=timezone.now)
    resolved = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-opened"]
        indexes = [models.Index(fields=["account", "resolved"], name="incident_open")]

    def __str__(self) -> str:
        return f"{self.kind}: {self.text[:80]}"


class AuditEntry(models.Model):
    """Who did what to which object, with the state before and after. Never edited."""

    actor = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    action = models.SlugField(max_length=60)
    object_type = models.CharField(max_length=60)
    object_id = models.CharField(max_length=60)
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-at"]
        verbose_name_plural = "audit entries"
        indexes = [models.Index(fields=["object_type", "object_id"], name="audit_object")]

    def __str__(self) -> str:
        return f"{self.action} {self.object_type} {self.object_id}"
