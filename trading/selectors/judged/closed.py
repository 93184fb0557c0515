"""The positions of a subject: closed ones as trades with all that made up their results, and all of them as held."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np
from django.db.models import (
    BigIntegerField,
    Case,
    Count,
    ExpressionWrapper,
    F,
    FloatField,
    Max,
    Q,
    QuerySet,
    Sum,
    Value,
    When,
)
from django.db.models.functions import Cast, Coalesce, Least

from decisions.selectors.spending import model_name
from trading.domain.ratios import Array
from trading.domain.trades import ZERO, ClosedTrade
from trading.models import Position
from trading.selectors.equity_series import Micros
from trading.selectors.judged.lived import Lived
from trading.selectors.judged.subject import ACCOUNT, MODEL, Subject
from trading.selectors.leaderboard import Plain

MOST: Final = 2_000
"""Closed trades that are looked at one by one, the newest."""
SECOND: Final = 1_000_000
A_DAY: Final = 86_400 * SECOND
"""Both in microseconds."""
COLUMNS: Final = (
    "symbol", "side", "opened", "closed", "bought_value", "sold_value", "realised", "fees", "funding", "exit_reason",
    "bot__model", "decision__action", "decision__confidence", "decision__interaction", "decision__interaction__provider",
    "decision__interaction__model_requested", "decision__interaction__cost",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Closed:
    """Trades that were closed within a span, the newest MOST of them."""

    trades: tuple[ClosedTrade, ...]
    cut: bool
    """Whether there are more."""


class Opened(NamedTuple):
    """Positions in one symbol that were opened on one day, in floats: those up to a day together, longer ones each by itself."""

    symbol: str
    place: int
    """Days from the beginning of the span to the day on which they were opened."""
    own: int
    """Key of one that lasted longer than a day; else 0."""
    many: int
    longs: int
    squares: float
    """Σ(value at entry² × microseconds)."""
    drift: float
    """Σ(± value at entry × microseconds)."""
    traded: float
    lasted: int
    """Microseconds of the longest one, within the span."""


class Books:
    """The closed trades of the days of a subject, read once, when they are asked for."""

    def __init__(self, subject: Subject, lived: Lived) -> None:
        self.subject, self.lived = subject, lived

    @cached_property
    def closed(self) -> Closed:
        return closed_of(self.subject, self.lived)


def closed_of(subject: Subject, lived: Lived) -> Closed:
    """Return the trades that were closed on the days that were lived. One query."""
    if not lived.span:
        return Closed((), cut=False)
    begin, end = lived.span
    rows = _positions(subject).filter(closed__gte=begin, closed__lt=end).order_by("-closed", "-pk")
    found = list(rows.values_list(*COLUMNS)[: MOST + 1])
    calls = Counter(row[13] for row in found if row[13] is not None)
    return Closed(tuple(_trade(row, calls) for row in found[:MOST]), len(found) > MOST)


def opened_in(subject: Subject, lived: Lived) -> list[Opened]:
    """Return the positions that were opened within the days that were lived. One query, which sums in the database."""
    if not lived.span:
        return []
    begin, end = (int(moment.timestamp()) * SECOND for moment in lived.span)
    whole, real = BigIntegerField(), FloatField()
    until = Least(Coalesce(Micros("closed", output_field=whole), Value(end)), Value(end), output_field=whole)
    entry, leave = (Plain(name, output_field=real) for name in ("bought_value", "sold_value"))
    sign = Case(When(side=Position.Side.LONG, then=Value(1.0)), default=Value(-1.0), output_field=real)
    rows = _positions(subject).filter(opened__gte=lived.span[0], opened__lt=lived.span[1]).order_by()
    rows = rows.annotate(since=Micros("opened", output_field=whole) - Value(begin), entry=entry, leave=leave, sign=sign)
    # Without its type said the difference is a plain integer, which PostgreSQL says is never longer than a day.
    lasted = ExpressionWrapper(until - Micros("opened", output_field=whole), output_field=whole)
    rows = rows.annotate(lasted=lasted)
    held = Cast("lasted", real)
    groups = rows.annotate(
        place=ExpressionWrapper(F("since") / Value(A_DAY), output_field=whole),
        own=Case(When(lasted__gt=A_DAY, then=F("pk")), default=Value(0), output_field=whole),
    ).values("symbol", "place", "own")
    sums = groups.annotate(
        many=Count("pk"),
        longs=Count("pk", filter=Q(side=Position.Side.LONG)),
        squares=Sum(F("entry") * F("entry") * held, output_field=real),
        drift=Sum(F("sign") * F("entry") * held, output_field=real),
        traded=Sum(F("entry") + F("leave"), output_field=real),
        longest=Max("lasted"),
    )
    return list(map(Opened._make, sums.values_list(*Opened._fields[:-1], "longest")))


def kept_in(subject: Subject, lived: Lived) -> dict[str, float]:
    """Return what was held of each symbol when the days began, short below 0. One query."""
    if not lived.span:
        return {}
    begin = lived.span[0]
    rows = _positions(subject).filter(Q(closed=None) | Q(closed__gt=begin), opened__lt=begin).order_by()
    found: defaultdict[str, float] = defaultdict(float)
    for symbol, side, quantity in rows.values_list("symbol", "side", Plain("peak_quantity")):
        found[symbol] += quantity if side == Position.Side.LONG else -quantity
    return dict(found)


def notional_at(trades: Iterable[ClosedTrade], moments: Sequence[datetime]) -> Array:
    """Return the value at entry of the trades that were open at each moment."""
    change, places = np.zeros(len(moments) + 1), np.array([moment.timestamp() for moment in moments])
    for one in trades:
        change[np.searchsorted(places, one.opened_at.timestamp(), side="left")] += float(one.entry_value)
        change[np.searchsorted(places, one.closed_at.timestamp(), side="left")] -= float(one.entry_value)
    notional: Array = change[:-1].cumsum()
    return notional


def _positions(subject: Subject) -> QuerySet[Position]:
    rows = Position.objects.filter(account__in=[account.pk for account in subject.accounts])
    if subject.kind == ACCOUNT:
        return rows
    rows = rows.filter(bot__in=[bot.pk for bot in subject.bots])
    return rows.filter(_by_model(subject.model)) if subject.kind == MODEL else rows


def _by_model(model: str) -> Q:
    """Return what matches positions that a model decided: as it was asked, or as its bot is set where nobody was."""
    provider, _, name = model.partition("/")
    asked = Q(decision__interaction__model_requested=model)
    asked |= Q(decision__interaction__provider=provider, decision__interaction__model_requested=name)
    return asked | Q(decision__interaction=None, bot__model=model)


def _trade(row: Any, calls: Counter[int]) -> ClosedTrade:
    (symbol, side, opened, closed, bought, sold, realised, fees, funding, why, own, action, stated, call, *asked) = row
    provider, requested, cost = asked
    trade = ClosedTrade(
        symbol, side, opened, closed, bought, sold, realised, fees, funding,
        model=model_name(provider or "", requested) if requested else own or "",
        exit_reason=EXITS.get(why, why),
        signal=(action or "").replace("_", " "),
        confidence=stated,
    )  # fmt: skip
    return replace(trade, cost=Decimal(cost) / calls[call]) if cost else replace(trade, cost=ZERO)


EXITS: Final = {str(value): str(label) for value, label in Position.Exit.choices}
