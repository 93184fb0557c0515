"""What the market is and was. Candle values are floats; filters and prices that orders use are Decimal."""

from __future__ import annotations

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from vibex.lib.fields import ExactDecimalField


class Feed(models.Model):
    """Where the data of a venue comes from on this installation, and how far its clock has run.

    A replay goes on from `market_at` at the next start; live and unhurried simulated feeds follow the wall clock.
    """

    class Kind(models.TextChoices):
        SIMULATED = "simulated", "simulated market"
        RECORDED = "recorded", "recorded candles"
        LIVE = "live", "live prices"

    venue = models.CharField(max_length=20, unique=True)
    kind = models.CharField(max_length=9, choices=Kind)
    source = models.CharField(max_length=300, blank=True, help_text="Folder of the recorded files, or empty.")
    seed = models.BigIntegerField(default=0, help_text="Seed of the simulated market.")
    speed = models.FloatField(default=1.0, validators=[MinValueValidator(0.001)])
    market_at = models.DateTimeField(help_text="Market time at `wall_at`.")
    wall_at = models.DateTimeField(default=timezone.now)
    running = models.BooleanField(default=False, help_text="Whether the market's clock is moving.")
    heartbeat = models.DateTimeField(null=True, blank=True, help_text="Wall time of the last write of this feed.")
    problem = models.CharField(max_length=300, blank=True)

    def __str__(self) -> str:
        return f"{self.venue}: {self.get_kind_display()}"


class Instrument(models.Model):
    """A tradable contract with its rules at a venue."""

    venue = models.CharField(max_length=20)
    symbol = models.CharField(max_length=30)
    base = models.CharField(max_length=20)
    quote = models.CharField(max_length=10, default="USDT")
    tick_size = ExactDecimalField()
    step_size = ExactDecimalField()
    min_quantity = ExactDecimalField()
    max_quantity = ExactDecimalField()
    min_notional = ExactDecimalField(default=5)
    max_leverage = models.PositiveSmallIntegerField(default=100)
    maker_fee = ExactDecimalField(max_digits=12)
    taker_fee = ExactDecimalField(max_digits=12)
    liquidation_fee = ExactDecimalField(max_digits=12, default=0)
    funding_interval_hours = models.PositiveSmallIntegerField(default=8)
    group = models.CharField(max_length=30, default="crypto")
    brackets = models.JSONField(default=list, blank=True)
    status = models.CharField(max_length=20, default="TRADING")
    updated = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["venue", "symbol"], name="instrument_unique_per_venue"),
            models.CheckConstraint(
                condition=Q(tick_size__gt=0, step_size__gt=0),
                name="instrument_tick_and_step_positive",
                violation_error_message="Tick and step size must be above zero.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.symbol} at {self.venue}"


class Ticker(models.Model):
    """The newest prices of a symbol: one row each, overwritten."""

    venue = models.CharField(max_length=20)
    symbol = models.CharField(max_length=30)
    at = models.DateTimeField(help_text="Market time of the prices.")
    last = ExactDecimalField()
    bid = ExactDecimalField()
    ask = ExactDecimalField()
    mark = ExactDecimalField()
    funding_rate = ExactDecimalField(max_digits=18, null=True, blank=True)
    next_funding_at = models.DateTimeField(null=True, blank=True)
    open_interest = ExactDecimalField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["venue", "symbol"], name="ticker_unique_per_venue")]

    def __str__(self) -> str:
        return f"{self.symbol} {self.last}"


class Candle(models.Model):
    """One candle of a symbol's base interval. Higher intervals are resampled, never stored beside it.

    The key is composite and holds the time, so that the table can become a hypertable.
    """

    pk = models.CompositePrimaryKey("venue", "symbol", "interval", "open_time")
    venue = models.CharField(max_length=20)
    symbol = models.CharField(max_length=30)
    interval = models.CharField(max_length=3)
    open_time = models.DateTimeField()
    open = models.FloatField()
    high = models.FloatField()
    low = models.FloatField()
    close = models.FloatField()
    volume = models.FloatField()
    closed = models.BooleanField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(high__gte=F("open"), low__lte=F("open"))
                & Q(high__gte=F("close"), low__lte=F("close"))
                & Q(low__gt=0, volume__gte=0),
                name="candle_is_possible",
                violation_error_message="High must be the highest and low the lowest price of a candle.",
            )
        ]

    def __str__(self) -> str:
        return f"{self.symbol} {self.interval} {self.open_time:%F %T}"


class QuarantinedCandle(models.Model):
    """A candle that cannot be true. Kept for inspection, never used."""

    venue = models.CharField(max_length=20)
    symbol = models.CharField(max_length=30)
    interval = models.CharField(max_length=3)
    open_time = models.DateTimeField()
    values = models.JSONField()
    reason = models.CharField(max_length=200)
    seen = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["venue", "symbol", "interval", "open_time"], name="quarantined_once")
        ]

    def __str__(self) -> str:
        return f"{self.symbol} {self.open_time:%F %T}: {self.reason}"


class FundingRate(models.Model):
    """A settled funding rate: what longs paid to shorts, as a fraction of notional."""

    venue = models.CharField(max_length=20)
    symbol = models.CharField(max_length=30)
    at = models.DateTimeField()
    rate = ExactDecimalField(max_digits=18)
    mark = ExactDecimalField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["venue", "symbol", "at"], name="funding_settled_once")]

    def __str__(self) -> str:
        return f"{self.symbol} {self.at:%F %T} {self.rate}"


class Snapshot(models.Model):
    """What one cycle, or all cycles of one moment, saw. Found again by its digest."""

    venue = models.CharField(max_length=20)
    at = models.DateTimeField(help_text="Market time.")
    digest = models.CharField(max_length=64)
    summary = models.JSONField(default=dict)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["venue", "at", "digest"], name="snapshot_stored_once")]
        indexes = [models.Index(fields=["venue", "-at"], name="snapshot_newest")]

    def __str__(self) -> str:
        return f"{self.venue} {self.at:%F %T}"
