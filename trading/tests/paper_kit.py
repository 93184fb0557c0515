"""A market made of ticks, for tests of the paper venue: what is known at a moment is what had been traded by then."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import numpy as np

from marketdata.domain.candles import Candles
from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.snapshot import Depth, MarketSnapshot, Quote
from marketdata.market import FundingSettlement
from trading.tests.matching_kit import SPECS, START
from vibex.lib.clock import from_ms, to_ms
from vibex.lib.errors import Rejected, Retryable

MINUTE_MS = 60_000


class TickMarket:
    """The Market port over ticks: one-minute candles so far, the last tick as quote, and given funding."""

    venue = "sim"

    def __init__(self, spread: str = "0") -> None:
        self.ticks: dict[str, list[tuple[datetime, Decimal]]] = defaultdict(list)
        self.settlements: dict[str, list[FundingSettlement]] = defaultdict(list)
        self.half_spread = Decimal(spread) / 2
        self.asked: set[str] = set()

    def tick(self, price: object, *, minutes: float, symbol: str = "BTCUSDT") -> None:
        """Trade at `price` so many minutes after the start."""
        self.ticks[symbol].append((START + timedelta(minutes=minutes), Decimal(str(price))))

    def pay(self, rate: str, *, minutes: float, mark: str | None = None, symbol: str = "BTCUSDT") -> None:
        at = START + timedelta(minutes=minutes)
        self.settlements[symbol].append(FundingSettlement(at, Decimal(rate), Decimal(mark) if mark else None))

    def instrument(self, symbol: str) -> InstrumentSpec:
        if symbol not in SPECS:
            raise Rejected(f"{symbol} is not an instrument here")
        return SPECS[symbol]

    def snapshot(self, *, symbols: Sequence[str], timeframes: Sequence[str], at: datetime) -> MarketSnapshot:
        raise NotImplementedError

    def quote(self, symbol: str, *, at: datetime) -> Quote:
        known = [tick for tick in self.ticks[symbol] if tick[0] <= at]
        if not known:
            raise Retryable(f"no price of {symbol} yet")
        when, price = known[-1]
        return Quote(symbol, when, price, price - self.half_spread, price + self.half_spread, price)

    def depth(self, symbol: str, *, at: datetime) -> Depth | None:
        return None

    def base_candles(self, symbol: str, *, since: datetime, until: datetime) -> Candles:
        self.asked.add(symbol)
        assert since < until
        buckets: dict[int, list[float]] = defaultdict(list)
        for when, price in self.ticks[symbol]:
            opened = to_ms(when) // MINUTE_MS * MINUTE_MS
            if when <= until and from_ms(opened) < until and from_ms(opened + MINUTE_MS) > since:
                buckets[opened].append(float(price))
        opens = sorted(buckets)
        rows = [buckets[opened] for opened in opens]
        columns = [
            [row[0] for row in rows],
            [max(row) for row in rows],
            [min(row) for row in rows],
            [row[-1] for row in rows],
        ]
        arrays = [np.array(column, dtype=np.float64) for column in columns]
        return Candles(symbol, "1m", np.array(opens, dtype=np.int64), *arrays, np.ones(len(opens)))

    def funding(self, symbol: str, *, since: datetime, until: datetime) -> list[FundingSettlement]:
        return [paid for paid in self.settlements[symbol] if since < paid.at <= until]
