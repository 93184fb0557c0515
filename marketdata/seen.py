"""The market as it was seen once, out of what was stored of it: prices and newest values, or with all its candles.

The stored row of a symbol is named by a hash of everything that was known of it. Candles are read again up to that
moment; when the hash comes out the same, each of them is what it was, and so is every indicator over them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import numpy as np

from marketdata.domain.assess import ages_of, digest_of, symbol_digest
from marketdata.domain.candles import Candles, interval_ms
from marketdata.domain.frames import LOOKBACK, NEVER, Frame
from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.quality import faults, without
from marketdata.domain.resample import resample
from marketdata.domain.snapshot import MarketSnapshot, Quote, SymbolView, Timeframe
from marketdata.models import Candle, Snapshot
from marketdata.stored import ROW, bars_of, candles_of, depth_of
from vibex.lib.clock import from_ms, to_ms
from vibex.lib.errors import Rejected

PRICES: Final = ("last", "bid", "ask", "mark", "funding_rate", "open_interest")
TIMES: Final = ("at", "mark_at", "funding_at", "next_funding_at", "open_interest_at", "changed_at")
COLUMNS: Final = ("open", "high", "low", "close", "volume")


class MarketGone(Rejected):
    """What was seen of the market is not stored any more, or not as it was."""


def snapshot_seen(
    *,
    venue: str,
    at: datetime,
    seen: Mapping[str, Mapping[str, Any]],
    specs: Mapping[str, InstrumentSpec],
    reasons: Mapping[str, Mapping[str, Any]],
) -> MarketSnapshot:
    """Return what was seen at `at`: prices, problems, and of each timeframe the last candle and its indicators.

    `seen` is what a cycle keeps of it, `specs` gives its symbols and their order. Raises MarketGone for rows that are gone.
    """
    rows = _rows(venue, seen, specs)
    views = {symbol: _view(spec, rows[symbol], seen[symbol], at, reasons) for symbol, spec in specs.items()}
    return MarketSnapshot(venue, at, views, digest_of(venue, at, views))


def with_candles(snapshot: MarketSnapshot, *, base: str, intervals: Sequence[str]) -> MarketSnapshot:
    """Return a snapshot that was seen with all its candles and indicators, made again from stored `base` candles.

    Raises MarketGone for a symbol whose candles are gone, or were corrected since: it cannot be shown as it was.
    """
    views, changed = {}, []
    for symbol, view in snapshot.symbols.items():
        timeframes, prints = _frames(snapshot, symbol, base, intervals)
        if symbol_digest(snapshot.venue, view.quote, prints) != view.digest:
            changed.append(symbol)
        ages = ages_of(view.instrument, view.quote, timeframes, snapshot.at)
        views[symbol] = replace(view, timeframes=timeframes, ages=ages)
    if changed:
        raise MarketGone(
            f"the candles of {', '.join(changed)} before {snapshot.at:%F %T} UTC are not those of then: they are gone "
            "(CANDLE_RETENTION_DAYS), or the venue has corrected some since",
            code="candles_gone",
        )
    return replace(snapshot, symbols=views)


def _rows(
    venue: str, seen: Mapping[str, Mapping[str, Any]], specs: Mapping[str, InstrumentSpec]
) -> dict[str, Mapping[str, Any]]:
    """Return the stored values of each symbol, in one statement."""
    named = {(symbol, str(seen[symbol].get("digest"))): symbol for symbol in specs if symbol in seen}
    rows = Snapshot.objects.filter(
        venue=venue, symbol__in=list(specs), digest__in=[digest for _, digest in named]
    ).values_list("symbol", "digest", "values")
    found = {symbol: values for symbol, digest, values in rows if (symbol, digest) in named}
    if missing := [symbol for symbol in specs if symbol not in found]:
        raise MarketGone(
            f"the market that it saw is not stored any more: the snapshots of {', '.join(missing)} are gone "
            "(SNAPSHOT_RETENTION_DAYS)",
            code="snapshot_gone",
        )
    return found


def _view(
    spec: InstrumentSpec,
    values: Mapping[str, Any],
    seen: Mapping[str, Any],
    at: datetime,
    reasons: Mapping[str, Mapping[str, Any]],
) -> SymbolView:
    quote = _quote(spec.symbol, values["quote"])
    timeframes = {name: _newest(spec.symbol, name, row, at) for name, row in values["timeframes"].items()}
    return SymbolView(
        symbol=spec.symbol,
        instrument=spec,
        quote=quote,
        timeframes=timeframes,
        ages=ages_of(spec, quote, timeframes, at),
        problem=seen.get("problem"),
        digest=str(seen["digest"]),
        reason=reasons.get(spec.symbol, {}),
    )


def _quote(symbol: str, row: Mapping[str, str | None]) -> Quote:
    prices = {name: Decimal(value) if (value := row.get(name)) is not None else None for name in PRICES}
    times = {name: datetime.fromisoformat(value) if (value := row.get(name)) else None for name in TIMES}
    return Quote(symbol=symbol, **prices, **times)  # type: ignore[arg-type]


def _newest(symbol: str, interval: str, row: Mapping[str, Any], at: datetime) -> Timeframe:
    """Return the one candle that was stored, with the newest value of every indicator; what was unknown is NaN."""
    last = row["candle"]
    opened = np.array([] if last is None else [last["open_time"]], dtype=np.int64)
    columns = [_known([] if last is None else [last[name]]) for name in COLUMNS]
    age = NEVER if last is None else at - from_ms(last["open_time"] + interval_ms(interval))
    indicators = {name: _known([value]) for name, value in row["indicators"].items()}
    return Timeframe(interval, Candles(symbol, interval, opened, *columns), indicators, age)


def _known(values: Sequence[float | None]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _frames(
    snapshot: MarketSnapshot, symbol: str, base: str, intervals: Sequence[str]
) -> tuple[dict[str, Timeframe], str]:
    """Return the timeframes of a symbol as of the snapshot, and the fingerprint of the candles behind them."""
    at_ms, step = to_ms(snapshot.at), interval_ms(base)
    per_bars = {name: interval_ms(name) // step for name in intervals}
    depth = max(map(depth_of, per_bars.values()), default=0)
    rows = Candle.objects.filter(
        venue=snapshot.venue, symbol=symbol, interval=base, closed=True, open_time__lte=from_ms(at_ms - step)
    ).order_by("-open_time")
    read = candles_of(symbol, base, reversed(rows.values_list(*ROW)[:depth]))
    sound = without(read, faults(read))
    timeframes, prints = {}, []
    for name, per_bar in per_bars.items():
        candles = resample(sound, name)
        frame = Frame(candles.slice(max(0, len(candles) - bars_of(per_bar)), len(candles)))
        count = frame.count_at(at_ms)
        timeframes[name] = frame.window(count, at_ms, LOOKBACK)
        prints.append(f"{name}:{frame.fingerprint_at(count):x}")
    return timeframes, " ".join(prints)
