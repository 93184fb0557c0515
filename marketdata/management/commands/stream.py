"""`manage.py stream`: keep the prices and candles of a live venue current, as a process of its own."""

from __future__ import annotations

import signal
import sys
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from vibex.lib.alive import Pulse, ended_when_stuck, moving
from vibex.lib.commands import faults_told

REPORT_SECONDS = 30.0
STOPPED_EARLY = 130


class Command(BaseCommand):
    help = "Keep prices, candles, mark, funding and open interest of a live venue current until stopped."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--venue", default=settings.VENUE, help="The venue (VENUE).")
        parser.add_argument("--symbols", default="", help="Follow these too, for example BTCUSDT,ETHUSDT.")

    def handle(self, **options: Any) -> None:
        from marketdata.feed import FeedRunner
        from marketdata.services.live import live_open

        venue = options["venue"]
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # until there are handlers of our own
        try:
            with faults_told():
                feed = live_open(venue=venue, symbols=[name for name in options["symbols"].upper().split(",") if name])
        except KeyboardInterrupt:
            self.stderr.write("Stopped before it was up.")
            sys.exit(STOPPED_EARLY)
        runner, ended = FeedRunner(venue), threading.Event()

        def end(*_: Any) -> None:
            ended.set()
            runner.end()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)
        self._say(f"{feed} from {feed.source} is kept current. Ctrl-C stops it.")
        threading.Thread(target=self._report, args=(venue, ended), name="report", daemon=True).start()
        with ended_when_stuck("stream"):
            Pulse("stream", moving(lambda: runner.rounds)).start()
            runner.run()
        self._say("Stopped.")

    def _report(self, venue: str, ended: threading.Event) -> None:
        """Say now and then how fresh everything is."""
        from django.db import connections

        from marketdata.selectors import feed_in_words

        while not ended.wait(REPORT_SECONDS):
            self._say(feed_in_words(venue))
        connections.close_all()

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()
