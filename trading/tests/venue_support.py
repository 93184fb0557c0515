"""A market that stands still and an exchange that can be made to misbehave, for tests of execution and settling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np

from decisions.deciders.rules import RulesDecider
from marketdata.domain.candles import Candles
from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.snapshot import Depth, MarketSnapshot, Quote, SymbolView
from marketdata.market import FundingSettlement
from trading.domain.venue import AccountState, Income, NewOrder, OrderReport, Trade
from trading.exchange.base import Ambiguous, Refused, Unavailable
from trading.exchange.simulated import SimulatedExchange
from trading.services.journal.memory import MemoryJournal
from trading.services.world import Care, World
from vibex.lib.clock import SimulatedClock

NOON = datetime(2025, 10, 10, 12, tzinfo=UTC)
BTC = InstrumentSpec(
    venue="sim",
    symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    tick_size=Decimal("0.1"),
    step_size=Decimal("0.001"),
    min_quantity=Decimal("0.001"),
    max_quantity=Decimal(1000),
    min_notional=Decimal(5),
)


@dataclass
class StillMarket:
    """One symbol at one price until the test moves it."""

    price: Decimal = Decimal(100_000)
    venue: str = "sim"

    def instrument(self, symbol: str) -> InstrumentSpec:
        return BTC

    def quote(self, symbol: str, *, at: datetime) -> Quote:
        half = Decimal(5)
        return Quote(symbol, at, self.price, self.price - half, self.price + half, self.price)

    def depth(self, symbol: str, *, at: datetime) -> Depth | None:
        return None

    def snapshot(self, *, symbols: Sequence[str], timeframes: Sequence[str], at: datetime) -> MarketSnapshot:
        views = {symbol: SymbolView(symbol, BTC, self.quote(symbol, at=at), {}) for symbol in symbols}
        return MarketSnapshot(self.venue, at, views, digest=f"{at.isoformat()} {self.price}")

    def base_candles(self, symbol: str, *, since: datetime, until: datetime) -> Candles:
        none = np.empty(0)
        return Candles(symbol, "1m", np.empty(0, np.int64), none, none, none, none, none)

    def funding(self, symbol: str, *, since: datetime, until: datetime) -> list[FundingSettlement]:
        return []


type Fault = Callable[[Callable[[], object]], object]


def lost_reply(call: Callable[[], object]) -> object:
    """The exchange does it, and nobody hears of it."""
    call()
    raise Ambiguous("the answer never came")


def never_arrives(call: Callable[[], object]) -> object:
    """The request is lost on its way, which nobody can tell from a lost answer."""
    raise Ambiguous("the answer never came")


def down(call: Callable[[], object]) -> object:
    """The exchange cannot be reached."""
    raise Unavailable("the exchange does not answer")


def refuses(refusal: Refused) -> Fault:
    """The exchange says no."""

    def fault(call: Callable[[], object]) -> object:
        raise refusal

    return fault


@dataclass
class UnrulyExchange:
    """The simulated exchange, with faults that are used up one by one: per call name, in order. None is no fault."""

    inner: SimulatedExchange
    faults: dict[str, list[Fault | None]] = field(default_factory=dict)
    placed: list[NewOrder] = field(default_factory=list)
    supports_close_position: bool = True
    income_reach: timedelta | None = None

    def urgent(self) -> UnrulyExchange:
        return self  # nothing queues here

    def account(self) -> AccountState:
        return self._call("account", self.inner.account)  # type: ignore[return-value]

    def place(self, order: NewOrder) -> OrderReport:
        self.placed.append(order)
        return self._call(f"place {order.type}", lambda: self.inner.place(order))  # type: ignore[return-value]

    def cancel(self, *, symbol: str, client_order_id: str) -> OrderReport:
        call = lambda: self.inner.cancel(symbol=symbol, client_order_id=client_order_id)  # noqa: E731
        return self._call("cancel", call)  # type: ignore[return-value]

    def order(self, *, symbol: str, client_order_id: str) -> OrderReport | None:
        call = lambda: self.inner.order(symbol=symbol, client_order_id=client_order_id)  # noqa: E731
        return self._call("order", call)  # type: ignore[return-value]

    def trades(self, *, symbol: str, since: datetime) -> list[Trade]:
        return self._call("trades", lambda: self.inner.trades(symbol=symbol, since=since))  # type: ignore[return-value]

    def income(self, *, since: datetime) -> list[Income]:
        return self._call("income", lambda: self.inner.income(since=since))  # type: ignore[return-value]

    def set_leverage(self, *, symbol: str, leverage: int) -> int:
        call = lambda: self.inner.set_leverage(symbol=symbol, leverage=leverage)  # noqa: E731
        return self._call("leverage", call)  # type: ignore[return-value]

    def _call(self, name: str, call: Callable[[], object]) -> object:
        waiting = self.faults.get(name)
        fault = waiting.pop(0) if waiting else None
        return fault(call) if fault else call()


@dataclass
class Desk:
    """A world in memory with everything a test wants to reach into."""

    market: StillMarket
    exchange: UnrulyExchange
    journal: MemoryJournal
    clock: SimulatedClock
    world: World

    def at(self, price: int | str) -> None:
        """Move the market to a price."""
        self.market.price = Decimal(price)
        self.exchange.inner.quote(self.market.quote("BTCUSDT", at=self.clock.now()))


def make_desk(
    rules: Callable[..., tuple[object, ...]] = lambda question: (),
    *,
    care: Care | None = None,
    by_position: bool = True,
    **faults: list[Fault | None],
) -> Desk:
    """Return a world over a market that stands still; faults by call name with spaces as underscores."""
    clock, market, journal = SimulatedClock(NOON), StillMarket(), MemoryJournal()
    inner = SimulatedExchange(instruments={"BTCUSDT": BTC}, clock=clock, deposit=Decimal(10_000))
    inner.quote(market.quote("BTCUSDT", at=NOON))
    exchange = UnrulyExchange(inner, dict(faults), supports_close_position=by_position)
    decider = RulesDecider("rules/test", rules)  # type: ignore[arg-type]
    world = World(clock, market, decider, exchange, journal, care=care or Care(), sleep=lambda _: None)
    return Desk(market, exchange, journal, clock, world)
