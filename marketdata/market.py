"""The Market port: everything that trading and decisions may know of a venue's prices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from marketdata.domain.candles import Candles
from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.snapshot import Depth, MarketSnapshot, Quote


@dataclass(frozen=True, slots=True)
class FundingSettlement:
    """Longs paid `rate` × notional at `mark` to shorts at the moment `at`. `mark` is None where nobody recorded it."""

    at: datetime
    rate: Decimal
    mark: Decimal | None = None
    settled: bool = True
    """False while it is only what the venue expects; the row is there so that the settlement is never late."""


class Market(Protocol):
    """Prices and rules of one venue. All moments are market time."""

    venue: str

    def instrument(self, symbol: str) -> InstrumentSpec:
        """Return the rules of a symbol. Raises Rejected for an unknown one."""
        ...

    def snapshot(self, *, symbols: Sequence[str], timeframes: Sequence[str], at: datetime) -> MarketSnapshot:
        """Return what the market looks like at `at`, closed candles only. A symbol with bad or stale data has a problem."""
        ...

    def quote(self, symbol: str, *, at: datetime) -> Quote:
        """Return the newest prices not later than `at`. Raises Retryable when there are none."""
        ...

    def depth(self, symbol: str, *, at: datetime) -> Depth | None:
        """Return the order book of now, None where the market has none. Raises Retryable or Rejected when it cannot be read."""
        ...

    def base_candles(self, symbol: str, *, since: datetime, until: datetime) -> Candles:
        """Return candles of the base interval that overlap (since, until], the forming one with its values so far."""
        ...

    def funding(self, symbol: str, *, since: datetime, until: datetime) -> list[FundingSettlement]:
        """Return settlements in (since, until], oldest first."""
        ...
