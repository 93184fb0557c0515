"""The doctor's looks at the market: is the venue there, are its clock and ours one, are prices fresh."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from django.conf import settings
from django.utils import timezone

from accounts.models import Bot, Incident
from accounts.selectors import on_market
from marketdata.domain.assess import readable
from marketdata.models import Feed, QuarantinedCandle
from marketdata.selectors import clock_of, followed_symbols, instrument_specs, market_for
from vibex.lib.errors import Retryable, VibexError
from vibex.looks import START, Line, State

REACH_SECONDS: Final = 2.0
CLOCK_WARN_SECONDS: Final = 1.0
CLOCK_FAIL_SECONDS: Final = 5.0
"""A clock that is wrong by more lets requests be refused, and makes the age of every price a guess."""
MANY: Final = 20
"""Symbols that are looked at one by one where no bot says which ones matter."""
SET_CLOCK: Final = "Set this machine's clock: timedatectl set-ntp true"


# -- the venue --------------------------------------------------------------------------------------------


def venue_lines() -> Iterator[Line]:
    """Yield whether each venue of live prices answers, and how far its clock is from ours."""
    venues = _venues()
    if not venues:
        yield Line("venue", "info", f"not asked: prices are not live here (MARKET={settings.MARKET})")
    for venue, feed in venues.items():
        yield from _venue(venue, feed)


def _venues() -> dict[str, Feed | None]:
    """Return the venues whose live prices are wanted or running, each with its feed."""
    live: dict[str, Feed | None] = {feed.venue: feed for feed in Feed.objects.filter(kind=Feed.Kind.LIVE)}
    if settings.MARKET != "simulated":
        live.setdefault(settings.VENUE, None)
    return live


def _venue(venue: str, feed: Feed | None) -> Iterator[Line]:
    from marketdata.services.venues import venue_reachable

    silence = venue_reachable(venue, REACH_SECONDS)
    if silence is None:
        yield Line("venue", "ok", f"{venue} answers within {REACH_SECONDS:g} s")
        yield _clock(venue, feed)
        return
    needed = settings.MARKET == "live" or (feed is not None and feed.running)
    remedy = "Check the network and the address of the venue"
    if needed:
        yield Line("venue", "fail", silence, f"{remedy}; bots hold until it answers.")
    else:
        yield Line(
            "venue", "warn", f"{silence.rstrip('.')}; prices are simulated", f"{remedy}, or set MARKET=simulated."
        )
    yield _noted_clock(venue, feed)


def _clock(venue: str, feed: Feed | None) -> Line:
    """Compare the clocks now, or say what the feed found when the venue allows no request."""
    from marketdata.services.venues import clock_offset, public_venue
    from marketdata.venues.public import Purpose

    port = public_venue(venue, purpose=Purpose.FEED)
    try:
        offset, trip = min((clock_offset(port) for _ in range(2)), key=lambda measured: measured[1])
    except Retryable:
        return _noted_clock(venue, feed)
    return clock_line(venue, offset, f"measured now, ±{trip.total_seconds() / 2:.2f} s")


def _noted_clock(venue: str, feed: Feed | None) -> Line:
    """Return what the feed found when it last could ask."""
    if feed is None or feed.clock_offset is None or feed.clock_checked is None:
        return Line("clock", "info", f"never compared with {venue}")
    age = readable(timezone.now() - feed.clock_checked)
    return clock_line(venue, feed.clock_offset, f"compared {age} ago")


def clock_line(venue: str, offset: float, how: str) -> Line:
    """Judge by how many seconds the venue's clock is ahead of ours."""
    away = abs(offset)
    state: State = "fail" if away > CLOCK_FAIL_SECONDS else "warn" if away > CLOCK_WARN_SECONDS else "ok"
    side = "behind" if offset > 0 else "ahead of"
    detail = f"{away:.2f} s {side} {venue} ({how})"
    return Line("clock", state, detail, "" if state == "ok" else SET_CLOCK)


# -- what is stored ---------------------------------------------------------------------------------------


def freshness_lines() -> Iterator[Line]:
    """Yield for each market that moves, and each symbol that bots trade there, how old everything is."""
    for feed in Feed.objects.filter(running=True).order_by("venue"):
        try:
            yield from _freshness(feed)
        except VibexError as fault:
            yield Line(f"data of {feed.venue}", "fail", str(fault), START)


def _freshness(feed: Feed) -> Iterator[Line]:
    symbols, timeframes = _watched(feed)
    if not symbols:
        yield Line(
            f"data of {feed.venue}", "fail", "no symbol is followed", "Make a bot, or set ASSETS and start again."
        )
        return
    seen = market_for(feed.venue).snapshot(symbols=symbols, timeframes=timeframes, at=clock_of(feed).now())
    for symbol, view in seen.symbols.items():
        ages = ", ".join(f"{name} {_age(age)}" for name, age in view.ages.items())
        name = f"{symbol} at {feed.venue}"
        if view.problem:
            problem = str(view.problem)
            yield Line(name, "fail", f"{problem} [{ages}]", _remedy(feed, symbol, problem))
        else:
            yield Line(name, "ok", ages)


def _watched(feed: Feed) -> tuple[list[str], list[str]]:
    """Return the symbols and timeframes of the bots of a venue; without bots what is followed, in base candles."""
    bots = list(Bot.objects.filter(on_market(feed.venue, of="account__")).exclude(status=Bot.Status.STOPPED))
    known = instrument_specs(feed.venue)
    symbols = sorted({symbol for bot in bots for symbol in bot.symbols if symbol in known})
    timeframes = list(dict.fromkeys(name for bot in bots for name in bot.timeframes))
    return symbols or followed_symbols(feed.venue)[:MANY], timeframes or [feed.interval]


def _age(age: timedelta) -> str:
    return "never" if age == timedelta.max else readable(age)


def _remedy(feed: Feed, symbol: str, problem: str) -> str:
    if feed.kind == Feed.Kind.LIVE and "candle" in problem:
        day = (timezone.now() - timedelta(days=30)).strftime("%F")
        return f"uv run manage.py backfill --venue {feed.venue} --symbols {symbol} --intervals {feed.interval} --since {day}"
    if feed.problem:
        return START
    return "Bots hold on it by themselves until this is over; see the market page and the log."


def incident_lines() -> Iterator[Line]:
    """Yield what is wrong with stored data and not resolved. Bots hold where it matters, so this only warns."""
    of_data = Incident.objects.filter(account__isnull=True, resolved__isnull=True)
    count, bad = of_data.count(), QuarantinedCandle.objects.filter(mended__isnull=True).count()
    newest = of_data.order_by("-opened").values_list("text", flat=True).first()
    if not count and not bad:
        yield Line("data incidents", "ok", "none open")
        return
    detail = f"{count} open, {bad} impossible candles put aside" + (f"; the newest: {newest}" if newest else "")
    yield Line("data incidents", "warn", detail, "Read and resolve them in the admin: /admin/accounts/incident/")
