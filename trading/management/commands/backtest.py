"""`manage.py backtest`: the ordinary cycle over recorded candles."""

from __future__ import annotations

import json
from argparse import ArgumentTypeError
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.domain.limits import DEFAULTS, LEVERAGE_CEILING, Limits
from marketdata.domain.intervals import INTERVAL_MS
from marketdata.management.arguments import intervals
from trading.domain.schedule import timeframes_for
from vibex.lib.commands import moment, names
from vibex.lib.errors import VibexError

if TYPE_CHECKING:
    from marketdata.recorded_market import RecordedMarket
    from trading.services.backtest import BacktestPlan

USAGE = 2
SHARES = 20
"""How often progress is told."""
PROGRESS = "progress: "


class Command(BaseCommand):
    help = "Run a bot over recorded candles with a simulated clock; print equity, trades, fees, funding and drawdown."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        where = parser.add_mutually_exclusive_group(required=True)
        where.add_argument("--data", type=Path, help="Folder with SYMBOL-interval.csv.gz files.")
        where.add_argument("--venue", help="Market whose stored candles are taken: aster, sim, …")
        parser.add_argument("--symbols", type=names, required=True, help="BTCUSDT,ETHUSDT,…")
        parser.add_argument("--from", dest="start", type=moment, required=True, help="2025-09-15, UTC, included.")
        parser.add_argument("--to", dest="end", type=moment, required=True, help="2025-10-15, UTC, not included.")
        parser.add_argument("--interval", default="1h", choices=INTERVAL_MS, help="How often it decides (default 1h).")
        parser.add_argument(
            "--timeframes", type=intervals, help="What it sees; default: the interval and the next ones."
        )
        parser.add_argument("--decider", default="rules/trend", help="rules/<strategy> (default rules/trend).")
        parser.add_argument(
            "--capital", type=_amount, default=Decimal(10_000), help="Starting balance (default 10000)."
        )
        parser.add_argument("--max-leverage", type=int, help=f"Leverage cap, 1 to {LEVERAGE_CEILING}.")
        parser.add_argument("--max-stop", type=_amount, help="Farthest stop as a share of price, for example 0.10.")
        parser.add_argument("--approval", action="store_true", help="As a bot that asks first, approved at once.")
        parser.add_argument("--json", action="store_true", help="Print the whole report as JSON.")
        parser.add_argument("--progress", action="store_true", help="Say on standard error how far it is.")
        parser.add_argument(
            "--end-with-input",
            action="store_true",
            help="End when standard input does: with the process that began it.",
        )

    def handle(self, **options: Any) -> None:
        # Imported here: the engine and TA-Lib are of no use to the other commands.
        from trading.services.backtest import BacktestPlan, backtest_run
        from trading.services.backtest.job import end_with_parent
        from trading.services.backtest.report import lines_of, report_of

        if options["end_with_input"]:
            end_with_parent()
        try:
            plan = _plan(BacktestPlan, options)
            market, notes = _market(plan, options)
            told = self._progress if options["progress"] else _nobody
            backtest = backtest_run(plan=plan, market=market, notes=notes, on_cycle=told)
            report = report_of(backtest)
        except VibexError as fault:
            raise CommandError(str(fault)) from None
        if options["json"]:
            self.stdout.write(json.dumps(report, indent=1))
            return
        for line in lines_of(report):
            self.stdout.write(line)
        ran = len(backtest.milliseconds)
        self.stdout.write(f"{backtest.steps} cycles, {ran} of them run, median {backtest.median_ms:.2f} ms")

    def _progress(self, number: int, count: int) -> None:
        if number % max(1, count // SHARES) == 0:
            self.stderr.write(f"{PROGRESS}{number} of {count} cycles")
            self.stderr.flush()


def _nobody(number: int, count: int) -> None:
    """Tell nobody."""


def _market(plan: BacktestPlan, options: dict[str, Any]) -> tuple[RecordedMarket, list[str]]:
    """Return the recorded candles, from files or from the tables, and what was left out of them."""
    from marketdata.recorded_market import RecordedMarket

    if options["venue"]:
        from marketdata.stored_recordings import stored_recordings

        stored = stored_recordings(
            options["venue"], plan.symbols, start=plan.start, end=plan.end, timeframes=plan.timeframes
        )
        return RecordedMarket(stored, timeframes=plan.timeframes), []
    from marketdata.venues.recorded import read_folder

    folder = read_folder(options["data"], plan.symbols)
    notes = [f"left out: {candle.reason}" for candle in folder.quarantined]
    return RecordedMarket(folder.recordings.values(), timeframes=plan.timeframes), notes


def _plan(plan_type: type[BacktestPlan], options: dict[str, Any]) -> BacktestPlan:
    """Return the plan of the command's options. Raises CommandError for options that contradict themselves."""
    try:
        return plan_type(
            symbols=options["symbols"],
            start=options["start"],
            end=options["end"],
            interval=options["interval"],
            timeframes=options["timeframes"] or timeframes_for(options["interval"]),
            model=options["decider"],
            capital=options["capital"],
            approval=options["approval"],
            limits=_limits(options["max_leverage"], options["max_stop"]),
        )
    except VibexError as fault:
        raise CommandError(str(fault), returncode=USAGE) from None


def _limits(max_leverage: int | None, max_stop: Decimal | None) -> Limits:
    leverage = DEFAULTS.max_leverage if max_leverage is None else max_leverage
    stop = DEFAULTS.max_stop_distance if max_stop is None else max_stop
    if not 1 <= leverage <= LEVERAGE_CEILING:
        raise CommandError(f"--max-leverage {leverage} is not between 1 and {LEVERAGE_CEILING}", returncode=USAGE)
    if not DEFAULTS.min_stop_distance < stop < 1:
        text = f"--max-stop {stop} is not a share between {DEFAULTS.min_stop_distance} and 1"
        raise CommandError(text, returncode=USAGE)
    return replace(DEFAULTS, max_leverage=leverage, max_stop_distance=stop)


def _amount(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise ArgumentTypeError(f"{text!r} is not a number") from None
    if not amount.is_finite() or amount <= 0:
        raise ArgumentTypeError(f"{text} is not above zero")
    return amount
