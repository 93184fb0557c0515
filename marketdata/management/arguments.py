"""How arguments of commands about candles are read."""

from __future__ import annotations

from argparse import ArgumentTypeError

from marketdata.domain.intervals import INTERVAL_MS
from vibex.lib.commands import names


def intervals(text: str) -> tuple[str, ...]:
    """Read a list like 1m,1h."""
    found = tuple(name.strip() for name in text.split(",") if name.strip())
    if not found or any(name not in INTERVAL_MS for name in found):
        raise ArgumentTypeError(f"{text!r}: intervals are {', '.join(INTERVAL_MS)}, for example 1m,1h")
    return names(text)
