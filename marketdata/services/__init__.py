"""The only writers of market data."""

from marketdata.services.candles import candles_quarantine, candles_upsert
from marketdata.services.feeds import feed_advance, feed_catch_up, feed_configure, feed_fail, feed_start, feed_stop
from marketdata.services.prices import funding_put, instruments_upsert, snapshot_store, ticker_put

__all__ = [
    "candles_quarantine",
    "candles_upsert",
    "feed_advance",
    "feed_catch_up",
    "feed_configure",
    "feed_fail",
    "feed_start",
    "feed_stop",
    "funding_put",
    "instruments_upsert",
    "snapshot_store",
    "ticker_put",
]
