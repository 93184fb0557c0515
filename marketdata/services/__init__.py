"""The only writers of market data."""

from marketdata.services.candles import candles_quarantine, candles_upsert
from marketdata.services.feeds import feed_advance, feed_configure, feed_fail, feed_start, feed_stop
from marketdata.services.live import feed_catch_up
from marketdata.services.prices import (
    funding_expect,
    funding_put,
    instruments_upsert,
    open_interest_put,
    ticker_put,
)
from marketdata.services.snapshots import snapshot_store

__all__ = [
    "candles_quarantine",
    "candles_upsert",
    "feed_advance",
    "feed_catch_up",
    "feed_configure",
    "feed_fail",
    "feed_start",
    "feed_stop",
    "funding_expect",
    "funding_put",
    "instruments_upsert",
    "open_interest_put",
    "snapshot_store",
    "ticker_put",
]
