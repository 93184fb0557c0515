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
        indexes = [
            models.Index(fields=["account", "resolved"], name="incident_open"),
            models.Index(fields=["account", "-opened", "-id"], name="incident_newest_of_account"),
            models.Index(fields=["-opened", "-id"], name="incident_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.kind}: {self.text[:80]}"


class AuditEntry(models.Model):
    """Who did what to which object, from where, with the state before and after. Never edited.

    It names what it is about by plain keys: it stays when that is gone.
    """

    actor = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    via = models.CharField(
        max_length=60,
        blank=True,
        db_default="",
        help_text="How: session, tokens, key <prefix>…, command; empty: Vibex.",
    )
    address = models.GenericIPAddressField(null=True, blank=True, help_text="Where the call came from.")
    request_id = models.CharField(
        max_length=48, blank=True, db_default="", help_text="Of the log lines of the same call."
    )
    action = models.SlugField(max_length=60)
    object_type = models.CharField(max_length=60)
    object_id = models.CharField(max_length=60)
    account_id = models.BigIntegerField(null=True, blank=True, help_text="Key of the account that it is about.")
    bot_id = models.BigIntegerField(null=True, blank=True, help_text="Key of the bot that it is about.")
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-at"]
        verbose_name_plural = "audit entries"
        indexes = [
            models.Index(fields=["object_type", "object_id"], name="audit_object"),
            models.Index(fields=["actor", "-at"], name="audit_newest_of_actor"),
            models.Index(fields=["-at", "-id"], name="audit_newest"),
            models.Index(fields=["account_id", "-at", "-id"], name="audit_newest_of_account"),
            models.Index(fields=["bot_id", "-at", "-id"], name="audit_newest_of_bot"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.object_type} {self.object_id}"
