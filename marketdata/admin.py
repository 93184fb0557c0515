"""Admin of what the market is, to look at. Candles have no page here: their key is composite."""

from django.contrib import admin

from marketdata.models import (
    CandleCorrection,
    CandleHole,
    Feed,
    FundingRate,
    Instrument,
    OpenInterest,
    QuarantinedCandle,
    SignerNonce,
    Snapshot,
    Ticker,
    VenueBudget,
)
from vibex.lib.admin import HistoryAdmin


@admin.register(Feed)
class FeedAdmin(HistoryAdmin):
    place = 0
    list_display = ("venue", "kind", "running", "speed", "market_at", "heartbeat", "clock_offset", "problem", "note")
    list_filter = ("kind", "running")
    search_fields = ("venue", "source")


@admin.register(Instrument)
class InstrumentAdmin(HistoryAdmin):
    list_display = (
        "symbol",
        "venue",
        "status",
        "followed",
        "asset_class",
        "tick_size",
        "step_size",
        "min_notional",
        "max_leverage",
        "funding_interval_hours",
        "updated",
    )
    list_filter = ("venue", "status", "followed", "asset_class", "contract_type", "group")
    search_fields = ("symbol", "base")
    ordering = ("venue", "symbol")


@admin.register(Ticker)
class TickerAdmin(HistoryAdmin):
    list_display = (
        "symbol",
        "venue",
        "at",
        "last",
        "bid",
        "ask",
        "changed_at",
        "mark",
        "mark_at",
        "funding_rate",
        "next_funding_at",
        "open_interest",
    )
    list_filter = ("venue",)
    search_fields = ("symbol",)
    ordering = ("venue", "symbol")


@admin.register(QuarantinedCandle)
class QuarantinedCandleAdmin(HistoryAdmin):
    list_display = ("open_time", "symbol", "interval", "venue", "reason", "seen", "mended")
    list_filter = ("venue", "symbol", "interval")
    search_fields = ("symbol", "reason")
    times = "open_time"


@admin.register(FundingRate)
class FundingRateAdmin(HistoryAdmin):
    list_display = ("at", "symbol", "venue", "rate", "mark", "settled")
    list_filter = ("venue", "settled", "symbol")
    search_fields = ("symbol",)
    times = "at"
    ordering = ("-at", "symbol")


@admin.register(CandleCorrection)
class CandleCorrectionAdmin(HistoryAdmin):
    list_display = ("open_time", "symbol", "interval", "venue", "before", "after", "seen")
    list_filter = ("venue", "symbol", "interval")
    search_fields = ("symbol",)
    times = "seen"


@admin.register(CandleHole)
class CandleHoleAdmin(HistoryAdmin):
    list_display = ("start", "stop", "symbol", "interval", "venue", "asked")
    list_filter = ("venue", "symbol", "interval")
    search_fields = ("symbol",)
    times = "start"
    ordering = ("-start", "symbol")


@admin.register(OpenInterest)
class OpenInterestAdmin(HistoryAdmin):
    list_display = ("at", "symbol", "venue", "value")
    list_filter = ("venue", "symbol")
    search_fields = ("symbol",)
    times = "at"
    ordering = ("-at", "symbol")


@admin.register(VenueBudget)
class VenueBudgetAdmin(HistoryAdmin):
    group = "Operations"
    list_display = ("host", "minute", "used", "limit", "blocked_until", "reason", "told_until", "told_reason")
    search_fields = ("host",)


@admin.register(SignerNonce)
class SignerNonceAdmin(HistoryAdmin):
    group = "Operations"
    list_display = ("signer", "last")
    search_fields = ("signer",)


@admin.register(Snapshot)
class SnapshotAdmin(HistoryAdmin):
    list_display = ("at", "symbol", "venue", "digest")
    list_filter = ("venue", "symbol")
    search_fields = ("symbol", "digest")
    times = "at"
    ordering = ("-at", "symbol")
