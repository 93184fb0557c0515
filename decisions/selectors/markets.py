"""The market that a cycle saw, out of what is stored of it."""

from __future__ import annotations

from datetime import datetime

from decisions.domain.kept import instruments_from, unpacked
from decisions.models import Cycle
from marketdata.domain.snapshot import MarketSnapshot
from vibex.lib.errors import Rejected


def snapshot_of_cycle(cycle: Cycle, *, candles: bool = False) -> MarketSnapshot:
    """Return what a cycle saw: prices, rules of the contracts, problems, the newest candle and value of every timeframe.

    With `candles` all of them, as rules need them. Raises Unkept for a cycle of which nothing is kept, MarketGone for
    one whose market is not stored any more; Rejected where what is stored is not what it saw.
    """
    from marketdata.seen import snapshot_seen, with_candles  # arrays are loaded by those who look at them only
    from marketdata.selectors import base_interval

    specs = instruments_from(cycle.kept)
    symbols = [symbol for symbol in cycle.kept["bot"]["symbols"] if symbol in specs]
    snapshot = snapshot_seen(
        venue=cycle.kept["venue"],
        at=unpacked(datetime, cycle.kept["at"]),
        seen=cycle.seen,
        specs={symbol: specs[symbol] for symbol in symbols},
        reasons=cycle.kept.get("reasons", {}),
    )
    if cycle.digest and snapshot.digest != cycle.digest:
        raise Rejected("what is stored of its market is not what it saw: the two hashes differ", code="digest")
    if not candles:
        return snapshot
    base, intervals = base_interval(snapshot.venue), cycle.kept["bot"]["timeframes"]
    return with_candles(snapshot, base=base, intervals=intervals)
