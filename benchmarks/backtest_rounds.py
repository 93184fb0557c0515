"""One figure about backtests in a process of its own, so that memory and readiness are its own: `jump`, `stepped`, `jobs N`."""

from __future__ import annotations

import json
import resource
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from benchmarks import house
from benchmarks.backtest import FIVE, JOBS

START: Final = datetime(2025, 5, 5, tzinfo=UTC)
END: Final = datetime(2025, 6, 3, tzinfo=UTC)


def main(what: str, jobs: int = 1) -> dict[str, Any]:
    from marketdata.recorded_market import RecordedMarket
    from trading.services.backtest import BacktestPlan, backtest_run
    from trading.services.backtest.many import backtests_run
    from trading.services.backtest.source import Source
    from trading.services.backtest.windows import parts_of

    frames = ("3m", "15m", "1h")
    plan = BacktestPlan(symbols=FIVE, start=START, end=END, interval="3m", timeframes=frames, jump=what == "jump")
    if what == "jobs":
        folder = house.shared_data() / "candles" / "binance_um_2025_1m"
        source = Source(symbols=FIVE, timeframes=frames, start=START, end=END, folder=folder)
        began = time.perf_counter()
        backtests_run(source, parts_of(plan, JOBS), jobs=jobs)
        return {"seconds": time.perf_counter() - began}
    market = RecordedMarket(_recordings(), timeframes=frames)
    began = time.perf_counter()
    backtest = backtest_run(plan=plan, market=market)
    seconds = time.perf_counter() - began
    return {
        "seconds": seconds,
        "cycles": len(backtest.milliseconds),
        "steps": backtest.steps,
        "trades": len(backtest.journal.closed),
        "equity": str(backtest.journal.points[-1].equity),
        "megabytes": _most_memory(),
    }


def _most_memory() -> float:
    """Return the most memory that this process has held, MB. `ru_maxrss` also knows what the process held that began it."""
    told = Path("/proc/self/status")
    for line in told.read_text().splitlines() if told.exists() else ():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _recordings() -> list[Any]:
    """Return the minutes, with the funding that is recorded beside the five-minute candles."""
    from marketdata.venues.recorded import read_folder

    candles = house.shared_data() / "candles"
    minutes, longer = (read_folder(candles / f"binance_um_2025_{name}", FIVE) for name in ("1m", "5m"))
    return [replace(minutes.recordings[name], funding=longer.recordings[name].funding) for name in FIVE]


if __name__ == "__main__":
    with house.folder() as home:
        house.enter(home)
        print(json.dumps(main(sys.argv[1], *map(int, sys.argv[2:]))))
