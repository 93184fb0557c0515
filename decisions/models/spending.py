"""What the processes of one house share while they ask: turns, places and the money of a day.

Used where there is no Redis. What is here can be thrown away: turns refill, and money is counted again from the
interactions.
"""

from __future__ import annotations

from django.db import models

from accounts.models import Bot
from vibex.lib.fields import ExactDecimalField


class AskBucket(models.Model):
    """Turns that are left for one model and key, as of a moment of wall time."""

    key = models.CharField(max_length=200, unique=True)
    tokens = models.FloatField()
    at = models.FloatField(help_text="Seconds since 1970.")

    def __str__(self) -> str:
        return f"{self.key}: {self.tokens:.1f}"


class AskPlace(models.Model):
    """One request to a provider that is under way. It counts until its time is over, should its process die."""

    provider = models.CharField(max_length=200)
    holder = models.CharField(max_length=32, unique=True)
    until = models.FloatField(help_text="Seconds since 1970.")

    class Meta:
        indexes = [models.Index(fields=["provider", "until"], name="ask_place_of_provider")]

    def __str__(self) -> str:
        return f"{self.provider} {self.holder}"


class SpendDay(models.Model):
    """What the models of a bot used on one day, with what is set aside for calls that are under way."""

    bot = models.ForeignKey(Bot, on_delete=models.CASCADE, related_name="spend_days")
    day = models.DateField(help_text="In the account's time zone.")
    spent = ExactDecimalField(default=0, help_text="US dollars.")
    reserved = ExactDecimalField(default=0, help_text="US dollars set aside.")
    tokens = models.PositiveBigIntegerField(default=0)
    tokens_reserved = models.PositiveBigIntegerField(default=0)
    rebuilt_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["bot", "day"], name="spend_day_unique")]

    def __str__(self) -> str:
        return f"{self.bot_id} on {self.day}: {self.spent} USD"
