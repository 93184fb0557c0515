"""Which day of an account something belongs to, and what a day sums up. Pure.

A day begins at midnight in the account's time zone. A change of the zone counts from the next day: that day begins where
the one before it ended, and is longer or shorter by what the zones are apart. So no moment is in two days or in none.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final
from zoneinfo import ZoneInfo

from vibex.lib.money import booked

ZERO: Final = Decimal(0)
A_DAY: Final = timedelta(days=1)
DIGITS: Final = Context(prec=15, rounding=ROUND_HALF_EVEN)
"""As many digits as every database keeps."""


@dataclass(frozen=True, slots=True)
class Change[T]:
    """That something was made another at a moment."""

    at: datetime
    before: T
    after: T


@dataclass(frozen=True, slots=True)
class Zones:
    """The time zones of an account's days."""

    first: str
    changes: tuple[tuple[date, str], ...] = ()
    """From which day on another one holds, oldest first."""

    def of(self, day: date) -> str:
        """Return the zone in which a day ends."""
        return next((zone for since, zone in reversed(self.changes) if since <= day), self.first)

    def begin(self, day: date) -> datetime:
        """Return when a day begins, in UTC: where the one before it ends."""
        zone = ZoneInfo(self.of(day - A_DAY))
        return datetime.combine(day, time(), zone).astimezone(UTC)

    def day_of(self, at: datetime) -> date:
        """Return the day that a moment belongs to."""
        day = at.astimezone(ZoneInfo(self.first)).date()
        while at < self.begin(day):
            day -= A_DAY
        while at >= self.begin(day + A_DAY):
            day += A_DAY
        return day


def zones_from(current: str, changes: Sequence[Change[str]]) -> Zones:
    """Return the zones of an account whose zone is `current`, from its changes on record, oldest first."""
    if not changes:
        return Zones(current)
    known = Zones(changes[0].before)
    for number, change in enumerate(changes):
        # What was changed past the record holds from the last change that is on it.
        after = current if number == len(changes) - 1 else change.after
        since = known.day_of(change.at) + A_DAY
        known = Zones(known.first, (*(kept for kept in known.changes if kept[0] < since), (since, after)))
    return known


@dataclass(frozen=True, slots=True)
class Days:
    """Days that follow one another, and where they begin."""

    days: tuple[date, ...]
    begins: tuple[datetime, ...]
    """One more than days: the last one is the end."""

    @classmethod
    def of(cls, zones: Zones, first: date, last: date) -> Days:
        """Return the days from `first` to `last`, both included."""
        days = tuple(first + A_DAY * number for number in range((last - first).days + 1))
        return cls(days, tuple(zones.begin(day) for day in (*days, last + A_DAY)))

    @property
    def begin(self) -> datetime:
        return self.begins[0]

    @property
    def end(self) -> datetime:
        return self.begins[-1]

    def at(self, moment: datetime | None) -> date | None:
        """Return the day of a moment; None for one before or after all of them."""
        if moment is None or not self.begin <= moment < self.end:
            return None
        return self.days[bisect_right(self.begins, moment) - 1]


@dataclass(frozen=True, slots=True)
class Executed:
    """A fill. `fee` is what left the wallet of the account, so 0 where it was paid in another asset."""

    at: datetime
    position: int | None
    bot: int | None
    value: Decimal
    """Quantity × price."""
    realised: Decimal
    fee: Decimal


@dataclass(frozen=True, slots=True)
class Held:
    """A position, whose it is, and what it came to."""

    key: int
    symbol: str
    opened: datetime
    closed: datetime | None
    bot: int | None
    model: str
    net: Decimal
    """Realised result after fees and funding."""


@dataclass(frozen=True, slots=True)
class Paid:
    """A payment of funding; received is positive."""

    at: datetime
    symbol: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Asked:
    """What calls of one model cost on one day, or how much was decided by it."""

    day: date
    bot: int
    model: str
    cost: Decimal = ZERO
    calls: int = 0
    tokens: int = 0
    decisions: int = 0


@dataclass(slots=True)
class Sums:
    """What a day comes to; the names are the columns of PerformanceDay."""

    opened: int = 0
    closed: int = 0
    won: int = 0
    fills: int = 0
    turnover: Decimal = ZERO
    realised: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    gain: Decimal = ZERO
    loss: Decimal = ZERO
    cost: Decimal = ZERO
    calls: int = 0
    tokens: int = 0
    decisions: int = 0

    def add(self, other: Sums) -> None:
        for name in SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def rounded(self) -> Sums:
        """Return the sums with the digits that every database keeps."""
        found = Sums()
        for name in SUMS:
            value = getattr(self, name)
            setattr(found, name, DIGITS.plus(value) if isinstance(value, Decimal) else value)
        return found


SUMS: Final = tuple(column.name for column in fields(Sums))

type Key = tuple[date, int | None, str]
"""Day, bot, model. What no bot did has neither, and is only in what the whole account comes to."""


def sums_of(
    days: Days,
    *,
    held: Sequence[Held],
    executed: Iterable[Executed],
    paid: Iterable[Paid],
    asked: Iterable[Asked],
) -> dict[Key, Sums]:
    """Return what each day comes to, for each bot and the model that decided.

    `held` has every position that was open at some moment of these days. An opening counts on its day, and so do fills and
    funding; a position counts as won or lost, with all that it came to, on the day it was closed.
    """
    sums = defaultdict[Key, Sums](Sums)
    by_key = {one.key: one for one in held}
    for one in held:
        _count_held(sums, days, one)
    for fill in executed:
        of = by_key.get(fill.position) if fill.position is not None else None
        if (day := days.at(fill.at)) is not None:
            bot, model = (of.bot, of.model) if of else (fill.bot, "")
            sums[day, bot, model].add(Sums(fills=1, turnover=booked(fill.value), realised=fill.realised, fees=fill.fee))
    newest_first = _by_symbol(held)
    for payment in paid:
        if (day := days.at(payment.at)) is not None:
            owner = _owner(newest_first.get(payment.symbol, ()), payment.at)
            bot, model = (owner.bot, owner.model) if owner else (None, "")
            sums[day, bot, model].funding += payment.amount
    for call in asked:
        more = Sums(cost=call.cost, calls=call.calls, tokens=call.tokens, decisions=call.decisions)
        sums[call.day, call.bot, call.model].add(more)
    return dict(sums)


def whole(sums: Mapping[Key, Sums]) -> dict[date, Sums]:
    """Return what each day comes to for the account."""
    found = defaultdict[date, Sums](Sums)
    for (day, _, _), part in sums.items():
        found[day].add(part)
    return dict(found)


def _count_held(sums: defaultdict[Key, Sums], days: Days, one: Held) -> None:
    if (day := days.at(one.opened)) is not None:
        sums[day, one.bot, one.model].opened += 1
    if (day := days.at(one.closed)) is not None:
        gain, loss = max(ZERO, one.net), min(ZERO, one.net)
        sums[day, one.bot, one.model].add(Sums(closed=1, won=int(one.net > 0), gain=gain, loss=loss))


def _by_symbol(held: Iterable[Held]) -> dict[str, list[Held]]:
    found = defaultdict[str, list[Held]](list)
    for one in sorted(held, key=lambda one: (one.opened, one.key), reverse=True):
        found[one.symbol].append(one)
    return found


def _owner(newest_first: Iterable[Held], at: datetime) -> Held | None:
    """Return the position that was open when something was settled, as funding is booked."""
    return next((one for one in newest_first if one.opened <= at and (one.closed is None or one.closed >= at)), None)


# -- equity -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stated:
    """Equity and net transfers so far, as stated at a moment."""

    equity: Decimal
    transfers: Decimal


@dataclass(frozen=True, slots=True)
class EquityDay:
    """Equity of a day. It begins with what was known last before it: nothing is lost between two days."""

    equity_first: Decimal
    equity_last: Decimal
    equity_lowest: Decimal
    equity_highest: Decimal
    transfers: Decimal
    """Net deposits of the day."""


def equity_days(
    points: Mapping[date, tuple[Stated, Decimal, Decimal]], before: Stated | None, first: Stated | None
) -> dict[date, EquityDay]:
    """Return the equity of each day that has points.

    `points` has the last statement of a day with the lowest and the highest equity; `before` is the last statement before
    all of them, `first` the very first where there is none before.
    """
    found: dict[date, EquityDay] = {}
    known = before or first
    for day in sorted(points):
        last, lowest, highest = points[day]
        known = known or last
        found[day] = EquityDay(known.equity, last.equity, lowest, highest, last.transfers - known.transfers)
        known = last
    return found


@dataclass(slots=True)
class Hour:
    """Equity over one hour; the names are the columns of EquityHour."""

    hour: datetime
    first: float
    lowest: float
    highest: float
    last: float
    lowest_at: datetime
    highest_at: datetime
    points: int = 1


def hours_of(points: Iterable[tuple[datetime, Decimal]]) -> list[Hour]:
    """Return the hours (UTC) of points in the order of time. Of two that are equally low the earlier one counts."""
    found: list[Hour] = []
    for at, equity in points:
        value, hour = float(equity), at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        if not found or found[-1].hour != hour:
            found.append(Hour(hour, value, value, value, value, at, at))
            continue
        now = found[-1]
        now.last, now.points = value, now.points + 1
        if value < now.lowest:
            now.lowest, now.lowest_at = value, at
        if value > now.highest:
            now.highest, now.highest_at = value, at
    return found
