"""Backtests through the ordinary cycle: the rule that the field is measured with, a month of minutes, a month of hours."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks import house
from benchmarks.report import Table, against
from benchmarks.timing import of_children
from vibex.lib.env import ROOT

if TYPE_CHECKING:
    from marketdata.recorded_market import RecordedMarket
    from trading.services.backtest import Backtest, BacktestPlan

ROUNDS: Final = 5
RULE: Final = "rules/cross"
"""EMA(12) crosses EMA(26), RSI(14) agrees; both sides, stop 2 %, target 4 %, 10,000 USDT a trade."""
LIMITS: Final = ROOT / "benchmarks" / "limits_open.yaml"
REQUIRED, AIM, PROCESS = 55_000, 110_000, 3.0
BARE: Final = 2_200_000
"""Candles a second of the rule as a bare loop on the machine that the field was measured on."""
TRADES, EQUITY = (3_704, 3_712), (66_990, 67_450)
OFF_DAYS: Final = 14
"""Part of the year that is run with the jump off."""
FIVE: Final = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT")
SIX: Final = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT", "DOGEUSDT")
JUMPED, STEPPED, MEMORY_MB, SCALE = 10.0, 120.0, 500.0, 1.7
JOBS: Final = 4
MODULE = "benchmarks.backtest_rounds"


def measure() -> list[Table]:
    return [_rule(), _minutes(), _hours()]


def _rule() -> Table:
    from marketdata.recorded_market import RecordedMarket
    from marketdata.venues.recorded import read_folder
    from trading.domain.matching import EngineSettings
    from trading.services.backtest import BacktestPlan
    from trading.services.backtest.limits import limits_in

    source = house.shared_data() / "candles" / "bench_2025_5m"
    none = Decimal(0)
    market = RecordedMarket(read_folder(source, ("BTCUSDT",)).recordings.values(), timeframes=("5m",), spread=none)
    first, last = market.span("BTCUSDT")
    plan = BacktestPlan(
        symbols=("BTCUSDT",), start=first, end=last, interval="5m", timeframes=("5m",), model=RULE,
        capital=Decimal(100_000), limits=limits_in(LIMITS), fee=Decimal("0.0004"),
        fills=EngineSettings(spread=none, slippage=none, stop_slippage_range=none),
    )  # fmt: skip
    bares = [_bare()]
    ran, seconds = _fastest(plan, market, ROUNDS, between=lambda: bares.append(_bare()))
    off, off_seconds = _fastest(replace(plan, end=first + timedelta(days=OFF_DAYS), jump=False), market, 1)
    bare = max(bares)
    with house.folder() as compiled:
        process, busy = min(_process(compiled) for _ in range(3))
    trades, equity = len(ran.journal.closed), float(ran.journal.points[-1].equity)
    per_second = ran.steps / seconds
    right = TRADES[0] <= trades <= TRADES[1] and EQUITY[0] <= equity <= EQUITY[1]
    rows = (
        ("candles in the loop", f"{per_second:,.0f} a second", f"≥ {REQUIRED:,}: {against(REQUIRED, per_second)}; aim {AIM:,}: {against(AIM, per_second)}"),
        ("at the pace of the field's machine", f"{per_second * BARE / bare:,.0f} a second", f"the bare loop came to {BARE:,} there: {against(REQUIRED, per_second * BARE / bare)}"),
        ("the whole process", f"{process:.2f} s, {busy:.2f} s of the processor", f"aim ≤ {PROCESS:.0f} s: {against(process, PROCESS)}"),
        ("trades, equity at the end", f"{trades:,}, {equity:,.2f} USDT", f"{TRADES[0]:,} to {TRADES[1]:,}, {EQUITY[0]:,} to {EQUITY[1]:,}: {'kept' if right else '**missed**'}"),
        ("a trade", f"{seconds / trades * 1e6:,.0f} µs", "order, fills, stop, target, close, rulings, journal"),
        ("cycles really run", f"{len(ran.milliseconds):,} of {ran.steps:,}", ""),
        ("with the jump off", f"{off.steps / off_seconds:,.0f} a second", f"the first {OFF_DAYS} days; the jump is {per_second / (off.steps / off_seconds):,.0f} times as fast"),
        ("the rule without an engine", f"{bare:,.0f} a second", f"a bare loop in the same run, {bare / per_second:,.0f} times as fast"),
    )  # fmt: skip
    note = (
        "`bench_2025_5m`, 105,120 candles of five minutes. EMA(12/26) cross with RSI(14), both sides, stop 2 %, target 4 %, fee "
        f"0.04 %, 10,000 USDT a trade, through cycle, rulings, brackets and journal under `{LIMITS.relative_to(ROOT)}`. Fastest of "
        f"{ROUNDS} runs, the bare loop between them; what is made ready before the first candle is left out, as it is of the "
        "others. The whole process is one whose modules were compiled by an earlier one. On two cores of the same kind others came to 12,000–14,000 (freqtrade), 16,000–22,000 (jesse), about 5,000 "
        "(nautilus_trader 1.231) and 50,000–55,000 (its compiled 2.0rc6) candles a second."
    )
    return Table("The rule of the field over a year", ("what", "measured", "that is"), rows, (note,))


def _fastest(
    plan: BacktestPlan, market: RecordedMarket, rounds: int, between: Callable[[], object] = lambda: None
) -> tuple[Backtest, float]:
    """Return the run whose loop took the least seconds, and these. Each begins in a memory that the last one has left."""
    from trading.services.backtest import backtest_run

    fastest: Backtest | None = None
    for _ in range(rounds):
        gc.collect()
        backtest = backtest_run(plan=plan, market=market)
        if fastest is None or backtest.seconds < fastest.seconds:
            fastest = backtest
        del backtest
        between()
    assert fastest is not None
    return fastest, fastest.seconds


def _bare() -> float:
    """Return the candles a second of the same rule as a plain loop, without any engine."""
    script = house.shared_data().parent / "bench" / "rule.py"
    return float(json.loads(subprocess.check_output(house.python(str(script)), text=True))["candles_per_s"])


def _process(compiled: Path) -> tuple[float, float]:
    """Return the seconds, on the clock and of the processor, of the command as a person starts it.

    Its modules are compiled into a folder of their own by the first that is started, also where the environment forbids it:
    without, a third of the time would go into compiling them again and again, which no installation does.
    """
    source = house.shared_data() / "candles" / "bench_2025_5m"
    options = [
        *("--data", str(source), "--symbols", "BTCUSDT", "--from", "2025-01-01", "--to", "2026-01-01"),
        *("--interval", "5m", "--timeframes", "5m", "--decider", RULE, "--capital", "100000", "--limits", str(LIMITS)),
        *("--fee", "0.0004", "--spread", "0", "--stop-slippage", "0", "--volume-share", "0", "--no-funding"),
    ]
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    own = {**kept, "PYTHONPYCACHEPREFIX": str(compiled)}
    busy, began = of_children(), time.perf_counter()
    subprocess.run(
        house.python("manage.py", "backtest", *options), cwd=ROOT, env=own, check=True, stdout=subprocess.DEVNULL
    )
    return time.perf_counter() - began, of_children() - busy


def _minutes() -> Table:
    one, off = _round("jump"), _round("stepped")
    alone, together = _round("jobs", "1"), _round("jobs", "2")
    scale = alone["seconds"] / together["seconds"]
    same = one["equity"] == off["equity"]
    rows = (
        ("with the jump", f"{one['seconds']:.2f} s", f"≤ {JUMPED:.0f} s: {against(one['seconds'], JUMPED)}"),
        ("with the jump off", f"{off['seconds']:.1f} s", f"≤ {STEPPED:.0f} s: {against(off['seconds'], STEPPED)}; the same equity: {'yes' if same else '**no**'}"),
        ("cycles really run", f"{one['cycles']:,} of {one['steps']:,}", f"{one['trades']} trades"),
        ("memory, jump off", f"{off['megabytes']:.0f} MB", f"≤ {MEMORY_MB:.0f} MB: {against(off['megabytes'], MEMORY_MB)}"),
        (f"{JOBS} jobs, two at a time", f"{together['seconds']:.1f} s, one at a time {alone['seconds']:.1f} s", f"{scale:.2f} times as fast, ≥ {SCALE}: {against(SCALE, scale)}"),
    )  # fmt: skip
    note = (
        "`binance_um_2025_1m`: BTC, ETH, SOL, BNB and XRP over 29 days of one-minute candles, a decision every three minutes, "
        "`rules/trend` under the usual limits, funding of `binance_um_2025_5m`. Each figure is of a process of its own, reading "
        "left out but for the jobs, which are four such months with the jump off on a quarter of the time each."
    )
    return Table("A month of minutes, five symbols", ("what", "measured", "that is"), rows, (note,))


def _round(*arguments: str) -> dict[str, Any]:
    told = subprocess.check_output(house.python("-m", MODULE, *arguments), cwd=ROOT, text=True)
    found: dict[str, Any] = json.loads(told)
    return found


def _hours() -> Table:
    from marketdata.recorded_market import RecordedMarket
    from marketdata.venues.recorded import read_folder
    from trading.services.backtest import BacktestPlan

    start, end = datetime(2025, 9, 15, tzinfo=UTC), datetime(2025, 10, 15, tzinfo=UTC)
    plan = BacktestPlan(symbols=SIX, start=start, end=end, interval="1h", timeframes=("1h", "4h"))
    source = house.shared_data() / "candles" / "binance_um_2025_1h"
    began = time.perf_counter()
    market = RecordedMarket(read_folder(source, SIX).recordings.values(), timeframes=plan.timeframes)
    reading = time.perf_counter() - began
    jumped, seconds = _fastest(plan, market, ROUNDS)
    stepped, off_seconds = _fastest(replace(plan, jump=False), market, ROUNDS)
    rows = (
        ("with the jump", f"{seconds:.2f} s", _cycles(jumped, seconds)),
        ("with the jump off", f"{off_seconds:.2f} s", _cycles(stepped, off_seconds)),
        ("a cycle, jump off", f"{stepped.median_ms:.2f} ms at the median", f"{len(SIX)} symbols"),
        ("closed trades", f"{len(jumped.journal.closed):,}", "the same both times" if _alike(jumped, stepped) else "**not the same**"),
        ("reading", f"{reading:.2f} s", "ten months of files, and their indicators"),
    )  # fmt: skip
    note = f"`binance_um_2025_1h`, {start:%F} to {end:%F}, `rules/trend`, usual limits. Fastest of {ROUNDS} runs."
    return Table("A month of hours, six symbols", ("what", "measured", "that is"), rows, (note,))


def _cycles(backtest: Backtest, seconds: float) -> str:
    return f"{backtest.steps / seconds:,.0f} decisions a second, {len(backtest.milliseconds):,} of {backtest.steps:,} cycles run"


def _alike(one: Backtest, other: Backtest) -> bool:
    def money(backtest: Backtest) -> Sequence[Any]:
        return [(point.at, point.equity) for point in backtest.journal.points]

    return money(one) == money(other)
