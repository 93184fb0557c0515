"""What the first page of the admin counts, each with the list behind it. Few queries, whatever there is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Count, Model, Q
from django.urls import reverse

from accounts.models import Account, Alert, Bot, Incident, Job
from marketdata.models import Feed
from trading.models import Position
from trading.selectors.schedules import late_of, schedule_lines

FEED_LATE: Final = timedelta(seconds=60)
"""A running feed writes about once a second."""
LATELY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Figure:
    """A count in words. `tone` is "" for what merely is, "warn" or "bad" for what wants a person, "ok" for what is well."""

    count: int
    label: str
    url: str
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    title: str
    figures: tuple[Figure, ...]


def admin_counts(sees: Callable[[type[Model]], bool], *, now: datetime) -> list[Card]:
    """Return the counts of the lists that somebody `sees` in the admin, at the wall time `now`."""
    made = {
        Account: ("Accounts", _accounts),
        Bot: ("Bots", _bots),
        Position: ("Positions", _positions),
        Incident: ("Incidents", _incidents),
        Alert: ("Alerts", _alerts),
        Feed: ("Markets", _feeds),
    }
    cards = [Card(title, tuple(figures(now))) for model, (title, figures) in made.items() if sees(model)]
    return [*cards, Card("Tasks", tuple(_tasks(now)))]


def _accounts(_: datetime) -> Iterator[Figure]:
    states = dict(Account.objects.order_by().values_list("state").annotate(Count("pk")))
    for state, tone in (("active", ""), ("reducing", "warn"), ("halted", "bad")):
        count = states.get(state, 0)
        yield Figure(count, state, _list(Account, state__exact=state), tone if count else "")


def _bots(_: datetime) -> Iterator[Figure]:
    states = dict(Bot.objects.order_by().values_list("status").annotate(Count("pk")))
    for status in Bot.Status:
        yield Figure(states.get(status, 0), status.label, _list(Bot, status__exact=status.value))


def _positions(_: datetime) -> Iterator[Figure]:
    at = Position.objects.filter(closed=None).aggregate(open=Count("pk"), bare=Count("pk", filter=~Q(bracket="armed")))
    yield Figure(at["open"], "open", _list(Position, closed__isempty=1))
    tone = "warn" if at["bare"] else "ok"
    yield Figure(at["bare"], "without an armed stop", _list(Position, closed__isempty=1), tone)


def _incidents(_: datetime) -> Iterator[Figure]:
    open_ones = Incident.objects.filter(resolved=None).order_by()
    count = dict(open_ones.values_list("severity").annotate(Count("pk")))
    for severity, tone in (("critical", "bad"), ("error", "bad"), ("warning", "warn")):
        url = _list(Incident, resolved__isempty=1, severity__exact=severity)
        yield Figure(count.get(severity, 0), severity, url, tone if count.get(severity) else "ok")


def _alerts(_: datetime) -> Iterator[Figure]:
    count = Alert.objects.filter(acknowledged=None).count()
    yield Figure(count, "open", _list(Alert, acknowledged__isempty=1), "warn" if count else "ok")


def _feeds(now: datetime) -> Iterator[Figure]:
    late = Q(heartbeat=None) | Q(heartbeat__lt=now - FEED_LATE) | ~Q(problem="")
    at = Feed.objects.filter(running=True).aggregate(running=Count("pk"), late=Count("pk", filter=late))
    yield Figure(at["running"], "running", _list(Feed, running__exact=1), "" if at["running"] else "bad")
    yield Figure(at["late"], "late", _list(Feed, running__exact=1), "bad" if at["late"] else "ok")


def _tasks(now: datetime) -> Iterator[Figure]:
    late = len(late_of(schedule_lines((), system=True, now=now)))
    ended_badly = Q(status__in=[Job.Status.FAILED, Job.Status.LOST], alive_until__gte=now - LATELY)
    failed = Job.objects.filter(ended_badly).order_by().count()
    url = reverse("operations")
    yield Figure(late, "late", f"{url}#schedules", "bad" if late else "ok")
    yield Figure(failed, "failed in a day", f"{url}#jobs", "warn" if failed else "ok")


def _list(model: type[Model], **filters: Any) -> str:
    wanted = "&".join(f"{name}={value}" for name, value in filters.items())
    return f"{reverse(f'admin:{model._meta.app_label}_{model._meta.model_name}_changelist')}?{wanted}"
