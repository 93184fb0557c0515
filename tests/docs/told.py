"""The pages, and how many of their commands are run."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final

from tests.docs.commands import Command, commands_of
from vibex.lib.env import ROOT

PAGES: Final = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def all_commands() -> list[Command]:
    return [command for page in PAGES for command in commands_of(page)]


def summary(commands: list[Command]) -> str:
    """Return how many commands are run, how many are not, and why not."""
    reasons = Counter(command.why_not for command in commands if command.why_not)
    run = sum(not command.why_not for command in commands)
    lines = [f"{len(commands)} commands stand on the pages: {run} are run, {len(commands) - run} are not:"]
    lines += [f"  {count:3} {reason}" for reason, count in reasons.most_common()]
    return "\n".join(lines)
