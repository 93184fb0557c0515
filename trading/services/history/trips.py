"""Made trades: each cycle opens a position that its stop or its target ends before the next. Pure.

Every price lies within the candle of its minute, every sum is in whole ticks and steps, and what trades make of a
position is worked out by the rules of the house (`trading.domain.books`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

import numpy as np
from numpy.typing import NDArray

from decisions.domain.proposal import Side
from trading.domain.books import BookedPosition, apply_trade
from trading.domain.venue import OrderSide, Trade
from trading.services.history.candles import spec_of
from trading.services.history.plan import EVERY, PRICES, STARTING, Plan
from vibex.lib.money import booked
from vibex.lib.records import record

type Ticks = Mapping[str, Mapping[str, NDArray[np.int64]]]

NOTIONAL: Final = 1_000.0
"""About what a position is worth."""
DISTANCE: Final = Decimal("0.02")
"""From the entry to the stop and the target that are not reached."""
TRADES: Final = (
    (0, "open", timedelta(seconds=20)),
    (0, "close", timedelta(seconds=50)),
    (2, "open", timedelta(minutes=2, seconds=5)),
    (2, "close", timedelta(minutes=2, seconds=20)),
    (2, "middle", timedelta(minutes=2, seconds=35)),
)
"""Of each position, from the close of the candle it is decided on: minute, which of its prices, when. Two open it."""
OPENING: Final = 2
SPECS: Final = {symbol: spec_of(symbol) for symbol in PRICES}


@record()
class Trip:
    """One cycle's position from entry to flat, and what it did to the wallet."""

    at: datetime
    """The candle close it was decided on."""
    symbol: str
    other: str
    """Another symbol of the bot, on which it holds."""
    trades: tuple[Trade, ...]
    position: BookedPosition
    stop: Decimal
    target: Decimal
    stopped: bool
    """Whether the stop ended it; else the target did."""
    wallet: Decimal
    """After it."""


def trips_of(number: int, symbols: tuple[str, ...], ticks: Ticks, plan: Plan) -> Iterator[Trip]:
    """Yield the trips of the account `number`, oldest first."""
    random = np.random.default_rng([plan.seed, 1_000 + number])
    chosen = random.integers(0, len(symbols), plan.cycles).tolist()
    longs = random.integers(0, 2, plan.cycles).tolist()
    sizes = random.uniform(0.5, 1.5, plan.cycles).tolist()
    wallet, minute = STARTING, plan.minutes - plan.cycles * int(EVERY.total_seconds() // 60)
    for cycle in range(plan.cycles):
        symbol, other = symbols[chosen[cycle]], symbols[(chosen[cycle] + 1) % len(symbols)]
        side = OrderSide.BUY if longs[cycle] else OrderSide.SELL
        at = plan.began + cycle * EVERY
        trades, position = _traded(symbol, side, at, minute + 3 * cycle, ticks[symbol], sizes[cycle], cycle)
        wallet += sum((trade.realised - trade.fee for trade in trades), Decimal(0))
        yield _ended(at, symbol, other, trades, position, wallet)


def _traded(
    symbol: str,
    side: OrderSide,
    at: datetime,
    minute: int,
    ticks: Mapping[str, NDArray[np.int64]],
    size: float,
    cycle: int,
) -> tuple[tuple[Trade, ...], BookedPosition]:
    spec, trades, position = SPECS[symbol], list[Trade](), None
    steps = max(round(size * NOTIONAL / (PRICES[symbol] * float(spec.step_size))), 6)
    parts = (steps // 2, steps - steps // 2, steps // 3, steps // 3, steps - 2 * (steps // 3))
    for place, ((later, which, after), part) in enumerate(zip(TRADES, parts, strict=True)):
        price = _price(ticks, minute + later, which) * spec.tick_size
        quantity, opens = part * spec.step_size, place < OPENING
        trade = Trade(
            trade_id=str(cycle * len(TRADES) + place + 1),
            client_order_id="",
            exchange_id="",
            symbol=symbol,
            side=side if opens else OrderSide.to_close(side.opens),
            quantity=quantity,
            price=price,
            fee=booked(quantity * price * spec.taker_fee),
            realised=Decimal(0) if opens else _realised(position, quantity, price),
            maker=False,
            at=at + after,
        )
        (position,) = apply_trade(position, trade)
        trades.append(trade)
    assert position is not None  # noqa: S101 - five trades were booked
    return tuple(trades), position


def _price(ticks: Mapping[str, NDArray[np.int64]], minute: int, which: str) -> int:
    if which == "middle":
        return int(ticks["high"][minute] + ticks["low"][minute]) // 2
    return int(ticks[which][minute])


def _realised(position: BookedPosition | None, quantity: Decimal, price: Decimal) -> Decimal:
    """Return what closing a part brings: its price against its share of the cost."""
    if position is None:
        return Decimal(0)
    gain = quantity * price - position.cost * quantity / position.quantity
    return booked(gain if position.side is Side.LONG else -gain)


def _ended(
    at: datetime, symbol: str, other: str, trades: tuple[Trade, ...], position: BookedPosition, wallet: Decimal
) -> Trip:
    tick, sign = SPECS[symbol].tick_size, 1 if position.side is Side.LONG else -1
    reached, stopped = trades[OPENING].price, position.realised < 0
    far = [(position.entry_price * (1 + way * sign * DISTANCE) // tick) * tick for way in (-1, 1)]
    stop, target = (reached, far[1]) if stopped else (far[0], reached)
    return Trip(at, symbol, other, trades, position, stop, target, stopped, wallet)
