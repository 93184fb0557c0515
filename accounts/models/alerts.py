"""What a person is told of, and by which way it reaches the person."""

from __future__ import annotations

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.domain.alerts import EventType, Severity
from accounts.models.account import Account
from accounts.models.bot import Bot
from accounts.models.people import User
from accounts.models.record import Incident


class Alert(models.Model):
    """An event or incident that one person is told of. What repeats while it is not acknowledged is counted, not added."""

    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="alerts")
    account = models.ForeignKey(Account, on_delete=models.PROTECT, null=True, blank=True, related_name="alerts")
    bot = models.ForeignKey(Bot, on_delete=models.PROTECT, null=True, blank=True, related_name="alerts")
    incident = models.ForeignKey(Incident, on_delete=models.PROTECT, null=True, blank=True, related_name="alerts")
    type = models.CharField(max_length=24, choices=[(kind.value, kind.label) for kind in EventType])
    severity = models.CharField(max_length=8, choices=[(each.value, each.value) for each in Severity])
    subject = models.CharField(max_length=120, blank=True, help_text="What it is about: a symbol, a model, a service.")
    message = models.TextField(help_text="In words; never a secret.")
    count = models.PositiveIntegerField(default=1, help_text="How often it was told since it was created.")
    created = models.DateTimeField(default=timezone.now)
    last = models.DateTimeField(default=timezone.now, help_text="When it was told last.")
    acknowledged = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="+")

    class Meta:
        ordering = ["-last", "-id"]
        indexes = [
            models.Index(fields=["user", "acknowledged", "-last"], name="alert_open_of_user"),
            models.Index(fields=["user", "-last", "-id"], name="alert_newest_of_user"),
        ]

    def __str__(self) -> str:
        return f"{self.type}: {self.message[:80]}"


class AlertChannel(models.Model):
    """A way by which alerts reach a person. Its address is sealed as keys are: it holds tokens and passwords."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="alert_channels")
    name = models.SlugField(max_length=40, help_text="What you call it: phone, desk, team.")
    kind = models.CharField(max_length=20, help_text="What it is: mailto, tgram, discord, slack, json, …")
    sealed = models.TextField(editable=False, help_text="The address, encrypted.")
    shown = models.CharField(max_length=120, editable=False, help_text="The address without its secrets.")
    min_severity = models.CharField(
        max_length=8,
        choices=[(each.value, each.value) for each in Severity],
        default=Severity.WARNING.value,
        help_text="What is less grave is not sent.",
    )
    types = models.JSONField(default=list, blank=True, help_text="Kinds of events that are sent; empty: all.")
    per_hour = models.PositiveSmallIntegerField(
        default=30, validators=[MinValueValidator(1)], help_text="What is more than this within an hour is sent as one."
    )
    enabled = models.BooleanField(default=True)
    created = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["user_id", "name"]
        constraints = [
            models.UniqueConstraint(
                fields=["user", "name"],
                name="alert_channel_name_unique_per_user",
                violation_error_message="You have a channel of this name.",
            ),
            models.CheckConstraint(
                condition=Q(per_hour__gte=1),
                name="alert_channel_sends_something",
                violation_error_message="At least one message an hour; switch the channel off to get none.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} of {self.user_id}"


class AlertDelivery(models.Model):
    """One message on its way over one channel. Committed before it is sent, so that a restart loses none."""

    class State(models.TextChoices):
        WAITING = "waiting", "waiting"
        SENDING = "sending", "being sent"
        HELD = "held", "held back: more than the channel sends in an hour"
        SENT = "sent", "sent"
        JOINED = "joined", "told within the message of another"
        FAILED = "failed", "failed"

    channel = models.ForeignKey(AlertChannel, on_delete=models.CASCADE, related_name="deliveries")
    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="deliveries")
    state = models.CharField(max_length=7, choices=State, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0, help_text="How often a sender took it in hand.")
    due = models.DateTimeField(
        default=timezone.now,
        help_text="Not to be taken in hand before. Who sends it moves this ahead, so that nobody else does.",
    )
    sent = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "alert deliveries"
        indexes = [
            models.Index(fields=["state", "due"], name="alert_delivery_due"),
            models.Index(fields=["channel", "state", "sent"], name="alert_delivery_sent"),
        ]

    def __str__(self) -> str:
        return f"{self.alert_id} over {self.channel_id}: {self.state}"
