"""What is watched: losses, the guard's own looks, and how halts went."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from accounts.models import Account, User
from vibex.lib.fields import ExactDecimalField


class LossWatch(models.Model):
    """How an account stands against its loss limits. Carried on with every equity point, so a restart forgets nothing."""

    account = models.OneToOneField(Account, on_delete=models.CASCADE, related_name="loss_watch")
    at = models.DateTimeField(help_text="Market time of the newest equity point that is in it.")
    zone = models.CharField(max_length=64, help_text="Time zone of the day; a change of it counts from the next day.")
    day_ends = models.DateTimeField(help_text="When the next day begins.")
    day_equity = ExactDecimalField(decimal_places=8, help_text="Equity at the start of the day.")
    day_transfers = ExactDecimalField(decimal_places=8, help_text="Net transfers up to the start of the day.")
    equity = ExactDecimalField(decimal_places=8)
    transfers = ExactDecimalField(decimal_places=8, help_text="Net transfers so far.")
    unit = ExactDecimalField(decimal_places=12, help_text="Value of a unit of the account: 1 when it began.")
    peak = ExactDecimalField(decimal_places=12, help_text="Highest value of a unit since it began, or since a lift.")

    class Meta:
        verbose_name_plural = "loss watches"

    def __str__(self) -> str:
        return f"{self.account_id} at {self.at:%F %T}: {self.equity}"


class GuardState(models.Model):
    """When an account was looked after last, and what that look found."""

    account = models.OneToOneField(Account, on_delete=models.CASCADE, related_name="guard")
    since = models.DateTimeField(
        null=True, blank=True, help_text="Wall time since when it is looked after; empty while nothing is in play."
    )
    at = models.DateTimeField(null=True, blank=True, help_text="Wall time of the last look, whatever kind it was.")
    full_at = models.DateTimeField(
        null=True, blank=True, help_text="Wall time at which the last look began that read the exchange."
    )
    venue_version = models.PositiveBigIntegerField(
        null=True, blank=True, help_text="Version of the paper venue all of which that look found in the books."
    )
    well = models.BooleanField(default=True, help_text="Whether nothing was left to do.")
    text = models.CharField(max_length=300, blank=True, help_text="What it found or mended, in words.")
    seconds = models.FloatField(default=0.0)

    def __str__(self) -> str:
        return f"{self.account_id} at {self.at}: {self.text or 'well'}"


class Halt(models.Model):
    """One emergency stop of one account, from the latch to the proof that it is flat."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="halts")
    at = models.DateTimeField(default=timezone.now, help_text="When it was latched.")
    pressed = models.DateTimeField(default=timezone.now, help_text="When the button was pressed last.")
    actor = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    reason = models.CharField(max_length=300)
    keep_positions = models.BooleanField(default=False)
    cancelled = models.JSONField(default=list, help_text="Client ids of the orders that were cancelled.")
    closed = models.JSONField(default=list, help_text="What was closed, in words.")
    rounds = models.PositiveIntegerField(default=0, help_text="How often the exchange was worked on.")
    problem = models.CharField(max_length=300, blank=True, help_text="What stood in the way last.")
    flat_at = models.DateTimeField(null=True, blank=True, help_text="When the exchange showed it flat.")
    seconds = models.FloatField(null=True, blank=True, help_text="From the press to the proof.")
    lifted = models.DateTimeField(null=True, blank=True)
    lifted_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="+")

    class Meta:
        ordering = ["-at"]
        constraints = [
            models.UniqueConstraint(
                fields=["account"],
                condition=models.Q(lifted__isnull=True),
                name="one_halt_in_force_per_account",
                violation_error_message="The account is halted already.",
            )
        ]

    def __str__(self) -> str:
        return f"halt of {self.account_id} at {self.at:%F %T}"
