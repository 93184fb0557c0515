"""What management commands share: how arguments are read, and faults that a person can mend told in one line."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from django.core.management.base import CommandError
from django.db import DatabaseError

from vibex.lib.errors import VibexError


def names(text: str) -> tuple[str, ...]:
    """Read a list like BTCUSDT,ETHUSDT in which each name stands once."""
    found = tuple(name.strip() for name in text.split(",") if name.strip())
    if not found or len(set(found)) != len(found):
        raise ArgumentTypeError(f"{text!r} is not a list like BTCUSDT,ETHUSDT with each name once")
    return found


def moment(text: str) -> datetime:
    """Read a date or a time; without a zone it is UTC."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a date like 2025-09-01 or 2025-09-01T12:00") from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


@contextmanager
def faults_told() -> Iterator[None]:
    """Turn the faults that a person can mend into one line and exit code 1."""
    try:
        yield
    except VibexError as fault:
        raise CommandError(str(fault)) from fault
    except DatabaseError as fault:
        raise CommandError(_of_database(str(fault).strip().splitlines()[0])) from fault
    except OSError as fault:
        raise CommandError(
            f"{fault.filename or 'The system'}: {fault.strerror}. Free room or mend the rights, then start again."
        ) from fault


def _of_database(fault: str) -> str:
    if any(words in fault for words in ("no such table", "no such column", "does not exist")):
        return f"The tables are not there, or of another version ({fault}): run `manage.py migrate`."
    return f"The database cannot be used: {fault}. Check DATABASE_URL, or room and rights of the data folder."
