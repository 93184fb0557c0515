"""`manage.py doctor`: what works here and what does not, with the remedy."""

from __future__ import annotations

import json
import shutil
import sys
from typing import TYPE_CHECKING, Any, Final

from django.core.management.base import BaseCommand, CommandParser

if TYPE_CHECKING:
    from vibex.looks import Line

MARKS: Final = {
    "ok": ("✓ ok", "green"),
    "info": ("· info", "dim"),
    "warn": ("! warn", "yellow"),
    "fail": ("✗ fail", "bold red"),
}
NARROWEST: Final = 80
WIDE: Final = 140
"""Columns where nobody looks: a file or a pipe."""


class Command(BaseCommand):
    help = "Look at the whole installation and say what works, what does not, and what to do. Exit code 1 if any fails."
    requires_system_checks: tuple[str, ...] = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="Print one JSON document and nothing else.")

    def handle(self, **options: Any) -> None:
        from vibex.doctor import examine, report_of, sound

        lines = examine()
        if options["json"]:
            self.stdout.write(json.dumps(report_of(lines), indent=2, ensure_ascii=False))
        else:
            self.stdout.write(_table(lines, coloured=self.stdout.isatty()))
        self.stdout.flush()
        if not sound(lines):
            sys.exit(1)


def _table(lines: list[Line], *, coloured: bool) -> str:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    width = max(NARROWEST, shutil.get_terminal_size().columns) if coloured else WIDE
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("", "what", "finding"):
        table.add_column(heading, overflow="fold")
    for line in lines:
        mark, style = MARKS[line.state]
        finding = Text(line.detail) + Text(f"\n→ {line.remedy}" if line.remedy else "", style="cyan")
        table.add_row(Text(mark, style=style), Text(line.name), finding)
    console = Console(width=width, force_terminal=coloured, no_color=not coloured, highlight=False)
    with console.capture() as captured:
        console.print(table)
        console.print(_summary(lines))
    return captured.get().rstrip()


def _summary(lines: list[Line]) -> str:
    failing, warning = (sum(line.state == state for line in lines) for state in ("fail", "warn"))
    if not failing and not warning:
        return "\nEverything works."
    told = [f"{count} {word}" for count, word in ((failing, "failing"), (warning, "to be looked at")) if count]
    return f"\n{', '.join(told)}."
