"""`manage.py backtest`: the ordinary cycle over recorded candles."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser

from trading.management.asking_options import INTERRUPTED, add_asking, asks_of, interrupted
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
    from marketdata.recorded_market import RecordedMarket
    from trading.services.backtest import Backtest, BacktestPlan
    from trading.services.backtest.source import Source

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
            "--decider",
            default="rules/trend",
            help="rules/<strategy>[:<number>=<value>,…], replay[/<bot>] or <provider>/<model> (default rules/trend).",
        )
        add_limits(parser)
        add_fills(parser)
        add_asking(parser)
        parser.add_argument("--approval", action="store_true", help="As a bot that asks first, approved at once.")
        parser.add_argument("--accounts", type=names, help="Run once under the limits of each of these accounts.")
        parser.add_argument(
            "--walk-forward",
            type=count(MOST_PARTS),
            metavar="N",
            help="N equal parts of the time, each from its own capital.",
        )
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
            if options["decider"].startswith("rules/"):
                self._rules(plan, options)
            else:
                self._asked(plan, options)

    def _rules(self, plan: BacktestPlan, options: dict[str, Any]) -> None:
        """Run written rules: once, or once for each account and part of the time."""
        if options["repeat"] > 1 or options["masked"]:
            raise CommandError(
                "rules decide the same each time, whatever they are shown: --repeat and --masked are for models",
                returncode=USAGE,
            )
        parts = list(_parts(plan, options))
        if len(parts) > 1 and options["report"]:
            raise CommandError("--report is of one run: leave out --accounts and --walk-forward", returncode=USAGE)
        source = source_of(options)
        done = self._run(source, parts, options)
        if len(parts) > 1:
            self._told_together({part.name: one for part, one in zip(parts, done, strict=True)}, options)
            return
        self._told(done[0], options)
        if options["report"]:
            market, _ = source.read()
            self._written(done[0], market, options, source=source)

    def _asked(self, plan: BacktestPlan, options: dict[str, Any]) -> None:
        """Ask a model, or what a bot said at the time. Replies are kept: the same question is paid for once."""
        from decisions.selectors.cutoff import cutoff_of
        from trading.services.backtest.arena import stage_of
        from trading.services.backtest.conversation import conversations_write
        from trading.services.backtest.deciders import asked_within, is_model, worded_plan
        from trading.services.backtest.origin import data_of
        from trading.services.backtest.repeats import repeats_run

        if options["accounts"] or options["walk_forward"]:
            raise CommandError(
                "--accounts and --walk-forward are for rules: run a model once for each", returncode=USAGE
            )
        market, notes = source_of(options).read()
        recordings = [market.series(symbol) for symbol in plan.symbols]
        stage = stage_of(asks_of(plan, options), recordings, masked=options["mask_seed"] if options["masked"] else None)
        own = worded_plan(stage.plan, version=options["template_version"]) if is_model(plan.model) else stage.plan
        asked, times = asked_within(options["max_cost"]), options["repeat"]
        try:
            with self._progress([Part(f"run {number}", own) for number in range(1, times + 1)], options) as tell:
                repeats = repeats_run(
                    plan=own,
                    market_of=stage.market,
                    times=times,
                    asked=asked,
                    jobs=options["jobs"],
                    notes=notes,
                    tell=lambda one, number, steps: tell(one.asks.repeat - 1, number / steps),
                )
        except KeyboardInterrupt:
            self.stderr.write(interrupted(asked))
            raise SystemExit(INTERRUPTED) from None
        if options["conversations"]:
            conversations_write(options["conversations"], repeats.runs, key=stage.key)
        data = data_of(stage.market(), own.symbols)
        done = [replace(run.backtest, data=data) for run in repeats.runs]
        if times > 1 and done:
            self._told_together({f"run {one.plan.asks.repeat}": one for one in done}, options)
        elif done:
            self._told(done[0], options)
        if not options["json"]:
            self.stdout.write(f"{asked.allowance.paid:.4f} US dollars were paid now")
        if repeats.unfinished:
            why = repeats.unfinished[0].why
            raise CommandError(f"{len(repeats.unfinished)} of {times} runs are not finished: {why}")
        if options["report"]:
            first, *others = done  # never the best one
            cutoff = cutoff_of(plan.model) if is_model(plan.model) else None
            self._written(first, stage.market(), options, repeats=others, cutoff=cutoff)

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

    def _written(
        self,
        backtest: Backtest,
        market: RecordedMarket,
        options: dict[str, Any],
        *,
        source: Source | None = None,
        repeats: Sequence[Backtest] = (),
        cutoff: date | None = None,
    ) -> None:
        """Run the baselines, judge, and write the report to its file, whole or not at all."""
        from trading.services.backtest.baselines import baselines_run
        from trading.services.backtest.judged import judge
        from trading.services.backtest.page import page_of

        with bars(["baselines"]) as bar:
            baselines = baselines_run(
                backtest,
                market=market,
                seeds=options["seeds"],
                on_run=lambda number, whole: bar(0, number / whole),
                source=source,
                jobs=options["jobs"],
            )
        judged = judge(
            backtest,
            baselines=baselines,
            trials=options["trials"],
            repeats=repeats,
            cutoff=cutoff,
            masked=options["masked"],
            seed=options["seed"],
        )
        file: Path = options["report"]
        partly = file.with_name(f"{file.name}.part")
        partly.write_text(page_of(backtest, judged, market=market), encoding="utf-8")
        partly.replace(file)
        self.stderr.write(f"report: {file}")

    def _told_together(self, done: Mapping[str, Backtest], options: dict[str, Any]) -> None:
        from trading.management.backtest_table import table_of
        from trading.services.backtest.report import report_of

        reports = {name: report_of(backtest) for name, backtest in done.items()}
        if options["json"]:
            self.stdout.write(json.dumps(reports, indent=1))
            return
        for line in table_of(reports):
            self.stdout.write(line)


def _parts(plan: BacktestPlan, options: dict[str, Any]) -> Iterator[Part]:
    """Yield what is run: for each account, for each part of the time."""
    from trading.services.backtest.windows import parts_of

    for account in options["accounts"] or ("",):
        mine = replace(plan, limits=limits_of(options, account)) if account else plan
        for each in parts_of(mine, options["walk_forward"]) if options["walk_forward"] else (mine,):
            when = f"{each.start:%F} to {each.end:%F}" if options["walk_forward"] or not account else ""
            yield Part(f"{account} {when}".strip(), each)
