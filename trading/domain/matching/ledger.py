"""Wallet, positions, open orders and the journal of one account. The only place where money changes hands.

After every booking: wallet = sum of all income, exactly. Hence equity = deposits + realised + unrealised − fees ± funding.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from operator import attrgetter
from typing import Final

from marketdata.domain.instruments import InstrumentSpec
from trading.domain.matching.book import UNKNOWN, Book
from trading.domain.matching.margin import initial_margin, liquidation_price, maintenance_margin
from trading.domain.matching.positions import apply_fill
from trading.domain.matching.types import (
    Changes,
    EngineRefusal,
    EngineSettings,
    EngineState,
    MarginMode,
    OrderRecord,
    Orphans,
    PositionRecord,
    Prices,
)
from trading.domain.venue import ZERO, Income, IncomeKind, OrderSide, OrderType, Trade, VenueStatus
from vibex.lib.money import booked

_EXCHANGE_ID: Final = attrgetter("exchange_id")


class Ledger:
    """One account over many symbols."""

    def __init__(self, instruments: Mapping[str, InstrumentSpec], settings: EngineSettings, state: EngineState) -> None:
        self.settings = settings
        self.isolated = settings.margin_mode is MarginMode.ISOLATED
        self.wallet = state.wallet
        self.books: dict[str, Book] = {}
        self._instruments = instruments
        self.next_id = state.next_id
        self._leverages = dict(state.leverages)
        self._trades: list[Trade] = []
        self._income: list[Income] = []
        self._orders: dict[int, OrderRecord] = {}
        self.unread = False
        """Whether something has happened since the last `drain`."""
        self._restore(state)

    def _restore(self, state: EngineState) -> None:
        for symbol, prices in state.prices.items():
            if symbol not in self._instruments:
                continue  # a price of something that is no longer traded
            book = self.book(symbol)
            book.last, book.mark, book.bid, book.ask = prices.last, prices.mark, prices.bid, prices.ask
        for position in state.positions:
            self.book(position.symbol).position = position
        for order in state.orders:
            self.book(order.symbol).orders[order.client_order_id] = order

    # -- what stands -------------------------------------------------------------------------------------------------

    def book(self, symbol: str) -> Book:
        """Return the book of a symbol. Raises EngineRefusal for one the venue does not trade."""
        try:
            return self.books[symbol]
        except KeyError:
            book = self.books[symbol] = self._new_book(symbol)
            return book

    def _new_book(self, symbol: str) -> Book:
        spec = self._instruments.get(symbol)
        if spec is None:
            raise EngineRefusal(f"{symbol} is not traded here", code="unknown_symbol") from None
        return Book(spec, self._leverages.get(symbol, self.settings.default_leverage))

    def held(self) -> list[tuple[Book, PositionRecord]]:
        """Return the books that hold a position, and what they hold."""
        return [(book, book.position) for book in self.books.values() if book.position is not None]

    def open_orders(self) -> list[OrderRecord]:
        """Return all open orders, oldest first."""
        orders = [order for book in self.books.values() for order in book.orders.values()]
        if len(orders) > 1:
            orders.sort(key=_EXCHANGE_ID)
        return orders

    def state(self) -> EngineState:
        return EngineState(
            wallet=self.wallet,
            next_id=self.next_id,
            leverages=dict(self._leverages),
            positions=tuple(position for _, position in self.held()),
            orders=tuple(self.open_orders()),
            prices={
                symbol: Prices(book.last, book.mark, book.bid, book.ask)
                for symbol, book in self.books.items()
                if book.last
            },
        )

    # -- margin ------------------------------------------------------------------------------------------------------

    def unrealised(self) -> Decimal:
        total = ZERO
        for book in self.books.values():
            if book.position is not None:
                total += book.unrealised
        return total

    def position_margin(self, book: Book, position: PositionRecord) -> Decimal:
        """Return the margin in use: what was set aside (isolated), or notional at mark ÷ leverage (cross)."""
        if self.isolated:
            return position.margin
        return initial_margin(position.size * book.mark_or_entry, position.leverage)

    def reserved(self, book: Book, order: OrderRecord) -> Decimal:
        """Return margin and fee kept for the open part of a resting entry."""
        if order.price is None or order.client_order_id not in book.orders or order.waiting:
            return ZERO
        notional = book.added_by(order) * order.price
        return initial_margin(notional, book.leverage) + booked(notional * book.spec.taker_fee)

    def margin(self) -> Decimal:
        """Return the margin of all positions and of all resting entries."""
        margin = ZERO
        for book in self.books.values():
            position = book.position
            if position is not None:
                margin += position.margin if self.isolated else self.position_margin(book, position)
            for order in book.orders.values():
                if order.price is not None:  # without one it keeps nothing
                    margin += self.reserved(book, order)
        return margin

    def free(self) -> Decimal:
        """Return what new margin may be taken from; negative when more is in use than there is."""
        return self.left_of(self.margin(), ZERO if self.isolated else self.unrealised())

    def left_of(self, margin: Decimal, unrealised: Decimal) -> Decimal:
        """Return what is free with so much margin in use: only with cross margin profit carries, and loss weighs."""
        return self.wallet - margin + (ZERO if self.isolated else unrealised)

    def affords(self, book: Book, order: OrderRecord, price: Decimal) -> bool:
        """Return whether what `order` adds can be carried at `price`."""
        added = book.added_by(order)
        if not added:
            return True
        notional = added * price
        needed = initial_margin(notional, book.leverage) + booked(notional * book.spec.taker_fee)
        return needed <= self.free() + self.reserved(book, order)

    def liquidation_price(self, book: Book) -> Decimal | None:
        """Return the mark price that liquidates the position of a book, unrounded; None when no price does."""
        position = book.position
        if position is None:
            return None
        if not self.isolated:
            return liquidation_price(book.spec, position, self._cross_balance(besides=book))
        if book.liquidation is UNKNOWN:
            book.liquidation = liquidation_price(book.spec, position, position.margin)
        return book.liquidation

    def _cross_balance(self, besides: Book) -> Decimal:
        others = [(book, position) for book, position in self.held() if book is not besides]
        return self.wallet + sum((book.unrealised - self.maintenance(book, p) for book, p in others), ZERO)

    def maintenance(self, book: Book, position: PositionRecord) -> Decimal:
        """Return the maintenance margin of a position at its mark price."""
        return maintenance_margin(book.spec, position.size * book.mark_or_entry)

    # -- what happens ------------------------------------------------------------------------------------------------

    def under_water(self, at: datetime) -> tuple[Book, PositionRecord] | None:
        """Return what has the largest maintenance margin when equity no longer covers all of it (cross margin).

        Only what was held at `at` is taken.
        """
        needed = [(self.maintenance(book, position), book, position) for book, position in self.held()]
        there = [held for held in needed if held[2].opened <= at]
        if not there or self.wallet + self.unrealised() > sum(margin for margin, _, _ in needed):
            return None
        return max(there, key=lambda held: (held[0], held[2].symbol))[1:]

    def new_id(self) -> int:
        number = self.next_id
        self.next_id += 1
        return number

    def set_leverage(self, book: Book, leverage: int) -> None:
        book.leverage = leverage
        self._leverages[book.spec.symbol] = leverage

    def pay(self, kind: IncomeKind, symbol: str, amount: Decimal, at: datetime, trade_id: str = "") -> None:
        """Change the wallet and say why. Nothing is written for zero."""
        if not amount:
            return
        amount = booked(amount)
        if amount:
            self.wallet += amount
            self._income.append(Income(str(self.new_id()), kind, symbol, amount, at, trade_id))
            self.unread = True

    def keep(self, book: Book, order: OrderRecord) -> OrderRecord:
        """Take in the new version of an order: among the open ones, or out of them."""
        if order.status.open:
            book.orders[order.client_order_id] = order
        elif (known := book.orders.get(order.client_order_id)) is not None and known.exchange_id == order.exchange_id:
            del book.orders[order.client_order_id]
        self._orders[order.exchange_id] = order
        self.unread = True
        book.quiet = None  # to be worked out again
        return order

    def _hold(self, book: Book, position: PositionRecord | None) -> None:
        """Let a book hold another position, or none."""
        book.position, book.quiet, book.liquidation = position, None, UNKNOWN

    def end(self, book: Book, order: OrderRecord, status: VenueStatus, at: datetime) -> OrderRecord:
        return self.keep(book, order.ended(status, at))

    def fill(
        self, book: Book, order: OrderRecord, quantity: Decimal, price: Decimal, *, maker: bool, at: datetime
    ) -> OrderRecord:
        """Execute `quantity` of an order at `price`: position, profit, fee, and what becomes of its orphans."""
        before = book.position
        notional = booked(price * quantity)
        applied = apply_fill(
            before,
            symbol=order.symbol,
            side=order.side,
            quantity=quantity,
            price=price,
            notional=notional,
            leverage=book.leverage,
            at=at,
        )
        self._hold(book, applied.position)
        fee = booked(notional * (book.spec.maker_fee if maker else book.spec.taker_fee))
        self._trade(order, quantity, price, fee=fee, realised=applied.realised, maker=maker, at=at)
        order = self.keep(book, order.with_fill(quantity=quantity, cost=notional, at=at))
        if before is not None and book.position is None:
            self._went_flat(book, at)
        self.cover(book.spec.symbol, at)
        return order

    def take_over(
        self,
        book: Book,
        position: PositionRecord,
        *,
        price: Decimal,
        realised: Decimal,
        fee: Decimal,
        at: datetime,
        name: str = "",
    ) -> None:
        """Hand the position to the venue: `realised` is the profit or loss besides the fee of a liquidation.

        `name` is the client id it does so under, where it is no liquidation.
        """
        number = self.new_id()
        side = OrderSide.to_close(position.side)
        self._hold(book, None)
        order = OrderRecord(
            exchange_id=number,
            client_order_id=name or f"autoclose-{number}",
            symbol=position.symbol,
            side=side,
            type=OrderType.MARKET,
            time_in_force=None,
            status=VenueStatus.FILLED,
            quantity=position.size,
            price=None,
            trigger=None,
            reduce_only=True,
            close_position=False,
            filled=position.size,
            filled_cost=booked(price * position.size),
            created=at,
            updated=at,
        )
        self.keep(book, order)
        self._trade(order, position.size, price, fee=ZERO, realised=realised, maker=False, at=at)
        self.pay(IncomeKind.LIQUIDATION_FEE, position.symbol, -fee, at)
        if name:
            self._went_flat(book, at)

    def cover(self, symbol: str, at: datetime) -> None:
        """Bring a wallet below zero back to zero from the insurance fund. Cross margin: only once nothing is held."""
        if self.wallet < ZERO and (self.isolated or not self.held()):
            self.pay(IncomeKind.INSURANCE_CLEAR, symbol, -self.wallet, at)

    def drain(self) -> Changes:
        """Return what happened since the last call, and forget it."""
        changes = Changes(tuple(self._trades), tuple(self._income), tuple(self._orders.values()))
        self._trades, self._income, self._orders, self.unread = [], [], {}, False
        return changes

    def _trade(
        self,
        order: OrderRecord,
        quantity: Decimal,
        price: Decimal,
        *,
        fee: Decimal,
        realised: Decimal,
        maker: bool,
        at: datetime,
    ) -> None:
        self.unread = True
        trade_id, named, number = str(self.new_id()), order.client_order_id, str(order.exchange_id)
        self._trades.append(
            Trade(trade_id, named, number, order.symbol, order.side, quantity, price, fee, realised, maker, at)
        )
        self.pay(IncomeKind.REALIZED_PNL, order.symbol, realised, at, trade_id)
        self.pay(IncomeKind.COMMISSION, order.symbol, -fee, at, trade_id)

    def _went_flat(self, book: Book, at: datetime) -> None:
        if self.settings.orphans is Orphans.CANCEL:
            for order in [order for order in book.orders.values() if order.close_position]:
                self.end(book, order, VenueStatus.CANCELED, at)
