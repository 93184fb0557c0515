"""What the market is and was. Candle values are floats; filters and prices that orders use are Decimal."""

from __future__ import annotations

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Now
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
    source = models.CharField(
        max_length=300, blank=True, help_text="Folder of the recorded files, address of the venue, or empty."
    )
    seed = models.BigIntegerField(default=0, help_text="Seed of the simulated market.")
    speed = models.FloatField(default=1.0, validators=[MinValueValidator(0.001)])
    market_at = models.DateTimeField(help_text="Market time at `wall_at`.")
    wall_at = models.DateTimeField(default=timezone.now)
    interval = models.CharField(
        max_length=3, default="1m", db_default="1m", help_text="Base interval: longer candles are made of these."
    )
    running = models.BooleanField(default=False, help_text="Whether the market's clock is moving.")
    heartbeat = models.DateTimeField(null=True, blank=True, help_text="Wall time of the last write of this feed.")
    problem = models.CharField(max_length=300, blank=True)
    note = models.CharField(
        max_length=300, blank=True, db_default="", help_text="Why this market and not another one, for the page."
    )
    clock_offset = models.FloatField(
        null=True, blank=True, help_text="Seconds by which the venue's clock is ahead of ours; empty when never asked."
    )
    clock_checked = models.DateTimeField(null=True, blank=True)

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
    min_price = ExactDecimalField(default=0, db_default=0)
    max_price = ExactDecimalField(default=0, db_default=0, help_text="Zero: no limit.")
    market_step_size = ExactDecimalField(default=0, db_default=0, help_text="Zero: as for limit orders.")
    market_min_quantity = ExactDecimalField(default=0, db_default=0)
    market_max_quantity = ExactDecimalField(default=0, db_default=0)
    band_up = ExactDecimalField(max_digits=12, default=0, db_default=0, help_text="Highest buy price ÷ mark.")
    band_down = ExactDecimalField(max_digits=12, default=0, db_default=0, help_text="Lowest sell price ÷ mark.")
    market_take_bound = ExactDecimalField(max_digits=12, default=0, db_default=0)
    trigger_protect = ExactDecimalField(max_digits=12, default=0, db_default=0)
    max_orders = models.PositiveIntegerField(default=200, db_default=200)
    max_stop_orders = models.PositiveIntegerField(default=100, db_default=100)
    margin_asset = models.CharField(max_length=20, default="USDT", db_default="USDT")
    contract_type = models.CharField(max_length=30, blank=True, default="PERPETUAL", db_default="PERPETUAL")
    asset_class = models.CharField(max_length=12, default="crypto", db_default="crypto")
    order_types = models.JSONField(default=list, blank=True, db_default=Value([], models.JSONField()))
    times_in_force = models.JSONField(default=list, blank=True, db_default=Value([], models.JSONField()))
    followed = models.BooleanField(
        default=True, db_default=True, help_text="Whether its candles and prices are kept current."
    )
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
    mark_at = models.DateTimeField(null=True, blank=True, help_text="Of the mark price; empty: as `at`.")
    funding_at = models.DateTimeField(null=True, blank=True)
    open_interest_at = models.DateTimeField(null=True, blank=True)
    changed_at = models.DateTimeField(null=True, blank=True, help_text="When bid or ask last moved.")

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
    mended = models.DateTimeField(null=True, blank=True, help_text="When the venue gave a possible one in its place.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["venue", "symbol", "interval", "open_time"], name="quarantined_once")
        ]

    def __str__(self) -> str:
        return f"{self.symbol} {self.open_time:%F %T}: {self.reason}"


class CandleCorrection(models.Model):
    """A closed candle that the venue told differently later. The stored one is the later one."""

    venue = models.CharField(max_length=20)
    symbol = models.CharField(max_length=30)
    interval = models.CharField(max_length=3)
    open_time = models.DateTimeField()
    before = models.JSONField(help_text="Open, high, low, close and volume as they were stored.")
    after = models.JSONField()
    seen = models.DateTimeField(default=timezone.now, db_default=Now())

    class Meta:
        ordering = ["-seen"]
        indexes = [models.Index(fields=["venue", "symbol", "-open_time"], name="correction_of_symbol")]

    def __str__(self) -> str:
        return f"{self.symbol} {self.interval} {self.open_time:%F %T} corrected"


class CandleHole(models.Model):
    """A span in which the venue itself has no candles, so that nobody asks for them again."""

    venue = models.CharField(max_length=20)
    symbol = models.CharField(max_length=30)
    interval = models.CharField(max_length=3)
    start = models.DateTimeField(help_text="Open time of the first candle that is missing.")
    stop = models.DateTimeField(help_text="Open time of the first candle after the hole.")
    asked = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["venue", "symbol", "interval", "start"], name="hole_known_once"),
            models.CheckConstraint(condition=Q(stop__gt=F("start")), name="hole_has_a_length"),
        ]

    def __str__(self) -> str:
        return f"{self.symbol} {self.interval} {self.start:%F %T} to {self.stop:%F %T}"


class OpenInterest(models.Model):
    """Contracts that were open at a moment, in the base asset."""

    venue = models.CharField(max_length=20)
    symbol = models.CharField(max_length=30)
    at = models.DateTimeField()
    value = ExactDecimalField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["venue", "symbol", "at"], name="open_interest_once")]

    def __str__(self) -> str:
        return f"{self.symbol} {self.at:%F %T} {self.value}"


class FundingRate(models.Model):
    """A settled funding rate: what longs paid to shorts, as a fraction of notional."""

    venue = models.CharField(max_length=20)
    symbol = models.CharField(max_length=30)
    at = models.DateTimeField()
    rate = ExactDecimalField(max_digits=18)
    mark = ExactDecimalField(null=True, blank=True)
    settled = models.BooleanField(
        default=True, db_default=True, help_text="No: what the venue expects; replaced when it has settled."
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["venue", "symbol", "at"], name="funding_settled_once")]

    def __str__(self) -> str:
        return f"{self.symbol} {self.at:%F %T} {self.rate}"


class Snapshot(models.Model):
    """What was known of one symbol at one tick: prices and the newest value of every indicator.

    Computed once, stored once, shared by all cycles that saw it: they name it by its digest, so that old ones may go.
    """

    venue = models.CharField(max_length=20)
    symbol = models.CharField(max_length=30)
    at = models.DateTimeField(help_text="Market time of the prices.")
    digest = models.CharField(max_length=64)
    values = models.JSONField(help_text="Quote, and per timeframe the last closed candle and its indicators.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["venue", "symbol", "at", "digest"], name="snapshot_once")]

    def __str__(self) -> str:
        return f"{self.symbol} at {self.venue}, {self.at:%F %T}"


class VenueBudget(models.Model):
    """What this address may still ask of a host: one row that all processes share.

    `used` is the request weight of the minute that began at `minute`. Until `blocked_until` nobody asks but to close;
    until `told_until` nobody at all, because the venue itself said so.
    """

    host = models.CharField(max_length=120, unique=True)
    minute = models.DateTimeField()
    used = models.PositiveIntegerField(default=0)
    limit = models.PositiveIntegerField(help_text="Weight a minute that the venue allows.")
    blocked_until = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=200, blank=True)
    told_until = models.DateTimeField(null=True, blank=True)
    told_reason = models.CharField(max_length=200, blank=True)

    def __str__(self) -> str:
        return f"{self.host}: {self.used} of {self.limit}"


class SignerNonce(models.Model):
    """The last number that a signer has used up at a venue: all processes take the next one from this row."""

    signer = models.CharField(max_length=60, unique=True, help_text="Address of the API wallet, in lower case.")
    last = models.BigIntegerField(help_text="Microseconds since the epoch, by the venue's clock.")

    def __str__(self) -> str:
        return f"{self.signer}: {self.last}"
