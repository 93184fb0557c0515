"""Trading agents."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models.account import Account
from vibex.lib.fields import ExactDecimalField


class Bot(models.Model):
    """A trading agent on one account."""

    class Status(models.TextChoices):
        STOPPED = "stopped", "stopped"
        RUNNING = "running", "running"
        PAUSED = "paused", "paused"

    class Interval(models.TextChoices):
        M3 = "3m", "3 minutes"
        M5 = "5m", "5 minutes"
        M15 = "15m", "15 minutes"
        H1 = "1h", "1 hour"
        H4 = "4h", "4 hours"
        D1 = "1d", "1 day"

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="bots")
    name = models.SlugField(max_length=40)
    model = models.CharField(max_length=120, default="rules/trend", help_text="rules/<strategy> or openrouter/<model>.")
    fallback_models = models.JSONField(default=list, blank=True)
    symbols = models.JSONField(help_text="The venue's symbols it may trade, for example BTCUSDT.")
    interval = models.CharField(max_length=3, choices=Interval, default=Interval.M3)
    timeframes = models.JSONField(help_text="Candle intervals it sees, shortest first; the first is its own interval.")
    capital = ExactDecimalField(
        decimal_places=8, null=True, blank=True, help_text="Bounds its sizing; empty: the account's equity."
    )
    prompt_template = models.CharField(max_length=60, default="arena", help_text="Name of the prompt template.")
    approval = models.BooleanField(
        default=False, help_text="Entries wait for a person until the next decision is due; closes never wait."
    )
    cost_per_day = ExactDecimalField(
        max_digits=12,
        decimal_places=6,
        null=True,
        blank=True,
        help_text="US dollars that its model may cost in a day; when they are used it holds. Empty: no limit.",
    )
    status = models.CharField(max_length=7, choices=Status, default=Status.STOPPED)
    status_reason = models.CharField(max_length=300, blank=True)
    created = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "name"],
                name="bot_name_unique_per_account",
                violation_error_message="The account has a bot of this name.",
            ),
            models.UniqueConstraint(
                fields=["account"],
                condition=Q(status="running"),
                name="one_running_bot_per_account",
                violation_error_message="Another bot is running on this account: stop it first.",
            ),
            models.CheckConstraint(
                condition=Q(capital__isnull=True) | Q(capital__gt=0),
                name="bot_capital_positive",
                violation_error_message="Capital must be above zero, or empty.",
            ),
            models.CheckConstraint(
                condition=Q(cost_per_day__isnull=True) | Q(cost_per_day__gte=0),
                name="bot_cost_per_day_not_negative",
                violation_error_message="The cost of a day must not be negative.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} on {self.account}"
