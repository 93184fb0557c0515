"""What accounts and bots earned, day by day, and equity hour by hour: sums of the books, rebuildable from them."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import Account, Bot
from vibex.lib.fields import ExactDecimalField


class PerformanceDay(models.Model):
    """A day (in the account's time zone) of a bot with one model. Without bot: of the whole account.

    Money is in the account's quote asset, the cost of models in US dollars. What closed on the day counts on it.
    """

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="performance")
    bot = models.ForeignKey(Bot, on_delete=models.CASCADE, null=True, blank=True, related_name="performance")
    model = models.CharField(max_length=120, blank=True, help_text="That decided it; empty for the whole account.")
    day = models.DateField()
    opened = models.PositiveIntegerField(default=0, help_text="Positions that were opened.")
    closed = models.PositiveIntegerField(default=0, help_text="Positions that were closed.")
    won = models.PositiveIntegerField(default=0, help_text="Of those closed: with a gain after fees and funding.")
    fills = models.PositiveIntegerField(default=0)
    turnover = ExactDecimalField(decimal_places=8, default=0, help_text="Quantity × price of all fills.")
    realised = ExactDecimalField(decimal_places=8, default=0, help_text="Of fills, before fees and funding.")
    fees = ExactDecimalField(decimal_places=8, default=0, help_text="Paid is positive.")
    funding = ExactDecimalField(decimal_places=8, default=0, help_text="Received is positive.")
    gain = ExactDecimalField(decimal_places=8, default=0, help_text="Sum of the closed positions with a gain, net.")
    loss = ExactDecimalField(
        decimal_places=8, default=0, help_text="Sum of the closed positions with a loss, net; negative."
    )
    cost = ExactDecimalField(default=0, help_text="US dollars that its models cost.")
    calls = models.PositiveIntegerField(default=0, help_text="Model calls.")
    tokens = models.PositiveBigIntegerField(default=0)
    decisions = models.PositiveIntegerField(default=0)
    equity_first = ExactDecimalField(decimal_places=8, null=True, blank=True, help_text="Whole account only, as below.")
    equity_last = ExactDecimalField(decimal_places=8, null=True, blank=True)
    equity_lowest = ExactDecimalField(decimal_places=8, null=True, blank=True)
    equity_highest = ExactDecimalField(decimal_places=8, null=True, blank=True)
    transfers = ExactDecimalField(decimal_places=8, default=0, help_text="Net deposits of the day.")

    class Meta:
        ordering = ["account_id", "day"]
        constraints = [
            models.UniqueConstraint(
                fields=["bot", "model", "day"], condition=Q(bot__isnull=False), name="performance_day_once_per_bot"
            ),
            models.UniqueConstraint(
                fields=["account", "day"], condition=Q(bot__isnull=True), name="performance_day_once_per_account"
            ),
        ]
        indexes = [
            models.Index(fields=["account", "day"], name="performance_day"),
            models.Index(fields=["bot", "day"], name="performance_day_of_bot"),
        ]

    def __str__(self) -> str:
        return f"{self.day} of {self.account_id}"


class EquityHour(models.Model):
    """Equity of an account over one hour (UTC): what a long curve is drawn from."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="equity_hours")
    hour = models.DateTimeField(help_text="Its beginning, market time.")
    first = models.FloatField()
    lowest = models.FloatField()
    highest = models.FloatField()
    last = models.FloatField()
    lowest_at = models.DateTimeField()
    highest_at = models.DateTimeField()
    points = models.PositiveIntegerField()

    class Meta:
        ordering = ["account_id", "hour"]
        constraints = [models.UniqueConstraint(fields=["account", "hour"], name="equity_hour_once")]

    def __str__(self) -> str:
        return f"{self.hour:%F %H} {self.last}"


class PerformanceState(models.Model):
    """How far the sums of an account are made."""

    account = models.OneToOneField(Account, on_delete=models.CASCADE, related_name="performance_state")
    at = models.DateTimeField(default=timezone.now, help_text="Wall time they were made last.")
    equity_until = models.DateTimeField(
        null=True, blank=True, help_text="Market time; points before it are in the hours."
    )
    thinned_until = models.DateTimeField(
        null=True, blank=True, help_text="Market time; of the points before it those are left that make the figures."
    )

    def __str__(self) -> str:
        return f"performance of {self.account_id} at {self.at:%F %T}"
