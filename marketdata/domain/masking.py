"""Recordings in which nothing can be read off: a model that remembers the days is not told which they were. Pure.

Symbols become ASSET1USDT …, in another order. Prices are multiplied by a factor of each symbol's own, quantities divided by
it, ticks and steps alike, so that amounts of money stay what they were and everything stays on its grid. Times move by
whole weeks: days, hours and settlements of funding fall where they fell. Rules decide the same on both.

What stays recognisable, to one who looks for it: returns, their correlations and volumes relative to each other; funding
rates; the hour and the day of the week; fees; how many symbols there are. A famous crash is still shaped like one.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

import numpy as np
from numpy.typing import NDArray

from marketdata.domain.candles import Candles
from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.recording import FundingRecord, Recording
from vibex.lib.errors import Rejected

VENUE: Final = "masked"
WEEK: Final = timedelta(weeks=1)
WEEK_MS: Final = WEEK // timedelta(milliseconds=1)
WEEKS: Final = (52, 780)
"""Times move back by so many weeks, at least and at most: by a year, or by fifteen."""
BAND: Final = (5, 5_000)
"""Between which the first price of every symbol comes to lie."""
TWOS: Final = tuple(power for power in range(-4, 7) if power)
TENS: Final = tuple(range(-8, 9))
"""A factor is 2^a × 10^b with a other than 0: it and its inverse are finite decimals, so that no grid is left, and the
digits of a price are not those of the market."""
MOST_TICK_PLACES: Final = 10
MOST_STEP_PLACES: Final = 8
MARK_PLACES: Final = 11
"""Mark prices lie on no grid: they keep as many decimals as a float of their size has."""

type Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MaskKey:
    """What translates back: by masked symbol its true name and the factor of its prices; and the weeks times moved by."""

    seed: int
    symbols: Mapping[str, str]
    factors: Mapping[str, Decimal]
    weeks: int

    def masked(self, symbol: str) -> str:
        """Return the masked name of a true symbol. Raises KeyError for one that is not there."""
        return {true: name for name, true in self.symbols.items()}[symbol]

    def price(self, symbol: str, price: Decimal) -> Decimal:
        """Return the true price of one of a masked symbol."""
        return price / self.factors[symbol]

    def quantity(self, symbol: str, quantity: Decimal) -> Decimal:
        """Return the true quantity of one of a masked symbol."""
        return quantity * self.factors[symbol]

    def moment(self, at: datetime) -> datetime:
        """Return the true time of a masked one."""
        return at + self.weeks * WEEK

    def hidden(self, at: datetime) -> datetime:
        """Return the masked time of a true one."""
        return at - self.weeks * WEEK


@dataclass(frozen=True, slots=True)
class Masked:
    """Masked recordings, in the order of their masked names, and the key."""

    recordings: tuple[Recording, ...]
    key: MaskKey

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(recording.symbol for recording in self.recordings)


def mask(recordings: Sequence[Recording], *, seed: int) -> Masked:
    """Return the recordings with everything hidden that names what or when they are. The same seed hides the same way.

    Quarantined candles are left out. Raises Rejected for a contract on whose grid no factor fits.
    """
    dice = random.Random(seed)  # noqa: S311 - it hides from a model, not from an attacker
    weeks = dice.randint(*WEEKS)
    numbers = list(range(1, len(recordings) + 1))
    dice.shuffle(numbers)
    found: dict[str, tuple[Recording, str, Decimal]] = {}
    for number, recording in sorted(zip(numbers, recordings, strict=True), key=lambda pair: pair[0]):
        factor = _factor(recording, dice)
        hidden = _recording(recording, f"ASSET{number}", factor, weeks)
        found[hidden.symbol] = hidden, recording.symbol, factor
    key = MaskKey(
        seed,
        {name: true for name, (_, true, _) in found.items()},
        {name: factor for name, (_, _, factor) in found.items()},
        weeks,
    )
    return Masked(tuple(hidden for hidden, _, _ in found.values()), key)


def _factor(recording: Recording, dice: random.Random) -> Decimal:
    """Return a factor that brings the first price into the band and leaves tick and step with few enough decimals."""
    spec, first = recording.spec, Decimal(repr(float(recording.candles.close[0])))
    fits = [
        factor
        for factor in (Decimal(2) ** two * Decimal(10) ** ten for two in TWOS for ten in TENS)
        if BAND[0] <= first * factor <= BAND[1]
        and _places(spec.tick_size * factor) <= MOST_TICK_PLACES
        and _places(spec.step_size / factor) <= MOST_STEP_PLACES
    ]
    if not fits:
        raise Rejected(
            f"{recording.symbol} cannot be masked: at a tick of {spec.tick_size} and a step of {spec.step_size} no factor "
            "keeps both on a grid. Leave the symbol out, or run it unmasked.",
            code="mask",
        )
    return dice.choice(fits)


def _recording(recording: Recording, base: str, factor: Decimal, weeks: int) -> Recording:
    spec = _spec(recording.spec, base, factor)
    places = _places(spec.tick_size)
    return Recording(
        spec,
        _candles(recording.candles, spec.symbol, factor, places, weeks),
        None if recording.mark is None else _candles(recording.mark, spec.symbol, factor, MARK_PLACES, weeks),
        FundingRecord(
            recording.funding.at - weeks * WEEK_MS,
            recording.funding.rate,
            _times(recording.funding.mark, factor, MARK_PLACES),
        ),
    )


def _spec(spec: InstrumentSpec, base: str, factor: Decimal) -> InstrumentSpec:
    """Return the rules of a contract under another name: prices × factor, quantities ÷ factor, money as it was."""

    def price(value: Decimal) -> Decimal:
        return _trimmed(value * factor)

    def quantity(value: Decimal) -> Decimal:
        return _trimmed(value / factor)

    return replace(
        spec,
        venue=VENUE,
        symbol=f"{base}{spec.quote}",
        base=base,
        tick_size=price(spec.tick_size),
        min_price=price(spec.min_price),
        max_price=price(spec.max_price),
        step_size=quantity(spec.step_size),
        min_quantity=quantity(spec.min_quantity),
        max_quantity=quantity(spec.max_quantity),
        market_step_size=quantity(spec.market_step_size),
        market_min_quantity=quantity(spec.market_min_quantity),
        market_max_quantity=quantity(spec.market_max_quantity),
    )


def _candles(candles: Candles, symbol: str, factor: Decimal, places: int, weeks: int) -> Candles:
    return Candles(
        symbol,
        candles.interval,
        candles.open_time - weeks * WEEK_MS,
        _times(candles.open, factor, places),
        _times(candles.high, factor, places),
        _times(candles.low, factor, places),
        _times(candles.close, factor, places),
        candles.volume / float(factor),
    )


def _times(values: Floats, factor: Decimal, places: int) -> Floats:
    """Return prices × factor, each the float that is nearest to a decimal of so many places: on the grid of its tick."""
    return np.round(values * float(factor), places)


def _places(value: Decimal) -> int:
    exponent = _trimmed(value).as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _trimmed(value: Decimal) -> Decimal:
    """Return a decimal without trailing zeros, and never with a positive exponent."""
    trimmed = value.normalize()
    exponent = trimmed.as_tuple().exponent
    return trimmed.quantize(Decimal(1)) if isinstance(exponent, int) and exponent > 0 else trimmed
