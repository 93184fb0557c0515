"""One symbol of an account: position, open orders and the prices seen last."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from marketdata.domain.instruments import InstrumentSpec
from trading.domain.matching.depth import Depth
from trading.domain.matching.positions import reducible
from trading.domain.matching.types import OrderRecord, PositionRecord
from trading.domain.venue import ZERO, OrderSide

UNKNOWN: Final = Decimal(-1)
TWO: Final = Decimal(2)


@dataclass(slots=True)
class Book:
    """One symbol: its rules, the position, the open orders by client id, and the prices seen last."""

    spec: InstrumentSpec
    leverage: int
    position: PositionRecord | None = None
    orders: dict[str, OrderRecord] = field(default_factory=dict)
    last: Decimal = ZERO
    mark: Decimal = ZERO
    """Both are zero until the first price comes."""
    bid: Decimal | None = None
    ask: Decimal | None = None
    depth: Depth | None = None
    """What there is to trade against, where somebody has limited it."""
    quiet: tuple[Decimal, Decimal] | None = None
    """Prices strictly between these two reach nothing that waits. None when it has to be worked out again."""
    liquidation: Decimal | None = UNKNOWN
    """Liquidation price with isolated margin, None when there is none, UNKNOWN when it has to be worked out again."""

    @property
    def busy(self) -> bool:
        return self.position is not None or bool(self.orders)

    @property
    def unrealised(self) -> Decimal:
        position = self.position
        return ZERO if position is None else position.unrealised(self.mark or position.entry_price)

    @property
    def mark_or_entry(self) -> Decimal:
        """The mark price, or the entry price of a position that nobody has quoted yet."""
        return self.mark or (self.position.entry_price if self.position else ZERO)

    def quoted(self, side: OrderSide) -> Decimal | None:
        """Return the ask for a buyer, the bid for a seller; None after a bar, which has neither."""
        if self.depth is not None and (best := self.depth.best(side)) is not None:
            return best
        return self.ask if side is OrderSide.BUY else self.bid

    def touch(self, side: OrderSide, spread: Decimal) -> Decimal:
        """Return the price a taker of `side` meets: ask or bid, or the last price ± half the spread after a bar."""
        quoted = self.quoted(side)
        if quoted is not None:
            return quoted
        return adverse(self.spec, side, self.last, self.last * spread / TWO)

    def reducible(self, side: OrderSide) -> Decimal:
        return reducible(self.position, side)

    def added_by(self, order: OrderRecord) -> Decimal:
        """Return how much exposure the open part of `order` would add."""
        if order.reduce_only or order.close_position:
            return ZERO
        if self.position is None:
            return order.quantity - order.filled
        return max(ZERO, order.remaining - self.reducible(order.side))


def adverse(spec: InstrumentSpec, side: OrderSide, price: Decimal, slip: Decimal) -> Decimal:
    """Return `price` worsened by `slip` for a taker of `side`, on the tick and never below one tick."""
    if side is OrderSide.BUY:
        return spec.price_up(price + slip)
    return max(spec.tick_size, spec.price_down(price - slip))
