"""What a benchmark found, as a table that reads the same in a terminal and on a page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Table:
    """One comparison. Cells are text; `notes` say what was measured, and what speaks against the figures."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def markdown(self) -> str:
        """Return the table with aligned columns."""
        lines = [self.columns, tuple("-" * len(column) for column in self.columns), *self.rows]
        widths = [max(len(line[place]) for line in lines) for place in range(len(self.columns))]
        drawn = [_line(cells, widths, "-" if place == 1 else " ") for place, cells in enumerate(lines)]
        return "\n\n".join([f"### {self.title}", "\n".join(drawn), *self.notes])


def _line(cells: Iterable[str], widths: list[int], fill: str) -> str:
    return "| " + " | ".join(cell.ljust(width, fill) for cell, width in zip(cells, widths, strict=True)) + " |"


def against(value: float, limit: float) -> str:
    """Return whether a figure keeps a limit from above."""
    return "kept" if value <= limit else "**missed**"
