"""Made prices: a random walk in whole ticks for each symbol. Pure: the seed decides."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from marketdata.domain.builtin import builtin_spec
from marketdata.domain.candles import Candles
from marketdata.domain.instruments import InstrumentSpec
from trading.services.history.plan import END, PRICES, Plan
from vibex.lib.clock import to_ms

VENUE: Final = "recorded"
MINUTE_MS: Final = 60_000
MOVE: Final = 0.0004
"""Standard deviation of a minute's return: about 1.5 % a day."""
BACK: Final = 0.9999
"""So much of its distance from where it began is left after a minute: a walk of years stays a price."""


def spec_of(symbol: str) -> InstrumentSpec:
    """Return the rules of a made contract."""
    return builtin_spec(VENUE, symbol, price=PRICES[symbol])


def ticks_of(symbol: str, plan: Plan) -> dict[str, NDArray[np.int64]]:
    """Return open, high, low and close of each minute in ticks, oldest first. The same for the same seed."""
    random = np.random.default_rng([plan.seed, list(PRICES).index(symbol)])
    tick = float(spec_of(symbol).tick_size)
    closes = np.rint(PRICES[symbol] * np.exp(_walk(random.normal(0, MOVE, plan.minutes))) / tick).astype(np.int64)
    opens = np.concatenate(([round(PRICES[symbol] / tick)], closes[:-1]))
    wick = np.abs(random.normal(0, MOVE / 2, (2, plan.minutes)))
    top, bottom = np.maximum(opens, closes), np.minimum(opens, closes)
    high = top + np.rint(top * wick[0]).astype(np.int64)
    low = np.maximum(bottom - np.rint(bottom * wick[1]).astype(np.int64), 1)
    return {"open": opens, "high": high, "low": low, "close": closes}


def candles_of(symbol: str, plan: Plan) -> Candles:
    """Return the candles of a symbol, one a minute, the last one closing at the end."""
    ticks, tick = ticks_of(symbol, plan), spec_of(symbol).tick_size
    last = to_ms(END)
    opened = np.arange(last - plan.minutes * MINUTE_MS, last, MINUTE_MS, dtype=np.int64)
    places = max(-int(tick.as_tuple().exponent), 0)  # a tick is never NaN, so this is a number
    prices = {name: np.round(values * float(tick), places) for name, values in ticks.items()}
    volume = np.random.default_rng([plan.seed, 99]).uniform(1, 100, plan.minutes).round(3)
    return Candles(symbol, "1m", opened, prices["open"], prices["high"], prices["low"], prices["close"], volume)


def _walk(steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the path of steps that is drawn back to where it began.

    x[n] = BACK · x[n − 1] + step[n], by blocks: within a block it is a sum of steps divided by powers of BACK.
    """
    path, at = np.empty_like(steps), 0.0
    block = 20_000
    powers = BACK ** np.arange(1, min(block, len(steps)) + 1)
    for start in range(0, len(steps), block):
        some = steps[start : start + block]
        decay = powers[: len(some)]
        path[start : start + len(some)] = decay * (at + np.cumsum(some / decay))
        at = float(path[start + len(some) - 1])
    return path
