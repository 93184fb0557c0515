"""Whether the machinery works: six lights, each with a word and a reason, from what database and cache know.

Nobody is asked over the network here; the length of the queue is that of a few seconds ago (`vibex/lib/queue_length.py`).
What a person is not part of is not told: guard, venue and models are those of the accounts that are handed in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db.models import CharField, F, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce, Concat, NullIf
from django_celery_beat.models import PeriodicTask

from accounts.domain.alerts import EventType
from accounts.models import Account, Alert, Bot, Incident
from accounts.selectors import Person
from decisions.domain.providers import RULES
from marketdata.models import Feed, VenueBudget
from trading.domain.schedule import HEARTBEAT_ROW
from trading.selectors.guard import guard_from
from trading.selectors.hearing import hearing_from
from trading.selectors.market import view_of
from vibex.lib.masking import mask_text
from vibex.lib.queue_length import tasks_waiting

BEAT_LATE: Final = timedelta(seconds=60)
"""Beat sends a task every ten seconds; when none ran for so long, beat or the worker is gone."""
OLD: Final = timedelta(hours=1)
"""A failure of a model that was told longer ago says nothing of now."""
BROKEN_MODEL: Final = ("model-key", "model-credit")
"""Incidents after which a model cannot be asked."""
MANY_TASKS: Final = 100
LONGEST: Final = 160
"""Characters of a reason."""


@dataclass(frozen=True, slots=True)
class Light:
    """One part of the machinery. `word` says the state without colour, `reason` why."""

    name: str
    state: str
    """ok | warn | bad"""
    word: str
    reason: str

    @property
    def sign(self) -> str:
        return {"ok": "✓", "warn": "!", "bad": "✕"}[self.state]


@dataclass(frozen=True, slots=True)
class System:
    """What is known of the installation: its feeds by venue, and what else one statement tells."""

    feeds: dict[str, Feed]
    beat_ran: datetime | None = None
    blocked: str = ""
    """Why a venue is not asked now."""
    told: bool = False
    """Whether the venue itself said so: then nobody asks, not even to close."""
    broken: str = ""
    failing: str = ""


def system_known(person: Person, *, now: datetime) -> System:
    """Return the feeds with what the lights are made of, at the wall time `now`. One query, two where there is no feed."""
    feeds = list(_signed(Feed.objects.order_by("venue"), person, now))
    rows: list[Any] = [*feeds] or list(_signed(PeriodicTask.objects.filter(name=HEARTBEAT_ROW), person, now))
    by_venue = {feed.venue: feed for feed in feeds}
    if not rows:
        return System(by_venue)
    row = rows[0]
    blocked = row.venue_told or row.venue_blocked or ""
    return System(by_venue, row.beat_ran, blocked, bool(row.venue_told), row.broken or "", row.failing or "")


def lights_of(
    known: System, accounts: Sequence[Account], bots: Iterable[Bot], held: Iterable[int], *, now: datetime
) -> tuple[Light, ...]:
    """Return the six lights. Accounts come with guard and user stream (`with_looks`), bots with their account.

    `held` are the keys of accounts on which positions are open. No query.
    """
    asking = [bot for bot in bots if bot.status != Bot.Status.STOPPED]
    in_use = {bot.account_id for bot in asking} | set(held)
    return (
        _scheduler(known, now),
        _guard(accounts, now),
        _data(known, [one for one in accounts if one.pk in in_use], now),
        _venue(known, [one for one in accounts if one.live and one.pk in in_use], now),
        _model(known, asking),
        _queue(),
    )


def with_looks(accounts: QuerySet[Account]) -> QuerySet[Account]:
    """Return accounts as `lights_of` takes them."""
    return accounts.select_related("guard", "user_stream")


def _signed(rows: QuerySet[Any], person: Person, now: datetime) -> QuerySet[Any]:
    """Add to rows what stands elsewhere: when beat's task ran, which venue is not asked, what is wrong with models."""
    beat = PeriodicTask.objects.filter(name=HEARTBEAT_ROW).values("last_run_at")[:1]
    told = VenueBudget.objects.filter(told_until__gt=now).order_by("-told_until")
    blocked = VenueBudget.objects.filter(blocked_until__gt=now).order_by("-blocked_until")
    mine = Q(account__owner_id=person.pk) | Q(account__isnull=True)
    broken = Incident.objects.filter(mine, kind__in=BROKEN_MODEL, resolved__isnull=True).order_by("-opened")
    failing = Alert.objects.filter(
        user_id=person.pk or 0, acknowledged__isnull=True, type=EventType.MODEL_FAILING.value, last__gt=now - OLD
    ).order_by("-last")
    found: QuerySet[Any] = rows.annotate(
        beat_ran=Subquery(beat),
        venue_told=Subquery(told.values(why=_why("told_reason"))[:1]),
        venue_blocked=Subquery(blocked.values(why=_why("reason"))[:1]),
        broken=Subquery(broken.values("text")[:1]),
        failing=Subquery(failing.values("message")[:1]),
    )
    return found


def _why(column: str) -> Any:
    reason = Coalesce(NullIf(F(column), Value("")), Value("no reason was kept"))
    return Concat(F("host"), Value(": "), reason, output_field=CharField())


def _scheduler(known: System, now: datetime) -> Light:
    if known.beat_ran is None:
        return Light("Scheduler", "bad", "never ran", "No task has run yet: start the server, or beat and a worker.")
    age = now - known.beat_ran
    if age > BEAT_LATE:
        why = f"No task has run for {_length(age)}: is beat running, and a worker with a free thread?"
        return Light("Scheduler", "bad", "stands", why)
    return Light("Scheduler", "ok", "runs", f"A task ran {_length(age)} ago.")


def _guard(accounts: Iterable[Account], now: datetime) -> Light:
    views = [(one, guard_from(getattr(one, "guard", None), now=now)) for one in accounts]
    in_play = [(one, view) for one, view in views if view.in_play]
    if not in_play:
        return Light("Guard", "ok", "idle", "Nothing is open and no bot runs: there is nothing to look after.")
    if late := [(one, view) for one, view in in_play if view.late]:
        one, view = late[0]
        since = f"since {_length(now - view.at)}" if view.at else "yet"
        return Light("Guard", "bad", "late", f"{one.name} was not looked after {since}{_more(late)}.")
    if unwell := [(one, view) for one, view in in_play if not view.well]:
        one, view = unwell[0]
        return Light("Guard", "warn", "not well", _short(f"{one.name}: {view.text}{_more(unwell)}"))
    looks = [view.at for _, view in in_play if view.at]
    oldest = f", the oldest look was {_length(now - min(looks))} ago" if looks else ""
    return Light("Guard", "ok", "well", f"{_count(len(in_play), 'account')} in play{oldest}.")


def _data(known: System, accounts: Sequence[Account], now: datetime) -> Light:
    markets = sorted({one.market for one in accounts})
    if not markets:
        return Light("Data", "ok", "not needed", "No bot runs and nothing is open.")
    problems = [
        (market, view.problem) for market in markets if (view := view_of(known.feeds.get(market), market)).problem
    ]
    if problems:
        market, problem = problems[0]
        return Light("Data", "bad", "old", _short(f"{market}: {problem}{_more(problems)}"))
    ages = {market: now - feed.heartbeat for market in markets if (feed := known.feeds[market]).heartbeat}
    oldest = max(ages, key=lambda market: ages[market])
    return Light("Data", "ok", f"{_length(ages[oldest])} old", f"Newest prices of {', '.join(markets)} by their feeds.")


def _venue(known: System, live: Sequence[Account], now: datetime) -> Light:
    if known.blocked:
        word, what = ("asks for rest", "nobody asks it") if known.told else ("held back", "only closes are sent")
        return Light("Venue", "bad" if known.told else "warn", word, _short(f"{known.blocked}; until then {what}."))
    if not live:
        return Light("Venue", "ok", "not needed", "No live account is in use: orders are matched here.")
    heard = [(one, hearing_from(getattr(one, "user_stream", None), now=now)) for one in live]
    deaf = [(one, view) for one, view in heard if not view.well and not view.untold]
    if deaf:
        one, view = deaf[0]
        return Light(
            "Venue", "warn", "asked only", _short(f"Events of {one.name} are not heard: {view.problem}{_more(deaf)}.")
        )
    return Light("Venue", "ok", "answers", f"{_count(len(live), 'live account')}, nothing is held back.")


def _model(known: System, asking: Sequence[Bot]) -> Light:
    if known.broken:
        return Light("Model", "bad", "cannot be asked", _short(known.broken))
    if known.failing:
        return Light("Model", "warn", "failing", _short(known.failing))
    names = {bot.model for bot in asking if not bot.model.startswith(f"{RULES}/")}
    if not names:
        return Light("Model", "ok", "not asked", "Rules decide, or no bot runs.")
    return Light("Model", "ok", "no complaint", f"{_count(len(names), 'model')} in use, no failure is open.")


def _queue() -> Light:
    if not settings.REDIS_URL:
        return Light("Queue", "ok", "in this process", "Tasks are handed on in memory; there is no queue to fill.")
    waiting = tasks_waiting()
    if waiting is None:
        return Light("Queue", "bad", "no answer", "Redis does not answer: no task reaches a worker.")
    state, word = ("ok", "empty") if not waiting else ("ok", "moves") if waiting < MANY_TASKS else ("warn", "long")
    return Light("Queue", state, word, f"{_count(waiting, 'task')} wait for a worker.")


def _more(rows: Sequence[object]) -> str:
    return f", and {len(rows) - 1} more" if len(rows) > 1 else ""


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _short(text: str) -> str:
    told = mask_text(" ".join(text.split()))
    return told if len(told) <= LONGEST else f"{told[: LONGEST - 1]}…"


def _length(age: timedelta) -> str:
    return next(_units(max(0, int(age.total_seconds()))))


def _units(seconds: int) -> Iterator[str]:
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            yield f"{seconds // size} {unit}"
    yield f"{seconds} s"
