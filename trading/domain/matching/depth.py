"""A ladder of prices: what there is to trade against, level by level, until it is used up.

Without one an order meets as much as it wants at the touch. With one, a side of the book holds that and nothing else:
orders that take walk it, orders that rest wait until it is laid anew. It does not move with the price.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from trading.domain.venue import OrderSide
from vibex.lib.errors import Rejected

type Level = tuple[Decimal, Decimal]
"""A price, and the quantity that stands there."""


@dataclass(slots=True)
class Depth:
    """The ladders of a symbol, best price first. A side without one (None) is as deep as anybody wants."""

    bids: list[Level] | None
    asks: list[Level] | None
    bound: Decimal | None = None
    """How far from the mark price an order without a limit takes, as a share of it."""

    @classmethod
    def of(
        cls, *, bids: Iterable[Level] | None = None, asks: Iterable[Level] | None = None, bound: Decimal | None = None
    ) -> Depth:
        """Return ladders with their levels in order. Raises Rejected for a level that cannot be."""
        return cls(_ladder(bids, best_is_high=True), _ladder(asks, best_is_high=False), bound)

    def limits(self, side: OrderSide) -> bool:
        """Return whether what an order of `side` can have is limited."""
        return self._met_by(side) is not None

    def best(self, side: OrderSide) -> Decimal | None:
        """Return the price that a taker of `side` meets first, None where nothing stands or nothing is limited."""
        levels = self._met_by(side)
        return levels[0][0] if levels else None

    def offered(self, side: OrderSide, *, limit: Decimal | None, mark: Decimal) -> Iterator[Level]:
        """Yield what an order of `side` may take, best first: up to its limit, or without one up to the bound."""
        for price, size in tuple(self._met_by(side) or ()):
            if limit is None and self.bound is not None and abs(price - mark) > self.bound * mark:
                return
            if limit is not None and (limit - price) * side.sign < 0:
                return
            yield price, size

    def use(self, side: OrderSide, quantity: Decimal) -> None:
        """Take `quantity` off the best level that an order of `side` meets."""
        levels = self._met_by(side)
        if levels:
            price, size = levels[0]
            levels[:1] = [(price, size - quantity)] if size > quantity else []

    def copy(self) -> Depth:
        return Depth.of(bids=self.bids, asks=self.asks, bound=self.bound)

    def _met_by(self, side: OrderSide) -> list[Level] | None:
        return self.asks if side is OrderSide.BUY else self.bids


def _ladder(levels: Iterable[Level] | None, *, best_is_high: bool) -> list[Level] | None:
    if levels is None:
        return None
    made = sorted(levels, key=lambda level: level[0], reverse=best_is_high)
    if any(not (price.is_finite() and size.is_finite() and price > 0 and size > 0) for price, size in made):
        raise Rejected("Every level of a ladder has a price and a quantity above zero.", code="depth")
    return made
