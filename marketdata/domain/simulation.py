"""The simulated market: one-minute candles made up from a seed, the same for ever for the same (seed, symbol, minute).

What moves prices is drawn per UTC day and does not depend on how a span of time is asked for: each day has a stream
of random numbers of its own. A close follows from the close before it and the draws of its minute, rounded to the
tick; so a range can be made in one piece or in many with the same result.

Model: a Markov chain over calm, rising, falling and stressed hours scales volatility and gives drift; returns are
Student-t with 5 degrees of freedom, made of a factor common to all symbols and one of their own (correlation 0.7);
volume follows volatility and the time of day; a weak pull keeps prices near where they began.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from marketdata.domain.builtin import split_symbol
from marketdata.domain.candles import Candles

MINUTE_MS: Final = 60_000
DAY_MINUTES: Final = 1_440
WEEK_DAYS: Final = 7
WEEK_HOURS: Final = 168
YEAR_MINUTES: Final = 525_600
INTERVAL: Final = "1m"

CALM, RISING, FALLING, STRESS = range(4)
REGIMES: Final = ("calm", "rising", "falling", "stress")
VOLATILITY: Final = np.array([0.6, 1.0, 1.0, 2.0])
"""Volatility of each regime as a multiple of the symbol's own."""
DRIFT: Final = np.array([0.0, 0.03, -0.03, -0.01])
"""Mean return of a minute in each regime, in standard deviations of a minute."""
STAY: Final = 0.93
"""Chance that the next hour has the regime of this one: a regime lasts about 14 hours."""
SHARE: Final = np.array([0.40, 0.23, 0.23, 0.14])
"""Where the chain goes when it leaves, and where each week begins."""
CORRELATION: Final = 0.7
FREEDOM: Final = 5
"""Degrees of freedom of the Student-t returns: fat tails with finite kurtosis."""
LARGEST_MOVE: Final = 12.0
"""Standard deviations at which a minute is cut off."""
PULL: Final = math.log(2) / (45 * DAY_MINUTES)
"""Share of the distance to the first price that is lost each minute: half of it in 45 days."""
BUSIEST_HOUR: Final = 15
"""UTC hour in which most is traded."""

FUNDING_BASE: Final = 0.0001
FUNDING_TREND: Final = 0.01
"""What one unit of log return over the last eight hours adds to the rate."""
FUNDING_BOUND: Final = 0.002
FUNDING_MINUTES: Final = 480


@dataclass(frozen=True, slots=True)
class Profile:
    """How a simulated symbol behaves: first price, yearly volatility (0.6 = 60 %), quote units traded a minute."""

    price: float
    volatility: float
    turnover: float


PROFILES: Final[dict[str, Profile]] = {
    "BTC": Profile(95_000.0, 0.50, 8_000_000.0),
    "ETH": Profile(3_400.0, 0.65, 5_000_000.0),
    "SOL": Profile(180.0, 0.80, 1_500_000.0),
    "BNB": Profile(650.0, 0.55, 600_000.0),
    "XRP": Profile(2.4, 0.75, 800_000.0),
    "DOGE": Profile(0.22, 0.90, 500_000.0),
}


def profile_of(symbol: str) -> Profile:
    """Return the table's profile of the base asset; an unknown one gets one out of its name, always the same."""
    base, _ = split_symbol(symbol)
    if base in PROFILES:
        return PROFILES[base]
    price, volatility, turnover = (digit / 0xFFFFFFFF for digit in _numbers(base, 3))
    return Profile(round(10 ** (4 * price - 2), 6), 0.6 + 0.5 * volatility, 100_000.0 + 400_000.0 * turnover)


def generate(
    *, seed: int, symbol: str, tick: float, step: float, start_ms: int, stop_ms: int, previous_close: float | None
) -> Candles:
    """Return the whole one-minute candles that open in [start_ms, stop_ms), both on the minute.

    `previous_close` is the close of the minute before, None for the profile's first price. Prices are on the tick,
    volumes on the step. Raises ValueError for a start or stop that is not on the minute.
    """
    if start_ms % MINUTE_MS or stop_ms % MINUTE_MS:
        raise ValueError("a simulated range begins and ends on the minute")
    first, last = start_ms // MINUTE_MS, max(start_ms, stop_ms) // MINUTE_MS
    draws = _draws(seed, symbol, first, last)
    scale = round(1 / tick)
    anchor = profile_of(symbol).price
    before = round(anchor * scale) / scale if previous_close is None else previous_close
    closes = _closes(draws.growth.tolist(), before, anchor, scale)
    opens = np.array([before, *closes[:-1]]) if closes else np.empty(0)
    close = np.array(closes)
    highest, lowest = np.maximum(opens, close), np.minimum(opens, close)
    return Candles(
        symbol,
        INTERVAL,
        np.arange(first, last, dtype=np.int64) * MINUTE_MS,
        opens,
        np.ceil(highest * (1 + draws.above) * scale - 1e-6) / scale,
        np.maximum(np.floor(lowest * (1 - draws.below) * scale + 1e-6), 1.0) / scale,
        close,
        np.round(draws.volume / step) / round(1 / step) if step < 1 else np.round(draws.volume / step) * step,
    )


def funding_rate(*, seed: int, symbol: str, at_ms: int) -> float:
    """Return the rate that settles at `at_ms`: it follows the trend of the eight hours before, within ±0.2 %."""
    stop = at_ms // MINUTE_MS
    trend = float(np.log(_draws(seed, symbol, stop - FUNDING_MINUTES, stop).growth).sum())
    rate = FUNDING_BASE + FUNDING_TREND * trend
    return round(min(max(rate, -FUNDING_BOUND), FUNDING_BOUND), 8)


@dataclass(frozen=True, slots=True)
class _Draws:
    """What chance says of a run of minutes: growth of the price, reach above and below as shares, volume in base."""

    growth: NDArray[np.float64]
    above: NDArray[np.float64]
    below: NDArray[np.float64]
    volume: NDArray[np.float64]


def _closes(growth: Sequence[float], before: float, anchor: float, scale: int) -> list[float]:
    """Return the closes on the tick. One by one: rounding each makes a range the same however it is cut."""
    closes = []
    price = before
    for factor in growth:
        price = max(round((price * factor + PULL * (anchor - price)) * scale), 1) / scale
        closes.append(price)
    return closes


def _draws(seed: int, symbol: str, first: int, last: int) -> _Draws:
    """Return the draws of the minutes [first, last) since 1970, cut out of those of whole days."""
    if last <= first:
        return _Draws(*(np.empty(0) for _ in range(4)))
    start_day, stop_day = first // DAY_MINUTES, (last - 1) // DAY_MINUTES + 1
    days = [_draws_of_day(seed, symbol, day) for day in range(start_day, stop_day)]
    offset = first - start_day * DAY_MINUTES
    window = np.s_[offset : offset + last - first]
    return _Draws(
        np.concatenate([day.growth for day in days])[window],
        np.concatenate([day.above for day in days])[window],
        np.concatenate([day.below for day in days])[window],
        np.concatenate([day.volume for day in days])[window],
    )


@lru_cache(maxsize=64)
def _draws_of_day(seed: int, symbol: str, day: int) -> _Draws:
    profile = profile_of(symbol)
    random = np.random.default_rng([*_key(seed), *_numbers(symbol, 2), day])
    own = _student(random)
    shock = math.sqrt(CORRELATION) * _common(seed, day) + math.sqrt(1 - CORRELATION) * own
    hours = np.repeat(_regimes_of_day(seed, day), 60)
    sigma = profile.volatility / math.sqrt(YEAR_MINUTES) * VOLATILITY[hours] * np.sqrt(_busyness())
    reach = np.abs(random.standard_normal((2, DAY_MINUTES))) * 0.6 * sigma
    liveliness = np.clip(VOLATILITY[hours] * (0.5 + 0.5 * np.abs(shock)), 0.0, 8.0)
    noise = random.lognormal(0.0, 0.5, DAY_MINUTES)
    return _Draws(
        growth=np.exp(sigma * (shock + DRIFT[hours])),
        above=reach[0],
        below=np.minimum(reach[1], 0.5),
        volume=profile.turnover / profile.price * _busyness() * liveliness * noise,
    )


@lru_cache(maxsize=64)
def _common(seed: int, day: int) -> NDArray[np.float64]:
    """Return the factor that all symbols share in each minute of the day."""
    return _student(np.random.default_rng([*_key(seed), day]))


def _student(random: np.random.Generator) -> NDArray[np.float64]:
    """Return a day of fat-tailed shocks of variance one."""
    shocks = random.standard_t(FREEDOM, DAY_MINUTES) * math.sqrt((FREEDOM - 2) / FREEDOM)
    return np.clip(shocks, -LARGEST_MOVE, LARGEST_MOVE)


@lru_cache(maxsize=64)
def _regimes_of_day(seed: int, day: int) -> NDArray[np.int64]:
    week, place = divmod(day, WEEK_DAYS)
    return _regimes_of_week(seed, week)[place * 24 : place * 24 + 24]


@lru_cache(maxsize=64)
def _regimes_of_week(seed: int, week: int) -> NDArray[np.int64]:
    """Return the regime of each hour of a week. Every week the chain begins anew, so that no week needs the last."""
    random = np.random.default_rng([*_key(seed), 1, week])
    leaves = random.random(WEEK_HOURS) >= STAY
    leaves[0] = True
    chosen = random.choice(len(SHARE), WEEK_HOURS, p=SHARE)
    latest = np.maximum.accumulate(np.where(leaves, np.arange(WEEK_HOURS), 0))
    picked: NDArray[np.int64] = chosen[latest]
    return picked


@lru_cache(maxsize=1)
def _busyness() -> NDArray[np.float64]:
    """Return how busy each minute of the day is, one on average."""
    hour = np.arange(DAY_MINUTES) / 60
    return 1.0 + 0.4 * np.cos(2 * np.pi * (hour - BUSIEST_HOUR) / 24)


def _key(seed: int) -> tuple[int, int]:
    """Return the seed as words that a generator takes; negative seeds are seeds of their own."""
    return abs(seed), int(seed < 0)


def _numbers(name: str, count: int) -> list[int]:
    """Return 32-bit numbers out of a name, the same in every process."""
    digest = hashlib.sha256(name.encode()).digest()
    return [int.from_bytes(digest[4 * place : 4 * place + 4]) for place in range(count)]
