"""Hyperliquid behind the Exchange port. What is asked, in which order, and what each failure means: docs/hyperliquid.md."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlsplit

from accounts.domain.credentials import WalletKeys
from marketdata.aster.http import Budget
from marketdata.domain.instruments import InstrumentSpec
from marketdata.venues.public import VenueDown, VenueRefused
from trading.domain.venue import (
    ZERO,
    Income,
    NewOrder,
    OrderReport,
    OrderSide,
    OrderType,
    TimeInForce,
    Trade,
    VenuePosition,
    VenueStatus,
)
from trading.exchange.aster.form import lowers
from trading.exchange.aster_codes import Call
from trading.exchange.base import Refusal, Refused
from trading.exchange.live import ConnectionCheck
from trading.exchange.through_ccxt.adapter import Books, CcxtExchange
from trading.exchange.through_ccxt.hyperliquid import payloads, setup, words
from trading.exchange.through_ccxt.hyperliquid.calls import Calls, beforehand
from trading.exchange.through_ccxt.hyperliquid.form import checked, wire
from trading.exchange.through_ccxt.hyperliquid.history import History
from trading.exchange.through_ccxt.hyperliquid.names import Names
from trading.exchange.through_ccxt.hyperliquid.payloads import Asset
from trading.exchange.through_ccxt.hyperliquid.values import number, price
from trading.exchange.through_ccxt.hyperliquid.wallets import address_of
from vibex.lib.clock import Clock
from vibex.lib.errors import VibexError
from vibex.lib.installation import installation_tag

MAINNET_URL: Final = "https://api.hyperliquid.xyz"
TESTNET_URL: Final = "https://api.hyperliquid-testnet.xyz"
WEIGHT_A_MINUTE: Final = 1_200
"""What the venue allows an address."""


def hyperliquid_exchange(
    keys: WalletKeys,
    *,
    testnet: bool,
    specs: Callable[[str], InstrumentSpec],
    clock: Clock,
    budget: Budget | None = None,
    address: str | None = None,
    nonces: Callable[[], int] | None = None,
    mark: Callable[[], str] = installation_tag,
) -> CcxtExchange:
    """Return the account of a wallet at Hyperliquid.

    `nonces` returns the next number of the wallet that signs (default: what all processes share); `mark` the four
    characters of this installation. Raises Rejected with the remedy where ccxt is not installed, NeedsOperator for a
    wallet that is none.
    """
    url = (address or (TESTNET_URL if testnet else MAINNET_URL)).rstrip("/")
    signer = address_of(keys)
    calls = Calls(
        address=keys.address,
        private_key=keys.private_key,
        url=url,
        testnet=testnet,
        budget=budget or _shared_budget(url),
        nonces=nonces or _shared_nonces(signer),
    )
    calls.begin()
    return CcxtExchange(Hyperliquid(calls, Names(mark), clock, signer=signer), specs=specs, clock=clock)


def _shared_budget(url: str) -> Budget:
    from marketdata.services.budget import DatabaseBudget

    return DatabaseBudget(urlsplit(url).netloc.rpartition("@")[2], limit=WEIGHT_A_MINUTE)


def _shared_nonces(signer: str) -> Callable[[], int]:
    from trading.exchange.through_ccxt.hyperliquid.nonces import DatabaseMilliseconds

    return DatabaseMilliseconds(signer)


class Hyperliquid:
    """The dialect of Hyperliquid. See `trading.exchange.through_ccxt.adapter.Dialect`."""

    venue = words.VENUE
    supports_close_position = False
    income_reach: timedelta | None = None

    def __init__(self, calls: Calls, names: Names, clock: Clock, *, signer: str) -> None:
        self._calls, self._names, self._clock, self._signer = calls, names, clock, signer
        self._assets: dict[str, Asset] = {}
        self._asked_triggers: dict[str, Decimal] = {}
        """What a stop was asked to wait for, where the venue has no such price."""
        self._lock = threading.Lock()

    def urgent(self) -> Hyperliquid:
        """Return the same account for closing, and for what proves that it is closed."""
        other = copy(self)
        other._calls = self._calls.urgent()
        return other

    def meaning(self, refused: VenueRefused, call: Call) -> VibexError | None:
        return words.meaning(refused, call)

    # -- state -------------------------------------------------------------------------------------------------------

    def books(self) -> Books:
        """Weight 22, two questions."""
        orders = payloads.orders_of(self._calls.of_user("frontendOpenOrders"), self._names.ours)
        state = self._calls.of_user("clearinghouseState")
        funds, positions = payloads.funds_of(state), payloads.positions_of(state)
        unrealised = sum((one.unrealised for one in positions), ZERO)
        available = max(min(funds.equity - funds.used, funds.withdrawable), ZERO)
        wallet = funds.equity - unrealised
        return Books(
            wallet=wallet,
            available=available,
            margin=max(wallet - available, ZERO),
            positions=positions,
            orders=tuple(map(self._as_asked, orders)),
        )

    def order(self, symbol: str, client_order_id: str) -> OrderReport | None:
        """Weight 2; where something was filled, 45 more for the average price, which only the fills tell."""
        try:
            told = self._calls.of_user("orderStatus", oid=self._names.asked(client_order_id))
        except VenueRefused as refused:
            if refused.code == words.UNKNOWN_OID:
                return None
            raise
        report = payloads.status_of(told, self._names.ours)
        if report.filled:
            started = payloads.placed_at(told)
            report = replace(report, average_price=self._history().average_price(report, started))
        return self._as_asked(report)

    def trades(self, symbol: str, since: datetime) -> list[Trade]:
        return self._history().trades(symbol, since)

    def income(self, since: datetime) -> list[Income]:
        return self._history().income(since)

    # -- changes -----------------------------------------------------------------------------------------------------

    def place(self, order: NewOrder, spec: InstrumentSpec | None) -> OrderReport:
        """Check, look up what the order needs, send it once.

        An order for the whole position becomes one over what is held now, reduce-only: whoever sent it resizes it when
        the position changes. A market order becomes a limit beyond the touch that expires at once.
        """
        checked(order, spec)
        closing = lowers(order)
        with beforehand():
            asset = self._asset(order.symbol, closing=closing)
            order = self._by_quantity(order)
            if not closing:
                self._never_before(order)
            touch = self._touch(order, asset, closing=closing)
        sent = wire(
            order,
            asset=asset.index,
            decimals=asset.decimals,
            cloid=self._names.cloid(order.client_order_id),
            touch=touch,
        )
        self._remember_trigger(order, sent)
        action = {"type": "order", "orders": [sent], "grouping": "na"}
        try:
            told = self._calls.act(action, closing=closing)
        except VenueRefused as refused:
            if refused.code not in (words.NO_MATCH, words.POST_ONLY):
                raise
            return self._expired(order, sent)
        return self._placed(order, told)

    def cancel(self, symbol: str, client_order_id: str) -> OrderReport:
        """Cancel by our name, and read the order back."""
        with beforehand():
            asset = self._asset(symbol, closing=True)
        name = self._names.asked(client_order_id)
        if isinstance(name, int):
            action: dict[str, Any] = {"type": "cancel", "cancels": [{"a": asset.index, "o": name}]}
        else:
            action = {"type": "cancelByCloid", "cancels": [{"asset": asset.index, "cloid": name}]}
        told = words.statuses_of(self._calls.act(action, closing=True))
        if told != ["success"]:
            raise VenueDown(f"Hyperliquid answered a cancellation of {client_order_id} with {str(told)[:80]}.")
        report = self.order(symbol, client_order_id)
        if report is None:
            raise VenueDown(f"Hyperliquid cancelled {client_order_id}, and does not know it.")
        # What is asked for may lag behind what was done.
        return replace(report, status=VenueStatus.CANCELED) if report.status.open else report

    def leverage_set(self, symbol: str, leverage: int) -> int:
        return setup.leverage_set(self._calls, self._asset(symbol), leverage)

    # -- beyond the port ---------------------------------------------------------------------------------------------

    def prepare(self, leverages: Mapping[str, int]) -> None:
        setup.prepare(self._calls, self._signer, {self._asset(symbol): to for symbol, to in leverages.items()})

    def terms(self, spec: InstrumentSpec) -> InstrumentSpec:
        """Fees of this account, and the brackets of the contract as they are now."""
        self._learn_assets(closing=False)
        asset = self._asset(spec.symbol)
        maker, taker = payloads.fees_of(self._calls.of_user("userFees"))
        most = asset.brackets[0].max_leverage
        return replace(spec, maker_fee=maker, taker_fee=taker, brackets=asset.brackets, max_leverage=most)

    def check(self, symbols: Sequence[str]) -> ConnectionCheck:
        return setup.check(self._calls, self._signer, [self._asset(symbol) for symbol in symbols])

    # -- inside ------------------------------------------------------------------------------------------------------

    def _history(self) -> History:
        return History(self._calls, self._names, self._clock)

    def _asset(self, symbol: str, *, closing: bool = False) -> Asset:
        """Return what the venue calls a symbol. Numbers of contracts never change; new ones are asked for."""
        if symbol not in self._assets:
            self._learn_assets(closing=closing)
        if symbol not in self._assets:
            raise Refused(f"Hyperliquid has no contract {symbol}.", refusal=Refusal.UNKNOWN_SYMBOL)
        return self._assets[symbol]

    def _learn_assets(self, *, closing: bool) -> None:
        found = payloads.assets_of(self._calls.ask("meta", closing=closing))
        with self._lock:
            self._assets |= found

    def _by_quantity(self, order: NewOrder) -> NewOrder:
        """Return the order over what is held now, where it is one for the whole position."""
        if not order.close_position:
            return order
        held = self._held(order.symbol)
        if held is None or OrderSide.to_close(held.side) is not order.side:
            text = f"There is nothing of {order.symbol} that {order.side} could close."
            raise Refused(text, refusal=Refusal.REDUCE_ONLY)
        return replace(order, quantity=held.quantity, reduce_only=True, close_position=False)

    def _held(self, symbol: str) -> VenuePosition | None:
        positions = payloads.positions_of(self._calls.of_user("clearinghouseState", closing=True))
        return next((one for one in positions if one.symbol == symbol), None)

    def _never_before(self, order: NewOrder) -> None:
        """Refuse to open something under the id of an order that is open: the venue itself may take it twice."""
        known = self.order(order.symbol, order.client_order_id)
        if known is not None and known.status.open:
            text = f"An open order at Hyperliquid has the id {order.client_order_id}."
            raise Refused(text, refusal=Refusal.DUPLICATE_ID)

    def _touch(self, order: NewOrder, asset: Asset, *, closing: bool) -> Decimal | None:
        """Return the price that a market order meets; None for an order that needs none."""
        if order.type is not OrderType.MARKET:
            return None
        touch = payloads.touch_of(self._calls.ask("l2Book", closing=closing, coin=asset.coin), order.side)
        if touch is None:
            raise VenueDown(f"Nobody offers anything against a {order.side} of {order.symbol} at Hyperliquid.")
        return touch

    def _placed(self, order: NewOrder, told: object) -> OrderReport:
        """Return what the answer to an order says; where it says too little, what the venue says when it is asked."""
        statuses = words.statuses_of(told)
        if len(statuses) != 1:
            raise VenueDown(f"Hyperliquid answered an order of {order.symbol} without its status.")
        said = statuses[0]
        resting = said.get("resting") if isinstance(said, Mapping) else None
        done = said.get("filled") if isinstance(said, Mapping) else None
        if isinstance(resting, Mapping) and not _immediate(order):
            return self._report(order, str(resting.get("oid") or ""), VenueStatus.NEW)
        if isinstance(done, Mapping) and order.quantity is not None:
            filled = number(done, "totalSz", "order")
            whole = filled >= order.quantity
            if whole or _immediate(order):
                report = self._report(
                    order, str(done.get("oid") or ""), VenueStatus.FILLED if whole else VenueStatus.EXPIRED
                )
                return replace(report, filled=filled, average_price=price(done, "avgPx", "order"))
        report_now = self.order(order.symbol, order.client_order_id)
        if report_now is None:
            raise VenueDown(f"Hyperliquid took an order of {order.symbol} and does not know it yet.")
        return report_now

    def _expired(self, order: NewOrder, sent: Mapping[str, Any]) -> OrderReport:
        """Return an order that met nobody. The venue may not keep such: its number is then what it was sent under."""
        try:
            known = self.order(order.symbol, order.client_order_id)
        except (VenueDown, VenueRefused):
            known = None
        if known is not None and known.status is VenueStatus.EXPIRED:
            return known
        return self._report(order, str(sent.get("c", order.client_order_id)), VenueStatus.EXPIRED)

    def _report(self, order: NewOrder, number: str, status: VenueStatus) -> OrderReport:
        if number.isdecimal():
            self._names.learn(number, order.client_order_id)
        return OrderReport(
            client_order_id=order.client_order_id,
            exchange_id=number,
            symbol=order.symbol,
            side=order.side,
            type=order.type,
            status=status,
            quantity=order.quantity or ZERO,
            price=order.price,
            trigger=order.trigger,
            reduce_only=order.reduce_only,
        )

    def _remember_trigger(self, order: NewOrder, sent: Mapping[str, Any]) -> None:
        trigger = sent["t"].get("trigger")
        if trigger and order.trigger is not None and Decimal(trigger["triggerPx"]) != order.trigger:
            with self._lock:
                self._asked_triggers[order.client_order_id] = order.trigger

    def _as_asked(self, report: OrderReport) -> OrderReport:
        """Tell the trigger that was asked for, where the venue has the nearest price that it knows."""
        asked = self._asked_triggers.get(report.client_order_id)
        return report if asked is None else replace(report, trigger=asked)


def _immediate(order: NewOrder) -> bool:
    return order.type is OrderType.MARKET or order.time_in_force is TimeInForce.IOC
