"""Binance USD-M through ccxt. Since December 2025 it keeps conditional orders in a service of their own.

An order is placed, asked for and cancelled in the service that it belongs to. When a stop fires, the algo service makes
an order in the other one, under another number and another client id: its fills come back here under ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from accounts.domain.credentials import ApiKeys
from marketdata.aster.http import Budget
from marketdata.aster.values import Row, number, rows_of, whole
from marketdata.domain.instruments import InstrumentSpec
from marketdata.venues.public import VenueBusy, VenueDown, VenueRefused
from trading.domain.venue import SETTLED_IN, Income, NewOrder, OrderReport, Trade, VenueStatus
from trading.exchange.aster import payloads
from trading.exchange.aster.form import is_meant, lowers, order_form
from trading.exchange.aster.paging import LIMIT, rows_since
from trading.exchange.aster_codes import Call
from trading.exchange.live import ConnectionCheck
from trading.exchange.through_ccxt.adapter import Books, CcxtExchange
from trading.exchange.through_ccxt.binance import codes, setup
from trading.exchange.through_ccxt.binance.calls import BinanceCalls, calls_of
from trading.exchange.through_ccxt.binance.names import Names
from trading.exchange.through_ccxt.binance.payloads import (
    VENUE,
    child_of,
    conditional_of,
    holdings_of,
    income_of,
    order_of,
    said_by_binance,
    settled,
)
from vibex.lib.clock import Clock, from_ms
from vibex.lib.errors import NeedsOperator, VibexError

UNKNOWN_ORDER: Final = "-2013"
DUPLICATE_IDS: Final = frozenset({"-4116", "-20132"})
NOT_OPEN: Final = frozenset({"-2011", "-2013"})
REACH: Final = timedelta(days=90)
"""Income from further back is not told."""
TRADES_REACH: Final = timedelta(days=180)
FIRING: Final = timedelta(minutes=1)
"""So long a stop may be on its way to become an order before its fills are taken for somebody else's."""


def binance_exchange(
    keys: ApiKeys,
    *,
    testnet: bool,
    specs: Callable[[str], InstrumentSpec],
    clock: Clock,
    budget: Budget | None = None,
    address: str | None = None,
) -> CcxtExchange:
    """Return an account at Binance USD-M. Raises Rejected with the remedy where ccxt is not installed."""
    calls = calls_of(keys, testnet=testnet, address=address, budget=budget)
    return CcxtExchange(Binance(calls, clock), specs=specs, clock=clock)


class Binance:
    """The dialect of Binance USD-M. See `trading.exchange.through_ccxt.adapter.Dialect`."""

    venue = VENUE
    supports_close_position = True
    income_reach: timedelta | None = REACH

    def __init__(self, calls: BinanceCalls, clock: Clock) -> None:
        self._calls, self._clock = calls, clock
        self._names = Names()

    def urgent(self) -> Binance:
        """Return the same account for closing, and for what proves that it is closed."""
        other = copy(self)
        other._calls = self._calls.urgent()
        return other

    def meaning(self, refused: VenueRefused, call: Call) -> VibexError | None:
        return codes.meaning(refused, call)

    # -- state -------------------------------------------------------------------------------------------------------

    def books(self) -> Books:
        """Weight 90, four questions; one more of weight 5 where something is held."""
        orders = setup.orders_of(self._calls)
        with said_by_binance():
            risk = rows_of(self._calls.ask("positionRisk"), "positionRisk")
            risk = [row for row in risk if number(row, "positionAmt", "positionRisk")]
            funds = payloads.funds_of(self._calls.ask("balance"))
        held = holdings_of(risk, self._calls.ask("symbolConfig")) if risk else ()
        held = tuple(holding for holding in held if holding.position)
        if any(not holding.one_way for holding in held):
            text = f"The account at Binance is in hedge mode and holds something: {setup.ADVICE}"
            raise NeedsOperator(text)
        self._names.learn(orders)
        return Books(
            wallet=funds.wallet,
            available=funds.available,
            margin=funds.margin,
            positions=tuple(holding.position for holding in held if holding.position),
            orders=orders,
            others=funds.others,
            unrealised=sum(
                (_profit(row) for row in risk if row.get("marginAsset", SETTLED_IN) == SETTLED_IN), Decimal(0)
            ),
        )

    def order(self, symbol: str, client_order_id: str) -> OrderReport | None:
        """Ask both services; of two orders with this id the newer one is told. None only where both say no.

        A conditional order that was cancelled or expired without a fill is forgotten after 3 days.
        """
        conditional = self._found("algoOrder", {"clientAlgoId": client_order_id})
        plain = self._found("order", {"symbol": symbol, "origClientOrderId": client_order_id})
        if conditional is not None and conditional.get("symbol") != symbol:
            conditional = None  # the algo service knows ids without their symbol
        if conditional is None or (plain is not None and _made(plain, "time") > _made(conditional, "createTime")):
            return None if plain is None else self._learned(order_of(plain))
        return self._whole(conditional)

    # -- changes -----------------------------------------------------------------------------------------------------

    def place(self, order: NewOrder, spec: InstrumentSpec | None) -> OrderReport:
        """Place an order in its service. One of this client id that is open there already is returned when it is the one
        that was meant, which then had arrived before."""
        form = order_form(order, spec)
        try:
            return self._placed(order, form)
        except VenueRefused as refused:
            if refused.code not in DUPLICATE_IDS:
                raise
            try:
                found = self.order(order.symbol, order.client_order_id)
            except (VenueRefused, VenueBusy, VenueDown) as fault:  # there is one, and nobody knows which
                raise VenueDown(str(fault)) from fault
            if found is not None and found.status.open and is_meant(order, found):
                return found
            raise

    def _placed(self, order: NewOrder, form: Mapping[str, str]) -> OrderReport:
        if not order.type.conditional:
            return self._learned(order_of(self._calls.send("POST", "order", form, closing=lowers(order))))
        asked = conditional_form(form)
        report = conditional_of(self._calls.send("POST", "algoOrder", asked, closing=lowers(order)))
        self._names.waiting(order.client_order_id)
        return report

    def cancel(self, symbol: str, client_order_id: str) -> OrderReport:
        """Cancel in the service that the order is known to be in, then in the other one."""
        ways = [self._cancel_plain, self._cancel_conditional]
        if self._names.is_waiting(client_order_id):
            ways.reverse()
        try:
            return ways[0](symbol, client_order_id)
        except VenueRefused as refused:
            if refused.code not in NOT_OPEN:
                raise
        return ways[1](symbol, client_order_id)

    def _cancel_plain(self, symbol: str, client_order_id: str) -> OrderReport:
        form = {"symbol": symbol, "origClientOrderId": client_order_id}
        return self._learned(order_of(self._calls.send("DELETE", "order", form)))

    def _cancel_conditional(self, symbol: str, client_order_id: str) -> OrderReport:
        """Cancel, and read back what it was: the answer holds nothing but its id."""
        told = self._calls.send("DELETE", "algoOrder", {"clientAlgoId": client_order_id})
        try:
            if told.get("clientAlgoId") != client_order_id:
                raise VenueDown(f"Binance answered about another order than {client_order_id} of {symbol}.")
            row = self._found("algoOrder", {"clientAlgoId": client_order_id})
            if row is None:
                raise VenueDown(f"Binance has cancelled {client_order_id} of {symbol} and does not know it.")
            report = self._whole(row)
        except (VenueRefused, VenueBusy, VenueDown) as fault:  # it was cancelled: whatever follows, something was done
            raise VenueDown(str(fault)) from fault
        return replace(report, status=VenueStatus.CANCELED) if report.status is VenueStatus.NEW else report

    # -- history -----------------------------------------------------------------------------------------------------

    def trades(self, symbol: str, since: datetime) -> list[Trade]:
        now = self._clock.now()
        with said_by_binance():
            ask = self._ask_rows("userTrades", {"symbol": symbol})
            span = max(since, now - TRADES_REACH)
            rows = rows_since(span, now, ask, key=lambda row: str(row.get("id")), kind="trades")
            made = [payloads.trade_of(row) for row in rows]
        names = self._names_of(symbol, {trade.exchange_id for trade in made if trade.at >= since})
        return [replace(trade, client_order_id=names.get(trade.exchange_id, "")) for trade in made]

    def income(self, since: datetime) -> list[Income]:
        now = self._clock.now()
        with said_by_binance():
            ask = self._ask_rows("income", {})
            rows = rows_since(max(since, now - REACH), now, ask, key=_payment, kind="income")
        return [income_of(row) for row in rows]

    # -- beyond the port ---------------------------------------------------------------------------------------------

    def leverage_set(self, symbol: str, leverage: int) -> int:
        """Make its margin isolated first, where it is not."""
        setup.isolate(self._calls, symbol)
        return setup.leverage_set(self._calls, symbol, leverage)

    def prepare(self, leverages: Mapping[str, int]) -> None:
        setup.prepare(self._calls, leverages)

    def terms(self, spec: InstrumentSpec) -> InstrumentSpec:
        return setup.with_terms(self._calls, spec)

    def check(self, symbols: Sequence[str]) -> ConnectionCheck:
        return setup.checked(self._calls, symbols)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _found(self, name: str, params: Mapping[str, Any]) -> Row | None:
        """Return what a service knows of an order, None for a clean "there is none"."""
        try:
            rows = rows_of(self._calls.ask(name, params), name)
        except VenueRefused as refused:
            if refused.code == UNKNOWN_ORDER:
                return None
            raise
        if len(rows) != 1:
            raise VenueDown(f"Binance answered GET {name} with {len(rows)} orders instead of one.")
        return rows[0]

    def _whole(self, row: Row) -> OrderReport:
        """Return a conditional order together with what it has become."""
        became, symbol = child_of(row), str(row.get("symbol"))
        child = self._found("order", {"symbol": symbol, "orderId": became}) if became else None
        report = conditional_of(row, None if child is None else order_of(child))
        if became:
            self._names.add(symbol, became, report.client_order_id)
        return report

    def _learned(self, report: OrderReport) -> OrderReport:
        self._names.learn([report])
        return report

    def _ask_rows(self, name: str, given: Mapping[str, str]) -> Callable[[int, int], list[Row]]:
        def ask(start: int, end: int) -> list[Row]:
            asked = {**given, "startTime": start, "endTime": end, "limit": LIMIT}
            return rows_of(self._calls.ask(name, asked), name)

        return ask

    def _names_of(self, symbol: str, numbers: set[str]) -> dict[str, str]:
        """Return our client ids of orders by the venue's numbers; those that it has forgotten are not among them.

        Conditional orders come first: what one has become must never be known by another id than ours.
        """
        if self._names.unknown(symbol, numbers):
            self._learn_children(symbol)
        for one in self._names.unknown(symbol, numbers):
            row = self._found("order", {"symbol": symbol, "orderId": one})
            if row is not None:
                self._learned(order_of(row))
        return self._names.known(symbol, numbers)

    def _learn_children(self, symbol: str) -> None:
        """Read the conditional orders since the oldest that had not ended, and which orders they have become.

        Raises VenueDown while one is firing: its fills may be there already, and would be taken for somebody else's.
        """
        first = following = self._names.listed_to(symbol)
        rows = list[Row]()
        while True:
            asked = {"symbol": symbol, "algoId": following, "limit": LIMIT}
            page = rows_of(self._calls.ask("allAlgoOrders", asked), "allAlgoOrders")
            rows += page
            newest = max((_algo_id(row) for row in page), default=following)
            if len(page) < LIMIT or newest < following:
                break
            following = newest + 1
        for row in rows:
            if became := child_of(row):
                self._names.add(symbol, became, payloads.identity(row, "clientAlgoId", "algo order"))
        recent = [row for row in rows if self._clock.now() - from_ms(_made(row, "updateTime")) < FIRING]
        if not settled(recent):
            raise VenueDown(f"A conditional order of {symbol} is firing at Binance: what it becomes is not told yet.")
        open_ids = [_algo_id(row) for row in rows if row.get("algoStatus") in ("NEW", "TRIGGERING")]
        self._names.list_from(symbol, min(open_ids, default=max([first, *map(_algo_id, rows)])))


def conditional_form(form: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters of POST algoOrder for those that POST order had before 9 December 2025."""
    renamed = {"stopPrice": "triggerPrice", "newClientOrderId": "clientAlgoId"}
    return {"algoType": "CONDITIONAL", **{renamed.get(name, name): value for name, value in form.items()}}


def _profit(row: Row) -> Decimal:
    with said_by_binance():
        return number(row, "unRealizedProfit", "positionRisk")


def _made(row: Row, name: str) -> int:
    with said_by_binance():
        return whole(row, name, "order")


def _algo_id(row: Row) -> int:
    with said_by_binance():
        return whole(row, "algoId", "algo order", least=1, most=10**18)


def _payment(row: Row) -> tuple[str, ...]:
    return tuple(str(row.get(name)) for name in ("incomeType", "tranId", "symbol", "asset", "tradeId"))
