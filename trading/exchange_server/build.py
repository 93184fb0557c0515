"""Markets for the test exchange: simulated from a seed, or recorded in a folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from marketdata.domain.candles import Candles
from marketdata.domain.recording import Recording
from marketdata.domain.simulation import profile_of
from marketdata.venues.csvfiles import read_table
from marketdata.venues.recorded import CANDLE_COLUMNS
from marketdata.venues.replay import RecordedSource
from marketdata.venues.simulated import SimulatedSource
from trading.exchange_server.bars import DAY_MS, LENGTHS, Bars, bars_of
from trading.exchange_server.clock import VirtualClock
from trading.exchange_server.contracts import (
    Contract,
    builtin_contract,
    first_price,
    read_exchange_info,
    recorded_contracts,
)
from trading.exchange_server.markets import Markets
from trading.exchange_server.series import Grid, Series
from vibex.lib.clock import to_ms
from vibex.lib.errors import Rejected

DEFAULT_SYMBOLS: Final = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT", "DOGEUSDT")
DEFAULT_SEED: Final = 7
FEW: Final = 20
"""Up to so many symbols have a history from the first day of the month before; more of them have some days."""
SHORT_DAYS: Final = 3
AFTER_END_MS: Final = 1_000
"""The clock of a recording stands a second after its last candle has closed."""
EXTRA_COLUMNS: Final = ("quote_volume", "taker_buy_volume")


def simulated_markets(
    symbols: Sequence[str] | None = None,
    *,
    seed: int = DEFAULT_SEED,
    start: datetime | None = None,
    speed: float = 1.0,
    exchange_info: Path | None = None,
    history_days: int | None = None,
) -> Markets:
    """Return markets out of a seed. `start` is where the clock begins (now when None).

    The history begins `history_days` whole days before the day of `start`; without it, on the first day of the month
    before, so that a server that is started again has the same prices as before. The symbols are those of a recorded
    `exchange_info` when one is given, else six majors. Raises Rejected for a symbol that is not in it.
    """
    payload = None if exchange_info is None else read_exchange_info(exchange_info)
    names = _names(symbols, payload)
    now = to_ms(start or datetime.now(UTC))
    begins = _begins(now, history_days, few=len(names) <= FEW)
    source = SimulatedSource("aster", names, seed)
    recorded = recorded_contracts(payload) if payload else {}
    contracts = {
        name: recorded[name] if name in recorded else builtin_contract(source.specs[name], onboard_ms=begins)
        for name in names
    }
    clock = VirtualClock(now, speed=speed)
    series = _Lazy({name: partial(_simulated, source, contract, begins) for name, contract in contracts.items()})
    title = f"simulated, seed {seed}"
    return Markets(source, contracts, clock, series=series, head=payload, title=title)


def recorded_markets(
    folder: Path,
    symbols: Sequence[str] | None = None,
    *,
    start: datetime | None = None,
    speed: float = 1.0,
    exchange_info: Path | None = None,
    today: bool = False,
) -> Markets:
    """Return markets out of a recorded folder. The clock begins at `start`, or after a warm-up, and stands at the end.

    With `today` the whole recording is moved by full days, so that the day of the start is today and the clock begins
    now: what trades by the wall clock can live in it. Raises Rejected for a folder that cannot be read whole, or a start that lies outside of it.
    """
    payload = None if exchange_info is None else read_exchange_info(exchange_info)
    source = RecordedSource("aster", folder, symbols)
    end = source.ends_at or 0
    now = source.earliest_start() if start is None else to_ms(start)
    if not source.begins_at <= now <= end:
        raise Rejected(f"{folder}: the recording does not hold {start:%F %T}. Choose another start.", code="recording")
    shift = 0
    if today:
        wall = to_ms(datetime.now(UTC))
        shift = wall // DAY_MS * DAY_MS - now // DAY_MS * DAY_MS
        now, end = wall, end + shift
        _move(source, shift)
    recorded = recorded_contracts(payload) if payload else {}
    contracts = {
        name: recorded[name] if name in recorded else builtin_contract(spec, onboard_ms=source.begins_at)
        for name, spec in source.specs.items()
    }
    clock = VirtualClock(now, speed=speed, ends_at=end + AFTER_END_MS)
    series = {name: _recorded(source, folder, contract, shift) for name, contract in contracts.items()}
    marks = {name: made for name, contract in contracts.items() if (made := _marks(source, contract))}
    return Markets(source, contracts, clock, series=series, marks=marks, head=payload, title=f"recorded, {folder}")


class _Lazy(Mapping[str, Series]):
    """Series that are made when they are first asked for."""

    def __init__(self, makers: Mapping[str, partial[Series]]) -> None:
        self._makers, self._made = makers, dict[str, Series]()

    def __getitem__(self, symbol: str) -> Series:
        if symbol not in self._made:
            self._made[symbol] = self._makers[symbol]()
        return self._made[symbol]

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


def _names(symbols: Sequence[str] | None, payload: Mapping[str, Any] | None) -> tuple[str, ...]:
    if payload is None:
        return tuple(symbols or DEFAULT_SYMBOLS)
    known = [info["symbol"] for info in payload["symbols"]]
    if missing := [name for name in symbols or () if name not in known]:
        raise Rejected(f"{', '.join(missing)}: not in the recorded exchangeInfo.", code="exchange-info")
    return tuple(symbols or known)


def _begins(now_ms: int, history_days: int | None, *, few: bool) -> int:
    if few and history_days is None:
        month = np.datetime64(now_ms, "ms").astype("datetime64[M]") - np.timedelta64(1, "M")
        return int(month.astype("datetime64[ms]").astype(np.int64))
    days = SHORT_DAYS if history_days is None else history_days
    return now_ms // DAY_MS * DAY_MS - days * DAY_MS


def _grid(contract: Contract) -> Grid:
    return Grid(float(contract.spec.tick_size), contract.price_decimals, contract.quantity_decimals)


def _simulated(source: SimulatedSource, contract: Contract, begins_at: int) -> Series:
    """Return the series of a contract; one that is not traded stands still without volume."""
    symbol = contract.symbol

    def load(start: int, stop: int, close: float | None) -> Candles:
        return source.whole(symbol, start_ms=start, stop_ms=stop, previous_close=close)

    def flat(start: int, stop: int, _close: float | None) -> Candles:
        times = np.arange(start, stop, LENGTHS["1m"], dtype=np.int64)
        price = np.full(len(times), profile_of(symbol).price)
        return Candles(symbol, "1m", times, price, price, price, price, np.zeros(len(times)))

    factor = first_price(contract) / profile_of(symbol).price
    return Series("1m", _grid(contract), load if contract.live else flat, begins_at=begins_at, factor=factor)


def _recorded(source: RecordedSource, folder: Path, contract: Contract, shift: int) -> Series:
    candles = source.recordings[contract.symbol].candles
    verbatim = {
        interval: _verbatim(file, shift)
        for interval in LENGTHS
        if (file := folder / f"{contract.symbol}-{interval}.csv.gz").is_file()
    }
    begins = int(candles.open_time[0])
    return Series(
        source.interval,
        _grid(contract),
        lambda start, stop, _: source.whole(contract.symbol, start_ms=start, stop_ms=stop, previous_close=None),
        begins_at=begins,
        ends_at=int(candles.open_time[-1]) + LENGTHS[source.interval],
        verbatim=verbatim,
    )


def _move(source: RecordedSource, shift: int) -> None:
    """Move everything that was recorded by `shift` milliseconds."""
    source.begins_at += shift
    source.recordings = {name: _later(recording, shift) for name, recording in source.recordings.items()}


def _later(recording: Recording, shift: int) -> Recording:
    candles, mark, funding = recording.candles, recording.mark, recording.funding
    return replace(
        recording,
        candles=replace(candles, open_time=candles.open_time + shift),
        mark=mark and replace(mark, open_time=mark.open_time + shift),
        funding=replace(funding, at=funding.at + shift),
    )


def _marks(source: RecordedSource, contract: Contract) -> Series | None:
    """Return the recorded mark price, None where there is none."""
    mark = source.recordings[contract.symbol].mark
    if mark is None or not np.isfinite(mark.close).any():
        return None
    known = np.isfinite(mark.close)
    names = ("open_time", "open", "high", "low", "close", "volume")
    whole = Candles(mark.symbol, mark.interval, *(getattr(mark, name)[known] for name in names))
    grid = Grid(1e-8, 8, 8)
    begins, end = int(whole.open_time[0]), int(whole.open_time[-1]) + LENGTHS[mark.interval]
    return Series(mark.interval, grid, lambda *_: whole, begins_at=begins, ends_at=end)


def _verbatim(file: Path, shift: int) -> Bars:
    """Return a recorded file as it is, impossible candles included, `shift` milliseconds later."""
    table = read_table(file, CANDLE_COLUMNS)
    columns = np.ascontiguousarray(table.T)
    times = columns[0].astype(np.int64) + shift
    made = bars_of(times, (columns[1], columns[2], columns[3], columns[4]), columns[5])
    try:
        extra = np.ascontiguousarray(read_table(file, ("ts_ms", *EXTRA_COLUMNS)).T)
    except Rejected:
        return made  # turnover is not recorded: it is estimated
    return replace(made, quote=extra[1], taker=extra[2])
