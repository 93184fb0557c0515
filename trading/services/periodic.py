"""The rows of django-celery-beat that make things happen: derived from bots, or fixed by the system.

A row remembers in its headers what it was derived from, so that an edit of the row and an edit of the bot can be
told apart: whoever changes the schedule in the admin changes the bot.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from accounts.models import Bot
from trading.domain.schedule import (
    CRONTABS,
    HEARTBEAT_ROW,
    Crontab,
    due,
    expiry_seconds,
    interval_of_crontab,
    interval_of_seconds,
    length_of,
    offset_for,
    slot_at,
    tick_seconds,
)
from vibex.lib.clock import Clock, WallClock

PREFIX: Final = "bot:"
TICK: Final = "trading.tasks.bot_tick"
HEARTBEAT: Final = HEARTBEAT_ROW
SYSTEM: Final[dict[str, tuple[str, int]]] = {
    HEARTBEAT: ("trading.tasks.beat_heartbeat", 10),
    "system:guard": ("trading.tasks.guard_all", 30),
    "system:watch": ("trading.tasks.service_watch", 60),
    "system:alerts": ("accounts.tasks.alerts_send", 30),
    "system:schedules": ("trading.tasks.schedules_sync", 60),
    "system:performance": ("trading.tasks.performance_sum", 60),
    "system:calls": ("accounts.tasks.calls_prune", 3600),
    "system:approvals": ("trading.tasks.approvals_sweep", 30),
    "system:reconcile": ("trading.tasks.reconcile_all", 3600),
    "system:catalogues": ("decisions.tasks.catalogues_keep", 3600),
    "system:afterwards": ("decisions.tasks.afterwards_count", 600),
    "system:restored": ("trading.tasks.restored_reconcile", 60),
    "system:backup": ("vibex.tasks.backup_hourly", 3600),
    "system:retention": ("trading.tasks.prune_all", 86_400),
}
"""What runs whether or not a bot does: task and seconds between two runs."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How often a row fires: a crontab in UTC, or a number of seconds."""

    crontab: Crontab | None = None
    seconds: int = 0

    def __str__(self) -> str:
        if self.crontab is None:
            return f"every {self.seconds} s"
        return f"crontab {self.crontab.minute} {self.crontab.hour} UTC"

    @property
    def interval(self) -> str | None:
        """The bot interval that this timing names, or None."""
        if self.crontab is None:
            return interval_of_seconds(self.seconds)
        return interval_of_crontab(self.crontab.minute, self.crontab.hour)


def row_name(bot: Bot) -> str:
    """Return the name of the bot's row."""
    return f"{PREFIX}{bot.pk}"


def timing_of(interval: str, clock: Clock) -> Timing:
    """Return when a bot is looked at: at each candle close by the wall clock, in a replay twice per candle."""
    if isinstance(clock, WallClock):
        return Timing(crontab=CRONTABS[interval])
    return Timing(seconds=tick_seconds(interval, clock.speed))


def timing_in(row: PeriodicTask) -> Timing | None:
    """Return the timing that a row has now; None when no bot could have it."""
    if row.interval is not None:
        return Timing(seconds=int(timedelta(**{row.interval.period: row.interval.every}).total_seconds()))
    crontab = row.crontab
    if crontab is None or _unused_fields(crontab) != ("*", "*", "*", "UTC"):
        return None
    return Timing(crontab=Crontab(crontab.minute, crontab.hour))


def wanted_interval(row: PeriodicTask) -> str | None:
    """Return the interval that somebody chose by editing the row; None when nobody did, or chose none of a bot's."""
    timing = timing_in(row)
    if timing is None or str(timing) == _derived_from(row).get("vibex_schedule"):
        return None
    return timing.interval


def wait_of(row: PeriodicTask, now: datetime) -> float:
    """Return the seconds until the bot's own moment behind the candle that has just closed; 0 for a row of anything else.

    A worker that got all ticks at the close would have to look at each, only to send it on for later.
    """
    timing = timing_in(row) if row.name.startswith(PREFIX) and row.crontab else None
    if timing is None or timing.interval is None:
        return 0.0
    moment = due(slot_at(now, timing.interval), offset_for(row.name, timing.interval))
    return max(0.0, (moment - now).total_seconds())


def bot_row_differs(row: PeriodicTask | None, bot: Bot, clock: Clock) -> bool:
    """Whether the row is missing or anything in it is not what follows from the bot."""
    return row is None or timing_in(row) != timing_of(bot.interval, clock) or _differs(row, _bot_fields(bot, clock))


def bot_row_put(bot: Bot, clock: Clock) -> None:
    """Write the row that follows from the bot, when it differs from the one that is there."""
    row = PeriodicTask.objects.filter(name=row_name(bot)).first()
    if bot_row_differs(row, bot, clock):
        _write(row or PeriodicTask(name=row_name(bot)), timing_of(bot.interval, clock), _bot_fields(bot, clock))


def system_schedules_install() -> None:
    """Write the rows of the system, and mend those that somebody changed: the guard is never switched off."""
    rows = {row.name: row for row in PeriodicTask.objects.filter(name__in=SYSTEM).select_related("interval", "crontab")}
    for name, (task, seconds) in SYSTEM.items():
        row, timing, fields = rows.get(name), Timing(seconds=seconds), _fields(task, seconds)
        if row is None or timing_in(row) != timing or _differs(row, fields):
            _write(row or PeriodicTask(name=name), timing, fields)


def system_heartbeat() -> None:
    """Note that the scheduler has sent a task and a worker has run it. Does not make the scheduler read anew."""
    PeriodicTask.objects.filter(name=HEARTBEAT).update(last_run_at=timezone.now())


def orphan_rows_delete() -> int:
    """Delete the rows of bots that do not exist; return how many there were."""
    kept = {f"{PREFIX}{pk}" for pk in Bot.objects.values_list("pk", flat=True)}
    orphans = PeriodicTask.objects.filter(name__startswith=PREFIX).exclude(name__in=kept)
    deleted: int = orphans.delete()[0]
    return deleted


def _bot_fields(bot: Bot, clock: Clock) -> dict[str, Any]:
    timing = timing_of(bot.interval, clock)
    period = timing.seconds or length_of(bot.interval).total_seconds()
    derived = json.dumps({"vibex_interval": bot.interval, "vibex_schedule": str(timing)})
    description = f"Decisions of bot {bot.name}, every {bot.interval}. What is changed here is changed at the bot."
    running = bot.status == Bot.Status.RUNNING
    return _fields(TICK, period, args=[bot.pk], headers=derived, description=description, enabled=running)


def _fields(
    task: str,
    period: float,
    *,
    args: list[int] | None = None,
    headers: str = "{}",
    description: str = "",
    enabled: bool = True,
) -> dict[str, Any]:
    return {
        "task": task,
        "args": json.dumps(args or []),
        "kwargs": "{}",
        "headers": headers,
        "description": description or "Part of Vibex itself; put back when changed.",
        "enabled": enabled,
        "expire_seconds": expiry_seconds(period),
        "expires": None,
        "start_time": None,
        "one_off": False,
        "queue": None,
        "exchange": None,
        "routing_key": None,
        "priority": None,
    }


def _differs(row: PeriodicTask, fields: dict[str, Any]) -> bool:
    return any(getattr(row, name) != value for name, value in fields.items())


def _write(row: PeriodicTask, timing: Timing, fields: dict[str, Any]) -> None:
    row.interval, row.crontab, row.solar, row.clocked = _interval_row(timing), _crontab_row(timing), None, None
    for name, value in fields.items():
        setattr(row, name, value)
    row.save()


def _interval_row(timing: Timing) -> IntervalSchedule | None:
    if timing.crontab is not None:
        return None
    wanted = {"every": timing.seconds, "period": IntervalSchedule.SECONDS}
    return IntervalSchedule.objects.filter(**wanted).first() or IntervalSchedule.objects.create(**wanted)


def _crontab_row(timing: Timing) -> CrontabSchedule | None:
    if timing.crontab is None:
        return None
    wanted = {"minute": timing.crontab.minute, "hour": timing.crontab.hour, "timezone": "UTC"}
    every_day = {"day_of_week": "*", "day_of_month": "*", "month_of_year": "*"}
    wanted |= every_day
    return CrontabSchedule.objects.filter(**wanted).first() or CrontabSchedule.objects.create(**wanted)


def _unused_fields(crontab: CrontabSchedule) -> tuple[str, str, str, str]:
    return crontab.day_of_week, crontab.day_of_month, crontab.month_of_year, str(crontab.timezone)


def _derived_from(row: PeriodicTask) -> dict[str, Any]:
    """Return what the row says of its origin; an unreadable header counts as none."""
    try:
        known = json.loads(row.headers or "{}")
    except ValueError:
        return {}
    return known if isinstance(known, dict) else {}
