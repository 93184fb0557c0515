"""What differs between our books and an exchange. Pure: both sides in, differences out, each with both figures.

Nothing is mended here and nothing is guessed: a difference says what each side states and what settles it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from decisions.domain.portfolio import Role
from decisions.domain.proposal import Side
from trading.domain.orders import FINAL, OrderState
from trading.domain.protection import arranged
from trading.domain.venue import (
    SETTLED_IN,
    AccountState,
    Income,
    NewOrder,
    OrderReport,
    OrderSide,
    Trade,
    VenuePosition,
)


class Kind(StrEnum):
    """What differs."""

    ORDER = "order"
    """Ours is in another state than the exchange shows."""
    FOREIGN_ORDER = "foreign order"
    FILL = "missing fill"
    INCOME = "missing ledger line"
    POSITION = "position"
    FOREIGN_POSITION = "foreign position"
    UNPROTECTED = "no stop"
    SURPLUS = "surplus order"
    WALLET = "wallet"


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that differs. `ours` and `theirs` are what the two sides say, `remedy` what settling does about it."""

    kind: Kind
    subject: str
    """Symbol, client id or transaction."""
    ours: str
    theirs: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}: our books say {self.ours}, the exchange says {self.theirs}"


@dataclass(frozen=True, slots=True)
class BookedOrder:
    """An order as the books know it."""

    order: NewOrder
    role: Role
    state: OrderState
    ours: bool


@dataclass(frozen=True, slots=True)
class OpenPosition:
    """An open position as the books know it."""

    symbol: str
    side: Side
    quantity: Decimal
    stop: Decimal | None
    looked_after: bool
    """Ours, or adopted."""


@dataclass(frozen=True, slots=True)
class Books:
    """Our side."""

    orders: Sequence[BookedOrder] = ()
    """Those that are not over."""
    positions: Sequence[OpenPosition] = ()
    ledger: Decimal = Decimal(0)
    """Sum of all lines in USDT."""
    trades: frozenset[tuple[str, str]] = frozenset()
    """Symbol and number of the fills that are booked."""
    income: frozenset[tuple[str, str, str, str]] = frozenset()
    """Kind, transaction, symbol and asset of the lines that are booked."""


@dataclass(frozen=True, slots=True)
class Statement:
    """The exchange's side: account, and what happened since the books were last brought up to date."""

    account: AccountState
    trades: Sequence[Trade] = ()
    income: Sequence[Income] = ()
    looked_up: Mapping[str, OrderReport | None] = field(default_factory=dict)
    """What it says of our orders that are not among its open ones, by client id."""
    by_position: bool = True


def compare(books: Books, told: Statement) -> list[Difference]:
    """Return everything that differs, orders first, money last."""
    return [
        *_orders(books, told),
        *_missing(books, told),
        *_positions(books, told),
        *_protection(books, told),
        *_wallet(books, told),
    ]


def _orders(books: Books, told: Statement) -> Iterable[Difference]:
    shown = {report.client_order_id: report for report in told.account.orders}
    known = {booked.order.client_order_id for booked in books.orders}
    for booked in books.orders:
        key = booked.order.client_order_id
        if booked.state in FINAL or key in shown:
            continue
        if booked.state is OrderState.PLANNED:
            yield Difference(Kind.ORDER, key, "planned", "nothing", "it is denied: it never left")
            continue
        report = told.looked_up.get(key)
        theirs = "no such order" if report is None else f"{report.status.value} ({_plain(report.filled)} filled)"
        yield Difference(Kind.ORDER, key, booked.state.value, theirs, _remedy(booked, report))
    for key, report in shown.items():
        if key not in known:
            what = f"{report.side.value} {report.type.value} {report.symbol}"
            yield Difference(Kind.FOREIGN_ORDER, key, "nothing", what, "it is watched and left alone")


def _remedy(booked: BookedOrder, report: OrderReport | None) -> str:
    if report is not None:
        return "what the exchange says is taken over"
    if booked.state in (OrderState.SENDING, OrderState.UNKNOWN):
        return "it is asked for until it is proved absent"
    return "it is asked for again" if booked.ours else "it is gone"


def _missing(books: Books, told: Statement) -> Iterable[Difference]:
    for trade in told.trades:
        if (trade.symbol, trade.trade_id) not in books.trades:
            what = f"{trade.side.value} {_plain(trade.quantity)} at {_plain(trade.price)}"
            yield Difference(Kind.FILL, f"{trade.symbol} {trade.trade_id}", "nothing", what, "it is booked")
    for line in told.income:
        if (line.kind.value, line.transaction_id, line.symbol, line.asset) not in books.income:
            what = f"{line.kind.value} {_plain(line.amount)} {line.asset}"
            yield Difference(Kind.INCOME, line.transaction_id, "nothing", what, "it is booked")


def _positions(books: Books, told: Statement) -> Iterable[Difference]:
    ours = {position.symbol: position for position in books.positions}
    theirs = {position.symbol: position for position in told.account.positions}
    for symbol in sorted(ours.keys() | theirs.keys()):
        one, other = ours.get(symbol), theirs.get(symbol)
        said, shown = _held(one), _held(other)
        if said != shown:
            kind = Kind.POSITION if one else Kind.FOREIGN_POSITION
            yield Difference(kind, symbol, said, shown, "trades are read again; what stays is an incident")
        elif one is not None and not one.looked_after:
            remedy = "the account's setting decides: adopt, close or flag"
            yield Difference(Kind.FOREIGN_POSITION, symbol, "not opened by Vibex", shown, remedy)


def _protection(books: Books, told: Statement) -> Iterable[Difference]:
    working = {report.client_order_id for report in told.account.orders}
    stops = [one for one in books.orders if one.ours and one.role is Role.STOP]
    held = {position.symbol: position for position in told.account.positions}
    for ours in books.positions:
        there = held.get(ours.symbol)
        if there is None or not ours.looked_after:
            continue
        right = OrderSide.to_close(there.side)
        mine = [
            one.order
            for one in stops
            if one.order.symbol == ours.symbol and one.order.client_order_id in working and one.order.side is right
        ]
        found = arranged(mine, wanted=ours.stop, held=there.quantity, by_position=told.by_position)
        if found.cover is None:
            wanted = "a stop" if ours.stop is None else f"a stop at {_plain(ours.stop)}"
            yield Difference(Kind.UNPROTECTED, ours.symbol, wanted, "none that covers it", "it is placed, or closed")
        for extra in found.spare:
            yield Difference(Kind.SURPLUS, extra.client_order_id, "one stop", "one more", "it is cancelled")
    for one in books.orders:
        if one.ours and one.role.protects and one.order.client_order_id in working and one.order.symbol not in held:
            key = one.order.client_order_id
            yield Difference(Kind.SURPLUS, key, "flat", f"a working {one.role.value}", "it is cancelled")


def _wallet(books: Books, told: Statement) -> Iterable[Difference]:
    new = sum(
        (
            line.amount
            for line in told.income
            if line.asset == SETTLED_IN
            and (line.kind.value, line.transaction_id, line.symbol, line.asset) not in books.income
        ),
        Decimal(0),
    )
    if books.ledger + new != told.account.wallet:
        ours, theirs = _plain(books.ledger + new), _plain(told.account.wallet)
        yield Difference(Kind.WALLET, SETTLED_IN, ours, theirs, "the ledger is read again; what stays is an incident")


def _held(position: OpenPosition | VenuePosition | None) -> str:
    return "flat" if position is None else f"{position.side} {_plain(position.quantity)}"


def _plain(value: Decimal) -> str:
    return f"{value.normalize():f}"
