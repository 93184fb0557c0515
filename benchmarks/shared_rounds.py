"""A minute of many bots on the tables that a stream writes; prints counts and seconds as JSON.

A process of its own: `benchmarks.shared` starts it beside the stream. Its argument is the number of bots.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from unittest import mock

from django.db import connection

if TYPE_CHECKING:
    from marketdata.domain.candles import Candles

PATIENCE: Final = 180.0
CALM: Final = 5.0
"""The past of all symbols is there when no candle has come for so many seconds, the new ones aside."""
MINUTE: Final = 60.0
SPREAD: Final = 50.0
"""The last of them decides before the next candle closes, where the machine keeps up."""
AFTER_CLOSE: Final = 4.0
"""Seconds behind the close of a candle at which the minute begins: the stream has written it by then."""


def main() -> None:
    from benchmarks.shared import SYMBOLS, TIMEFRAMES
    from tests.fleet.seed import paper
    from trading.services.live import cycle_run

    count = int(sys.argv[1])
    bots = paper(count, "rules/hold", decided=False, symbols=SYMBOLS, interval="3m", timeframes=TIMEFRAMES)
    indicators = Computed()
    past_is_there()
    for bot in bots:  # what is done once for each account, and once in a process
        cycle_run(bot_id=bot, scheduled_for=datetime.now(UTC))
    time.sleep(until_a_minute_begins())
    indicators.forget()
    began, busy = time.time(), time.process_time()
    for number, bot in enumerate(bots):
        time.sleep(max(0.0, began + SPREAD * number / count - time.time()))
        run = cycle_run(bot_id=bot, scheduled_for=datetime.now(UTC))
        if run.status != "done" or not run.result or run.result.reading.reason:
            raise RuntimeError(f"a cycle ended as {run.status}: {run.text}")
    busy = time.process_time() - busy
    time.sleep(max(0.0, began + MINUTE - time.time()))
    told = {"vendor": connection.vendor, "began": began, "ended": time.time(), "busy": busy}
    print(json.dumps(told | {"computed": indicators.number, "indicators": indicators.seconds}), file=sys.stdout)


class Computed:
    """Counts the series of indicators that this process computes, and the processor time of it."""

    def __init__(self) -> None:
        from marketdata.domain import indicators

        self._compute = indicators.compute
        self.forget()
        mock.patch.object(indicators, "compute", self._noted).start()

    def forget(self) -> None:
        self.number, self.seconds = 0, 0.0

    def _noted(self, candles: Candles) -> Any:
        began = time.thread_time()
        try:
            return self._compute(candles)
        finally:
            self.number, self.seconds = self.number + 1, self.seconds + time.thread_time() - began


def past_is_there() -> None:
    """Wait until the stream has fetched the past of all symbols. Raises RuntimeError when that takes too long."""
    from benchmarks.shared import SYMBOLS
    from marketdata.models import Candle, Ticker

    ends, counted, calm = time.monotonic() + PATIENCE, -1, time.monotonic()
    while time.monotonic() < ends:
        now = Candle.objects.filter(closed=True).count()
        if now > counted + len(SYMBOLS):
            counted, calm = now, time.monotonic()
        elif time.monotonic() - calm >= CALM and now and Ticker.objects.count() >= len(SYMBOLS):
            return
        time.sleep(0.5)
    raise RuntimeError(f"after {PATIENCE:g} s the stream has not fetched the past: {counted} candles")


def until_a_minute_begins() -> float:
    """Return the seconds to shortly behind the next close of a minute candle with which no longer one closes."""
    now = time.time() - AFTER_CLOSE
    minute = int(now // MINUTE) + 1
    if minute % 15 == 0:
        minute += 1
    return minute * MINUTE - now


if __name__ == "__main__":
    import django

    django.setup()
    main()
