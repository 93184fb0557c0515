"""Where the candles of a backtest come from: a folder of files, or the tables. Plain data, so that any process can read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from marketdata.domain.recording import FundingRecord, Recording
from marketdata.recorded_market import RecordedMarket


@dataclass(frozen=True, slots=True)
class Source:
    """Candles of some symbols, with the timeframes that are made of them. Either a folder or a market is named."""

    symbols: tuple[str, ...]
    timeframes: tuple[str, ...]
    start: datetime
    end: datetime
    folder: Path | None = None
    venue: str | None = None
    spread: Decimal = Decimal("0.0002")
    """Ask − bid as a share of the price."""
    funding: bool = True
    """Whether funding is paid."""

    def read(self) -> tuple[RecordedMarket, tuple[str, ...]]:
        """Return the market, and in words what was left out of it. Raises Rejected for candles that are not there."""
        recordings, notes = self._stored() if self.folder is None else self._filed(self.folder)
        if not self.funding:
            recordings = [replace(recording, funding=FundingRecord()) for recording in recordings]
        return RecordedMarket(recordings, timeframes=self.timeframes, spread=self.spread), tuple(notes)

    def _filed(self, folder: Path) -> tuple[Sequence[Recording], list[str]]:
        from marketdata.venues.recorded import read_folder

        read = read_folder(folder, self.symbols)
        return [*read.recordings.values()], [f"left out: {candle.reason}" for candle in read.quarantined]

    def _stored(self) -> tuple[Sequence[Recording], list[str]]:
        from marketdata.stored_recordings import stored_recordings

        venue = self.venue or ""
        found = stored_recordings(venue, self.symbols, start=self.start, end=self.end, timeframes=self.timeframes)
        return found, []
