"""Look at the whole installation and say what works, what does not, and what to do about it.

Every look has a time limit and runs in a thread of its own, so that nothing that hangs holds up the rest; one that
breaks is a line that fails, never a traceback.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from django.db import DEFAULT_DB_ALIAS, connections
from django.utils import timezone

from vibex import looks, market_looks, model_looks
from vibex.lib.errors import VibexError
from vibex.lib.masking import mask_text
from vibex.looks import MIGRATE, Line

LONGEST: Final = 300
"""Characters of a detail."""


@dataclass(frozen=True, slots=True)
class Look:
    """Something to look at, within so many seconds. `remedy` is for the case that it cannot even be looked at."""

    name: str
    see: Callable[[], Iterable[Line]]
    seconds: float = 5.0
    remedy: str = "See the log, then try again."
    asks_database: bool = True
    needs_tables: bool = True


NO_DATABASE: Final = "Check DATABASE_URL, or room and rights of the data folder."
NO_REDIS: Final = "Start Redis, or check REDIS_URL."

LOOKS: Final = (
    Look("settings", looks.settings_lines, asks_database=False, needs_tables=False),
    Look("folders", looks.folder_lines, asks_database=False, needs_tables=False),
    Look("static files", looks.static_lines, asks_database=False, needs_tables=False),
    Look("redis", looks.redis_lines, seconds=10.0, remedy=NO_REDIS, asks_database=False, needs_tables=False),
    Look("model", model_looks.model_lines, seconds=10.0, asks_database=False, needs_tables=False),
    Look("aster requests", looks.transport_lines, asks_database=False, needs_tables=False),
    Look("database", looks.database_lines, seconds=10.0, remedy=NO_DATABASE, needs_tables=False),
    Look("migrations", looks.migration_lines, seconds=10.0, remedy=MIGRATE, needs_tables=False),
    Look("timescaledb", looks.timescale_lines, needs_tables=False),
    Look("scheduler and market", looks.running_lines),
    Look("backup", looks.backup_lines),
    Look("events", looks.hearing_lines),
    Look("models", model_looks.bot_model_lines, seconds=15.0),
    Look("venue", market_looks.venue_lines, seconds=15.0),
    Look("data", market_looks.freshness_lines, seconds=30.0),
    Look("data incidents", market_looks.incident_lines),
)
"""In this order: what the others stand on comes first."""


@dataclass(slots=True)
class Examination:
    """One round over the looks. Remembers what is not worth asking any more."""

    lines: list[Line] = field(default_factory=list)
    without: str = ""
    """Why the database is not asked any further; empty as long as it is."""
    tables: bool = True

    def run(self, wanted: Iterable[Look]) -> list[Line]:
        for look in wanted:
            found = [_readable(line) for line in self._look(look)]
            self.lines += found
            failed = any(line.state == "fail" for line in found)
            if look.name == "database" and failed:
                self.without = "the database cannot be used"
            if look.name == "migrations" and failed:
                self.tables = False
        return self.lines

    def _look(self, look: Look) -> list[Line]:
        if look.asks_database and self.without:
            return [Line(look.name, "info", f"not looked at: {self.without}")]
        if look.needs_tables and not self.tables:
            return [Line(look.name, "info", "not looked at: tables are missing, see migrations")]
        found = _within(look)
        if found is None:
            if look.asks_database:
                self.without = f"{look.name} has not let go of the database"
            return [Line(look.name, "fail", f"no answer within {look.seconds:g} s", look.remedy)]
        return found


def examine(wanted: Iterable[Look] = LOOKS) -> list[Line]:
    """Look at everything, one after the other. Never raises and never hangs: it takes the sum of the limits at most."""
    return Examination().run(wanted)


def report_of(lines: Iterable[Line]) -> dict[str, Any]:
    """Return the lines as one JSON-ready document. `ok` is false when any line fails."""
    listed = list(lines)
    return {"ok": sound(listed), "at": timezone.now().isoformat(), "lines": [asdict(line) for line in listed]}


def sound(lines: Iterable[Line]) -> bool:
    """Tell whether nothing fails; a warning is no failure."""
    return all(line.state != "fail" for line in lines)


def _within(look: Look) -> list[Line] | None:
    """Return what a look sees; None when it takes too long. It borrows the caller's connection to the database."""
    found: list[Line] = []
    lent = connections[DEFAULT_DB_ALIAS]

    def see() -> None:
        connections[DEFAULT_DB_ALIAS] = lent
        found.extend(_seen(look))

    lent.inc_thread_sharing()
    thread = threading.Thread(target=see, name=f"doctor-{look.name}", daemon=True)
    thread.start()
    thread.join(look.seconds)
    if thread.is_alive():
        return None
    lent.dec_thread_sharing()
    return found


def _seen(look: Look) -> Iterator[Line]:
    try:
        yield from look.see()
    except VibexError as fault:
        yield Line(look.name, "fail", str(fault), look.remedy)
    except Exception as fault:  # noqa: BLE001 - whatever breaks is what the person asked to be told
        yield Line(look.name, "fail", f"cannot be looked at: {type(fault).__name__}: {fault}", look.remedy)


def _readable(line: Line) -> Line:
    """Return the line in one row, without secrets."""
    detail = " ".join(mask_text(line.detail).split())
    short = detail if len(detail) <= LONGEST else f"{detail[: LONGEST - 1]}…"
    return Line(line.name, line.state, short, mask_text(line.remedy))
