"""`manage.py backtest`: the ordinary cycle over recorded candles."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser

from trading.management.backtest_options import (
    USAGE,
    add_fills,
    add_limits,
    add_window,
    count,
    limits_of,
    plan_of,
    source_of,
)
from trading.management.progress import Bar, Lines, bars
from vibex.lib.commands import faults_told, names

if TYPE_CHECKING:
    from trading.services.backtest import Backtest, BacktestPlan
    from trading.services.backtest.source import Source

MOST_JOBS: Final = 64
MOST_PARTS: Final = 100


@dataclass(frozen=True, slots=True)
class Part:
    """One of several runs: what it is called, and what is run."""

    name: str
    plan: BacktestPlan


class Command(BaseCommand):
    help = "Run a bot over recorded candles with a simulated clock; print equity, trades, fees, funding and drawdown."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        add_window(parser)
        parser.add_argument(
            "--decider", default="rules/trend", help="rules/<strategy>[:<number>=<value>,…] (default rules/trend)."
        )
        add_limits(parser)
        add_fills(parser)
        parser.add_argument("--approval", action="store_true", help="As a bot that asks first, approved at once.")
        parser.add_argument("--accounts", type=names, help="Run once under the limits of each of these accounts.")
        parser.add_argument(
            "--walk-forward",
            type=count(MOST_PARTS),
            metavar="N",
            help="N equal parts of the time, each from its own capital.",
        )
        parser.add_argument("--jobs", type=count(MOST_JOBS), default=1, help="How many run side by side (default 1).")
        parser.add_argument("--no-jump", action="store_true", help="Run every cycle, also where nothing can happen.")
        parser.add_argument(
            "--report", type=Path, metavar="FILE.html", help="Write charts, trades and figures to one file."
        )
        parser.add_argument(
            "--seeds", type=count(10_000), default=100, help="Random baselines of a report (default 100)."
        )
        parser.add_argument(
            "--trials", type=count(1_000_000), default=1, help="How many settings were tried before this one."
        )
        parser.add_argument("--seed", type=int, default=0, help="Of what is drawn by chance in a report (default 0).")
        parser.add_argument("--json", action="store_true", help="Print the whole report as JSON.")
        parser.add_argument(
            "--progress", action="store_true", help="Say on standard error how far it is, line by line."
        )
        parser.add_argument(
            "--end-with-input",
            action="store_true",
            help="End when standard input does: with the process that began it.",
        )

    def handle(self, **options: Any) -> None:
        if options["end_with_input"]:
            from trading.services.backtest.job import end_with_parent

            end_with_parent()
        with faults_told():
            plan = replace(
                plan_of(options, options["decider"]), approval=options["approval"], jump=not options["no_jump"]
            )
            parts = list(_parts(plan, options))
            if len(parts) > 1 and options["report"]:
                raise CommandError("--report is of one run: leave out --accounts and --walk-forward", returncode=USAGE)
            done = self._run(source_of(options), parts, options)
            if len(parts) > 1:
                self._told_together(parts, done, as_json=options["json"])
            else:
                self._told(done[0], options)

    def _run(self, source: Source, parts: Sequence[Part], options: dict[str, Any]) -> list[Backtest]:
        # Imported here: the engine and TA-Lib are of no use to the other commands.
        from trading.services.backtest.many import backtests_run

        with self._progress(parts, options) as tell:
            return backtests_run(source, [part.plan for part in parts], jobs=options["jobs"], tell=tell)

    @contextmanager
    def _progress(self, parts: Sequence[Part], options: dict[str, Any]) -> Iterator[Bar]:
        if options["progress"]:
            yield Lines(self.stderr, "cycles", sum(part.plan.steps for part in parts), parts=len(parts))
        else:
            with bars([part.name for part in parts]) as shown:
                yield shown

    def _told(self, backtest: Backtest, options: dict[str, Any]) -> None:
        from trading.services.backtest.report import lines_of, report_of

        report = report_of(backtest)
        if options["json"]:
            self.stdout.write(json.dumps(report, indent=1))
        else:
            for line in lines_of(report):
                self.stdout.write(line)
            ran = len(backtest.milliseconds)
            self.stdout.write(f"{backtest.steps} cycles, {ran} of them run, median {backtest.median_ms:.2f} ms")
        if options["report"]:
            self._written(backtest, options)

    def _written(self, backtest: Backtest, options: dict[str, Any]) -> None:
        raise NotImplementedError

    def _told_together(self, parts: Sequence[Part], done: Sequence[Backtest], *, as_json: bool) -> None:
        from trading.services.backtest.report import report_of

        reports = {part.name: report_of(backtest) for part, backtest in zip(parts, done, strict=True)}
        if as_json:
            self.stdout.write(json.dumps(reports, indent=1))
            return
        width = max(map(len, reports))
        self.stdout.write(f"{'':<{width}}  {'return':>9}  {'drawdown':>9}  {'trades':>6}  {'fees':>12}  {'equity':>14}")
        for name, report in reports.items():
            equity, counts = report["equity"], report["counts"]
            self.stdout.write(
                f"{name:<{width}}  {float(equity['return']):>+9.2%}  {float(equity['max_drawdown']):>9.2%}  "
                f"{counts['trades']:>6}  {report['totals']['fees']:>12}  {equity['end']:>14}"
            )
        returns = sorted(float(report["equity"]["return"]) for report in reports.values())
        middle = (returns[len(returns) // 2] + returns[(len(returns) - 1) // 2]) / 2
        above = sum(each > 0 for each in returns)
        self.stdout.write(
            f"{above} of {len(returns)} gained; median {middle:+.2%}, from {returns[0]:+.2%} to {returns[-1]:+.2%}"
        )


def _parts(plan: BacktestPlan, options: dict[str, Any]) -> Iterator[Part]:
    """Yield what is run: for each account, for each part of the time."""
    from trading.services.backtest.windows import parts_of

    for account in options["accounts"] or ("",):
        mine = replace(plan, limits=limits_of(options, account)) if account else plan
        for each in parts_of(mine, options["walk_forward"]) if options["walk_forward"] else (mine,):
            when = f"{each.start:%F} to {each.end:%F}" if options["walk_forward"] or not account else ""
            yield Part(f"{account} {when}".strip(), each)
