"""The rows of the schedule as a person reads them: what runs, how often, when last, and whether it is late."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db.models import Q
from django_celery_beat.models import PeriodicTask

from accounts.models import Bot
from trading.domain.schedule import HEARTBEAT_ROW, interval_of_crontab, length_of

OF_BOT, OF_SYSTEM = "bot:", "system:"
"""How the names of rows begin (`trading/services/periodic.py` writes them)."""
WRITTEN_EVERY: Final = timedelta(minutes=4)
"""Beat writes down when rows fired every three minutes: younger silence says nothing."""
HEARTBEAT_LIMIT: Final = timedelta(seconds=60)
"""The heartbeat is written by the worker that runs it, each time."""
WHAT: Final = {
    "system:heartbeat": "proves that tasks run",
    "system:guard": "looks after protection and limits",
    "system:watch": "tells what is late",
    "system:alerts": "sends alerts",
    "system:schedules": "lets schedules follow their bots",
    "system:performance": "sums results",
    "system:calls": "forgets old answers of the API",
    "system:approvals": "ends proposals that nobody answered",
    "system:reconcile": "compares books with exchanges",
    "system:catalogues": "reads the catalogues of models",
    "system:afterwards": "counts what came after decisions",
    "system:restored": "compares accounts that were restored",
    "system:backup": "backs up the database",
    "system:retention": "lets go what was kept long enough",
}


@dataclass(frozen=True, slots=True)
class ScheduleLine:
    """One row of the schedule. Times are wall time."""

    name: str
    what: str
    every: str
    enabled: bool
    last: datetime | None
    runs: int
    late: bool
    pk: int
    bot: Bot | None = None


def schedule_lines(bots: Iterable[Bot], *, system: bool, now: datetime) -> list[ScheduleLine]:
    """Return the rows of these bots, and with `system` also all others: what is late first, then by name. One query."""
    of_bots = {f"{OF_BOT}{bot.pk}": bot for bot in bots}
    wanted = Q(name__in=of_bots) | (~Q(name__startswith=OF_BOT) if system else Q(pk__in=()))
    rows = PeriodicTask.objects.filter(wanted).select_related("interval", "crontab").order_by("name")
    lines = [_line(row, of_bots.get(row.name), now) for row in rows]
    return sorted(lines, key=lambda line: (not line.late, line.bot is not None, line.name))


def late_of(lines: Sequence[ScheduleLine]) -> list[ScheduleLine]:
    """Return those that should have run since."""
    return [line for line in lines if line.late]


def _line(row: PeriodicTask, bot: Bot | None, now: datetime) -> ScheduleLine:
    what = f"decisions of {bot.name}" if bot else WHAT.get(row.name, row.description or row.task)
    every, period = _every(row)
    last = row.last_run_at
    late = bool(row.enabled and period and last is not None and now - last > _patience(row.name, period))
    return ScheduleLine(
        row.name.removeprefix(OF_SYSTEM), what, every, row.enabled, last, row.total_run_count, late, row.pk, bot
    )


def _every(row: PeriodicTask) -> tuple[str, timedelta | None]:
    """Return how often a row fires in words, and its period where it has a fixed one."""
    if row.interval is not None:
        period = timedelta(**{row.interval.period: row.interval.every})
        return _seconds(int(period.total_seconds())), period
    if row.crontab is None:
        return "at a moment of its own", None
    interval = interval_of_crontab(row.crontab.minute, row.crontab.hour)
    if interval is None:
        return f"crontab {row.crontab.minute} {row.crontab.hour} {row.crontab.timezone}", None
    return f"at each {interval} candle", length_of(interval)


def _seconds(seconds: int) -> str:
    for unit, size in (("day", 86_400), ("h", 3_600), ("min", 60)):
        if seconds % size == 0:
            return f"every {unit}" if seconds == size else f"every {seconds // size} {unit}"
    return f"every {seconds} s"


def _patience(name: str, period: timedelta) -> timedelta:
    return HEARTBEAT_LIMIT if name == HEARTBEAT_ROW else 2 * period + WRITTEN_EVERY
