"""A month of real candles, six symbols, through the ordinary cycle: decisions per second."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from benchmarks import house
from benchmarks.report import Table, against
from benchmarks.timing import percentile

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT", "DOGEUSDT")
START, END = datetime(2025, 9, 15, tzinfo=UTC), datetime(2025, 10, 15, tzinfo=UTC)
CYCLE_LIMIT_MS = 50.0
ROUNDS = 5


def measure() -> list[Table]:
    from marketdata.recorded_market import RecordedMarket
    from marketdata.venues.recorded import read_folder
    from trading.services.backtest import Backtest, BacktestPlan, backtest_run

    plan = BacktestPlan(symbols=SYMBOLS, start=START, end=END, interval="1h", timeframes=("1h", "4h"))
    source = house.shared_data() / "candles" / "binance_um_2025_1h"

    def once() -> tuple[float, float, Backtest]:
        began = time.perf_counter()
        market = RecordedMarket(read_folder(source, SYMBOLS).recordings.values(), timeframes=plan.timeframes)
        read = time.perf_counter()
        backtest = backtest_run(plan=plan, market=market)
        return read - began, time.perf_counter() - read, backtest

    reading, running, backtest = min((once() for _ in range(ROUNDS)), key=lambda run: run[1])
    cycles, decisions = len(backtest.milliseconds), len(backtest.milliseconds) * len(SYMBOLS)
    median_ms, slow_ms = percentile(backtest.milliseconds, 0.5), percentile(backtest.milliseconds, 0.99)
    rows = (
        ("decisions (one symbol, one hour)", f"{decisions:,}", f"{decisions / running:,.0f} per second"),
        ("cycles (six symbols)", f"{cycles:,}", f"{cycles / running:,.0f} per second"),
        ("closed trades", f"{len(backtest.journal.closed):,}", ""),
        ("cycle, median", f"{median_ms:.2f} ms", f"≤ {CYCLE_LIMIT_MS:.0f} ms: {against(median_ms, CYCLE_LIMIT_MS)}"),
        ("cycle, p99", f"{slow_ms:.2f} ms", ""),
        ("the month", f"{running:.2f} s", f"and {reading:.2f} s to read ten months of files and compute indicators"),
    )
    note = (
        f"`binance_um_2025_1h`, {START:%F} to {END:%F}, `rules/trend`, all invariants checked after every cycle. "
        f"Fastest of {ROUNDS} runs; the results of all are the same."
    )
    return [Table("Backtest", ("what", "measured", "that is"), rows, (note,))]
