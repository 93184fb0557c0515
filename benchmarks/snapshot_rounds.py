"""Snapshots over the database that the environment names; prints milliseconds and queries as JSON.

A process of its own for each database: `benchmarks.snapshot` starts it.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from unittest import mock

from django.core.management import call_command
from django.db import connection

if TYPE_CHECKING:
    from marketdata.domain.candles import Candles

TIMEFRAMES = ("1m", "15m", "1h", "4h")
PLAIN, WORST = 300, 60
HISTORY_DAYS = 63
"""As many minute candles as a process reads at most."""
LONGEST = timedelta(hours=4)


def main() -> None:
    from marketdata.domain import indicators

    call_command("migrate", verbosity=0)
    computed: list[str] = []
    compute = indicators.compute

    def noted(candles: Candles) -> Any:
        computed.append(candles.interval)
        return compute(candles)

    mock.patch.object(indicators, "compute", noted).start()
    bench = Bench()
    found: dict[str, Any] = {"vendor": connection.vendor, "cold": [bench.look()]}
    found["plain"] = [bench.look() for _ in range(PLAIN)]
    found["worst"], found["computed"] = [], 0
    for _ in range(WORST):
        bench.let_all_close()
        computed.clear()
        found["worst"].append(bench.look())
        found["computed"] += len(computed)
    json.dump(found, sys.stdout)


class Bench:
    """Six symbols, and a bot that looks at four timeframes of each."""

    def __init__(self) -> None:
        from benchmarks import still_market
        from marketdata.selectors import market_for

        still_market.HISTORY = timedelta(days=HISTORY_DAYS)
        self.market = still_market.StillMarket()
        self.symbols = tuple(still_market.PRICES)
        self._venue, self._market_for = still_market.VENUE, market_for

    def let_all_close(self) -> None:
        """Let time pass to the next second in which a candle of every timeframe closes; the minutes before are read."""
        self.market.advance(LONGEST - timedelta(minutes=1))
        self.look()
        self.market.advance(timedelta(minutes=1))

    def look(self) -> dict[str, float]:
        """Take one snapshot as a cycle does, with the rules of the contracts known."""
        market = self._market_for(self._venue)
        market.instrument(self.symbols[0])
        queries = [0]

        def count(execute: Any, *rest: Any) -> Any:
            queries[0] += 1
            return execute(*rest)

        with connection.execute_wrapper(count):
            began, busy = time.perf_counter(), time.process_time()
            snapshot = market.snapshot(symbols=self.symbols, timeframes=TIMEFRAMES, at=self.market.at)
            spent, busy = time.perf_counter() - began, time.process_time() - busy
        wrong = {symbol: view.problem for symbol, view in snapshot.symbols.items() if view.problem}
        if wrong:
            raise RuntimeError(f"a sound market has problems: {wrong}")
        return {"ms": spent * 1000, "busy": busy * 1000, "queries": queries[0]}


if __name__ == "__main__":
    import django

    django.setup()
    main()
