"""What became of the entries that were asked for, allowed or not: counted from stored candles, a few minutes later."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from itertools import islice
from operator import attrgetter
from typing import Final

from django.db.models import DateTimeField, Exists, ExpressionWrapper, F, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Coalesce

from accounts.selectors import on_market
from decisions.domain.afterwards import FOLLOWED, OPEN, AskedEntry, Bar, Followed, beginning, follow
from decisions.domain.proposal import Action, Side
from decisions.models import Afterwards, Decision
from marketdata.domain.intervals import interval_ms
from marketdata.models import Candle, Feed, Instrument
from marketdata.selectors import base_bars, clock_of
from vibex.lib.clock import Deadline

OPENS: Final = (Action.BUY.value, Action.SELL.value)
GRACE: Final = timedelta(days=1)
"""So long after the last candle that counts, candles that came late are still waited for."""
PAGE: Final = 200
WORK_SECONDS: Final = 60.0
"""After this the rest is left to the next time."""
opened_at, closed_at = attrgetter("opened_at"), attrgetter("closed_at")
FIELDS: Final = ("end", "exit_price", "until", "net", "multiple", "best", "worst")
LOOKED_AT: Final = (
    *("symbol", "action", "asked_quantity", "stop_loss", "profit_target", "at"),
    *("cycle__seen", "interaction__latency_ms"),
    *(f"afterwards__{name}" for name in ("end", "exit_price", "until", "best", "worst")),
)
"""Columns of what is followed. A page with its prompts, replies and all that its cycles kept takes 80 MB."""


def afterwards_count(*, seconds: float = WORK_SECONDS) -> int:
    """Follow the entries of the last days, live, shadow and vote alike, up to now; return how many rows were written.

    A decision is followed for seven days of market time, or until it met its stop or its target. One without a quantity
    and a stop on its right side is never followed, nor one on a symbol without candles.
    """
    deadline = Deadline(seconds)
    return sum(_count(feed, deadline) for feed in Feed.objects.order_by("venue"))


def _count(feed: Feed, deadline: Deadline) -> int:
    fees = dict(Instrument.objects.filter(venue=feed.venue).values_list("symbol", "taker_fee"))
    written = 0
    for page in _pages(_to_follow(feed, clock_of(feed).now()), deadline):
        by_symbol: dict[str, list[Decision]] = defaultdict(list)
        for decision in page:
            by_symbol[decision.symbol].append(decision)
        for symbol, decisions in by_symbol.items():
            written += _write(list(_rows(feed, decisions, fees.get(symbol, Decimal(0)))))
    return written


def _to_follow(feed: Feed, now: datetime) -> QuerySet[Decision]:
    """Return the entries of a market that are not followed to their end, and of which there are candles not looked at."""
    seen_until = Coalesce(OuterRef("afterwards__until"), OuterRef("at"))
    candles = Candle.objects.filter(venue=feed.venue, symbol=OuterRef("symbol"), interval=feed.interval, closed=True)
    last = ExpressionWrapper(F("at") + Value(FOLLOWED), output_field=DateTimeField())
    rows = Decision.objects.filter(
        on_market(feed.venue, of="bot__account__"),
        Q(afterwards=None) | Q(afterwards__end=OPEN, afterwards__until__lt=last),
        action__in=OPENS,
        asked_quantity__gt=0,
        stop_loss__isnull=False,
        at__gt=now - FOLLOWED - GRACE,
        at__lte=now,
    )
    rows = rows.filter(Exists(candles.filter(open_time__gte=seen_until)))
    return rows.select_related("afterwards", "interaction", "cycle").only(*LOOKED_AT)


def _pages(rows: QuerySet[Decision], deadline: Deadline) -> Iterator[list[Decision]]:
    """Return the rows in pages, oldest first, until there are none or the time is up."""
    last = 0
    while not deadline.passed():
        page = list(rows.filter(pk__gt=last).order_by("pk")[:PAGE])
        if not page:
            return
        yield page
        last = page[-1].pk


def _rows(feed: Feed, decisions: Sequence[Decision], fee: Decimal) -> Iterator[Afterwards]:
    """Return how the entries on one symbol fared, for those of which something new is known."""
    entries = [(row, entry) for row in decisions if (entry := _entry(row, fee)) is not None]
    begun = [(row, entry, _before(row, entry)) for row, entry in entries]
    if not begun:
        return
    since = min(before.until for _, _, before in begun)
    bars = _bars(feed, begun[0][0].symbol, since)
    for row, entry, before in begun:
        until = row.at + FOLLOWED
        first = bisect_left(bars, before.until, key=opened_at)
        last = bisect_right(bars, until, key=closed_at)
        after = follow(entry, islice(bars, first, last), before=before)
        if after != before:
            yield _row(row, entry, after)


def _bars(feed: Feed, symbol: str, since: datetime) -> list[Bar]:
    length = timedelta(milliseconds=interval_ms(feed.interval))
    rows = base_bars(venue=feed.venue, symbol=symbol, interval=feed.interval, since=since)
    return [Bar(at, at + length, opened, high, low, close) for at, opened, high, low, close in rows]


def _entry(row: Decision, fee: Decimal) -> AskedEntry | None:
    """Return the entry that a decision asks for, at the price that its cycle saw; None for one that cannot be followed."""
    price = _price(row.cycle.seen, row.symbol)
    if price is None or row.asked_quantity is None or row.stop_loss is None:
        return None
    side = Side.LONG if row.action == Action.BUY.value else Side.SHORT
    entry = AskedEntry(side, price, row.asked_quantity, row.stop_loss, row.profit_target, fee)
    return entry if entry.sound else None


def _price(seen: Mapping[str, Mapping[str, object]], symbol: str) -> Decimal | None:
    try:
        return Decimal(str(seen[symbol]["price"]))
    except (KeyError, TypeError, InvalidOperation):
        return None


def _before(row: Decision, entry: AskedEntry) -> Followed:
    """Return how far a decision was followed; one that was not begins when its reply was there."""
    known = getattr(row, "afterwards", None)
    if known is not None:
        return Followed(known.end, known.exit_price, known.until, known.best, known.worst)
    waited = timedelta(milliseconds=row.interaction.latency_ms if row.interaction else 0)
    return beginning(entry, at=row.at + waited)


def _row(row: Decision, entry: AskedEntry, after: Followed) -> Afterwards:
    known = getattr(row, "afterwards", None)
    return Afterwards(
        pk=known.pk if known is not None else None,
        decision=row,
        end=after.end,
        entry_price=entry.price,
        exit_price=after.price,
        until=after.until,
        net=entry.net(after.price),
        multiple=entry.multiple(after.price),
        best=after.best,
        worst=after.worst,
    )


def _write(rows: Sequence[Afterwards]) -> int:
    """Store what is new. Two that count at once come to the same, so whoever is second changes nothing."""
    Afterwards.objects.bulk_create([row for row in rows if not row.pk], ignore_conflicts=True)
    Afterwards.objects.bulk_update([row for row in rows if row.pk], FIELDS)
    return len(rows)
