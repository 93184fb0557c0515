"""How a backfill looks while it runs: a bar in a terminal, some lines anywhere else; and the table at its end."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from marketdata.services.backfill import Summary

LINES: Final = 20
"""So many lines are written about a run at most, besides those that say why it waits."""
WIDTH: Final = 140


class Lines:
    """Progress as plain lines: one for each twentieth of the way."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write, self._began = write, time.monotonic()
        self._whole, self._done, self._told = 0, 0, 0

    def begin(self, candles: int) -> None:
        self._whole, self._began = candles, time.monotonic()
        self._write(f"{candles:,} candles are missing." if candles else "No candle is missing.")

    def settled(self, symbol: str, interval: str, candles: int) -> None:
        self._done += candles
        share = self._done * LINES // max(self._whole, 1)
        if share > self._told:
            self._told = share
            self._write(f"{symbol} {interval}: {self._done:,} of {self._whole:,}, {self._pace()}")

    def waiting(self, why: str, until: datetime | None) -> None:
        self._write(_wait_in_words(why, until))

    def _pace(self) -> str:
        rate = self._done / max(time.monotonic() - self._began, 1e-3)
        left = max(self._whole - self._done, 0) / max(rate, 1e-3)
        return f"{rate:,.0f} candles/s, {left:,.0f} s left"


class Bars:
    """Progress as a bar with rate and time left."""

    def __init__(self, bar: Bar) -> None:
        self._bar, self._began = bar, time.monotonic()
        self._task = bar.add_task("what is missing", total=None, rate="", note="")

    def begin(self, candles: int) -> None:
        self._began = time.monotonic()
        self._bar.update(self._task, total=candles or 1, completed=0 if candles else 1)

    def settled(self, symbol: str, interval: str, candles: int) -> None:
        self._bar.update(self._task, advance=candles, description=f"{symbol} {interval}", note="")
        done = self._bar.tasks[0].completed
        self._bar.update(self._task, rate=f"{done / max(time.monotonic() - self._began, 1e-3):,.0f} candles/s")

    def waiting(self, why: str, until: datetime | None) -> None:
        self._bar.update(self._task, note=_wait_in_words(why, until))


@contextmanager
def shown(write: Callable[[str], object], *, terminal: bool) -> Iterator[Lines | Bars]:
    """Give whom to tell how it goes."""
    if not terminal:
        yield Lines(write)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(file=sys.stdout)) as bar:
        yield Bars(bar)


def table_of(summaries: Sequence[Summary]) -> str:
    """Return what became of each series as a table in text."""
    from rich.console import Console
    from rich.table import Table

    numbers = ("fetched", "corrected", "quarantined", "holes", "missing", "requests", "seconds")
    with_problems = any(one.problem for one in summaries)
    table = Table("symbol", "interval", "from", "to", box=None, pad_edge=False)
    for name in numbers:
        table.add_column(name, justify="right")
    if with_problems:
        table.add_column("problem", overflow="fold")
    for one in summaries:
        cells = [one.symbol, one.interval, f"{one.since:%F %H:%M}", f"{one.until:%F %H:%M}"]
        cells += [f"{getattr(one, name):,}" for name in numbers[:-1]] + [f"{one.seconds:.1f}"]
        table.add_row(*cells, *([one.problem] if with_problems else []))
    text = io.StringIO()
    Console(file=text, width=WIDTH, color_system=None).print(table)
    return text.getvalue().rstrip()


def as_json(summary: Summary) -> dict[str, Any]:
    """Return a summary as plain values."""
    from dataclasses import asdict

    values = asdict(summary)
    return values | {"since": summary.since.isoformat(), "until": summary.until.isoformat()}


def _wait_in_words(why: str, until: datetime | None) -> str:
    return f"waiting: {why}" + (f" (until {until:%H:%M:%S} UTC)" if until else "")
