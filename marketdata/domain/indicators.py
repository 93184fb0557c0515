"""Indicators over candles, computed by TA-Lib. Every array has the length of the candles; unknown is NaN."""

from __future__ import annotations

import re
from typing import Final

import numpy as np
from numpy.typing import NDArray

from marketdata.domain.candles import Candles

type Values = NDArray[np.float64]

NAMES: Final = (
    "ema20",
    "ema50",
    "macd",
    "macd_signal",
    "macd_hist",
    "rsi7",
    "rsi14",
    "atr3",
    "atr14",
    "bb_upper",
    "bb_middle",
    "bb_lower",
    "adx14",
    "volume_average",
    "volume_ratio",
)
"""Keys of `compute`, in its order."""

LEAST_PERIOD: Final = {"ema": 2, "sma": 2, "rsi": 2, "atr": 1, "adx": 2, "high": 2, "low": 2}
"""TA-Lib takes no shorter ones."""
WARM_UP: Final = 50
"""Candles after which every indicator has a value (EMA50 is the slowest)."""

OF_PERIOD: Final = re.compile(r"(ema|sma|rsi|atr|adx|high|low)([1-9][0-9]{0,2})")
"""Indicators that can be had of any period up to 999, such as ema12 or rsi9; high20 is the highest high of 20 candles."""


class Indicators(dict[str, Values]):
    """The indicators of `compute`, and any of `OF_PERIOD` as soon as somebody asks for it by name.

    Iterating yields those of `compute` alone: what is kept of a moment does not depend on who asked for what. Raises
    KeyError for a name that is none.
    """

    __slots__ = ("_asked", "_candles")

    def __init__(self, candles: Candles) -> None:
        super().__init__(compute(candles))
        self._candles = candles
        self._asked: dict[str, Values] = {}

    def __missing__(self, name: str) -> Values:
        if name not in self._asked:
            self._asked[name] = of_period(self._candles, name)
        return self._asked[name]


def of_period(candles: Candles, name: str) -> Values:
    """Return the indicator of a name such as ema12, an array as long as the candles. Raises KeyError for no such name."""
    import talib

    found = OF_PERIOD.fullmatch(name)
    if found is None:
        raise KeyError(name)
    kind, period = found[1], int(found[2])
    if len(candles) <= period or period < LEAST_PERIOD.get(kind, 1):
        return np.full(len(candles), np.nan)
    high, low, close = candles.high, candles.low, candles.close
    values: Values = {
        "ema": lambda: talib.EMA(close, period),
        "sma": lambda: talib.SMA(close, period),
        "rsi": lambda: _unmoved_is_nan(talib.RSI(close, period), close, period),
        "atr": lambda: talib.ATR(high, low, close, period),
        "adx": lambda: talib.ADX(high, low, close, period),
        "high": lambda: talib.MAX(high, period),
        "low": lambda: talib.MIN(low, period),
    }[kind]()
    return values


def compute(candles: Candles) -> dict[str, Values]:
    """Return all indicators over candles[0:n], each an array of n values. The value at i depends on candles[0:i+1] only.

    EMA 20 and 50, MACD 12/26/9, Wilder's RSI 7 and 14, ATR 3 and 14 (quote units), Bollinger bands 20/2, Wilder's
    ADX 14, the simple average of 20 volumes (base asset) and the ratio of the volume to it. Conventions and seeds are
    TA-Lib's. RSI is NaN while nothing has moved (TA-Lib says 0 there, which would read as deeply oversold), the
    ratio where the average is zero. Too few candles give NaN, never an error.
    """
    import talib  # a heavy package: imported where it is used

    if not len(candles):
        return {name: np.empty(0) for name in NAMES}
    high, low, close, volume = candles.high, candles.low, candles.close, candles.volume
    macd, macd_signal, macd_hist = talib.MACD(close, 12, 26, 9)
    bb_upper, bb_middle, bb_lower = talib.BBANDS(close, 20, 2.0, 2.0)
    volume_average = _untraded_is_zero(talib.SMA(volume, 20), volume, 20)
    return {
        "ema20": talib.EMA(close, 20),
        "ema50": talib.EMA(close, 50),
        "macd": macd,
        "macd_signal": macd_signal,
        "macd_hist": macd_hist,
        "rsi7": _unmoved_is_nan(talib.RSI(close, 7), close, 7),
        "rsi14": _unmoved_is_nan(talib.RSI(close, 14), close, 14),
        "atr3": talib.ATR(high, low, close, 3),
        "atr14": talib.ATR(high, low, close, 14),
        "bb_upper": bb_upper,
        "bb_middle": bb_middle,
        "bb_lower": bb_lower,
        "adx14": talib.ADX(high, low, close, 14),
        "volume_average": volume_average,
        "volume_ratio": _ratio(volume, volume_average),
    }


def _unmoved_is_nan(rsi: Values, close: Values, period: int) -> Values:
    """Blank an RSI of exactly 0 where the last `period` changes are all zero: there is no strength to measure."""
    if np.count_nonzero(rsi) < len(rsi):
        for index in np.flatnonzero(rsi == 0.0):
            window = close[index - period : index + 1]
            if (window == window[0]).all():
                rsi[index] = np.nan
    return rsi


def _untraded_is_zero(average: Values, volume: Values, period: int) -> Values:
    """Set the average to zero where nothing was traded: TA-Lib's running sum leaves a rest of some 1e-16 there."""
    if np.count_nonzero(volume) < len(volume):
        trades = np.concatenate(([0], np.cumsum(volume != 0.0)))
        average[period - 1 :][trades[period:] == trades[:-period]] = 0.0
    return average


def _ratio(volume: Values, average: Values) -> Values:
    if np.count_nonzero(average) == len(average):
        quick: Values = volume / average
        return quick
    ratio = np.full(len(volume), np.nan)
    np.divide(volume, average, out=ratio, where=average != 0.0)
    return ratio
