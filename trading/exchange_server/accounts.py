"""The accounts behind the test exchange: each is one matching engine over the same market, with its history.

An engine never looks at a clock or a price by itself: `advance` gives it what has happened since it was looked at last.
All of it runs on the server's loop.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from marketdata.domain.instruments import Bracket, InstrumentSpec
from trading.domain.matching import (
    Changes,
    Depth,
    Engine,
    EngineSettings,
    EngineState,
    MarginMode,
    OrderRecord,
    Orphans,
    PositionRecord,
)
from trading.domain.venue import ZERO, AccountState, Income, Trade
from trading.exchange_server.answers import Refusal
from trading.exchange_server.auth import ApiKey, Gate
from trading.exchange_server.contracts import Contract
from trading.exchange_server.feeding import happenings
from trading.exchange_server.filters import Filters, filters_of
from trading.exchange_server.markets import Markets
from vibex.lib.clock import from_ms
from vibex.lib.errors import Rejected

CROSSED, ISOLATED = "CROSSED", "ISOLATED"
ASSET: Final = "USDT"
IDS_APART: Final = 1_000_000_000
"""Each account numbers its orders, trades and bookings in a thousand million of its own."""
KEY_SECONDS: Final = 3_600.0
"""How long a listen key lives after it was last kept alive."""


@dataclass(frozen=True, slots=True)
class TestAccount:
    """An account to be opened. The venue's own defaults: cross margin, leverage 20, one-way mode."""

    __test__ = False  # not a test, whatever its name says

    user: str = field(default_factory=lambda: "0x" + secrets.token_hex(20))
    deposit: Decimal = Decimal(10_000)
    agents: tuple[str, ...] = ()
    """Addresses of the V3 signers."""
    keys: tuple[ApiKey, ...] = ()
    margin_type: str = CROSSED
    leverage: int = 20
    dual: bool = False
    maker_fee: Decimal | None = None
    taker_fee: Decimal | None = None
    """Fees as fractions; None: those of the contracts."""


@dataclass(frozen=True, slots=True)
class Extra:
    """What the venue remembers of an order and the engine does not need."""

    working_type: str
    created_ms: int
    number: int
    """The number that the outside knows: an amended order keeps the one that it had."""


@dataclass(frozen=True, slots=True)
class Truth:
    """Everything an account holds and has done: what a client's books are compared with."""

    state: AccountState
    orders: tuple[OrderRecord, ...]
    trades: tuple[Trade, ...]
    income: tuple[Income, ...]
    leverages: dict[str, int]
    margin_types: dict[str, str]

    def working(self, symbol: str | None = None) -> list[OrderRecord]:
        """Return the orders that are open now."""
        return [one for one in self.orders if one.status.open and symbol in (None, one.symbol)]

    def orders_of(self, client_order_id: str) -> list[OrderRecord]:
        """Return every order that ever had this client id: more than one means that something was sent twice."""
        return [one for one in self.orders if one.client_order_id == client_order_id]


type Listener = Callable[["Account", Changes], None]


class Account:
    """One account. `told` is called with all that has changed, each time something has."""

    def __init__(
        self, opened: TestAccount, markets: Markets, *, number: int, brackets: dict[str, tuple[Bracket, ...]],
        orphans: Orphans, told: Listener,
    ) -> None:  # fmt: skip
        self.opened, self.user, self.markets = opened, opened.user, markets
        self.alias = secrets.token_hex(8)
        self.dual, self.multi_assets = opened.dual, False
        self.orders: dict[int, OrderRecord] = {}
        self.extras: dict[int, Extra] = {}
        self.trades: list[Trade] = []
        self.income: list[Income] = []
        self.margin_changes: list[dict[str, Any]] = []
        self.realised: dict[str, Decimal] = {}
        self.timers: dict[str, int] = {}
        """Moments (market ms) at which all orders of a symbol are cancelled."""
        self.builders: list[dict[str, str]] = []
        self.listen_key: str | None = None
        self.listen_until = 0.0
        self.called: set[str] = set()
        """Symbols for which a margin call is out; CROSSED stands for all of them."""
        self._told, self._brackets = told, brackets
        self._margin_types: dict[str, str] = {}
        self._fed: dict[str, int] = {}
        mode = MarginMode.CROSS if opened.margin_type == CROSSED else MarginMode.ISOLATED
        self._settings = EngineSettings(
            margin_mode=mode,
            margin_buffer=ZERO,
            orphans=orphans,
            default_leverage=opened.leverage,
            max_open_orders=1_000_000,
        )
        self.engine = self._engine(EngineState(next_id=number * IDS_APART + 1))
        if opened.deposit:
            self.deposit(opened.deposit)

    # -- what it is --------------------------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        return from_ms(self.markets.now_ms())

    def state(self) -> AccountState:
        return self.engine.account_state(self.now)

    def truth(self) -> Truth:
        types = {name: self.margin_type(name) for name in self.markets.contracts}
        leverages = {name: self.leverage(name) for name in self.markets.contracts}
        orders, trades = tuple(self.orders.values()), tuple(self.trades)
        return Truth(self.state(), orders, trades, tuple(self.income), leverages, types)

    def contract(self, symbol: str) -> Contract:
        return self.markets.contracts[symbol]

    def filters(self, symbol: str) -> Filters:
        return filters_of(self.contract(symbol).info)

    def spec(self, symbol: str) -> InstrumentSpec:
        """Return the rules as they hold for this account: brackets and fees included."""
        spec, filters = self.contract(symbol).spec, self.filters(symbol)
        return replace(
            spec,
            min_quantity=filters.lot.least,
            max_quantity=filters.lot.most,
            min_notional=filters.min_notional,
            liquidation_fee=Decimal(str(self.contract(symbol).info.get("liquidationFee", spec.liquidation_fee))),
            maker_fee=spec.maker_fee if self.opened.maker_fee is None else self.opened.maker_fee,
            taker_fee=spec.taker_fee if self.opened.taker_fee is None else self.opened.taker_fee,
            brackets=self._brackets.get(symbol, spec.brackets),
        )

    def leverage(self, symbol: str) -> int:
        return self.engine.state().leverages.get(symbol, self.opened.leverage)

    def margin_type(self, symbol: str) -> str:
        return self._margin_types.get(symbol, self.opened.margin_type)

    def position(self, symbol: str) -> PositionRecord | None:
        return next((one for one in self.engine.state().positions if one.symbol == symbol), None)

    def working(self, symbol: str | None = None) -> list[OrderRecord]:
        """Return the open orders, oldest first."""
        return [one for one in self.engine.state().orders if symbol in (None, one.symbol)]

    def number(self, order: OrderRecord) -> int:
        """Return the order id that the outside knows."""
        extra = self.extras.get(order.exchange_id)
        return order.exchange_id if extra is None else extra.number

    def fed(self, symbol: str) -> bool:
        """Return whether prices of a symbol can change anything here."""
        return self.engine.needs(symbol)

    # -- what is done with it ----------------------------------------------------------------------------------------

    def do[T](self, work: Callable[[Engine, datetime], T]) -> T:
        """Let the engine do something now and tell what came of it. Raises EngineRefusal: then nothing has changed."""
        outcome = work(self.engine, self.now)
        self.collect()
        return outcome

    def collect(self, hidden: int | None = None) -> None:
        """Take what has changed into the history, and tell it. `hidden` is an order that an amendment has replaced."""
        changes = self.engine.drain()
        if hidden is not None:
            changes = replace(changes, orders=tuple(one for one in changes.orders if one.exchange_id != hidden))
        if not changes:
            return
        now = self.markets.now_ms()
        for order in changes.orders:
            self.orders[order.exchange_id] = order
            self.extras.setdefault(order.exchange_id, Extra("MARK_PRICE", now, order.exchange_id))
        self.trades.extend(changes.trades)
        self.income.extend(changes.income)
        for trade in changes.trades:
            self.realised[trade.symbol] = self.realised.get(trade.symbol, ZERO) + trade.realised
        self._told(self, changes)

    def replace_order(self, old: OrderRecord) -> None:
        """Take in an amendment: the order that made way is no longer shown."""
        del self.orders[old.exchange_id]
        self.collect(hidden=old.exchange_id)

    def deposit(self, amount: Decimal) -> None:
        """Book a deposit, or a withdrawal when it is negative."""
        self.do(lambda engine, at: engine.deposit(amount, at))

    def look(self, symbol: str) -> None:
        """Show the engine the present prices of a symbol, and all that happened before if it has something there."""
        self.advance([symbol])

    def advance(self, also: Iterable[str] = ()) -> None:
        """Let everything happen that the market has done since it was looked at last, in the order of time."""
        now = self.markets.now_ms()
        wanted = {name for name in self.markets.contracts if self.fed(name)}
        for name in set(self._fed) - wanted:
            del self._fed[name]
        since = {name: self._fed.get(name, now) for name in sorted(wanted.union(also))}
        for happening in happenings(self.markets, since, now):
            self._run_timers(happening.at_ms)
            happening.give(self.engine)
            self.collect()
        self._run_timers(now)
        self._fed.update(dict.fromkeys(since, now))

    def cancel_all(self, symbol: str) -> int:
        """Cancel every open order of a symbol and return how many there were."""
        orders = self.working(symbol)
        for order in orders:
            self.do(lambda engine, at, one=order: engine.cancel(one.symbol, one.client_order_id, at=at))  # type: ignore[misc]
        return len(orders)

    def set_margin_type(self, symbol: str, margin_type: str) -> None:
        self._margin_types[symbol] = margin_type

    def use_margin_of(self, symbol: str) -> None:
        """Let the engine count margin as this symbol wants it. Raises Refusal while another one needs it otherwise.

        One engine counts all positions in one way; the venue itself can mix them.
        """
        wanted = MarginMode.CROSS if self.margin_type(symbol) == CROSSED else MarginMode.ISOLATED
        if wanted is self._settings.margin_mode:
            return
        state = self.engine.state()
        if state.positions or state.orders:
            raise Refusal(-4084, "Method is not allowed currently. Upcoming soon.")
        self._settings = replace(self._settings, margin_mode=wanted)
        self.engine = self._engine(state)

    def set_orphans(self, orphans: Orphans) -> None:
        self._settings = replace(self._settings, orphans=orphans)
        self.restore(self.engine.state())

    def restore(self, state: EngineState) -> None:
        """Go on from a state, with the rules as they are now."""
        self.collect()
        self.engine = self._engine(state)

    def _engine(self, state: EngineState) -> Engine:
        specs = {name: self.spec(name) for name in self.markets.contracts}
        engine = Engine(instruments=specs, settings=self._settings, state=state)
        for symbol, depth in self.markets.depths.items():
            engine.set_depth(symbol, depth)
        return engine

    def _run_timers(self, now: int) -> None:
        for symbol in [name for name, at in self.timers.items() if at <= now]:
            del self.timers[symbol]
            self.cancel_all(symbol)


class Accounts:
    """All accounts of one exchange, found by user or by listen key."""

    def __init__(self, markets: Markets, gate: Gate, told: Listener) -> None:
        self.markets, self.gate, self.told = markets, gate, told
        self.by_user: dict[str, Account] = {}
        self.brackets: dict[str, tuple[Bracket, ...]] = {}
        self.orphans = Orphans.KEEP

    def __iter__(self) -> Any:
        return iter(list(self.by_user.values()))

    def open(self, opened: TestAccount) -> Account:
        """Open an account and admit its signers. Raises Rejected for a user that is known."""
        if opened.user.lower() in self.by_user:
            raise Rejected(f"{opened.user} has an account here already.", code="account")
        number = len(self.by_user) + 1
        account = Account(
            opened, self.markets, number=number, brackets=self.brackets, orphans=self.orphans, told=self.told
        )
        self.by_user[opened.user.lower()] = account
        for address in opened.agents:
            self.gate.admit_agent(address, opened.user)
        for key in opened.keys:
            self.gate.admit_key(key, opened.user)
        return account

    def of(self, user: str) -> Account:
        """Return the account of a user. Raises Rejected."""
        account = self.by_user.get(user.lower())
        if account is None:
            raise Rejected(f"{user} has no account here.", code="account")
        return account

    def advance(self) -> None:
        for account in self:
            account.advance()

    def set_brackets(self, symbol: str, brackets: tuple[Bracket, ...]) -> None:
        """Change the brackets of a symbol for everybody, from now on."""
        self.advance()
        self.brackets[symbol] = brackets
        for account in self:
            account.restore(account.engine.state())

    def set_depth(self, symbol: str, depth: Depth | None) -> None:
        """Lay one ladder before everybody, or take it away; older accounts meet it first."""
        self.advance()
        if depth is None:
            self.markets.depths.pop(symbol, None)
        else:
            self.markets.depths[symbol] = depth
        for account in self:
            account.do(lambda engine, at: engine.set_depth(symbol, depth, at=at))

    def set_orphans(self, orphans: Orphans) -> None:
        self.orphans = orphans
        for account in self:
            account.set_orphans(orphans)
