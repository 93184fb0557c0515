"""Which market an account trades on, said so that nobody can take it for another."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import PurePath
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import Account, Bot
from marketdata.models import Feed
from marketdata.selectors import clock_of, follows_wall_clock
from trading.domain.schedule import due, length_of, offset_for, slot_at
from trading.models import Halt
from trading.selectors.halts import halts_in_force
from vibex.lib.together import read_together

SILENT_AFTER = timedelta(seconds=15)
"""A feed writes about once a second of wall time; after this long without a word its prices count as old."""


@dataclass(frozen=True, slots=True)
class MarketView:
    """The market in words. With a `problem` the prices on the page may be old, and the text says why."""

    kind: str
    title: str
    detail: str
    now: datetime
    """Market time."""
    speed: float
    """Seconds of market time in one second of wall time: zero while the market stands."""
    problem: str = ""
    note: str = ""
    """Why this market and not another one."""


def market_view(account: Account) -> MarketView:
    """Return what `account` trades on; a market that was never set up is a view with a problem."""
    return market_and_halt(account)[0]


def market_and_halt(account: Account) -> tuple[MarketView, Halt | None]:
    """Return the same with the halt in force, None for an account that is not halted. One query."""
    asked: dict[str, QuerySet[Any]] = {"feed": Feed.objects.filter(venue=account.market).order_by("pk")[:1]}
    if account.state == Account.State.HALTED:
        asked["halt"] = halts_in_force(account)
    found = read_together(**asked)
    return view_of(next(iter(found["feed"]), None), account.market), next(iter(found.get("halt", ())), None)


def view_of(feed: Feed | None, venue: str) -> MarketView:
    """Return the market of a feed in words."""
    if feed is None:
        missing = f"This installation has no market named {venue}: start the server with one."
        return MarketView("missing", f"No market: {venue}", "", timezone.now(), 1.0, missing)
    title, detail = _words(feed)
    return MarketView(feed.kind, title, detail, clock_of(feed).now(), _pace(feed), _problem(feed), feed.note)


def next_decision(bot: Bot, market: MarketView) -> datetime | None:
    """Return when a running bot decides next (market time); None when it does not run or the market stands."""
    if bot.status != Bot.Status.RUNNING or market.problem:
        return None
    slot = slot_at(market.now, bot.interval)
    turn = due(slot, offset_for(f"bot:{bot.pk}", bot.interval))
    return turn if turn > market.now else turn + length_of(bot.interval)


def _pace(feed: Feed) -> float:
    if follows_wall_clock(feed):
        return 1.0
    return feed.speed if feed.running else 0.0


def _words(feed: Feed) -> tuple[str, str]:
    pace = "" if feed.speed == 1 else f" at {feed.speed:g}× speed"
    match feed.kind:
        case Feed.Kind.SIMULATED:
            return f"Simulated market{pace}", f"Prices are made up from seed {feed.seed}. No real money."
        case Feed.Kind.RECORDED:
            return f"Recorded candles{pace}", f"Past prices from {PurePath(feed.source).name}. No real money."
        case _:
            return "Live prices", f"Prices of {feed.venue} as they happen."


def _problem(feed: Feed) -> str:
    if feed.problem:
        return feed.problem
    if not feed.running:
        return "The market stands still: its feed is not running. Bots hold until it does."
    if feed.heartbeat is None or timezone.now() - feed.heartbeat > SILENT_AFTER:
        since = f" since {timezone.localtime(feed.heartbeat):%H:%M:%S}" if feed.heartbeat else ""
        return f"No new prices{since}: what is shown may be old."
    return ""
