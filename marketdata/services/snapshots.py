"""The writer of snapshots: what was known of a symbol at a tick, computed once, stored once, shared by all who saw it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from functools import partial
from math import isfinite
from typing import Any, Final

from django.db import transaction

from marketdata.domain.snapshot import MarketSnapshot, Quote, SymbolView, Timeframe
from marketdata.models import Snapshot

type Key = tuple[str, str, str]
"""Venue, symbol and digest."""

REMEMBERED: Final = 4_096
TIMES: Final = ("at", "mark_at", "funding_at", "next_funding_at", "open_interest_at", "changed_at")
PRICES: Final = ("last", "bid", "ask", "mark", "funding_rate", "open_interest")
CANDLE: Final = ("open", "high", "low", "close", "volume")


class Remembered:
    """The snapshots that this process knows to be stored, the newest ones. Safe for many threads."""

    def __init__(self, size: int = REMEMBERED) -> None:
        self._lock, self._size = threading.Lock(), size
        self._keys: OrderedDict[Key, None] = OrderedDict()

    def __contains__(self, key: Key) -> bool:
        with self._lock:
            return key in self._keys

    def add(self, keys: Iterable[Key]) -> None:
        with self._lock:
            for key in keys:
                self._keys[key] = None
                self._keys.move_to_end(key)
            while len(self._keys) > self._size:
                self._keys.popitem(last=False)

    def forget(self) -> None:
        with self._lock:
            self._keys.clear()


STORED: Final = Remembered()


def snapshot_store(snapshot: MarketSnapshot) -> dict[str, Any]:
    """Store what is known of each symbol, once, and return what a cycle keeps of it.

    That is by symbol: price, age of it in seconds, problem, and the digest and time that name the stored row. All
    rows go in one statement; none does when this process has stored them already.
    """
    new = {_key(snapshot, symbol): symbol for symbol in snapshot.symbols}
    new = {key: symbol for key, symbol in new.items() if key not in STORED}
    if new:
        rows = [_row(snapshot, symbol) for symbol in sorted(new.values())]
        Snapshot.objects.bulk_create(rows, ignore_conflicts=True)
        transaction.on_commit(partial(STORED.add, tuple(new)))
    return {symbol: _seen(snapshot, symbol) for symbol in snapshot.symbols}


def _key(snapshot: MarketSnapshot, symbol: str) -> Key:
    return snapshot.venue, symbol, _digest(snapshot, symbol)


def _digest(snapshot: MarketSnapshot, symbol: str) -> str:
    return snapshot.symbols[symbol].digest or snapshot.digest


def _row(snapshot: MarketSnapshot, symbol: str) -> Snapshot:
    view = snapshot.symbols[symbol]
    return Snapshot(
        venue=snapshot.venue,
        symbol=symbol,
        at=view.quote.at,
        digest=_digest(snapshot, symbol),
        values=_values(view),
    )


def _seen(snapshot: MarketSnapshot, symbol: str) -> dict[str, Any]:
    view = snapshot.symbols[symbol]
    return {
        "price": f"{view.quote.last:f}",
        "age": max(0.0, (snapshot.at - view.quote.at).total_seconds()),
        "problem": view.problem,
        "digest": _digest(snapshot, symbol),
        "at": view.quote.at.isoformat(),
    }


def _values(view: SymbolView) -> dict[str, Any]:
    """Return what was seen as JSON: decimals as text, indicators as floats, null where nothing is known."""
    timeframes = {interval: _newest(timeframe) for interval, timeframe in view.timeframes.items()}
    return {"quote": _quote(view.quote), "timeframes": timeframes}


def _quote(quote: Quote) -> dict[str, str | None]:
    prices: dict[str, Decimal | None] = {name: getattr(quote, name) for name in PRICES}
    times: dict[str, datetime | None] = {name: getattr(quote, name) for name in TIMES}
    return {
        **{name: None if value is None else f"{value:f}" for name, value in prices.items()},
        **{name: None if at is None else at.isoformat() for name, at in times.items()},
    }


def _newest(timeframe: Timeframe) -> dict[str, Any]:
    """Return the last closed candle and the newest value of every indicator; nothing where there is no candle."""
    candles = timeframe.candles
    if not len(candles):
        return {"candle": None, "indicators": {}}
    candle = {name: _known(float(getattr(candles, name)[-1])) for name in CANDLE}
    return {
        "candle": {"open_time": int(candles.open_time[-1]), **candle},
        "indicators": {name: _known(float(values[-1])) for name, values in timeframe.indicators.items()},
    }


def _known(value: float) -> float | None:
    return value if isfinite(value) else None
