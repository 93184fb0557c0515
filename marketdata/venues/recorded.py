"""Reader of recorded folders: `SYMBOL-interval.csv.gz`, with mark prices and funding in folders beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from marketdata.domain.builtin import recorded_spec
from marketdata.domain.candles import INTERVAL_MS, Candles, interval_ms
from marketdata.domain.quality import Fault, faults, without
from marketdata.domain.recording import FundingRecord, Quarantined, Recording
from marketdata.venues.csvfiles import FIRST_ROW, read_table
from vibex.lib.errors import Rejected

SUFFIX = ".csv.gz"
CANDLE_COLUMNS = ("ts_ms", "open", "high", "low", "close", "volume")
MARK_COLUMNS = CANDLE_COLUMNS[:-1]
FUNDING_COLUMNS = ("ts_ms", "funding_rate")
HOUR_MS = 3_600_000
DEFAULT_FUNDING_HOURS = 8


@dataclass(frozen=True, slots=True)
class RecordedFolder:
    """All that was read of a folder. Every symbol has the same base interval."""

    path: Path
    interval: str
    recordings: Mapping[str, Recording]

    @property
    def quarantined(self) -> tuple[Quarantined, ...]:
        """Candles that cannot be true. They are left out; their symbols hold while one lies in the last three bars."""
        return tuple(item for recording in self.recordings.values() for item in recording.quarantined)


def list_folder(path: Path) -> dict[str, tuple[str, ...]]:
    """Return the intervals recorded per symbol, shortest first. Raises Rejected for a folder without recordings."""
    if not path.is_dir():
        raise Rejected(f"{path}: there is no such folder. Name a folder of recorded candles.", code="recording")
    found: dict[str, list[str]] = {}
    for file in path.glob(f"*{SUFFIX}"):
        symbol, _, interval = file.name.removesuffix(SUFFIX).rpartition("-")
        if symbol and interval in INTERVAL_MS:
            found.setdefault(symbol, []).append(interval)
    if not found:
        wanted = f"BTCUSDT-1h{SUFFIX}"
        raise Rejected(f"{path}: no recorded candles here. Files are named like {wanted}.", code="recording")
    return {symbol: tuple(sorted(found[symbol], key=interval_ms)) for symbol in sorted(found)}


def read_folder(
    path: Path, symbols: Sequence[str] | None = None, *, interval: str | None = None, venue: str = "recorded"
) -> RecordedFolder:
    """Read candles, mark prices and funding of `symbols` (all when None) whole, or raise Rejected and read nothing.

    The base interval is `interval`, else the shortest one that every symbol has. A candle that cannot be true is left
    out and listed in `quarantined`.
    """
    available = list_folder(path)
    wanted = tuple(symbols) if symbols else tuple(available)
    base = _base_interval(path, available, wanted, interval)
    return RecordedFolder(path, base, {symbol: _read_symbol(path, symbol, base, venue) for symbol in wanted})


def _base_interval(
    path: Path, available: Mapping[str, tuple[str, ...]], wanted: Sequence[str], interval: str | None
) -> str:
    unknown = [symbol for symbol in wanted if symbol not in available]
    if unknown:
        raise Rejected(
            f"{path}: {', '.join(unknown)} is not recorded here. There is {', '.join(available)}.", code="recording"
        )
    common = [name for name in INTERVAL_MS if all(name in available[symbol] for symbol in wanted)]
    if interval in common:
        return str(interval)
    if interval is not None or not common:
        offers = "; ".join(f"{symbol}: {', '.join(available[symbol])}" for symbol in wanted)
        what = f"{interval} is not" if interval else "no interval is"
        raise Rejected(f"{path}: {what} recorded for every symbol ({offers}). Choose among these.", code="recording")
    return common[0]


def _read_symbol(path: Path, symbol: str, interval: str, venue: str) -> Recording:
    file = path / f"{symbol}-{interval}{SUFFIX}"
    raw = _candles(symbol, interval, read_table(file, CANDLE_COLUMNS))
    broken = faults(raw)
    candles = without(raw, broken)
    if not len(candles):
        raise Rejected(f"{file}: not one candle in it can be true. Fetch it again.", code="recording")
    funding = _funding(path, symbol)
    return Recording(
        spec=recorded_spec(venue, symbol, _prices(candles), funding_interval_hours=_funding_hours(funding.at)),
        candles=candles,
        mark=_mark(path, candles),
        funding=funding,
        quarantined=tuple(_quarantined(file, raw, fault) for fault in broken),
    )


def _candles(symbol: str, interval: str, table: NDArray[np.float64]) -> Candles:
    """Return the table as candles; without a volume column (mark prices) the volume is zero."""
    columns = np.ascontiguousarray(table.T)
    volume = columns[5] if len(columns) > 5 else np.zeros(len(table))
    times = columns[0].astype(np.int64)
    return Candles(symbol, interval, times, columns[1], columns[2], columns[3], columns[4], volume)


def _prices(candles: Candles) -> NDArray[np.float64]:
    return np.concatenate((candles.open, candles.high, candles.low, candles.close))


def _quarantined(file: Path, raw: Candles, fault: Fault) -> Quarantined:
    values = {name: float(getattr(raw, name)[fault.index]) for name in CANDLE_COLUMNS[1:]}
    return Quarantined(
        symbol=raw.symbol,
        interval=raw.interval,
        open_time=fault.open_time,
        values={name: value if np.isfinite(value) else None for name, value in values.items()},
        reason=f"{fault.reason} ({file.name}, line {fault.index + FIRST_ROW})",
    )


def _mark(path: Path, candles: Candles) -> Candles | None:
    """Return the mark price with the open times of `candles`, NaN where none or an impossible one was recorded."""
    folder = _sibling(path, "mark")
    file = folder and folder / f"{candles.symbol}-{candles.interval}{SUFFIX}"
    if file is None or not file.is_file():
        return None
    raw = _candles(candles.symbol, candles.interval, read_table(file, MARK_COLUMNS))
    recorded = without(raw, faults(raw))
    _, ours, theirs = np.intersect1d(candles.open_time, recorded.open_time, assume_unique=True, return_indices=True)
    table = np.full((len(candles), len(MARK_COLUMNS)), np.nan)
    table[:, 0] = candles.open_time
    for place, name in enumerate(MARK_COLUMNS[1:], 1):
        table[ours, place] = getattr(recorded, name)[theirs]
    return _candles(candles.symbol, candles.interval, table)


def _funding(path: Path, symbol: str) -> FundingRecord:
    folder = _sibling(path, "funding")
    file = folder and folder / f"{symbol}-funding{SUFFIX}"
    if file is None or not file.is_file():
        return FundingRecord()
    table = read_table(file, FUNDING_COLUMNS)
    table = table[np.isfinite(table[:, 1])]
    at = np.round(table[:, 0] / 1000).astype(np.int64) * 1000  # stamps carry some milliseconds of jitter
    return FundingRecord(at, np.ascontiguousarray(table[:, 1]), _mark_at(path, symbol, at))


def _mark_at(path: Path, symbol: str, moments: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mark price at each moment, from the open of a mark candle of any length that begins there."""
    marks = np.full(len(moments), np.nan)
    folder = _sibling(path, "mark")
    for file in sorted(folder.glob(f"{symbol}-*{SUFFIX}")) if folder else ():
        table = read_table(file, ("ts_ms", "open"))
        _, ours, theirs = np.intersect1d(moments, table[:, 0].astype(np.int64), return_indices=True)
        marks[ours] = table[theirs, 1]
    return np.where(marks > 0, marks, np.nan)


def _funding_hours(at: NDArray[np.int64]) -> int:
    if len(at) < 2:
        return DEFAULT_FUNDING_HOURS
    return max(1, round(float(np.median(np.diff(at))) / HOUR_MS))


def _sibling(path: Path, kind: str) -> Path | None:
    """Return mark/<set> or funding/<set> for candles/<set>; None when the folder does not lie under `candles`."""
    parts = list(path.parts)
    if "candles" not in parts:
        return None
    place = len(parts) - 1 - parts[::-1].index("candles")
    return Path(*parts[:place], kind, *parts[place + 1 :])
