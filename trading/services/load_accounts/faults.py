"""What is wrong with a file of accounts, and where. No value that may be a secret stands in a fault."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vibex.lib.errors import Rejected


@dataclass(frozen=True, slots=True)
class FileFault:
    """One thing that is wrong, at a path like `accounts[2].limits.max_leverage`."""

    path: str
    wrong: str

    def __str__(self) -> str:
        return f"{self.path}: {self.wrong}"


class BadFile(Rejected):
    """The file cannot be used. The message has one line per fault."""

    def __init__(self, faults: Sequence[FileFault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults), code="bad_file")
        self.faults = tuple(faults)


def path_of(*steps: str | int) -> str:
    """Return a path as it is written in faults."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).removeprefix(".")
