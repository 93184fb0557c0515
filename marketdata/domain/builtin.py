"""Rules of contracts where no venue tells them: six majors by table, all others by a rule."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal
from typing import Final

import numpy as np
from numpy.typing import NDArray

from marketdata.domain.instruments import InstrumentSpec

QUOTES: Final = ("USDT", "USDC", "USD1", "BUSD", "USD", "BTC", "ETH")
"""Endings that separate the base of a symbol from what it is priced in, longest first where they overlap."""

MAX_DECIMALS: Final = 10
"""Prices are stored with so many decimals."""

MAJORS: Final[dict[str, tuple[str, str]]] = {
    "BTC": ("0.1", "0.001"),
    "ETH": ("0.1", "0.001"),
    "SOL": ("0.01", "0.01"),
    "BNB": ("0.01", "0.01"),
    "XRP": ("0.0001", "0.1"),
    "DOGE": ("0.00001", "1"),
}
"""Tick and step size of the six majors, after AsterDEX."""

MIN_NOTIONAL: Final = Decimal(5)
STEP_VALUE: Final = 1.0
"""A step of an unknown contract is the largest power of ten worth at most this many quote units."""


def split_symbol(symbol: str) -> tuple[str, str]:
    """Return base and quote asset: ("BTC", "USDT") of BTCUSDT. A symbol with no known ending is its own base in USDT."""
    for quote in QUOTES:
        if symbol.endswith(quote) and len(symbol) > len(quote):
            return symbol.removesuffix(quote), quote
    return symbol, "USDT"


def builtin_spec(venue: str, symbol: str, *, price: float) -> InstrumentSpec:
    """Return the rules of a simulated contract: the table for majors, else five significant digits of `price`."""
    base, _ = split_symbol(symbol)
    if base in MAJORS:
        tick, step = MAJORS[base]
        return _spec(venue, symbol, Decimal(tick), Decimal(step))
    tick_exponent = max(math.floor(math.log10(price)) - 4, -MAX_DECIMALS)
    return _spec(venue, symbol, _power(tick_exponent), step_for(price))


def recorded_spec(
    venue: str, symbol: str, closes: NDArray[np.float64], *, funding_interval_hours: int = 8
) -> InstrumentSpec:
    """Return the rules of a recorded contract: the tick is the last decimal that its prices use.

    The step size is the table's for majors, else `step_for` the first price.
    """
    base, _ = split_symbol(symbol)
    step = Decimal(MAJORS[base][1]) if base in MAJORS else step_for(float(closes[0]))
    spec = _spec(venue, symbol, _power(-decimals_of(closes)), step)
    return replace(spec, funding_interval_hours=funding_interval_hours)


def decimals_of(prices: NDArray[np.float64]) -> int:
    """Return how many decimals the prices use, at most MAX_DECIMALS."""
    for decimals in range(MAX_DECIMALS):
        if bool(np.all(np.round(prices, decimals) == prices)):
            return decimals
    return MAX_DECIMALS


def step_for(price: float) -> Decimal:
    """Return the largest power of ten of a base asset that is worth at most STEP_VALUE quote units."""
    return _power(max(math.floor(math.log10(STEP_VALUE / price)), -MAX_DECIMALS))


def _power(exponent: int) -> Decimal:
    return Decimal(1).scaleb(exponent) if exponent <= 0 else Decimal(10**exponent)


def _spec(venue: str, symbol: str, tick: Decimal, step: Decimal) -> InstrumentSpec:
    base, quote = split_symbol(symbol)
    return InstrumentSpec(
        venue=venue,
        symbol=symbol,
        base=base,
        quote=quote,
        tick_size=tick,
        step_size=step,
        min_quantity=step,
        max_quantity=step * 10_000_000,
        min_notional=MIN_NOTIONAL,
    )
