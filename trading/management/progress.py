"""How far a long command is: a bar with the time left where somebody looks, lines for a program that asks for them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from django.core.management.base import OutputWrapper

SHARES: Final = 20
"""How often a program is told."""
PROGRESS: Final = "progress: "


class Bar(Protocol):
    """What is told how far a part of the work is."""

    def __call__(self, place: int, share: float) -> None: ...


@contextmanager
def bars(names: list[str]) -> Iterator[Bar]:
    """Show a bar for each part on standard error, with the time left; nothing where that is no terminal."""
    if not sys.stderr.isatty():
        yield lambda place, share: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        tasks = [shown.add_task(name, total=1.0) for name in names]
        yield lambda place, share: shown.update(tasks[place], completed=share)


class Lines:
    """Says on standard error how far all parts of the work together are, some times over the whole of it."""

    def __init__(self, err: OutputWrapper, what: str, whole: int, *, parts: int = 1) -> None:
        self._err, self._what, self._whole = err, what, whole
        self._shares, self._told = [0.0] * parts, -1

    def __call__(self, place: int, share: float) -> None:
        self._shares[place] = share
        done = sum(self._shares) / len(self._shares)
        if (step := int(done * SHARES)) > self._told:
            self._told = step
            self._err.write(f"{PROGRESS}{round(done * self._whole)} of {self._whole} {self._what}")
            self._err.flush()
