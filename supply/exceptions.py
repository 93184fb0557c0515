"""Known faults that are excepted from the audit: each has a reason, and an end."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

from supply.locked import ROOT

FILE: Final = ROOT / "supply" / "exceptions.toml"
LONGEST: Final = timedelta(days=90)
FIELDS: Final = {"id": str, "package": str, "reason": str, "since": date, "until": date}


class BadExceptions(Exception):
    """The file cannot be used; one line per fault."""


@dataclass(frozen=True, slots=True)
class Excepted:
    """One known fault that does not end the audit until `until`."""

    id: str
    package: str
    reason: str
    since: date
    until: date


def read(text: str, *, today: date) -> list[Excepted]:
    """Return the exceptions that hold today. Raises BadExceptions for one that is incomplete, too long, or over."""
    try:
        rows = tomllib.loads(text).get("exception", [])
    except tomllib.TOMLDecodeError as fault:
        raise BadExceptions(f"supply/exceptions.toml is no TOML: {fault}") from None
    faults = [line for number, row in enumerate(rows, 1) for line in _faults(number, row, today)]
    if faults:
        raise BadExceptions("\n".join(faults))
    return [Excepted(**row) for row in rows]


def exceptions(*, today: date, file: Path = FILE) -> list[Excepted]:
    """Return those of the repository."""
    return read(file.read_text(encoding="utf-8"), today=today)


def _faults(number: int, row: dict[str, Any], today: date) -> list[str]:
    name = f"exception {number} ({row.get('id', 'no id')})"
    wrong = [
        f"{name}: {field} is missing or of the wrong kind"
        for field, kind in FIELDS.items()
        if not _is(row.get(field), kind)
    ]
    wrong += [f"{name}: nobody knows {field}" for field in row.keys() - FIELDS.keys()]
    if wrong:
        return wrong
    if len(row["reason"]) < 20:
        wrong.append(f"{name}: say in a sentence why it does not matter here")
    if row["until"] - row["since"] > LONGEST:
        wrong.append(f"{name}: holds longer than {LONGEST.days} days")
    if row["until"] <= today:
        wrong.append(f"{name}: ended on {row['until']}. Update the package, or look again and give it a new end")
    return wrong


def _is(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and bool(value)
