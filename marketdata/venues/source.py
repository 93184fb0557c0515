"""Where the candles of a feed come from: one port, answered by the simulated market and by recorded files."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Protocol

from marketdata.domain.candles import Candles
from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.recording import Quarantined
from marketdata.market import FundingSettlement


class Source(Protocol):
    """Candles of one base interval for several symbols. All times are UTC milliseconds of market time."""

    interval: str
    specs: Mapping[str, InstrumentSpec]
    quarantined: tuple[Quarantined, ...]
    """Candles that can never be used, known from the start."""
    ends_at: int | None
    """When there is nothing more to come; None for a market without an end."""

    def history_from(self, symbol: str, now_ms: int) -> int:
        """Return where the candles begin that are written at the first start."""
        ...

    def whole(self, symbol: str, *, start_ms: int, stop_ms: int, previous_close: float | None) -> Candles:
        """Return the whole candles that open in [start_ms, stop_ms) and have closed at stop_ms."""
        ...

    def forming(self, symbol: str, *, now_ms: int, previous_close: float | None) -> Candles:
        """Return the candle that holds the moment, as far as it has happened: one or none."""
        ...

    def mark(self, symbol: str, *, now_ms: int) -> float | None:
        """Return the mark price, None where it is not known apart from the last price."""
        ...

    def funding(self, symbol: str, *, since_ms: int, until_ms: int) -> list[FundingSettlement]:
        """Return the settlements in (since_ms, until_ms], oldest first."""
        ...

    def next_funding(self, symbol: str, *, now_ms: int) -> tuple[Decimal, int] | None:
        """Return the rate that the next settlement is expected to have, and when it is. Uses nothing of the future."""
        ...
