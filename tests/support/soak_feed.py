"""A live feed in a process of its own and in a time of its own, for the soak of the market data.

Writes "ready" when it runs. Each line of the input, a file and a moment in milliseconds, is answered with a line of
counts after the closed candles since then were saved in the file. It ends with the input.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from datetime import timedelta
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "vibex.settings")

import django

django.setup()  # what follows imports models

import numpy as np  # noqa: E402
from django.conf import settings  # noqa: E402

from accounts.models import Incident  # noqa: E402
from marketdata import selectors  # noqa: E402
from marketdata.aster.connection import Pace  # noqa: E402
from marketdata.aster.stream import AsterStream  # noqa: E402
from marketdata.feed import FeedRunner  # noqa: E402
from marketdata.models import Candle, CandleCorrection, QuarantinedCandle, Ticker  # noqa: E402
from marketdata.services import keeper  # noqa: E402
from marketdata.services.live import LiveFeed, live_open  # noqa: E402
from tests.support.tables import tables_made  # noqa: E402
from tests.support.timelapse import Timelapse  # noqa: E402
from vibex.lib.clock import from_ms  # noqa: E402

VENUE = "aster"
PACE = Pace(silence=3.0, life=25.0, longest_pause=3.0)
"""Renewals and silences often enough that a short soak has some."""


PERIODS = ("CONTRACTS", "FOLLOW", "CLOCK", "RECENT", "BROKEN", "WHOLE", "EXPECTED", "SETTLED", "FAILED")
"""What the keeper does every so many seconds of the monotonic clock, which is not accelerated."""


class Runner(FeedRunner):
    """The ordinary runner, over a stream that a test can look into."""

    def __init__(self, stream: AsterStream, speed: float) -> None:
        super().__init__(VENUE, period=max(0.1, 1.0 / speed))
        self._stream = stream

    def _mover(self) -> LiveFeed:
        return LiveFeed(VENUE, stream=self._stream, stopping=self._stopping.is_set)


def save(path: str, since_ms: int) -> None:
    """Save the closed candles that open since then: per symbol open time, open, high, low, close, volume."""
    rows: dict[str, list[tuple[float, ...]]] = {}
    found = Candle.objects.filter(venue=VENUE, closed=True, open_time__gte=from_ms(since_ms)).order_by("open_time")
    for symbol, at, *values in found.values_list("symbol", "open_time", "open", "high", "low", "close", "volume"):
        rows.setdefault(symbol, []).append((round(at.timestamp() * 1000), *values))
    np.savez(path, **{symbol: np.array(candles) for symbol, candles in rows.items()})


def counts(stream: AsterStream) -> dict[str, Any]:
    tally = {name: getattr(stream.tally, name) for name in stream.tally.__slots__}
    return tally | {
        "candles": Candle.objects.count(),
        "forming": Candle.objects.filter(closed=False).count(),
        "tickers": Ticker.objects.count(),
        "corrections": CandleCorrection.objects.count(),
        "quarantined": QuarantinedCandle.objects.count(),
        "unmended": QuarantinedCandle.objects.filter(mended=None).count(),
        "incidents": Incident.objects.count(),
    }


def accelerate(speed: float) -> None:
    """Let the keeper be as much faster as the time is, so that the soak is what happens live, only sooner."""
    for name in (f"{period}_SECONDS" for period in PERIODS):
        setattr(keeper, name, getattr(keeper, name) / speed)
    keeper.JUMP_SECONDS = float("inf")  # this clock is always ahead of the time that passes


def work(speed: float) -> None:
    tables_made()
    selectors.SHORTEST_WARM_UP = timedelta(hours=12)
    accelerate(speed)
    live_open(venue=VENUE, seconds=30.0)
    stream = AsterStream(settings.ASTERDEX_STREAM_URL, pace=PACE)
    runner = Runner(stream, speed)
    runner.start()
    tell("ready")
    for line in sys.stdin:
        path, since_ms = line.split()
        save(path, int(since_ms))
        tell(json.dumps(counts(stream)))
    runner.stop()


def tell(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--market-ms", type=int, required=True)
    parser.add_argument("--monotonic", type=float, required=True)
    parser.add_argument("--speed", type=float, required=True)
    given = parser.parse_args()
    with Timelapse(given.market_ms, given.monotonic, given.speed).running():
        work(given.speed)


if __name__ == "__main__":
    main()
