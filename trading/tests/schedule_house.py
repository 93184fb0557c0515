"""Accounts, bots and markets for the tests of schedules."""

from __future__ import annotations

from datetime import UTC, datetime

from django_celery_beat.models import PeriodicTask

from accounts.models import Account, Bot, User
from accounts.services import account_create, bot_create, user_create
from marketdata.models import Feed
from trading.domain.schedule import timeframes_for

NOON = datetime(2025, 10, 1, 12, tzinfo=UTC)


def market(venue: str = "sim", **changes: object) -> Feed:
    """Return a running market: the simulated one by the wall clock, or a replay that began at NOON."""
    kind = Feed.Kind.SIMULATED if venue == "sim" else Feed.Kind.RECORDED
    values = {"kind": kind, "market_at": NOON, "wall_at": datetime.now(UTC), "running": True, **changes}
    feed, _ = Feed.objects.update_or_create(venue=venue, defaults=values)
    return feed


def person(email: str = "owner@example.com") -> User:
    known = User.objects.filter(email=email).first()
    return known or user_create(email=email, password="correct horse battery")


def account(name: str = "paper", venue: str = "sim") -> Account:
    if not Feed.objects.filter(venue=venue).exists():
        market(venue)
    return account_create(owner=person(), name=name, venue=venue)


def bot(on: Account | None = None, name: str = "first", interval: str = "3m") -> Bot:
    return bot_create(
        account=on or account(),
        name=name,
        model="rules/trend",
        symbols=["BTCUSDT"],
        interval=interval,
        timeframes=timeframes_for(interval),
    )


def row_of(a_bot: Bot) -> PeriodicTask:
    return PeriodicTask.objects.select_related("interval", "crontab").get(name=f"bot:{a_bot.pk}")
