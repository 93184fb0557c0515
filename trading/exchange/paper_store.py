"""The paper venue's tables: load the state of an account, and commit what the engine made of it, whole or not at all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any, Final

from django.db import transaction
from pydantic import TypeAdapter

from trading.domain.matching import Changes, EngineState, OrderRecord, PositionRecord
from trading.domain.matching.tape import Cursor
from trading.domain.venue import Income, IncomeKind, OrderSide, OrderType, TimeInForce, Trade, VenueStatus
from trading.models import PaperAccount, PaperIncome, PaperOrder, PaperPosition, PaperTrade
from vibex.lib.errors import NeedsOperator

OPEN: Final = [status.value for status in VenueStatus if status.open]
ORDER_COLUMNS: Final = [field.name for field in fields(OrderRecord) if field.name not in ("on_last", "terms")]
"""Triggers of the paper venue always wait for the mark, and its orders have no terms but those of the port."""
ORDER_CHANGES: Final = ["status", "quantity", "filled", "filled_cost", "updated"]
POSITION_CHANGES: Final = ["quantity", "cost", "margin", "leverage", "opened"]
ASSETS: Final = ("asset", "fee_asset")
"""Not kept: the paper venue pays and is paid in USDT only."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """An account of the paper venue as it stood at `version`."""

    paper_id: int
    version: int
    state: EngineState
    cursors: Mapping[str, Cursor]

    @property
    def symbols(self) -> set[str]:
        """Symbols whose prices matter: those with a position or an open order."""
        return {position.symbol for position in self.state.positions} | {order.symbol for order in self.state.orders}


def load(account_id: int) -> Loaded:
    """Read an account. The reads are not one snapshot: `commit` and `unchanged` compare the version afterwards."""
    paper = PaperAccount.objects.filter(account_id=account_id).first()
    if paper is None:
        raise NeedsOperator(f"account {account_id} was never opened at the paper venue: create it again with `up`")
    positions = PaperPosition.objects.filter(paper=paper).order_by("symbol")
    return _loaded(paper, positions, open_orders(paper.pk))


def load_many(account_ids: Sequence[int]) -> dict[int, Loaded]:
    """Read accounts in four queries, by account id: those that the venue knows and nobody wrote to meanwhile."""
    papers = list(PaperAccount.objects.filter(account_id__in=account_ids))
    keys = [paper.pk for paper in papers]
    positions: dict[int, list[PaperPosition]] = defaultdict(list)
    orders: dict[int, list[PaperOrder]] = defaultdict(list)
    for position in PaperPosition.objects.filter(paper_id__in=keys).order_by("symbol"):
        positions[position.paper_id].append(position)
    for order in PaperOrder.objects.filter(paper_id__in=keys, status__in=OPEN).order_by("exchange_id"):
        orders[order.paper_id].append(order)
    versions = dict(PaperAccount.objects.filter(pk__in=keys).values_list("pk", "version"))
    return {
        paper.account_id: _loaded(paper, positions[paper.pk], orders[paper.pk])
        for paper in papers
        if versions.get(paper.pk) == paper.version
    }


def version_of(account_id: int) -> int | None:
    """Return how often the venue has written to an account; None for one that it does not know."""
    return PaperAccount.objects.filter(account_id=account_id).values_list("version", flat=True).first()


def _loaded(paper: PaperAccount, positions: Iterable[PaperPosition], orders: Iterable[PaperOrder]) -> Loaded:
    cursors = _cursors().validate_python(paper.matched_until)
    state = EngineState(
        wallet=paper.wallet,
        next_id=paper.next_id,
        leverages=paper.leverages,
        positions=tuple(_position(row) for row in positions),
        orders=tuple(order_record(row) for row in orders),
        prices={symbol: cursor.prices for symbol, cursor in cursors.items()},
    )
    return Loaded(paper.pk, paper.version, state, cursors)


def open_orders(paper_id: int) -> Any:
    return PaperOrder.objects.filter(paper_id=paper_id, status__in=OPEN).order_by("exchange_id")


def unchanged(loaded: Loaded) -> bool:
    """Return whether nobody has committed since `load`, so that what was read belongs together."""
    return PaperAccount.objects.filter(pk=loaded.paper_id, version=loaded.version).exists()


def commit(loaded: Loaded, *, state: EngineState, changes: Changes, cursors: Mapping[str, Cursor]) -> bool:
    """Write the new state in one transaction of its own, if nobody was faster. Return whether it was written."""
    with transaction.atomic():
        swapped = PaperAccount.objects.filter(pk=loaded.paper_id, version=loaded.version).update(
            version=loaded.version + 1,
            wallet=state.wallet,
            leverages=dict(state.leverages),
            matched_until=_cursors().dump_python(dict(cursors), mode="json"),
            next_id=state.next_id,
        )
        if swapped:
            _write_positions(loaded, state)
            write_changes(loaded.paper_id, changes)
    return bool(swapped)


def open_account(account_id: int, *, state: EngineState, changes: Changes, at: datetime) -> PaperAccount:
    """Create the account at the paper venue with what was deposited. Does nothing to one that is there."""
    with transaction.atomic():
        paper, created = PaperAccount.objects.get_or_create(
            account_id=account_id, defaults={"wallet": state.wallet, "next_id": state.next_id, "opened": at}
        )
        if created:
            write_changes(paper.pk, changes)
    return paper


def write_changes(paper_id: int, changes: Changes) -> None:
    """Append trades and income; insert or update orders."""
    orders = [PaperOrder(paper_id=paper_id, **_order_row(order)) for order in changes.orders]
    PaperOrder.objects.bulk_create(
        orders, update_conflicts=True, unique_fields=["paper", "exchange_id"], update_fields=ORDER_CHANGES
    )
    PaperTrade.objects.bulk_create([PaperTrade(paper_id=paper_id, **_trade_row(trade)) for trade in changes.trades])
    PaperIncome.objects.bulk_create([PaperIncome(paper_id=paper_id, **_income_row(paid)) for paid in changes.income])


def order_record(row: PaperOrder) -> OrderRecord:
    """Return an order row as the engine knows it."""
    values = {name: getattr(row, name) for name in ORDER_COLUMNS}
    values["side"] = OrderSide(row.side)
    values["type"] = OrderType(row.type)
    values["status"] = VenueStatus(row.status)
    values["time_in_force"] = TimeInForce(row.time_in_force) if row.time_in_force else None
    for name in ("quantity", "price", "trigger", "filled"):
        values[name] = None if values[name] is None else _short(values[name])
    return OrderRecord(**values)


def trade(row: PaperTrade) -> Trade:
    """Return a trade row in the words of the port."""
    return Trade(
        trade_id=str(row.trade_id),
        client_order_id=row.client_order_id,
        exchange_id=str(row.exchange_id),
        symbol=row.symbol,
        side=OrderSide(row.side),
        quantity=_short(row.quantity),
        price=_short(row.price),
        fee=row.fee,
        realised=row.realised,
        maker=row.maker,
        at=row.at,
    )


def income(row: PaperIncome) -> Income:
    """Return an income row in the words of the port."""
    return Income(str(row.transaction_id), IncomeKind(row.kind), row.symbol, row.amount, row.at, row.trade_id)


def _write_positions(loaded: Loaded, state: EngineState) -> None:
    before = {position.symbol: position for position in loaded.state.positions}
    after = {position.symbol: position for position in state.positions}
    if gone := before.keys() - after.keys():
        PaperPosition.objects.filter(paper_id=loaded.paper_id, symbol__in=gone).delete()
    changed = [position for symbol, position in after.items() if before.get(symbol) != position]
    PaperPosition.objects.bulk_create(
        [PaperPosition(paper_id=loaded.paper_id, **_position_row(position)) for position in changed],
        update_conflicts=True,
        unique_fields=["paper", "symbol"],
        update_fields=POSITION_CHANGES,
    )


def _position(row: PaperPosition) -> PositionRecord:
    return PositionRecord(row.symbol, _short(row.quantity), _short(row.cost), row.margin, row.leverage, row.opened)


def _position_row(position: PositionRecord) -> dict[str, Any]:
    return {field.name: getattr(position, field.name) for field in fields(position)}


def _order_row(order: OrderRecord) -> dict[str, Any]:
    row = {name: getattr(order, name) for name in ORDER_COLUMNS}
    return row | {"time_in_force": order.time_in_force or ""}


def _trade_row(trade: Trade) -> dict[str, Any]:
    return {field.name: getattr(trade, field.name) for field in fields(trade) if field.name not in ASSETS}


def _income_row(income: Income) -> dict[str, Any]:
    return {field.name: getattr(income, field.name) for field in fields(income) if field.name not in ASSETS}


def _short(value: Decimal) -> Decimal:
    """Drop the zeros that a column with ten places pads a price or quantity with."""
    return Decimal(f"{value.normalize():f}")


@cache
def _cursors() -> TypeAdapter[dict[str, Cursor]]:
    return TypeAdapter(dict[str, Cursor])
