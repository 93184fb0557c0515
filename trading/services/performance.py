"""The writer of what accounts and bots earned by day, and of equity by hour: sums of the books, made anew at will.

Sums are read outside of any transaction and written by whoever still finds the state as it was when he began to read: of
two workers one writes. What is written is only what differs.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import batched
from typing import Any, Final

from django.db import transaction
from django.db.models import Count, Exists, F, Max, OuterRef, Q, QuerySet, Sum
from django.utils import timezone

from accounts.models import Account
from decisions.models import Interaction
from trading.domain.performance_days import A_DAY, SUMS, Days, EquityDay, Hour, Sums, hours_of, whole
from trading.domain.tie_out import CENT
from trading.models import EquityHour, EquityPoint, Fill, PerformanceDay, PerformanceState, Position
from trading.services.funding import funding_paid
from trading.services.performance_books import Books, Read, books_of, days_read, span_of
from vibex.lib.errors import Retryable

log = logging.getLogger(__name__)

PASS_SECONDS: Final = 20.0
"""Rounds begin every minute. With a thousand accounts one would take longer than that, and several at once more still."""
AT_ONCE: Final = 16
"""Days that are read and written in one go."""
TRIES: Final = 5
BATCH: Final = 200
"""Rows of one statement: below what SQLite takes as parameters."""
A_MICROSECOND: Final = timedelta(microseconds=1)
AN_HOUR: Final = timedelta(hours=1)
LATE: Final = timedelta(minutes=2)
"""A reply of a model that comes after its deadline is waited for a minute."""
EQUITY: Final = ("equity_first", "equity_last", "equity_lowest", "equity_highest", "transfers")
COLUMNS: Final = (*SUMS, *EQUITY)
ZERO: Final = Decimal(0)

type Row = tuple[int | None, str, date]


@dataclass(frozen=True, slots=True)
class Difference:
    """A day that was stored otherwise than its books are. Figures by name, before and now."""

    day: date
    bot: int | None
    model: str
    figures: dict[str, tuple[str, str]]

    def __str__(self) -> str:
        whose = f"bot {self.bot} with {self.model or 'no model'}" if self.bot else "the account"
        told = ", ".join(f"{name} {before} → {now}" for name, (before, now) in self.figures.items())
        return f"{self.day} of {whose}: {told}"


@dataclass(slots=True)
class Made:
    """What a refresh or a rebuild did."""

    days: int = 0
    """Days that were looked at."""
    differences: list[Difference] = field(default_factory=list)
    hours: int = 0
    """Hours that were written."""
    lost: bool = False
    """Whether another worker was at it at the same time: nothing is missing, the other one writes."""


class _Lost(Exception):
    """Another worker wrote meanwhile."""


def performance_refresh_all(*, now: datetime | None = None) -> int:
    """Bring the sums of accounts with something new up to date, the oldest first; return how many accounts that were.

    It goes on for PASS_SECONDS: who has had no turn then has it in the next round. One that fails hides no other; it is
    tried again with the next round.
    """
    done, ends = 0, time.monotonic() + PASS_SECONDS
    for account in _with_something_new():
        if done and time.monotonic() >= ends:
            break
        try:
            performance_refresh(account, now=now)
            done += 1
        except Exception:
            log.exception("the figures of account %s could not be brought up to date", account.pk)
    return done


def performance_refresh(account: Account, *, now: datetime | None = None) -> Made:
    """Sum up the days from the last complete one on, and the equity of the hours since. Safe to do at any time, twice too.

    What was booked late, on a day before, is found once an hour by comparing the totals; then everything is made anew.
    """
    now = now or timezone.now()
    state = PerformanceState.objects.filter(account=account).first()
    if state is None:
        return performance_rebuild(account, now=now)
    books, made = books_of(account), Made()
    try:
        token = state.at
        for chunk in _chunks(_days_due(books, state, now)):
            made.days += len(chunk.days)
            made.differences += _days_put(state, days_read(books, chunk), chunk, token)
            token += A_MICROSECOND
        _state_put(state, token, now)
    except _Lost:
        made.lost = True
        return made
    made.hours = _hours_put(account, state.equity_until)
    if (now - state.at >= AN_HOUR or now.hour != state.at.hour) and not performance_agrees(account):
        return performance_rebuild(account, now=now)
    return made


def performance_rebuild(
    account: Account,
    *,
    now: datetime | None = None,
    since: date | None = None,
    tell: Callable[[date], None] | None = None,
) -> Made:
    """Make every day (from `since` on) and every hour of an account anew from its books, in pieces that are each whole.

    Raises Retryable when other workers keep writing at the same time.
    """
    books, made = books_of(account), Made()
    first, last = span_of(books) or (None, None)
    _strays_delete(account, first, last)
    state, _ = PerformanceState.objects.get_or_create(account=account)
    if first is not None and last is not None:
        for chunk in _chunks(
            [Days.of(books.zones, max(first, since or first), last)] if (since or first) <= last else []
        ):
            made.days += len(chunk.days)
            made.differences += _chunk_rebuild(state, books, chunk)
            if tell is not None:
                tell(chunk.days[-1])
    for _ in range(TRIES):
        state.refresh_from_db()
        try:
            _state_put(state, state.at, max(now or timezone.now(), state.at + A_MICROSECOND))
            break
        except _Lost:
            continue
    made.hours = _hours_put(account, None)
    return made


def performance_agrees(account: Account) -> bool:
    """Tell whether the stored days come to what the books come to: fills, fees, funding, results, and model calls."""
    days = PerformanceDay.objects.filter(account=account, bot=None)
    stored = days.aggregate(
        Sum("fills"), Sum("closed"), Sum("opened"), Sum("realised"), Sum("funding"), net=Sum(F("gain") + F("loss"))
    )
    fills = Fill.objects.filter(account=account).aggregate(count=Count("pk"), realised=Sum("realised"))
    held = Position.objects.filter(account=account)
    closed = held.filter(closed__isnull=False).aggregate(
        count=Count("pk"), net=Sum(F("realised") - F("fees") + F("funding"))
    )
    funding = funding_paid(account).aggregate(sum=Sum("amount"))["sum"]
    counts = (stored["fills__sum"] or 0, stored["closed__sum"] or 0, stored["opened__sum"] or 0)
    if counts != (fills["count"], closed["count"], held.count()):
        return False
    pairs = (("realised__sum", fills["realised"]), ("funding__sum", funding), ("net", closed["net"]))
    return all(abs((stored[name] or ZERO) - (booked or ZERO)) < CENT for name, booked in pairs)


# -- which accounts, which days -------------------------------------------------------------------------------


def _with_something_new() -> QuerySet[Account]:
    """Return the accounts without sums, with a newer point of equity, or with a newer call of a model."""
    points = EquityPoint.objects.filter(account=OuterRef("pk"), at__gte=OuterRef("performance_state__equity_until"))
    calls = Interaction.objects.filter(bot__account=OuterRef("pk"), at__gte=OuterRef("performance_state__at"))
    never = Q(performance_state=None)
    pointless = Q(performance_state__equity_until=None) & Exists(EquityPoint.objects.filter(account=OuterRef("pk")))
    return Account.objects.filter(never | pointless | Exists(points) | Exists(calls)).order_by(
        F("performance_state__at").asc(nulls_first=True), "pk"
    )


def _days_due(books: Books, state: PerformanceState, now: datetime) -> list[Days]:
    """Return the days to sum up: by the market's time those since the last one with equity, and by the wall's since the
    last time. In a replay these lie apart.
    """
    zones, account = books.zones, books.account
    runs = [(zones.day_of(state.at - LATE) - A_DAY, zones.day_of(now))]
    newest = PerformanceDay.objects.filter(account=account, bot=None, equity_last__isnull=False).aggregate(
        at=Max("day")
    )["at"]
    point = EquityPoint.objects.filter(account=account).aggregate(at=Max("at"))["at"]
    if point is not None:
        last = zones.day_of(point)
        runs.append(((newest or last) - A_DAY, last))
    merged: list[tuple[date, date]] = []
    for first, last in sorted(run for run in runs if run[0] <= run[1]):
        if merged and first <= merged[-1][1] + A_DAY:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return [Days.of(zones, first, last) for first, last in merged]


def _chunks(runs: Sequence[Days]) -> Iterator[Days]:
    for run in runs:
        for start in range(0, len(run.days), AT_ONCE):
            days = run.days[start : start + AT_ONCE]
            yield Days(days, run.begins[start : start + len(days) + 1])


# -- writing --------------------------------------------------------------------------------------------------


def _chunk_rebuild(state: PerformanceState, books: Books, chunk: Days) -> list[Difference]:
    for _ in range(TRIES):
        state.refresh_from_db()
        try:
            return _days_put(state, days_read(books, chunk), chunk, state.at)
        except _Lost:
            continue
    raise Retryable(f"The figures of account {books.account.pk} are written by somebody else all the time. Try again.")


def _days_put(state: PerformanceState, read: Read, chunk: Days, token: datetime) -> list[Difference]:
    """Write what differs, if nobody has written since `token`. Raises _Lost otherwise."""
    fresh = _rows_of(read)
    with transaction.atomic():
        mine = PerformanceState.objects.filter(pk=state.pk, at=token)
        if mine.update(at=token + A_MICROSECOND) != 1:
            raise _Lost
        stored = {
            (row.bot_id, row.model, row.day): row
            for row in PerformanceDay.objects.filter(
                account_id=state.account_id, day__gte=chunk.days[0], day__lte=chunk.days[-1]
            )
        }
        found = [one for key, values in fresh.items() if (one := _difference(key, stored.get(key), values))]
        gone = [row.pk for key, row in stored.items() if key not in fresh]
        new = [_made(state.account_id, key, values) for key, values in fresh.items() if key not in stored]
        changed = [
            _filled(stored[key], fresh[key]) for one in found if (key := (one.bot, one.model, one.day)) in stored
        ]
        PerformanceDay.objects.filter(pk__in=gone).delete()
        PerformanceDay.objects.bulk_create(new, batch_size=BATCH // 10)
        PerformanceDay.objects.bulk_update(changed, COLUMNS, batch_size=BATCH // 10)
    return found + [_vanished(row) for key, row in stored.items() if key not in fresh]


def _state_put(state: PerformanceState, token: datetime, now: datetime) -> None:
    if PerformanceState.objects.filter(pk=state.pk, at=token).update(at=now) != 1:
        raise _Lost


def _strays_delete(account: Account, first: date | None, last: date | None) -> None:
    """Delete days on which nothing can have happened."""
    rows = PerformanceDay.objects.filter(account=account)
    (rows if first is None else rows.filter(Q(day__lt=first) | Q(day__gt=last))).delete()


def _rows_of(read: Read) -> dict[Row, dict[str, Any]]:
    """Return the rows that follow from what was read: of each bot and model, and of the account."""
    rows: dict[Row, dict[str, Any]] = {
        (bot, model, day): _values(sums) for (day, bot, model), sums in read.sums.items() if bot is not None
    }
    account = whole(read.sums)
    for day in account.keys() | read.equity.keys():
        rows[None, "", day] = _values(account.get(day, Sums()).rounded(), read.equity.get(day))
    return rows


def _values(sums: Sums, equity: EquityDay | None = None) -> dict[str, Any]:
    nothing = dict.fromkeys(EQUITY, None) | {"transfers": ZERO}
    return asdict(sums) | (asdict(equity) if equity else nothing)


def _difference(key: Row, row: PerformanceDay | None, values: dict[str, Any]) -> Difference | None:
    before = {name: getattr(row, name) for name in COLUMNS} if row else _values(Sums())
    figures = {name: (str(before[name]), str(values[name])) for name in COLUMNS if before[name] != values[name]}
    return Difference(key[2], key[0], key[1], figures) if figures or row is None else None


def _vanished(row: PerformanceDay) -> Difference:
    nothing = _values(Sums())
    now = {name: getattr(row, name) for name in COLUMNS}
    figures = {name: (str(now[name]), str(nothing[name])) for name in COLUMNS if now[name] != nothing[name]}
    return Difference(row.day, row.bot_id, row.model, figures)


def _made(account_id: int, key: Row, values: dict[str, Any]) -> PerformanceDay:
    bot, model, day = key
    return PerformanceDay(account_id=account_id, bot_id=bot, model=model, day=day, **values)


def _filled(row: PerformanceDay, values: dict[str, Any]) -> PerformanceDay:
    for name, value in values.items():
        setattr(row, name, value)
    return row


# -- equity by hour -------------------------------------------------------------------------------------------


def _hours_put(account: Account, until: datetime | None) -> int:
    """Write the hours of the points from the hour before `until` on (all of them: None). The running one is among them."""
    points = EquityPoint.objects.filter(account=account).order_by("at")
    hours = EquityHour.objects.filter(account=account)
    if until is not None:
        since = until.astimezone(UTC).replace(minute=0, second=0, microsecond=0) - AN_HOUR
        points, hours = points.filter(at__gte=since), hours.filter(hour__gte=since)
    stored = {row.hour: row for row in hours}
    fresh = hours_of(points.values_list("at", "equity").iterator(chunk_size=5_000))
    differing = [one for one in fresh if _differs(stored.get(one.hour), one)]
    hours.filter(hour__in=list(stored.keys() - {one.hour for one in fresh})[:BATCH]).delete()
    names = [column for column in Hour.__dataclass_fields__ if column != "hour"]
    for some in batched(differing, BATCH // 10):
        EquityHour.objects.bulk_create(
            [EquityHour(account=account, **asdict(one)) for one in some],
            update_conflicts=True,
            unique_fields=["account", "hour"],
            update_fields=names,
        )
    newest = points.aggregate(at=Max("at"))["at"]
    if newest is not None:
        PerformanceState.objects.filter(account=account).update(equity_until=newest + A_MICROSECOND)
    return len(differing)


def _differs(row: EquityHour | None, hour: Hour) -> bool:
    return row is None or any(getattr(row, name) != value for name, value in asdict(hour).items())
