"""What anybody could have done on the same days, computed on closes of the market. Pure.

For days that were lived, where no engine ran beside them: a baseline is bought and sold at the close of a day, at the fee of
the account, without slippage and without funding. (In backtests the same baselines run through the engine.) A curve is what
a unit came to: 1 at the first point, and one point at the end of each day. No more than INVESTED is put into positions and
nothing is sold at the end: what is held there counts at its close.

Momentum is that of T. J. Moskowitz, Y. H. Ooi and L. H. Pedersen ("Time Series Momentum", 2012), on the sign alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import nan
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trading.domain.ratios import Array

INVESTED: Final = 0.99
"""Share of equity that is put into positions: what is left pays fees."""
LOOK_BACK: Final = 30
"""Days over which momentum looks back."""
SEEDS: Final = 200
SEED: Final = 1994
EMPTY: Final = 1e-9
"""What a unit is worth that lost everything: a series of equity stays above 0."""


@dataclass(frozen=True, slots=True)
class Closes:
    """Closes of symbols at the points of a span, and before it.

    `prices` has a row for each point and a column for each symbol, NaN where no close is known; the span begins at the row
    `start`. `fees` are shares of the value traded, by symbol. Raises ValueError for shapes that do not fit.
    """

    symbols: tuple[str, ...]
    prices: Array
    fees: Array
    start: int = 0

    def __post_init__(self) -> None:
        if (
            self.prices.ndim != 2
            or self.prices.shape[1] != len(self.symbols)
            or self.fees.shape != (len(self.symbols),)
        ):
            raise ValueError("Closes have a row for each point and a column for each symbol; each symbol has a fee.")
        if not 0 <= self.start < len(self.prices):
            raise ValueError("A span begins at one of its points.")
        if not (self.prices[~np.isnan(self.prices)] > 0).all():
            raise ValueError("A close is above 0.")

    @property
    def within(self) -> Array:
        """Closes from the first point of the span on; where none is known, the last one before it."""
        return filled(self.prices)[self.start :]

    @property
    def periods(self) -> int:
        return len(self.prices) - self.start - 1


@dataclass(frozen=True, slots=True)
class Blocks:
    """Positions as they are drawn at random, in columns of the same length. Shares are of equity: 1 is all of it.

    Positions in one symbol that last no longer than a day may stand together in one block. Of positions that move
    independently the sum varies like √(sum of squares): `weight` is √Σ(share² × part of a day), and of one that is held
    for whole days its share. `drift` is Σ(± share × days), short below 0: what the trend of the market gives them.
    """

    symbol: NDArray[np.int64]
    """Column of the closes."""
    length: NDArray[np.int64]
    """Days for which it is held: one at least."""
    weight: Array
    drift: Array
    traded: Array
    """Value of opening and closing."""
    long: Array
    """Share of its positions that were long: 0 or 1 of a single one."""

    @property
    def size(self) -> int:
        return self.symbol.size


def filled(prices: Array) -> Array:
    """Return closes with the last known one in place of each that is missing; NaN stays where none was known before."""
    known = ~np.isnan(prices)
    last = np.maximum.accumulate(np.where(known, np.arange(len(prices))[:, None], 0), axis=0)
    return np.asarray(np.take_along_axis(prices, last, axis=0))


def cash(periods: int) -> Array:
    """Return the curve of doing nothing."""
    return np.ones(periods + 1)


def buy_and_hold(market: Closes, symbol: int = 0) -> Array:
    """Return the curve of buying one symbol with everything, once."""
    return _bought(market, [symbol])


def equal_weight(market: Closes) -> Array:
    """Return the curve of buying every symbol in equal shares, once: shares drift with their prices."""
    return _bought(market, range(len(market.symbols)))


def momentum(market: Closes, look_back: int = LOOK_BACK) -> Array:
    """Return the curve of being long of what rose over the `look_back` days before, and short of what fell.

    Each symbol has an equal share of equity when it is entered, and keeps its quantity until its side turns.
    """
    prices, share = filled(market.prices), INVESTED / len(market.symbols)
    before = np.full_like(prices, nan)
    before[look_back:] = prices[:-look_back] if look_back < len(prices) else nan
    sides = np.nan_to_num(np.sign(prices - before))[market.start : -1]
    within = prices[market.start :]
    worth, held = 1.0, np.zeros(len(market.symbols))  # signed value of each position
    curve = np.ones(market.periods + 1)
    for place, side in enumerate(sides):
        turned = (side != 0) & (side != np.sign(held))
        wanted = np.where(turned, side * share * worth, held)
        # The sides are opposite: what is closed and what is opened are together as much as they lie apart.
        worth -= float(np.abs(wanted - held) @ market.fees)
        moved = np.nan_to_num(within[place + 1] / within[place], nan=1.0)
        worth += float(wanted @ (moved - 1))
        held = wanted * moved
        curve[place + 1] = worth
        if worth <= EMPTY:
            curve[place + 1 :] = EMPTY
            break
    return curve


def held_on(market: Closes, quantities: ArrayLike, equity: float) -> Array:
    """Return the curve of touching nothing: of keeping what was held when the span began, signed quantities by symbol.

    Stops and targets do not count: a close does not tell whether they were touched. `equity` is what the account had then.
    """
    prices = market.within
    first = np.nan_to_num(prices[0], nan=0.0)
    moved = np.where(first > 0, np.nan_to_num(prices, nan=0.0) - first, 0.0) @ np.asarray(quantities, np.float64)
    return _alive(1 + moved / equity)


def at_random(market: Closes, blocks: Blocks, *, seeds: int = SEEDS, seed: int = SEED) -> Array:
    """Return the curves of the same positions at random times: one row for each seed, the same bytes for the same `seed`.

    Of each symbol there are as many, as large and as long, and as many of them are long; when they are opened and which of
    them are long is drawn, every moment being equally likely. All pay the fees of what was traded. What a market moves
    besides its mean return is drawn with the weight of each block, so that what is held for some hours varies as it did;
    the mean return is what all of them together were exposed to, on average of the days.
    """
    periods, width, count = market.periods, len(market.symbols), blocks.size
    if not count or not periods:
        return np.ones((seeds, periods + 1))
    random = np.random.default_rng(seed)
    length = np.clip(blocks.length, 1, periods)
    latest = periods - length
    starts = np.minimum((random.random((seeds, count)) * (latest + 1)).astype(np.int64), latest)
    signed = _signs(random, blocks, seeds) * blocks.weight
    base = np.arange(seeds)[:, None] * (periods + 1)
    opens = (base + starts) * width + blocks.symbol
    closes = (base + starts + length) * width + blocks.symbol
    size = seeds * (periods + 1) * width
    change = np.bincount(opens.ravel(), signed.ravel(), size) - np.bincount(closes.ravel(), signed.ravel(), size)
    held = change.reshape(seeds, periods + 1, width).cumsum(axis=1)[:, :-1]
    prices = market.within
    moved = np.nan_to_num(prices[1:] / prices[:-1], nan=1.0) - 1
    mean = moved.mean(axis=0)
    returns = np.einsum("stk,tk->st", held, moved - mean)
    returns += float(np.bincount(blocks.symbol, blocks.drift, width) @ mean) / periods
    paid = np.broadcast_to(blocks.traded * market.fees[blocks.symbol], (seeds, count))
    returns -= np.bincount((base + starts).ravel(), paid.ravel(), seeds * (periods + 1)).reshape(seeds, -1)[:, :-1]
    curves = np.ones((seeds, periods + 1))
    np.cumprod(np.maximum(1 + returns, EMPTY), axis=1, out=curves[:, 1:])
    return np.maximum(curves, EMPTY)


def quantiles(curves: Array, levels: Sequence[float]) -> Array:
    """Return at each point between which values the curves lie: a row for each level."""
    return np.asarray(np.quantile(curves, levels, axis=0))


def middle_of(curves: Array) -> Array:
    """Return the curve that ends in the middle of all (of an even number, the lower one of the two)."""
    order = np.argsort(curves[:, -1], kind="stable")
    return np.asarray(curves[order[(len(order) - 1) // 2]])


# -- inside ------------------------------------------------------------------------------------------------


def _signs(random: np.random.Generator, blocks: Blocks, seeds: int) -> Array:
    """Return 1 and −1 for each seed and block: the sides of a symbol in another order, drawn where a block has both."""
    long = np.empty((seeds, blocks.size))
    for symbol in np.unique(blocks.symbol):
        mine = np.flatnonzero(blocks.symbol == symbol)
        long[:, mine] = random.permuted(np.broadcast_to(blocks.long[mine], (seeds, mine.size)), axis=1)
    return np.where(random.random((seeds, blocks.size)) < long, 1.0, -1.0)


def _bought(market: Closes, columns: Iterable[int]) -> Array:
    prices, chosen = market.within, list(columns)
    curve = np.ones(len(prices))
    for column in chosen:
        known = np.flatnonzero(~np.isnan(prices[:, column]))
        if known.size:
            first = known[0]
            grown = prices[first + 1 :, column] / prices[first, column] - 1 - market.fees[column]
            curve[first + 1 :] += INVESTED / len(chosen) * grown
    return _alive(curve)


def _alive(curve: Array) -> Array:
    return np.maximum(curve, EMPTY)
