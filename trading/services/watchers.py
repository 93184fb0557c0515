"""Who watches the guard: whatever is late is an incident that people are told of, until it is over.

Runs each minute as a task, and wherever health is asked: so a worker that died is seen by the process of the web pages.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from accounts.domain.alerts import EventType, Severity
from accounts.models import Account, Backup, Incident, User
from accounts.services import alert_raise, incident_open, incident_resolve
from accounts.services.jobs import jobs_sweep
from decisions.models import Cycle
from trading.selectors.guard import LATE_AFTER, looked_last
from trading.services.guard_state import in_play_note
from trading.services.lease import cycles_abandon
from trading.services.periodic import HEARTBEAT
from trading.services.schedule import accounts_in_play, decisions_late

LATE: Final = "service-late"
SCHEDULER: Final = "scheduler"
BACKUP: Final = "backup"
BOT: Final = "bot "
HEARTBEAT_LIMIT: Final = timedelta(seconds=60)
"""Beat sends a task every ten seconds; a worker that ran none for so long is gone, or has no thread left."""
LEASE_GRACE: Final = timedelta(seconds=30)
"""After its lease ran out, a cycle has so long to end itself."""
BACKUP_LIMIT: Final = timedelta(hours=3)
"""One is made each hour: two that failed are told of by themselves, this tells of those that nobody tried."""
BACKUP_GRACE: Final = timedelta(minutes=20)
"""After this process began, the first backup of an installation that was off for long has so long to be made. It is no longer
than that: a process that is started anew every hour tells of it too."""
SEVERAL: Final = 5
"""When more accounts than this are late, that is told once, and not of each."""
BEGAN: Final = timezone.now()
"""A decision that was due before this process began is not told as late by it; one that was told already is late still."""


@dataclass(frozen=True, slots=True)
class Late:
    """Something that is late, in words. Without an account it is about the installation."""

    subject: str
    text: str
    account: Account | None = None


def service_watch() -> list[Late]:
    """Look for what is late, tell of it, and resolve what was told and is over."""
    now = timezone.now()
    in_play = accounts_in_play()
    in_play_note(account_ids=in_play, now=now)
    late = [*_scheduler(now), *_leases(now), *_backup(now)]
    if not any(one.subject == SCHEDULER for one in late):  # while no task runs, the rest follows from that
        late += [*_guard(in_play, now), *_decisions(now)]
    for one in late:
        _tell(one, in_play)
    _resolve({(one.account.pk if one.account else None, one.subject) for one in late})
    # Last: what nobody holds any more is ended, and so is not late at the next look.
    cycles_abandon(before=now - LEASE_GRACE)
    jobs_sweep()
    return late


class Watched:
    """What was late at the last look, which is not repeated within some seconds however often health is asked."""

    EVERY: Final = 30.0

    def __init__(self) -> None:
        self._lock, self._until, self._found = threading.Lock(), 0.0, list[Late]()

    def look(self) -> Sequence[Late]:
        with self._lock:
            if time.monotonic() >= self._until:
                self._found = service_watch()
                self._until = time.monotonic() + self.EVERY
            return self._found

    def forget(self) -> None:
        self._until = 0.0


watched: Final = Watched()


def _scheduler(now: datetime) -> Iterator[Late]:
    ran = PeriodicTask.objects.filter(name=HEARTBEAT, enabled=True).values_list("last_run_at", flat=True).first()
    if ran is not None and now - ran > HEARTBEAT_LIMIT:
        yield Late(
            SCHEDULER, f"No task has run since {ran:%F %T} UTC: is beat running, and a worker with a free thread?"
        )


def _guard(in_play: Sequence[int], now: datetime) -> Iterator[Late]:
    late = [one for one in looked_last(in_play) if now - one.at > LATE_AFTER]
    if len(late) > SEVERAL:
        oldest = min(one.at for one in late)
        yield Late("guard", f"{len(late)} accounts have not been looked after, the first since {oldest:%F %T} UTC.")
        return
    for one in late:
        text = f"{one.account.name} has not been looked after since {one.at:%F %T} UTC."
        yield Late("guard", text, one.account)


def _decisions(now: datetime) -> Iterator[Late]:
    open_ones = Incident.objects.filter(kind=LATE, resolved__isnull=True, data__subject__startswith=BOT)
    told = {int(subject.removeprefix(BOT)) for subject in open_ones.values_list("data__subject", flat=True)}
    for bot, closed_at in decisions_late(since=BEGAN, now=now, told=told):
        text = f"{bot.name} has not decided on the candle that closed at {closed_at:%F %H:%M} UTC (market time)."
        yield Late(f"{BOT}{bot.pk}", text, bot.account)


def _backup(now: datetime) -> Iterator[Late]:
    if not settings.BACKUP_HOURLY:
        return
    newest = Backup.objects.filter(well=True).order_by("-at").values_list("at", flat=True).first()
    # Before the first backup it counts from the first person: nobody else could be told.
    since = newest or User.objects.order_by("created").values_list("created", flat=True).first() or now
    if now - since > BACKUP_LIMIT and (now - BEGAN > BACKUP_GRACE or _is_told(BACKUP)):
        when = f"since {newest:%F %T} UTC" if newest else "yet"
        yield Late(BACKUP, f"No backup was made {when}: `manage.py backup` says why.")


def _is_told(subject: str) -> bool:
    """Tell whether people know already, of the installation: who has just begun does not take that back."""
    return Incident.objects.filter(account=None, kind=LATE, resolved__isnull=True, data__subject=subject).exists()


def _leases(now: datetime) -> Iterator[Late]:
    left = Cycle.objects.filter(status=Cycle.Status.RUNNING, lease_until__lt=now - LEASE_GRACE)
    for cycle in left.select_related("bot", "account").order_by("pk"):
        text = (
            f"The cycle of {cycle.bot.name} that began at {cycle.began:%F %T} UTC broke off in the step {cycle.stage}."
        )
        yield Late(f"cycle {cycle.pk}", text, cycle.account)


def _tell(late: Late, in_play: Sequence[int]) -> None:
    """Open an incident, which tells the owner or, of the installation, all staff; then also owners who are not staff."""
    open_ones = Incident.objects.filter(account=late.account, kind=LATE, resolved__isnull=True)
    if open_ones.filter(data__subject=late.subject).exists():
        return
    incident = incident_open(account=late.account, kind=LATE, text=late.text, subject=late.subject)
    if late.account is not None:
        return
    told: set[int] = set()
    for account in Account.objects.filter(pk__in=in_play, owner__is_staff=False).order_by("pk"):
        if account.owner_id not in told:
            told.add(account.owner_id)
            alert_raise(
                account=account,
                type=EventType.SERVICE_LATE,
                severity=Severity.ERROR,
                message=late.text,
                subject=late.subject,
                incident=incident,
            )


def _resolve(still: set[tuple[int | None, str]]) -> None:
    for incident in Incident.objects.filter(kind=LATE, resolved__isnull=True):
        if (incident.account_id, incident.data.get("subject", "")) not in still:
            incident_resolve(incident=incident)
