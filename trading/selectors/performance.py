"""What accounts, bots and models earned: from stored days, never from the books themselves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import batched
from typing import Any, Final, NamedTuple

from django.db.models import FloatField, Min, Q, QuerySet, Sum
from django.db.models.functions import Cast

from accounts.models import Account, AuditEntry
from trading.domain.performance import EquityOfDay, fall_within, falls, ratio, wilson
from trading.domain.performance_days import A_DAY, SUMS, Change, Sums, Zones, zones_from
from trading.models import EquityHour, PerformanceDay, PerformanceState
from vibex.lib.money import booked

ZERO: Final = Decimal(0)
OF_A_DAY: Final = ("realised", "fees", "funding", "cost", "closed", "won", "turnover")
EQUITY: Final = ("equity_first", "equity_last", "equity_lowest", "equity_highest", "transfers")
LOOKED_INTO: Final = 16
"""Days whose hours are read in one query."""
OF_SUMS: Final = {name: Sum(name) for name in SUMS}


@dataclass(frozen=True, slots=True)
class Earned:
    """What was earned. Money in the quote asset, the cost of models in US dollars; None is what nothing was divided by."""

    sums: Sums

    @property
    def net(self) -> Decimal:
        """Realised result after fees and funding."""
        return self.sums.realised - self.sums.fees + self.sums.funding

    @property
    def net_after_cost(self) -> Decimal:
        return self.net - self.sums.cost

    @property
    def hit_rate(self) -> float | None:
        return self.sums.won / self.sums.closed if self.sums.closed else None

    @property
    def hit_rate_interval(self) -> tuple[float, float] | None:
        return wilson(self.sums.won, self.sums.closed)

    @property
    def profit_factor(self) -> float | None:
        """Sum of the gains ÷ sum of the losses, of closed positions, net."""
        return ratio(self.sums.gain, -self.sums.loss)

    @property
    def expectancy(self) -> Decimal | None:
        """Net result of a closed position on average."""
        return (self.sums.gain + self.sums.loss) / self.sums.closed if self.sums.closed else None


@dataclass(frozen=True, slots=True)
class OfAccount:
    """What became of the equity of an account."""

    first: Decimal
    last: Decimal
    transfers: Decimal
    max_drawdown: float
    """Deepest fall of a unit of the account from an earlier peak, as a share."""

    @property
    def earned(self) -> float | None:
        """Result ÷ equity at the start, net of transfers."""
        return ratio(self.last - self.first - self.transfers, self.first)


@dataclass(frozen=True, slots=True)
class Part:
    """What one bot or one model earned. Neither: what no bot did."""

    bot: int | None
    model: str | None
    earned: Earned


class Day(NamedTuple):
    """What a day came to. A tuple, since a year of them is read for one answer."""

    day: date
    realised: Decimal
    fees: Decimal
    funding: Decimal
    cost: Decimal
    closed: int
    won: int
    turnover: Decimal
    equity_last: Decimal | None = None
    """Of one whole account, else None."""

    @property
    def net(self) -> Decimal:
        return self.realised - self.fees + self.funding


@dataclass(frozen=True, slots=True)
class Performance:
    """What was earned over some days."""

    as_of: datetime | None
    """Wall time up to which it is summed; of several accounts the earliest."""
    total: Earned
    days: tuple[Day, ...]
    parts: tuple[Part, ...] = ()
    of_account: OfAccount | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """Of what performance is asked. `since` is included, `until` is not: days of the account's time zone."""

    account: int | None = None
    bot: int | None = None
    model: str | None = None
    since: date | None = None
    until: date | None = None
    by: str | None = None
    """`day`, `bot` or `model`."""


def performance_of(seen: QuerySet[PerformanceDay], states: QuerySet[PerformanceState], asked: Asked) -> Performance:
    """Return what was earned, of the days and states that may be seen. Two queries, one more for each of a series, of parts and
    of the equity of one account, and two besides where its deepest fall lies within a day.
    """
    if asked.account is not None:
        seen, states = seen.filter(account_id=asked.account), states.filter(account_id=asked.account)
    elif asked.bot is not None:
        states = states.filter(account__bots=asked.bot)
    rows = seen.filter(**_within(asked)).order_by()
    narrowed = _narrowed(asked)
    account = asked.account if not narrowed else None
    mine = rows.filter(narrowed) if narrowed else rows.filter(bot=None)
    total = Earned(_sums(mine.aggregate(**OF_SUMS)))
    return Performance(
        as_of=states.aggregate(at=Min("at"))["at"],
        total=total,
        days=tuple(_days(mine, whole=account is not None)) if asked.by == "day" else (),
        parts=_parts(rows, narrowed, asked.by, total.sums) if asked.by in ("bot", "model") else (),
        of_account=_of_account(account, mine) if account is not None else None,
    )


def zones_of(account: Account) -> Zones:
    """Return the time zones of an account's days, by the audit log. One query."""
    return zones_from(account.time_zone, changes_of(Account, [account.pk], "time_zone").get(account.pk, []))


def changes_of(kind: type[Any], keys: Sequence[int], column: str) -> dict[int, list[Change[str]]]:
    """Return when a column of these rows was changed, by the audit log, by the key of the row, oldest first."""
    entries = AuditEntry.objects.filter(
        object_type=kind._meta.label_lower, object_id__in=list(map(str, keys)), after__has_key=column
    )
    found: dict[int, list[Change[str]]] = {}
    for key, at, before, after in entries.order_by("at", "pk").values_list("object_id", "at", "before", "after"):
        was = before.get(column) if isinstance(before, dict) else None
        if was and after[column] and was != after[column]:
            found.setdefault(int(key), []).append(Change(at, str(was), str(after[column])))
    return found


def _within(asked: Asked) -> dict[str, date]:
    within = {"day__gte": asked.since, "day__lt": asked.until}
    return {lookup: day for lookup, day in within.items() if day is not None}


def _narrowed(asked: Asked) -> Q:
    """Return which of the rows of bots are asked for; nothing where all that the account did is."""
    narrowed = Q()
    if asked.bot is not None:
        narrowed &= Q(bot_id=asked.bot)
    if asked.model is not None:
        narrowed &= Q(bot__isnull=False, model=asked.model)
    return narrowed


def _days(rows: QuerySet[PerformanceDay], *, whole: bool) -> list[Day]:
    """Return the days in the order of time, with their equity where all rows are those of one whole account."""
    if whole:
        return list(map(Day._make, rows.order_by("day").values_list("day", *OF_A_DAY, "equity_last")))
    sums = [Sum(name) for name in OF_A_DAY]
    return [Day(*row) for row in rows.order_by("day").values("day").values_list("day", *sums)]


def _parts(rows: QuerySet[PerformanceDay], narrowed: Q, by: str, total: Sums) -> tuple[Part, ...]:
    column = "bot_id" if by == "bot" else "model"
    groups = rows.filter(narrowed, bot__isnull=False).values(column).annotate(**OF_SUMS).order_by(column)
    parts = [
        Part(row[column] if by == "bot" else None, row[column] if by == "model" else None, Earned(_sums(row)))
        for row in groups
    ]
    # What nobody here decided, as a position that was opened by hand elsewhere, is in the account and in no part of it.
    rest = _less(total, _together(part.earned.sums for part in parts))
    if not narrowed and rest != Sums():
        parts.append(Part(None, None, Earned(rest)))
    return tuple(parts)


def _of_account(account_id: int, rows: QuerySet[PerformanceDay]) -> OfAccount | None:
    floats = [Cast(name, FloatField()) for name in EQUITY]
    known = list(rows.filter(equity_last__isnull=False).order_by("day").values_list("day", *floats))
    if not known:
        return None
    days = [EquityOfDay(*equity) for _, *equity in known]
    deepest, doubts = falls(days)
    zones: Zones | None = None
    for some in batched(doubts, LOOKED_INTO):
        if some[0].worst <= deepest:
            break
        zones = zones or zones_of(Account.objects.get(pk=account_id))
        spans = [(zones.begin(known[doubt.place][0]), zones.begin(known[doubt.place][0] + A_DAY)) for doubt in some]
        paths = _paths(account_id, spans)
        deepest = max(deepest, *(fall_within(doubt, path) for doubt, path in zip(some, paths, strict=True)))
    moved = sum((_exact(day.transfers) for day in days if day.transfers), ZERO)
    return OfAccount(_exact(days[0].first), _exact(days[-1].last), moved, deepest)


def _exact(value: float) -> Decimal:
    """Return an amount of which a float has all digits that are stored."""
    return booked(Decimal(repr(value)))


def _paths(account_id: int, spans: Sequence[tuple[datetime, datetime]]) -> list[list[float]]:
    """Return the lows and highs of the hours of each span, in the order of time."""
    wanted = Q()
    for begin, end in spans:
        wanted |= Q(hour__gte=begin, hour__lt=end)
    hours = EquityHour.objects.filter(wanted, account=account_id).order_by("hour")
    paths: list[list[float]] = [[] for _ in spans]
    for hour, lowest, highest, lowest_at, highest_at in hours.values_list(
        "hour", "lowest", "highest", "lowest_at", "highest_at"
    ):
        place = next(place for place, (begin, end) in enumerate(spans) if begin <= hour < end)
        paths[place] += [lowest, highest] if lowest_at <= highest_at else [highest, lowest]
    return paths


def _sums(row: dict[str, Any]) -> Sums:
    return Sums(**{name: row[name] or type(getattr(Sums(), name))() for name in SUMS})


def _together(parts: Iterable[Sums]) -> Sums:
    total = Sums()
    for part in parts:
        total.add(part)
    return total


def _less(total: Sums, part: Sums) -> Sums:
    return Sums(**{name: getattr(total, name) - getattr(part, name) for name in SUMS})
