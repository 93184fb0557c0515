"""What management commands share: faults that a person can mend become one line, never a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management.base import CommandError
from django.db import OperationalError, ProgrammingError

from vibex.lib.errors import VibexError


@contextmanager
def faults_told() -> Iterator[None]:
    """Turn Vibex's own errors, and tables that are not there, into a CommandError that says what to do."""
    try:
        yield
    except VibexError as fault:
        raise CommandError(str(fault)) from None
    except (OperationalError, ProgrammingError) as fault:
        first = str(fault).strip().splitlines()[0]
        if "no such table" in first or "does not exist" in first or "no such column" in first:
            text = f"The tables are not there, or of another version ({first}): run `manage.py migrate`."
            raise CommandError(text) from None
        raise CommandError(f"The database cannot be used: {first}. Check DATABASE_URL or the data folder.") from None
