"""Equity over time, of whatever length, in about a thousand points: stored points where they are few, else stored hours.

Times are read as whole microseconds: to make a moment of each of ten thousand rows would take most of the time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.db.models import F, Field, FloatField, Func, QuerySet
from django.db.models.functions import Cast

from trading.domain.downsampling import Series, thinned
from trading.models import EquityHour, EquityPoint, PerformanceState

MOST_RAW: Final = 12_000
"""Points that are read one by one: four days of two a minute. More of them are taken from hours."""
AN_HOUR: Final = timedelta(hours=1)
DAWN: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class EquitySeries:
    """Equity of an account over time: microseconds since 1970 (market time) and quote units."""

    points: Series
    source: str
    """`points`, or `hours` where lowest and highest of each hour stand for the points in it."""
    thinned: bool
    """Whether points were left out."""


class Micros(Func):
    """A moment as whole microseconds since 1970. The database gives whole numbers: they are not converted once more."""

    output_field: Field[Any, Any] = Field()

    def as_postgresql(self, compiler: Any, connection: Any, **more: Any) -> Any:
        template = "(EXTRACT(EPOCH FROM %(expressions)s) * 1000000)::bigint"
        return self.as_sql(compiler, connection, template=template, **more)

    def as_sqlite(self, compiler: Any, connection: Any, **more: Any) -> Any:
        # Stored as text with six decimals of a second, or with none. SQLite itself rounds to a thousandth.
        (column, params) = compiler.compile(self.source_expressions[0])
        seconds = f"CAST(strftime('%%s', substr({column}, 1, 19)) AS INTEGER) * 1000000"
        rest = f"CAST(substr({column} || '000000', 21, 6) AS INTEGER)"
        return f"({seconds} + {rest})", (*params, *params)


def equity_series(
    account_id: int, *, since: datetime | None = None, until: datetime | None = None, points: int = 1000
) -> EquitySeries:
    """Return the equity of an account from `since` on and before `until` in at most `points` points.

    First, last, lowest and highest are always among them. Two to seven queries.
    """
    series: Series
    raw = _between(EquityPoint.objects.filter(account=account_id), "at", since, until)
    if not _more_than(raw, MOST_RAW):
        series, source = _raw(raw), "points"
    else:
        series, source = _with_hours(account_id, raw), "hours"
    return EquitySeries(thinned(series, points=points), source, len(series) > points or source == "hours")


def moment(micros: int) -> str:
    """Return microseconds since 1970 as ISO 8601 in UTC."""
    return f"{(DAWN + timedelta(microseconds=micros)).replace(tzinfo=None).isoformat()}Z"


def _with_hours(account_id: int, raw: QuerySet[EquityPoint]) -> Series:
    """Return first and last hour point by point, and lowest and highest of each complete one in between."""
    first, last = (raw.order_by(order).values_list("at", flat=True)[:1] for order in ("at", "-at"))
    made = PerformanceState.objects.filter(account=account_id).values_list("equity_until", flat=True).first()
    begin = _hour(first[0]) + AN_HOUR
    end = max(begin, _hour(min(last[0], made or begin)))
    hours = EquityHour.objects.filter(account=account_id, hour__gte=begin, hour__lt=end).order_by("hour")
    rows = hours.values_list(Micros("lowest_at"), "lowest", Micros("highest_at"), "highest")
    # Two questions: to one about both ends a database may read everything between.
    return [*_raw(raw.filter(at__lt=begin)), *_in_order(rows), *_raw(raw.filter(at__gte=end))]


def _in_order(rows: Iterable[tuple[int, float, int, float]]) -> list[tuple[int, float]]:
    found: list[tuple[int, float]] = []
    for low_at, low, high_at, high in rows:
        if low_at < high_at:
            found += ((low_at, low), (high_at, high))
        elif high_at < low_at:
            found += ((high_at, high), (low_at, low))
        else:
            found.append((low_at, low))
    return found


def _raw(points: QuerySet[EquityPoint]) -> list[tuple[int, float]]:
    rows = points.order_by("at").annotate(value=Cast(F("equity"), FloatField()))
    return list(rows.values_list(Micros("at"), "value"))


def _more_than(points: QuerySet[EquityPoint], count: int) -> bool:
    return points.order_by("at").values_list("pk")[count : count + 1].exists()


def _between[R: QuerySet[Any]](rows: R, column: str, since: datetime | None, until: datetime | None) -> R:
    limits = {f"{column}__gte": since, f"{column}__lt": until}
    return rows.filter(**{lookup: at for lookup, at in limits.items() if at is not None})


def _hour(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
