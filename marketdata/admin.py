"""Admin of what the market is, to look at. Candles have no page here: their key is composite."""

from django.contrib import admin

from marketdata.models import Feed, FundingRate, Instrument, QuarantinedCandle, Snapshot, Ticker
from vibex.lib.admin import HistoryAdmin


@admin.register(Feed)
class FeedAdmin(HistoryAdmin):
    list_display = ("venue", "kind", "running", "speed", "market_at", "heartbeat", "problem")
    list_filter = ("kind", "running")
    search_fields = ("venue", "source")


@admin.register(Instrument)
class InstrumentAdmin(HistoryAdmin):
    list_display = ("symbol", "venue", "status", "tick_size", "step_size", "min_notional", "max_leverage", "updated")
    list_filter = ("venue", "status", "group")
    search_fields = ("symbol", "base")
    ordering = ("venue", "symbol")


@admin.register(Ticker)
class TickerAdmin(HistoryAdmin):
    list_display = ("symbol", "venue", "at", "last", "bid", "ask", "mark", "funding_rate", "next_funding_at")
    list_filter = ("venue",)
    search_fields = ("symbol",)
    ordering = ("venue", "symbol")


@admin.register(QuarantinedCandle)
class QuarantinedCandleAdmin(HistoryAdmin):
    list_display = ("open_time", "symbol", "interval", "venue", "reason", "seen")
    list_filter = ("venue", "symbol", "interval")
    search_fields = ("symbol", "reason")
    date_hierarchy = "open_time"


@admin.register(FundingRate)
class FundingRateAdmin(HistoryAdmin):
    list_display = ("at", "symbol", "venue", "rate", "mark")
    list_filter = ("venue", "symbol")
    search_fields = ("symbol",)
    date_hierarchy = "at"
    ordering = ("-at", "symbol")


@admin.register(Snapshot)
class SnapshotAdmin(HistoryAdmin):
    list_display = ("at", "venue", "digest")
    list_filter = ("venue",)
    search_fields = ("digest",)
    date_hierarchy = "at"
    ordering = ("-at",)
