"""A venue for tests, in the process: candles as arrays, and everything that a venue can do wrong on request."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np

from marketdata.domain.candles import Candles, interval_ms
from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.snapshot import Quote
from marketdata.market import FundingSettlement
from marketdata.tests.build import recording
from marketdata.venues.public import Interest, VenueRefused


@dataclass
class Venue:
    """Answers as the port says. `faults` are raised one by one, before each answer; None lets the answer pass."""

    series: dict[tuple[str, str], Candles]
    now: datetime
    rates: dict[str, list[FundingSettlement]] = field(default_factory=dict)
    traditional: frozenset[str] = frozenset()
    faults: list[Exception | None] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    before: Callable[[str], None] = lambda what: None
    venue: str = "aster"
    source: str = "https://venue.test"
    page: int = 10

    def server_time(self) -> datetime:
        self._ask("time")
        return self.now

    def instruments(self) -> list[InstrumentSpec]:
        self._ask("instruments")
        found = {symbol: recording(candles).spec for (symbol, _), candles in self.series.items()}
        return [
            replace(
                spec,
                venue=self.venue,
                symbol=symbol,
                asset_class="traditional" if symbol in self.traditional else "crypto",
            )
            for symbol, spec in sorted(found.items())
        ]

    def candles(self, symbol: str, interval: str, *, since_ms: int, until_ms: int) -> Candles:
        self._ask(f"candles {symbol} {interval} {since_ms} {until_ms}")
        if (symbol, interval) not in self.series:
            raise VenueRefused(f"no {interval} candles of {symbol}", code="-1120")
        candles = self.series[symbol, interval]
        seen = int(candles.open_time.searchsorted(round(self.now.timestamp() * 1000)))
        first, last = (int(at) for at in candles.open_time.searchsorted((since_ms, until_ms)))
        return candles.slice(first, max(first, min(last, first + self.page, seen)))

    def quotes(self, symbols: Sequence[str]) -> list[Quote]:
        raise NotImplementedError

    def funding(self, symbol: str, *, since: datetime, until: datetime) -> list[FundingSettlement]:
        self._ask(f"funding {symbol}")
        return [rate for rate in self.rates.get(symbol, []) if since < rate.at <= until]

    def open_interest(self, symbol: str) -> Interest | None:
        raise NotImplementedError

    def questions(self) -> list[str]:
        """Return what was asked since the last look."""
        asked, self.asked = self.asked, []
        return asked

    def _ask(self, what: str) -> None:
        self.before(what)
        self.asked.append(what)
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            raise fault


def venue_of(*several: Candles, **more: object) -> Venue:
    """Return a venue that has these candles, all of them closed for long."""
    last = max(int(one.open_time[-1]) + interval_ms(one.interval) for one in several)
    series = {(one.symbol, one.interval): one for one in several}
    now = datetime.fromtimestamp(last / 1000, UTC)
    return Venue(series, **{"now": now, **more})  # type: ignore[arg-type]


def without_places(candles: Candles, places: Iterable[int]) -> Candles:
    """Return the candles less those at these places."""
    keep = np.setdiff1d(np.arange(len(candles)), np.fromiter(places, dtype=np.int64))
    columns = (candles.open_time, candles.open, candles.high, candles.low, candles.close, candles.volume)
    return Candles(candles.symbol, candles.interval, *(column[keep] for column in columns))


def rates_every(hours: int, moments: Sequence[datetime]) -> list[FundingSettlement]:
    """Return a settlement at each moment that lies on so many full hours."""
    due = [at for at in moments if at.hour % hours == 0 and at.minute == 0]
    return [FundingSettlement(at, Decimal("0.0001")) for at in due]
