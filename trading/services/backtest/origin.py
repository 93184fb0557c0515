"""What a result came from: digests of the candles and of the code, so that it can be found out whether they are the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from hashlib import sha256
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from marketdata.domain.candles import Candles
from marketdata.domain.recording import Recording
from marketdata.recorded_market import RecordedMarket
from vibex.lib.env import ROOT

COLUMNS: Final = ("open_time", "open", "high", "low", "close", "volume")
CODE: Final = ("accounts", "decisions", "marketdata", "trading", "vibex")
ASIDE: Final = frozenset({"tests", "migrations"})
"""Folders that have no part in a result."""


def data_of(market: RecordedMarket, symbols: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return by symbol what was recorded: how many candles, of which interval, from when to when, and sha256 digests.

    All that was recorded counts, what lies before the window as well: indicators have seen it. Arrays are digested as
    little-endian float64 and int64, one column after the other; "" where nothing was recorded.
    """
    return {symbol: _data(market, market.series(symbol)) for symbol in symbols}


@cache
def code_of() -> dict[str, str]:
    """Return the version of the project and the sha256 digest of its code, tests and migrations left out."""
    import tomllib

    digest = sha256()
    for app in CODE:
        for path in sorted((ROOT / app).rglob("*.py")):
            inside = path.relative_to(ROOT)
            if ASIDE.isdisjoint(inside.parts):
                digest.update(f"{inside.as_posix()}\0".encode() + path.read_bytes() + b"\0")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {"version": project["version"], "sha256": digest.hexdigest()}


def _data(market: RecordedMarket, recorded: Recording) -> dict[str, Any]:
    candles, funding = recorded.candles, recorded.funding
    first, last = market.span(recorded.symbol)
    return {
        "interval": candles.interval,
        "candles": len(candles),
        "from": first.isoformat(),
        "to": last.isoformat(),
        "mark": _digest(_columns(recorded.mark)) if recorded.mark is not None else "",
        "funding": _digest((funding.at, funding.rate, funding.mark)) if len(funding.at) else "",
        "prices": _digest(_columns(candles)),
        "settlements": len(funding.at),
    }


def _columns(candles: Candles) -> Iterable[NDArray[Any]]:
    return (getattr(candles, name) for name in COLUMNS)


def _digest(columns: Iterable[NDArray[Any]]) -> str:
    digest = sha256()
    for column in columns:
        whole = np.issubdtype(column.dtype, np.integer)
        digest.update(np.ascontiguousarray(column, dtype="<i8" if whole else "<f8").tobytes())
    return digest.hexdigest()
