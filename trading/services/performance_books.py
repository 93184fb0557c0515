"""What the days of an account are summed from, read: its books, what its models cost, and its equity."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

from django.db.models import Case, CharField, Count, Expression, IntegerField, Max, Min, Q, Value, When

from accounts.models import Account, Bot
from decisions.models import Decision, Interaction
from decisions.selectors.spending import cost_by_bot_and_model, model_name
from trading.domain.performance_days import (
    Asked,
    Change,
    Days,
    EquityDay,
    Executed,
    Held,
    Key,
    Paid,
    Stated,
    Sums,
    Zones,
    equity_days,
    sums_of,
)
from trading.domain.venue import SETTLED_IN
from trading.models import EquityPoint, Fill, IncomeEntry, Position
from trading.selectors.performance import changes_of, zones_of
from trading.services.funding import funding_paid

LONGEST_NAME: Final = 120
"""Characters that the column of a model holds."""
ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class Books:
    """What the days of an account hang on besides its rows: its zones, and the model of each bot."""

    account: Account
    zones: Zones
    models: dict[int, str]
    """By bot: the model of now."""
    changes: dict[int, list[Change[str]]]
    """By bot: when it was another one, oldest first."""


@dataclass(frozen=True, slots=True)
class Read:
    """What some days come to."""

    sums: dict[Key, Sums]
    equity: dict[date, EquityDay]


def books_of(account: Account) -> Books:
    """Return the books of an account. Its zones and the models of its bots are known from the audit log. Three queries."""
    models = dict(Bot.objects.filter(account=account).values_list("pk", "model"))
    return Books(account, zones_of(account), models, changes_of(Bot, list(models), "model"))


def days_read(books: Books, days: Days) -> Read:
    """Return what days of an account come to. About nine queries, however many days."""
    account = books.account
    sums = sums_of(
        days,
        held=list(_held(books, days)),
        executed=_executed(account, days),
        paid=_paid(account, days),
        asked=(*_spent(account, days), *_decided(books, days)),
    )
    return Read({key: one.rounded() for key, one in sums.items()}, _equity(account, days))


def span_of(books: Books) -> tuple[date, date] | None:
    """Return the first and the last day on which anything happened; None for an account without history. Five queries."""
    account, ends = books.account, list[datetime]()
    for rows, column in (
        (Position.objects.filter(account=account), "opened"),
        (Fill.objects.filter(account=account), "at"),
        (IncomeEntry.objects.filter(account=account), "at"),
        (EquityPoint.objects.filter(account=account), "at"),
        (Interaction.objects.filter(bot__account=account), "at"),
        (Decision.objects.filter(bot__account=account), "at"),
    ):
        found = rows.order_by().aggregate(first=Min(column), last=Max(column))
        ends += [at for at in found.values() if at is not None]
    ends += [at for at in (_last_close(account),) if at is not None]
    return (books.zones.day_of(min(ends)), books.zones.day_of(max(ends))) if ends else None


def _last_close(account: Account) -> datetime | None:
    closed: datetime | None = Position.objects.filter(account=account).aggregate(at=Max("closed"))["at"]
    return closed


def _held(books: Books, days: Days) -> Iterator[Held]:
    rows = Position.objects.filter(Q(closed=None) | Q(closed__gte=days.begin), account=books.account)
    rows = rows.filter(opened__lt=days.end).annotate(own=_own(books, "decision__"))
    asked = ("decision__interaction__provider", "decision__interaction__model_requested")
    columns = ("pk", "symbol", "opened", "closed", "bot_id", "realised", "fees", "funding", "decision__bot_id", *asked)
    for row in rows.order_by().values_list(*columns, "own"):
        pk, symbol, opened, closed, bot, realised, fees, funding, decider, provider, model, own = row
        named = _named(books, decider, provider, model, own) if bot is not None else ""
        yield Held(pk, symbol, opened, closed, bot, named, realised - fees + funding)


def _executed(account: Account, days: Days) -> Iterator[Executed]:
    rows = Fill.objects.filter(account=account, at__gte=days.begin, at__lt=days.end).order_by()
    columns = ("at", "position_id", "order__bot_id", "quantity", "price", "realised", "fee", "fee_asset")
    for at, position, bot, quantity, price, realised, fee, asset in rows.values_list(*columns):
        yield Executed(at, position, bot, quantity * price, realised, fee if asset == SETTLED_IN else ZERO)


def _paid(account: Account, days: Days) -> Iterator[Paid]:
    rows = funding_paid(account).filter(at__gte=days.begin, at__lt=days.end).order_by()
    for at, symbol, amount in rows.values_list("at", "symbol", "amount"):
        yield Paid(at, symbol, amount)


def _spent(account: Account, days: Days) -> Iterator[Asked]:
    spent = cost_by_bot_and_model(account, borders=days.begins[1:-1], since=days.begin, until=days.end)
    for place, bot, each in spent:
        cost, tokens = each.spent.total, each.spent.tokens_total
        yield Asked(days.days[place], bot, each.model[:LONGEST_NAME], cost, each.spent.calls, tokens)


def _decided(books: Books, days: Days) -> Iterator[Asked]:
    rows = Decision.objects.filter(bot__account=books.account, kind=Decision.Kind.LIVE)
    rows = rows.filter(at__gte=days.begin, at__lt=days.end).annotate(day_place=_place(days), own=_own(books, ""))
    groups = rows.order_by().values_list(
        "day_place", "bot_id", "interaction__provider", "interaction__model_requested", "own"
    )
    for place, bot, provider, model, own, count in groups.annotate(Count("pk")):
        yield Asked(days.days[place], bot, _named(books, bot, provider, model, own), decisions=count)


def _place(days: Days) -> Case:
    """Return which of the days a row is of, as an expression."""
    earlier = [When(at__lt=border, then=Value(place)) for place, border in enumerate(days.begins[1:-1])]
    return Case(*earlier, default=Value(len(days.days) - 1), output_field=IntegerField())


def _own(books: Books, of: str) -> Expression:
    """Return the model that its bot had before it was changed, as an expression; "" for the one it has now."""
    earlier = [
        When(**{f"{of}bot_id": bot, f"{of}cycle__began__lt": change.at}, then=Value(change.before))
        for bot, changes in books.changes.items()
        for change in changes
    ]
    return Case(*earlier, default=Value(""), output_field=CharField()) if earlier else Value("", CharField())


def _named(books: Books, bot: int | None, provider: str | None, model: str | None, own: str) -> str:
    """Return the model that decided: the one that was asked, or where nobody was asked the rules of the bot."""
    if model:
        return model_name(provider or "", model)[:LONGEST_NAME]
    return own or (books.models.get(bot, "") if bot is not None else "")


def _equity(account: Account, days: Days) -> dict[date, EquityDay]:
    points = EquityPoint.objects.filter(account=account)
    inside = points.filter(at__gte=days.begin, at__lt=days.end).annotate(day_place=_place(days)).order_by()
    ranges = inside.values("day_place").annotate(low=Min("equity"), high=Max("equity"), last=Max("at"))
    groups = [one for one in ranges if one["last"] is not None]
    if not groups:
        return {}
    ends = {
        at: Stated(equity, moved)
        for at, equity, moved in _stated(points.filter(at__in=[one["last"] for one in groups]))
    }
    before = next((Stated(*rest) for _, *rest in _stated(points.filter(at__lt=days.begin).order_by("-at"))), None)
    first = None if before else next((Stated(*rest) for _, *rest in _stated(points.order_by("at"))), None)
    found = {
        days.days[one["day_place"]]: (ends[one["last"].astimezone(UTC)], one["low"], one["high"]) for one in groups
    }
    return equity_days(found, before, first)


def _stated(points: Any) -> Iterator[tuple[datetime, Decimal, Decimal]]:
    yield from points.values_list("at", "equity", "transfers")[:64]
