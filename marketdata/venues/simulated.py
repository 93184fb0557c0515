"""The simulated market as the source of a feed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from marketdata.domain.builtin import builtin_spec
from marketdata.domain.candles import Candles
from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.path import seen_until
from marketdata.domain.pricing import decimal_of
from marketdata.domain.recording import Quarantined
from marketdata.domain.simulation import INTERVAL, MINUTE_MS, funding_rate, generate, profile_of
from marketdata.market import FundingSettlement
from vibex.lib.clock import from_ms

HISTORY_DAYS: Final = 14
"""Written at the first start: 84 candles of 4h, enough for every indicator."""
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 86_400_000


class SimulatedSource:
    """One-minute candles out of a seed. The mark price is the last price."""

    interval = INTERVAL
    quarantined: tuple[Quarantined, ...] = ()
    ends_at: int | None = None

    def __init__(self, venue: str, symbols: Sequence[str], seed: int, *, history_days: int = HISTORY_DAYS) -> None:
        self.seed = seed
        self.specs: Mapping[str, InstrumentSpec] = {
            symbol: builtin_spec(venue, symbol, price=profile_of(symbol).price) for symbol in symbols
        }
        self._history = history_days * DAY_MS

    def history_from(self, symbol: str, now_ms: int) -> int:
        return (now_ms - self._history) // MINUTE_MS * MINUTE_MS

    def whole(self, symbol: str, *, start_ms: int, stop_ms: int, previous_close: float | None) -> Candles:
        spec = self.specs[symbol]
        return generate(
            seed=self.seed,
            symbol=symbol,
            tick=float(spec.tick_size),
            step=float(spec.step_size),
            start_ms=start_ms,
            stop_ms=stop_ms,
            previous_close=previous_close,
        )

    def forming(self, symbol: str, *, now_ms: int, previous_close: float | None) -> Candles:
        start = now_ms // MINUTE_MS * MINUTE_MS
        minute = self.whole(symbol, start_ms=start, stop_ms=start + MINUTE_MS, previous_close=previous_close)
        return seen_until(minute, now_ms, tick=float(self.specs[symbol].tick_size))

    def mark(self, symbol: str, *, now_ms: int) -> float | None:
        return None

    def funding(self, symbol: str, *, since_ms: int, until_ms: int) -> list[FundingSettlement]:
        period = self._period(symbol)
        moments = range((since_ms // period + 1) * period, until_ms + 1, period)
        return [FundingSettlement(from_ms(at), self._rate(symbol, at)) for at in moments]

    def next_funding(self, symbol: str, *, now_ms: int) -> tuple[Decimal, int] | None:
        period = self._period(symbol)
        return self._rate(symbol, now_ms), (now_ms // period + 1) * period

    def _rate(self, symbol: str, at_ms: int) -> Decimal:
        return decimal_of(funding_rate(seed=self.seed, symbol=symbol, at_ms=at_ms))

    def _period(self, symbol: str) -> int:
        return self.specs[symbol].funding_interval_hours * HOUR_MS
