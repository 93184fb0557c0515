"""Small words for the tests of the matching engine and of the exchanges over it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count

from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.snapshot import Quote
from trading.domain.matching import Engine, EngineSettings
from trading.domain.venue import Bar, NewOrder, OrderSide, OrderType, TimeInForce

START = datetime(2025, 10, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
D = Decimal

BTC = InstrumentSpec(
    venue="sim",
    symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    tick_size=D("0.1"),
    step_size=D("0.001"),
    min_quantity=D("0.001"),
    max_quantity=D(1000),
    min_notional=D(5),
)
SOL = replace(BTC, symbol="SOLUSDT", base="SOL", tick_size=D("0.01"), step_size=D("0.01"), min_quantity=D("0.01"))
SPECS = {spec.symbol: spec for spec in (BTC, SOL)}
FRICTIONLESS = EngineSettings(spread=D(0), stop_slippage_range=D(0), margin_buffer=D(0))
"""No slip at all, so that prices in a test are the prices of its bars."""

_ids = count(1)


def quote(
    price: str | int, *, symbol: str = "BTCUSDT", spread: str = "0", mark: str | None = None, hour: int = 0
) -> Quote:
    """A quote with bid and ask half the spread away from `price`."""
    middle, half = D(price), D(spread) / 2
    return Quote(symbol, START + hour * HOUR, middle, middle - half, middle + half, D(mark) if mark else middle)


def bar(*ohlc: str | int, symbol: str = "BTCUSDT", hour: int = 0, mark: tuple[str | int, ...] | None = None) -> Bar:
    """A bar of one hour: open, high, low, close."""
    opened = START + hour * HOUR
    marks = [D(price) for price in mark] if mark else [None] * 4
    return Bar(symbol, opened, opened + HOUR, *(D(price) for price in ohlc), D(1), *marks)


def order(side: str, type: str = "MARKET", quantity: str | None = None, *, id: str = "", symbol: str = "BTCUSDT",
          price: str | None = None, trigger: str | None = None, tif: str | None = None,
          reduce_only: bool = False, close_position: bool = False) -> NewOrder:  # fmt: skip
    """A new order with an id of its own unless one is given."""
    return NewOrder(
        client_order_id=id or f"t{next(_ids)}",
        symbol=symbol,
        side=OrderSide(side),
        type=OrderType(type),
        quantity=D(quantity) if quantity else None,
        price=D(price) if price else None,
        trigger=D(trigger) if trigger else None,
        time_in_force=TimeInForce(tif) if tif else None,
        reduce_only=reduce_only,
        close_position=close_position,
    )


def stop(side: str, trigger: str, **more: object) -> NewOrder:
    """A closePosition stop."""
    return order(side, "STOP_MARKET", trigger=trigger, close_position=True, **more)  # type: ignore[arg-type]


def target(side: str, trigger: str, **more: object) -> NewOrder:
    """A closePosition target."""
    return order(side, "TAKE_PROFIT_MARKET", trigger=trigger, close_position=True, **more)  # type: ignore[arg-type]


def engine(
    *,
    deposit: str = "10000",
    at: str | int | None = 100,
    settings: EngineSettings = FRICTIONLESS,
    **specs: InstrumentSpec,
) -> Engine:
    """An engine with a deposit, both symbols quoted at `at`."""
    made = Engine(instruments=SPECS | specs, settings=settings)
    made.deposit(D(deposit), START)
    for symbol in SPECS if at is not None else ():
        made.on_quote(quote(at, symbol=symbol))  # type: ignore[arg-type]
    return made


def opened(side: str = "BUY", quantity: str = "10", *, leverage: int = 10, **more: object) -> Engine:
    """An engine that holds a BTC position bought or sold at 100."""
    made = engine(**more)  # type: ignore[arg-type]
    made.set_leverage("BTCUSDT", leverage)
    made.place(order(side, "MARKET", quantity), at=START)
    return made


def wallet_is_its_income(made: Engine) -> bool:
    """Drain the engine and compare (only right when it was never drained before)."""
    return sum((entry.amount for entry in made.drain().income), D(0)) == made.account_state(START).wallet
