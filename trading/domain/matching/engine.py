"""The matching engine: one account over many symbols. Pure and deterministic: the same calls give the same events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.snapshot import Quote
from trading.domain.matching.book import Book
from trading.domain.matching.depth import Depth
from trading.domain.matching.ledger import Ledger
from trading.domain.matching.liquidation import deleverage, liquidate
from trading.domain.matching.rules import check_form, check_market
from trading.domain.matching.taking import enter, serve
from trading.domain.matching.types import (
    Changes,
    EngineRefusal,
    EngineSettings,
    EngineState,
    OrderRecord,
    PositionRecord,
    Prices,
    Terms,
    shown,
)
from trading.domain.matching.walk import Move, quiet_range, run, still, walk, younger
from trading.domain.venue import (
    ZERO,
    AccountState,
    Bar,
    IncomeKind,
    NewOrder,
    OrderReport,
    VenuePosition,
    VenueStatus,
)


class Engine:
    """Orders and prices in, executions and income out. Times are given by the caller.

    Prices may become known late: they meet no order and no position that is younger than they are.
    """

    def __init__(
        self,
        *,
        instruments: Mapping[str, InstrumentSpec],
        settings: EngineSettings | None = None,
        state: EngineState | None = None,
    ) -> None:
        self.settings = settings or EngineSettings()
        self._ledger = Ledger(instruments, self.settings, state or EngineState())
        self._books = self._ledger.books
        self._stated: AccountState | None = None
        """What was said of the account last; None once anything may have changed since."""

    # -- what an account asks for ------------------------------------------------------------------------------------

    def deposit(self, amount: Decimal, at: datetime) -> None:
        """Book a transfer in, or out when negative."""
        self._stated = None
        self._ledger.pay(IncomeKind.TRANSFER, "", amount, at)

    def set_leverage(self, symbol: str, leverage: int) -> int:
        """Set the leverage of a symbol. Raises EngineRefusal while a position or an entry is open, or above the cap."""
        book = self._changing(symbol)
        if not 1 <= leverage <= book.spec.max_leverage:
            raise EngineRefusal(f"{symbol} allows a leverage of 1 to {book.spec.max_leverage}", code="leverage")
        if leverage != book.leverage and _committed(book):
            raise EngineRefusal(f"{symbol} has a position or an open entry", code="leverage")
        self._ledger.set_leverage(book, leverage)
        return leverage

    def place(
        self,
        order: NewOrder,
        *,
        at: datetime,
        on_last: bool = False,
        terms: Terms | None = None,
        after: OrderRecord | None = None,
    ) -> OrderReport:
        """Take an order and fill what crosses. Raises EngineRefusal: then nothing has changed.

        A trigger waits for the mark price, or for the last one with `on_last`. `terms` are those that the port has no
        words for. `after` is an order that this one takes the place of: what that has filled is filled of this.
        """
        book = self._changing(order.symbol)
        check_form(self._ledger, book, order, terms)
        number = self._ledger.next_id
        record = OrderRecord.accepted(order, exchange_id=number, at=at, on_last=on_last, terms=terms)
        if terms is not None and terms.dormant and terms.activation is None:
            price = book.last if on_last else book.mark
            record = replace(record, terms=replace(terms, activation=price)).following(price)
        if after is not None:
            record = record.taking_over(after)
        check_market(self._ledger, book, record)
        self._ledger.new_id()  # only now is the number taken: a refusal changes nothing
        return enter(self._ledger, book, record, at).report

    def cancel(self, symbol: str, client_order_id: str, *, at: datetime) -> OrderReport:
        """Cancel an open order. Raises EngineRefusal when it is not open."""
        book = self._changing(symbol)
        order = book.orders.get(client_order_id)
        if order is None:
            raise EngineRefusal(f"no open order {client_order_id} on {symbol}", code="unknown_order")
        return self._ledger.end(book, order, VenueStatus.CANCELED, at).report

    def take_over(self, symbol: str, *, at: datetime, deleveraged: bool = False) -> None:
        """Let the venue close a position now, whatever the price: by liquidation, or against that of somebody else."""
        book = self._changing(symbol)
        (deleverage if deleveraged else liquidate)(self._ledger, book, at=at)

    # -- what the market does ----------------------------------------------------------------------------------------

    def on_quote(self, quote: Quote, *, span: Decimal = ZERO, at: datetime | None = None) -> None:
        """Take in new prices. `span` is the price range of the bar that opens with them, if there is one: stops that
        fire in the gap slip by their share of it. What they fill is dated `at`, when they were looked at, or else when
        they were quoted."""
        book = self._changing(quote.symbol)
        before = book.mark, book.last
        book.bid, book.ask = quote.bid, quote.ask
        if book.busy:
            prices = (quote.mark, quote.last, quote.bid, quote.ask)
            if not self._quiet(book, min(prices), max(prices)):
                run(self._ledger, book, self._jump(book, quote, before, span, at or quote.at))
        book.mark, book.last = quote.mark, quote.last

    def set_depth(self, symbol: str, depth: Depth | None, *, at: datetime | None = None) -> None:
        """Lay ladders before the account, which use up as it trades, or take them away with None.

        With a moment, what rests in front of a ladder is filled by it at once, as far as it goes.
        """
        book = self._changing(symbol)
        book.depth = depth
        if at is not None:
            serve(self._ledger, book, at)

    def on_bar(self, bar: Bar) -> None:
        """Walk through a bar. Afterwards bid and ask are the close ± half the spread of the settings."""
        ledger = self._ledger
        book = self._changing(bar.symbol)
        if book.busy and not self._quiet(book, *_extremes(bar)):
            walk(ledger, book, bar)
        book.bid = book.ask = None
        book.last = bar.close
        book.mark = bar.close if bar.mark_close is None else bar.mark_close

    def on_close(self, symbol: str, *, last: Decimal, mark: Decimal) -> None:
        """Take in the close of a bar that meets nothing: for who knows that it lies within the quiet range of the symbol."""
        book = self._changing(symbol)
        book.bid = book.ask = None
        book.last, book.mark = last, mark

    def on_funding(self, symbol: str, rate: Decimal, mark: Decimal | None, at: datetime) -> None:
        """Settle funding: −position × mark × rate to the wallet. Without a mark price the one seen last is taken.

        A settlement may become known late: a position that was opened after it pays nothing.
        """
        book = self._changing(symbol)
        if book.position is None or book.position.opened > at:
            return
        price = book.mark_or_entry if mark is None else mark
        self._ledger.pay(IncomeKind.FUNDING_FEE, symbol, -book.position.quantity * price * rate, at)
        self._ledger.cover(symbol, at)
        if not self._ledger.isolated:
            self._stand_still(book, at)

    # -- what stands -------------------------------------------------------------------------------------------------

    def needs(self, symbol: str) -> bool:
        """Return whether prices of this symbol can change anything: a position or an open order is there."""
        book = self._books.get(symbol)
        return book is not None and (book.position is not None or bool(book.orders))

    def quiet_range(self, symbol: str) -> tuple[Decimal, Decimal]:
        """Return the prices strictly between which nothing of this symbol is met; nothing is ever quiet in cross margin."""
        if not self._ledger.isolated:
            return ZERO, ZERO
        return quiet_range(self._ledger, self._ledger.book(symbol))

    def order(self, symbol: str, client_order_id: str) -> OrderReport | None:
        """Return an open order, or None."""
        order = self._ledger.book(symbol).orders.get(client_order_id)
        return order.report if order else None

    def shown(self, symbol: str, client_order_id: str) -> OrderReport | None:
        """Return an open order, or None, also for a symbol that nothing is known of."""
        book = self._books.get(symbol)
        order = book.orders.get(client_order_id) if book is not None else None
        return order.report if order is not None else None

    def prices(self, symbol: str) -> Prices:
        """Return the prices of a symbol seen last; zero before the first."""
        book = self._ledger.book(symbol)
        return Prices(book.last, book.mark, book.bid, book.ask)

    def account_state(self, at: datetime) -> AccountState:
        """Return balance, positions and open orders at the prices seen last."""
        if self._stated is None or self._stated.at != at:
            self._stated = self._state_of(self._ledger, at)
        return self._stated

    @property
    def wallet(self) -> Decimal:
        return self._ledger.wallet

    @property
    def unread(self) -> bool:
        """Whether something has happened since the last `drain`."""
        return self._ledger.unread

    def positions(self) -> list[PositionRecord]:
        """Return what is open."""
        return [position for _, position in self._ledger.held()]

    def state(self) -> EngineState:
        """Return everything a new engine needs to go on from here."""
        return self._ledger.state()

    def drain(self) -> Changes:
        """Return what happened since the last call."""
        return self._ledger.drain()

    # -- inside ------------------------------------------------------------------------------------------------------

    def _changing(self, symbol: str) -> Book:
        """Return the book of a symbol, for a change: what was said of the account no longer holds."""
        self._stated = None
        return self._books.get(symbol) or self._ledger.book(symbol)

    def _state_of(self, ledger: Ledger, at: datetime) -> AccountState:
        unrealised, margin, positions = ZERO, ledger.margin(), []
        for book, position in ledger.held():
            own = book.unrealised
            unrealised += own
            positions.append(self._view(book, position, own))
        available = max(ledger.left_of(margin, unrealised), ZERO)
        orders = tuple([order.report for order in ledger.open_orders()])
        return AccountState(at, ledger.wallet, unrealised, margin, available, tuple(positions), orders)

    def _jump(self, book: Book, quote: Quote, before: tuple[Decimal, Decimal], span: Decimal, at: datetime) -> Move:
        mark, last = before
        return Move(
            mark or quote.mark,
            quote.mark,
            last or quote.last,
            quote.last,
            jump=True,
            low=quote.mark,
            high=quote.mark,
            last_low=quote.last,
            last_high=quote.last,
            slip=self._slip(quote.last, span),
            at=at,
            blind=younger(book, quote.at),
        )

    def _slip(self, price: Decimal, span: Decimal) -> Decimal:
        wanted = price * self.settings.slippage
        if not span:
            return wanted
        return max(wanted, price * self.settings.spread, span * self.settings.stop_slippage_range)

    def _stand_still(self, book: Book, at: datetime) -> None:
        """Liquidate what the wallet no longer carries. Orders have met these prices, or were too young for them."""
        orders = frozenset(order.exchange_id for order in book.orders.values())
        run(self._ledger, book, still(book, at, blind=orders))

    def _quiet(self, book: Book, low: Decimal, high: Decimal) -> bool:
        if not self._ledger.isolated:
            return False
        floor, ceiling = quiet_range(self._ledger, book)
        return floor < low and high < ceiling

    def _view(self, book: Book, position: PositionRecord, unrealised: Decimal) -> VenuePosition:
        margin, liquidation = self._ledger.position_margin(book, position), self._ledger.liquidation_price(book)
        stated = None if liquidation is None else shown(liquidation)
        entry, mark, leverage = position.entry_price, book.mark_or_entry, position.leverage
        return VenuePosition(
            position.symbol,
            position.side,
            position.size,
            entry,
            mark,
            leverage,
            unrealised,
            margin,
            stated,
            position.opened,
        )


def _committed(book: Book) -> bool:
    return book.position is not None or any(not order.only_reduces for order in book.orders.values())


def _extremes(bar: Bar) -> tuple[Decimal, Decimal]:
    low = bar.low if bar.mark_low is None else min(bar.low, bar.mark_low)
    high = bar.high if bar.mark_high is None else max(bar.high, bar.mark_high)
    return low, high
