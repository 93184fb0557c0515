"""`manage.py backfill`: fetch what is missing of a venue's history."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from marketdata.management.arguments import intervals
from vibex.lib.commands import faults_told, moment, names
from vibex.lib.variables import venue_symbols

if TYPE_CHECKING:
    from marketdata.services.backfill import Progress, Summary

USAGE = 2
EXAMPLE = "manage.py backfill --venue aster --symbols BTCUSDT,ETHUSDT --intervals 1m,1h --since 2025-09-01"


class Command(BaseCommand):
    help = f"Fetch the candles and settled funding of a venue that are not stored yet. For example: {EXAMPLE}"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--venue", default=settings.VENUE, help="aster, binance_usdm or hyperliquid.")
        parser.add_argument("--symbols", type=_symbols, help="BTCUSDT,ETHUSDT,…; default: those of ASSETS.")
        parser.add_argument("--intervals", type=intervals, default=("1m",), help="1m,1h,…; default 1m.")
        parser.add_argument(
            "--since", type=moment, required=True, help="2025-09-01 or 2025-09-01T12:00, UTC, included."
        )
        parser.add_argument("--until", type=moment, help="The same, not included; default: now.")
        parser.add_argument("--from-files", type=Path, metavar="DIR", help="Folder with SYMBOL-interval.csv.gz files.")
        parser.add_argument("--json", action="store_true", help="Print the table at the end as JSON, and no progress.")

    def handle(self, **options: Any) -> None:
        from marketdata.management.backfill_display import as_json, shown, table_of
        from marketdata.services.backfill import Silent

        self._check(options)
        terminal = bool(getattr(self.stdout, "isatty", lambda: False)())
        display = nullcontext(Silent()) if options["json"] else shown(self._say, terminal=terminal)
        with faults_told(), _stopping() as stopping, display as progress:
            summaries = _run(options, progress, stopping)
        rows = [as_json(summary) for summary in summaries]
        self.stdout.write(json.dumps(rows, indent=1) if options["json"] else table_of(summaries))
        if problems := [f"{one.symbol} {one.interval}" for one in summaries if one.problem]:
            again = "What came is stored: the same command goes on from there."
            raise CommandError(f"Not everything came: {', '.join(problems)}. {again}")

    def _check(self, options: dict[str, Any]) -> None:
        since, until, now = options["since"], options["until"] or timezone.now(), timezone.now()
        if since >= until or since >= now:
            text = f"--since {since:%F %H:%M} is not before --until {until:%F %H:%M} and now. For example: {EXAMPLE}"
            raise CommandError(text, returncode=USAGE)
        kept = now - timedelta(days=settings.CANDLE_RETENTION_DAYS)
        if since < kept:
            text = f"Candles before {kept:%F} are removed again once a day: raise CANDLE_RETENTION_DAYS to keep them."
            self.stderr.write(text)

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


def _run(options: dict[str, Any], progress: Progress, stopping: Callable[[], bool]) -> list[Summary]:
    from marketdata.services.backfill import backfill
    from marketdata.services.backfill_files import backfill_files
    from marketdata.services.venues import public_venue, source_of
    from marketdata.venues.public import Purpose

    if options["from_files"]:
        return backfill_files(
            folder=options["from_files"],
            venue=options["venue"],
            source=source_of(options["venue"]),
            symbols=options["symbols"] or (),
            intervals=options["intervals"],
            since=options["since"],
            until=options["until"] or timezone.now(),
            progress=progress,
            stopping=stopping,
        )
    return backfill(
        port=public_venue(options["venue"], purpose=Purpose.BACKFILL),
        symbols=options["symbols"] or venue_symbols(settings.ASSETS),
        intervals=options["intervals"],
        since=options["since"],
        until=options["until"],
        progress=progress,
        stopping=stopping,
    )


@contextmanager
def _stopping() -> Iterator[Callable[[], bool]]:
    """Give a function that tells whether somebody wants to stop. A second Ctrl-C stops at once."""
    wanted: list[int] = []
    before: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(number: int, _: object) -> None:
        wanted.append(number)
        signal.signal(number, before[number])

    for number in before:
        signal.signal(number, stop)
    try:
        yield lambda: bool(wanted)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _symbols(text: str) -> tuple[str, ...]:
    return names(text.upper())
