"""`manage.py arena`: models against each other, on recorded candles or live on paper."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from marketdata.domain.intervals import INTERVAL_MS
from marketdata.management.arguments import intervals
from trading.management.asking_options import INTERRUPTED, add_asking, asks_of, interrupted
from trading.management.backtest_options import (
    USAGE,
    add_fills,
    add_limits,
    amount,
    limits_of,
    plan_of,
    source_of,
)
from trading.management.progress import bars
from vibex.lib.commands import faults_told, moment, names

if TYPE_CHECKING:
    from trading.services.backtest.arena import Arena
    from trading.services.backtest.plan import BacktestPlan
    from trading.services.backtest.runs import Tell


class Command(BaseCommand):
    help = (
        "Let models trade the same recorded window with the same prompt, capital and limits, several times over, and compare "
        "them (docs/arena.md). Replies are kept: the same question is paid for once, and what was interrupted goes on. "
        "With --live: begin a paper account and a bot for each model instead."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--models", type=names, required=True, help="openrouter/x-ai/grok-4.3,rules/trend,…")
        parser.add_argument("--symbols", type=names, required=True, help="BTCUSDT,ETHUSDT,…")
        where = parser.add_mutually_exclusive_group(required=True)
        where.add_argument("--data", type=Path, help="Folder with SYMBOL-interval.csv.gz files.")
        where.add_argument("--venue", help="Market whose candles are taken, or that is traded live: aster, sim, …")
        parser.add_argument("--from", dest="start", type=moment, help="2025-09-15, UTC, included.")
        parser.add_argument("--to", dest="end", type=moment, help="2025-10-15, UTC, not included.")
        parser.add_argument("--interval", default="1h", choices=INTERVAL_MS, help="How often they decide (default 1h).")
        parser.add_argument(
            "--timeframes", type=intervals, help="What they see; default: the interval and the next ones."
        )
        parser.add_argument("--capital", type=amount, default=Decimal(10_000), help="Of each (default 10000).")
        add_asking(parser)
        parser.add_argument("--json", action="store_true", help="Print everything as JSON.")
        add_limits(parser)
        add_fills(parser)
        self._add_live(parser)

    def _add_live(self, parser: CommandParser) -> None:
        group = parser.add_argument_group("live, on paper")
        group.add_argument("--live", action="store_true", help="Begin paper accounts and bots on --venue now.")
        group.add_argument("--name", default="arena", help="With which their names begin (default arena).")
        group.add_argument("--owner", metavar="EMAIL", help="Whose they are; may be left out for one person.")

    def handle(self, **options: Any) -> None:
        with faults_told():
            if options["live"]:
                self._open(options)
                return
            _refuse_unfit(options)
            self._run(options)

    def _run(self, options: dict[str, Any]) -> None:
        # Imported here: the engine and TA-Lib are of no use to the other commands.
        from trading.services.backtest.arena import arena_run, stage_of
        from trading.services.backtest.arena_words import arena_data
        from trading.services.backtest.conversation import conversations_write
        from trading.services.backtest.deciders import asked_within

        plan = asks_of(plan_of(options, options["models"][0]), options)
        market, notes = source_of(options).read()
        recordings = [market.series(symbol) for symbol in options["symbols"]]
        stage = stage_of(plan, recordings, masked=options["mask_seed"] if options["masked"] else None)
        asked = asked_within(options["max_cost"])
        try:
            with _progress(options) as tell:
                arena = arena_run(
                    stage=stage,
                    models=options["models"],
                    times=options["repeat"],
                    asked=asked,
                    jobs=options["jobs"],
                    notes=notes,
                    tell=tell,
                )
        except KeyboardInterrupt:
            self.stderr.write(interrupted(asked))
            raise SystemExit(INTERRUPTED) from None
        if options["conversations"]:
            runs = [run for entrant in arena.entrants for run in entrant.repeats.runs]
            conversations_write(options["conversations"], runs, key=stage.key)
        if options["json"]:
            self.stdout.write(json.dumps(arena_data(arena), indent=1))
        else:
            self._show(arena, options)
        if arena.unfinished:
            raise CommandError(f"{len(arena.unfinished)} runs are not finished: {arena.unfinished[0].why}")

    def _show(self, arena: Arena, options: dict[str, Any]) -> None:
        from trading.services.backtest.arena_words import arena_lines, table_of

        true = arena.stage.true
        hidden = ", masked" if arena.stage.key else ""
        self.stdout.write(
            f"{', '.join(true.symbols)}, every {true.interval}, {true.start:%F %H:%M} to {true.end:%F %H:%M}{hidden}\n"
        )
        for line in _aligned(table_of(arena)):
            self.stdout.write(line)
        self.stdout.write("")
        for line in arena_lines(arena):
            self.stdout.write(line)
        if options["conversations"]:
            self.stdout.write(f"conversations {options['conversations']}")

    def _open(self, options: dict[str, Any]) -> None:
        from trading.services.arena_live import arena_open
        from trading.services.load_accounts import owner_of

        if options["data"]:
            raise CommandError("--live trades a market: name it by --venue, not --data", returncode=USAGE)
        if given := [name for name in ("start", "end", "masked", "max_cost", "conversations") if options[name]]:
            told = ", ".join(
                {"start": "--from", "end": "--to"}.get(name, f"--{name.replace('_', '-')}") for name in given
            )
            raise CommandError(f"--live begins now and knows no {told}", returncode=USAGE)
        arena = arena_open(
            owner=owner_of(options["owner"]),
            name=options["name"],
            models=options["models"],
            market=options["venue"],
            symbols=options["symbols"],
            interval=options["interval"],
            capital=options["capital"],
            limits=limits_of(options, options["limits"]),
            prompt_template=options["template"],
            prompt_version=options["template_version"],
            reasoning_effort=options["effort"],
            temperature=options["temperature"],
            max_tokens=options["max_tokens"],
            layout=options["layout"],
            deadline_seconds=options["deadline"],
        )
        for warning in arena.warnings:
            self.stderr.write(f"note: {warning}")
        for bot in arena.bots:
            self.stdout.write(f"{bot.model} trades on paper as {bot.name} (bot {bot.pk}, account {bot.account_id})")
        keys = "&".join(f"bots={bot.pk}" for bot in arena.bots)
        self.stdout.write(f"Compare them at /arena/?{keys}")


def _refuse_unfit(options: dict[str, Any]) -> None:
    """Refuse what is missing or contradicts itself. Raises CommandError."""
    if options["start"] is None or options["end"] is None:
        raise CommandError("say which window: --from and --to, or --live to begin now", returncode=USAGE)
    if len(options["models"]) < 2:
        raise CommandError("an arena needs two models at least: --models a,b", returncode=USAGE)


@contextmanager
def _progress(options: dict[str, Any]) -> Iterator[Tell]:
    """Show a bar for each model, over all of its repeats."""
    models, times = options["models"], options["repeat"]
    done: dict[tuple[str, int], float] = {}
    with bars(list(models)) as shown:

        def tell(plan: BacktestPlan, number: int, steps: int) -> None:
            done[plan.model, plan.asks.repeat] = number / steps
            own = [part for (model, _), part in list(done.items()) if model == plan.model]
            runs = 1 if plan.model.startswith("rules/") else times
            shown(models.index(plan.model), sum(own) / runs)

        yield tell


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    pads: list[Callable[[str, int], str]] = [str.ljust, *[str.rjust] * (len(widths) - 1)]
    for row in rows:
        yield "  ".join(pad(cell, width) for pad, cell, width in zip(pads, row, widths, strict=True)).rstrip()
