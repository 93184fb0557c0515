"""A market in the tables that moves only when it is told to: six symbols, one-minute candles, hardly any movement."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np

from marketdata.domain.builtin import builtin_spec
from marketdata.domain.candles import Candles
from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.snapshot import Quote
from marketdata.models import Feed
from marketdata.services import candles_upsert, instruments_upsert, ticker_put
from vibex.lib.clock import from_ms, to_ms

VENUE = "recorded"
BEGIN = datetime(2025, 9, 1, tzinfo=UTC)
HISTORY = timedelta(days=11)
"""Enough for 60 candles of four hours."""
MINUTE_MS = 60_000
PRICES = {"BTCUSDT": 110_000, "ETHUSDT": 4_000, "SOLUSDT": 200, "BNBUSDT": 1_000, "XRPUSDT": 3, "DOGEUSDT": 0.25}
NOISE = 0.00005
OTHERS = 300
"""Contracts that the venue lists and nobody here trades."""


class StillMarket:
    """Writes what a feed would write; the clock of its replay stands between two moves."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(11)
        self._specs = {symbol: builtin_spec(VENUE, symbol, price=price) for symbol, price in PRICES.items()}
        self.at = BEGIN
        instruments_upsert(specs=self._specs.values())
        others = [builtin_spec(VENUE, f"OTHER{number}USDT", price=1) for number in range(OTHERS)]
        instruments_upsert(specs=others, followed=False)
        Feed.objects.create(venue=VENUE, kind=Feed.Kind.RECORDED, market_at=BEGIN, running=False)
        self.advance(HISTORY)

    def advance(self, span: timedelta) -> None:
        """Let `span` of quiet trading pass."""
        since, self.at = self.at, self.at + span
        for symbol, price in PRICES.items():
            candles_upsert(venue=VENUE, candles=self._candles(symbol, price, since), closed=True)
        ticker_put(venue=VENUE, quotes=[self._quote(symbol, price) for symbol, price in PRICES.items()])
        Feed.objects.filter(venue=VENUE).update(market_at=self.at, wall_at=datetime.now(UTC))

    def spec(self, symbol: str) -> InstrumentSpec:
        return self._specs[symbol]

    def quote(self, symbol: str) -> Quote:
        return self._quote(symbol, PRICES[symbol])

    def _candles(self, symbol: str, price: float, since: datetime) -> Candles:
        opened = np.arange(to_ms(since), to_ms(self.at), MINUTE_MS, dtype=np.int64)
        path = price * (1 + self._random.normal(0, NOISE, (2, len(opened))))
        wick = price * NOISE
        high, low = path.max(axis=0) + wick, path.min(axis=0) - wick
        return Candles(symbol, "1m", opened, path[0], high, low, path[1], np.full(len(opened), 100.0))

    def _quote(self, symbol: str, price: float) -> Quote:
        spec, middle = self._specs[symbol], Decimal(str(price))
        following = from_ms((to_ms(self.at) // 28_800_000 + 1) * 28_800_000)
        bid, ask = middle - spec.tick_size, middle + spec.tick_size
        return Quote(symbol, self.at, middle, bid, ask, middle, Decimal("0.0001"), following)
