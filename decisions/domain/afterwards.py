"""What the market did after an entry that was asked for, had it been opened as asked. An estimate from candles. Pure.

Walked are closed base candles that open at or after the moment the reply was there. The candle in which it came is left
out: nobody can tell which of its prices came before. What is unknown inside of a candle is taken against the entry:

- Stop and target in one candle: the stop was first.
- A candle that opens beyond the stop is left at its open, which is worse than the stop. One that opens beyond the target
  is left at the target.
- The best price of the candle that ends at the stop does not count, the worst of the one that ends at the target does.

Not in it: spread, slippage, funding, a liquidation before the stop, limits, and that a second entry on a symbol would
have met the first one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from decisions.domain.proposal import Side

FOLLOWED: Final = timedelta(days=7)
"""How long a decision is followed: what has met neither stop nor target by then stays open."""
PLACES: Final = Decimal("1e-8")
OPEN: Final = "open"
STOP: Final = "stop"
TARGET: Final = "target"


@dataclass(frozen=True, slots=True)
class AskedEntry:
    """An entry as it was asked for, at the price of its decision. Prices in quote units, quantity in the base asset."""

    side: Side
    price: Decimal
    quantity: Decimal
    stop: Decimal
    target: Decimal | None = None
    taker_fee: Decimal = Decimal(0)
    """Fraction of the notional, paid on the way in and on the way out."""

    @property
    def distance(self) -> Decimal:
        """From the price to the stop, positive when the stop is on its right side."""
        return (self.price - self.stop) * self.side.sign

    @property
    def sound(self) -> bool:
        """Whether it can be followed: a quantity, a stop on its right side, and a target, where there is one, on its own."""
        numbers = (self.price, self.quantity, self.stop, self.target if self.target is not None else self.price)
        if not all(number.is_finite() for number in numbers) or min(self.price, self.quantity) <= 0:
            return False
        return self.distance > 0 and (self.target is None or (self.target - self.price) * self.side.sign > 0)

    def multiple(self, price: Decimal) -> float:
        """Return what leaving at a price brings before fees, as a multiple of what is lost at the stop."""
        return float((price - self.price) * self.side.sign / self.distance)

    def net(self, price: Decimal) -> Decimal:
        """Return what leaving at a price brings after taker fees on both sides, in the quote asset."""
        fees = (self.price + price) * self.quantity * self.taker_fee
        moved = (price - self.price) * self.side.sign * self.quantity
        return (moved - fees).quantize(PLACES, ROUND_HALF_EVEN)


@dataclass(frozen=True, slots=True)
class Bar:
    """One closed candle, in quote units."""

    opened_at: datetime
    closed_at: datetime
    open: float
    high: float
    low: float
    close: float


@dataclass(frozen=True, slots=True)
class Followed:
    """How far an entry was followed, and what it would have brought by then."""

    end: str
    """stop, target, or open."""
    price: Decimal
    """Stop, target, the open of a candle beyond the stop, or the last close that was looked at."""
    until: datetime
    best: float = 0.0
    """Farthest move in its favour, as a multiple of what is lost at the stop. Never below zero."""
    worst: float = 0.0
    """Farthest move against it, as the same multiple. Never above zero."""


def follow(entry: AskedEntry, bars: Iterable[Bar], *, before: Followed) -> Followed:
    """Return how an entry fared, walking on from `before` through the candles after it, oldest first.

    An entry that ended is returned as it is. Raises ValueError for one that cannot be followed.
    """
    if not entry.sound:
        raise ValueError("an entry without a quantity and a stop on its right side cannot be followed")
    if before.end != OPEN:
        return before
    levels, best, worst, last = _levels(entry), before.best, before.worst, None
    for bar in bars:
        if bar.opened_at < before.until:
            continue
        good, bad = (bar.high, bar.low) if entry.side is Side.LONG else (-bar.low, -bar.high)
        if bad <= levels.stop:
            left = _stopped(entry, bar.open)
            return Followed(STOP, left, bar.closed_at, best, min(worst, entry.multiple(left)))
        worst = min(worst, (bad - levels.price) / levels.distance)
        if entry.target is not None and good >= levels.target:
            return Followed(TARGET, entry.target, bar.closed_at, max(best, entry.multiple(entry.target)), worst)
        best, last = max(best, (good - levels.price) / levels.distance), bar
    return before if last is None else Followed(OPEN, _exact(last.close), last.closed_at, best, worst)


@dataclass(frozen=True, slots=True)
class _Levels:
    """The prices of an entry as floats, of a short with their sign turned, so that up is good on both sides."""

    price: float
    stop: float
    target: float
    distance: float


def _levels(entry: AskedEntry) -> _Levels:
    sign, target = entry.side.sign, entry.price if entry.target is None else entry.target
    return _Levels(sign * float(entry.price), sign * float(entry.stop), sign * float(target), float(entry.distance))


def beginning(entry: AskedEntry, *, at: datetime) -> Followed:
    """Return where following begins: at the price of the decision, with the first candle that opens from `at` on."""
    return Followed(OPEN, entry.price, at)


def _stopped(entry: AskedEntry, opened: float) -> Decimal:
    """Return the price at which a stop is left: its own, or the open of a candle that began beyond it."""
    beyond = entry.side.sign * opened < entry.side.sign * float(entry.stop)
    return _exact(opened) if beyond else entry.stop


def _exact(price: float) -> Decimal:
    return Decimal(str(price))
