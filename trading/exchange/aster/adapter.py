"""AsterDEX behind the Exchange port. What is asked, in which order, and what each failure means: docs/aster-adapter.md."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from marketdata.aster.clock import VenueClock
from marketdata.aster.http import AsterHttp
from marketdata.aster.public import AsterPublic
from marketdata.aster.signing import Signer
from marketdata.aster.values import Row, rows_of
from marketdata.domain.instruments import InstrumentSpec
from marketdata.venues.public import VenueDown, VenueRefused
from trading.domain.venue import SETTLED_IN, AccountState, Income, NewOrder, OrderReport, Trade
from trading.exchange.aster import payloads, setup
from trading.exchange.aster.calls import Calls, Generation, broke_off
from trading.exchange.aster.checking import connection_check
from trading.exchange.aster.failures import DUPLICATE_ID, UNKNOWN_ORDER, acted, asked, kind_of_order, never_sent
from trading.exchange.aster.form import is_meant, lowers, order_form
from trading.exchange.aster.paging import LIMIT, rows_since
from trading.exchange.aster.terms import with_terms
from trading.exchange.aster_codes import Call
from trading.exchange.base import Ambiguous, Refusal, Refused, Unavailable
from trading.exchange.live import ConnectionCheck
from vibex.lib.clock import Clock
from vibex.lib.errors import NeedsOperator, Rejected

REACH: Final = timedelta(days=90)
"""Income from further back is not asked for: each week costs a question of weight 30, and the venue's memory is short."""
RECENT: Final = timedelta(days=56)
"""Trades from further back are asked for by number, from the first of all; later ones by time."""
FEW: Final = 5
"""Up to so many orders are asked for by name; more come in pages, which weigh 5."""
KEPT_NAMES: Final = 20_000


class AsterExchange:
    """One account at AsterDEX. Safe from several threads; must not be called inside a database transaction.

    `specs` returns the rules of a symbol and raises Rejected for one that is not there. `clock` is the market's,
    `venue_clock` measures the venue's and is told when a request was out of time.
    """

    supports_close_position: bool = True
    income_reach: timedelta | None = REACH

    def __init__(
        self,
        http: AsterHttp,
        signer: Signer,
        *,
        generation: Generation = "v3",
        specs: Callable[[str], InstrumentSpec],
        clock: Clock,
        venue_clock: VenueClock | None = None,
    ) -> None:
        self._calls = Calls(http, signer, generation, clock=venue_clock)
        self._specs = specs
        self._clock = clock
        self._names = _Names()
        self._public = AsterPublic(http)
        self._urgent: AsterExchange | None = None

    # -- the port ----------------------------------------------------------------------------------------------------

    def account(self) -> AccountState:
        """Return money in USDT, all positions and all open orders, those of others included (weight 50, three calls).

        The three answers are not of one moment. Orders come first: what a fill in between does to them is seen as a
        stop that still stands over a position that is gone, never as a position without its stop. `at` is the moment
        before the first question, so that what happened since is never taken for something that was seen.
        """
        at = self._clock.now()
        with asked():
            orders = payloads.orders_of(self._calls.ask("openOrders"))
            held = payloads.held_in(self._calls.ask("positionRisk"))
            funds = payloads.funds_of(self._calls.ask("balance"))
        if any(not holding.one_way for holding in held):
            raise NeedsOperator(f"{self._calls.user} at AsterDEX is in hedge mode and holds something: {setup.ADVICE}")
        self._names.learn(orders)
        positions = tuple(holding.position for holding in held if holding.position)
        return AccountState(
            at=at,
            wallet=funds.wallet,
            unrealised=sum((one.unrealised for one in positions if self._in_usdt(one.symbol)), Decimal(0)),
            margin=funds.margin,
            available=funds.available,
            positions=positions,
            orders=orders,
            others=funds.others,
        )

    def place(self, order: NewOrder) -> OrderReport:
        """Place an order. Raises Refused (certainly not placed), Unavailable (never left) or Ambiguous.

        Ambiguous is everything after which nobody knows: no answer, one that cannot be read, or one that is not the
        exchange's own. What only lowers exposure needs nothing but the venue: no rule of ours is looked up for it.

        An order of this client id that is open already is asked for: it is returned when it is the one that was meant,
        which then had arrived before; another one is Refused with DUPLICATE_ID.
        """
        closing = lowers(order)
        form = order_form(order, None if closing else self._spec(order.symbol))
        with acted(kind_of_order(order)):
            try:
                payload = self._calls.send("POST", "order", form, closing=closing)
                return self._report(payload, order.symbol, order.client_order_id)
            except VenueRefused as refused:
                if refused.code != DUPLICATE_ID:
                    raise
                if found := self._arrived_before(order, str(refused)):
                    return found
                raise

    def cancel(self, *, symbol: str, client_order_id: str) -> OrderReport:
        """Cancel an open order. Raises Refused with UNKNOWN_ORDER when it is not open, Unavailable or Ambiguous."""
        form = {"symbol": symbol, "origClientOrderId": client_order_id}
        with acted(Call.CANCEL):
            return self._report(self._calls.send("DELETE", "order", form), symbol, client_order_id)

    def order(self, *, symbol: str, client_order_id: str) -> OrderReport | None:
        """Return what became of an order, None for a clean "no such order". Raises Unavailable: that proves nothing.

        Orders that ended without any fill are no longer known 7 days later: None then does not mean that they never
        were. Of a client id that was used twice the venue decides which order it gives.
        """
        form = {"symbol": symbol, "origClientOrderId": client_order_id}
        with asked(Call.QUERY):
            try:
                return self._report(self._calls.ask("order", form), symbol, client_order_id)
            except VenueRefused as refused:
                if refused.code == UNKNOWN_ORDER:
                    return None
                raise

    def trades(self, *, symbol: str, since: datetime) -> list[Trade]:
        """Return executions at or after `since`, oldest first. Raises Unavailable.

        A trade names its order by number only, so the orders that are not known yet are asked for. The client id is
        empty where the venue has forgotten the order.
        """
        with asked():
            made = [trade for row in self._trade_rows(symbol, since) if (trade := payloads.trade_of(row)).at >= since]
            names = self._names_of(symbol, {trade.exchange_id for trade in made})
        named = [replace(trade, client_order_id=names.get(trade.exchange_id, "")) for trade in made]
        return sorted(named, key=lambda trade: (trade.at, _by_number(trade.trade_id)))

    def income(self, *, since: datetime) -> list[Income]:
        """Return changes of the wallet at or after `since`, oldest first, of at most the last 90 days.

        Those in other assets than USDT are among them: `asset` tells. Raises Unavailable.
        """
        now = self._clock.now()
        with asked():
            rows = rows_since(max(since, now - REACH), now, self._ask_rows("income", {}), key=_payment, kind="income")
            lines = [line for row in rows if (line := payloads.income_of(row)).at >= since]
        return sorted(lines, key=lambda line: (line.at, _by_number(line.transaction_id)))

    def set_leverage(self, *, symbol: str, leverage: int) -> int:
        """Set the leverage of a symbol and return what the exchange now says, read back by positionRisk.

        Its margin is made isolated first, where it is not. Raises Refused while a position or an entry is open,
        NeedsOperator for a margin mode that cannot be switched, Unavailable when it cannot be read back.
        """
        self._spec(symbol)
        setup.isolate(self._calls, symbol)
        return setup.leverage_set(self._calls, symbol, leverage)

    # -- beyond the port ---------------------------------------------------------------------------------------------

    def urgent(self) -> AsterExchange:
        """Return the same account for closing and for what proves it: always the same view, with connections of its own.

        Whatever is called on it takes the part of the budget that nothing of ours refuses, and has little patience.
        """
        if self._urgent is None:
            view = copy(self)
            view._calls = self._calls.urgent()
            view._urgent = view
            self._urgent = view
        return self._urgent

    def prepare(self, leverages: Mapping[str, int]) -> None:
        """Bring the account to one-way mode without shared collateral, and these symbols to isolated margin and leverage.

        Everything is read back and compared. Raises NeedsOperator for what cannot be switched, or only with something
        open; Refused for a leverage that the venue does not allow; Unavailable.
        """
        setup.prepare(self._calls, leverages)

    def terms(self, symbol: str) -> InstrumentSpec:
        """Return the rules of a symbol with this account's own fees and brackets. Raises Refused, Unavailable."""
        spec = self._spec(symbol)
        with asked():
            return with_terms(self._calls, spec)

    def check(self, symbols: Sequence[str]) -> ConnectionCheck:
        """Read money, modes, permissions, fees and clock; change nothing. Raises NeedsOperator, Unavailable."""
        return connection_check(self._calls, symbols, self._public)

    def history(self, *, symbol: str, since: datetime) -> list[OrderReport]:
        """Return the orders of a symbol made at or after `since`, whatever became of them, oldest first (weight 5 a page).

        Those that ended without a fill are no longer known 7 days later. Raises Unavailable.
        """
        ask = self._ask_rows("allOrders", {"symbol": symbol})
        with asked():
            rows = rows_since(since, self._clock.now(), ask, key=lambda row: str(row.get("orderId")), kind="orders")
            found = [payloads.order_of(row) for row in rows]
        self._names.learn(found)
        return sorted(found, key=lambda one: _by_number(one.exchange_id))

    # -- inside ------------------------------------------------------------------------------------------------------

    def _arrived_before(self, order: NewOrder, told: str) -> OrderReport | None:
        """Return the order of a client id that is open, None where it is another one than was meant.

        Raises Ambiguous where it cannot be had: an order of this id stands there, and nobody knows which.
        """
        try:
            found = self.order(symbol=order.symbol, client_order_id=order.client_order_id)
        except (Unavailable, NeedsOperator) as fault:
            raise Ambiguous(f"{told} It could not be asked for: {fault}") from fault
        if found is None:
            raise Ambiguous(f"{told} Yet it was not found.")
        return found if is_meant(order, found) else None

    def _spec(self, symbol: str) -> InstrumentSpec:
        with never_sent():
            try:
                return self._specs(symbol)
            except Rejected as unknown:
                raise Refused(str(unknown), refusal=Refusal.UNKNOWN_SYMBOL) from unknown

    def _in_usdt(self, symbol: str) -> bool:
        """Return whether profit of a symbol is told in USDT; so for one that is no longer listed."""
        try:
            return self._spec(symbol).margin_asset == SETTLED_IN
        except (Refused, Unavailable):
            return True

    def _report(self, payload: object, symbol: str, client_order_id: str) -> OrderReport:
        """Return the order that was asked for. An answer about another one is no answer."""
        try:
            report = payloads.order_of(payload)
        except VenueDown:
            raise
        except Exception as fault:  # a fault of our own must not make an order look as if it had never left
            raise broke_off(fault) from fault
        if (report.symbol, report.client_order_id) != (symbol, client_order_id):
            raise VenueDown(f"AsterDEX answered about another order than {client_order_id} of {symbol}.")
        self._names.learn([report])
        return report

    def _ask_rows(self, name: str, given: Mapping[str, str]) -> Callable[[int, int], list[Row]]:
        def ask(start: int, end: int) -> list[Row]:
            return rows_of(self._calls.ask(name, {**given, "startTime": start, "endTime": end, "limit": LIMIT}), name)

        return ask

    def _trade_rows(self, symbol: str, since: datetime) -> list[Row]:
        now = self._clock.now()
        if since < now - RECENT:
            return self._all_of("userTrades", symbol, first=1, count="fromId", number="id")
        ask = self._ask_rows("userTrades", {"symbol": symbol})
        return rows_since(since, now, ask, key=lambda row: str(row.get("id")), kind="trades")

    def _all_of(
        self, name: str, symbol: str, *, first: int, count: str, number: str, last: int | None = None
    ) -> list[Row]:
        """Return the rows of a list numbered from `first` on, up to `last` or to the end."""
        found, following = list[Row](), first
        while last is None or following <= last:
            rows = rows_of(self._calls.ask(name, {"symbol": symbol, count: following, "limit": LIMIT}), name)
            found += rows
            if len(rows) < LIMIT:
                break
            newest = max(int(payloads.identity(row, number, name)) for row in rows)
            if newest < following:
                raise VenueDown(f"AsterDEX answered with {name} of other numbers than were asked for.")
            following = newest + 1
        return found

    def _names_of(self, symbol: str, numbers: Iterable[str]) -> dict[str, str]:
        """Return the client ids of orders by the venue's numbers; those that it has forgotten are not among them."""
        unknown = self._names.unknown(symbol, numbers)
        if len(unknown) > FEW:
            first, last = min(map(int, unknown)), max(map(int, unknown))
            rows = self._all_of("allOrders", symbol, first=first, last=last, count="orderId", number="orderId")
            self._names.learn(payloads.order_of(row) for row in rows)
            unknown = self._names.unknown(symbol, unknown)
        for number in unknown:
            try:
                self._names.learn([payloads.order_of(self._calls.ask("order", {"symbol": symbol, "orderId": number}))])
            except VenueRefused as refused:
                if refused.code != UNKNOWN_ORDER:
                    raise
        return self._names.known(symbol, numbers)


class _Names:
    """Client ids by symbol and the venue's number. They never change; the oldest are forgotten beyond a bound."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str], str] = OrderedDict()

    def learn(self, reports: Iterable[OrderReport]) -> None:
        with self._lock:
            self._kept |= {(one.symbol, one.exchange_id): one.client_order_id for one in reports}
            while len(self._kept) > KEPT_NAMES:
                self._kept.popitem(last=False)

    def unknown(self, symbol: str, numbers: Iterable[str]) -> list[str]:
        with self._lock:
            return sorted((number for number in numbers if (symbol, number) not in self._kept), key=_by_number)

    def known(self, symbol: str, numbers: Iterable[str]) -> dict[str, str]:
        with self._lock:
            return {number: self._kept[symbol, number] for number in numbers if (symbol, number) in self._kept}


def _by_number(name: str) -> tuple[int, str]:
    """Order numbers by their size, also those that have a word in front."""
    number = name.rpartition(":")[2]
    return (int(number) if number.isdecimal() else 0, name)


def _payment(row: Row) -> tuple[str, ...]:
    return tuple(str(row.get(name)) for name in ("incomeType", "tranId", "symbol", "asset", "tradeId"))
