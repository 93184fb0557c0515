"""`manage.py feed`: keep a market moving in the foreground, as a process of its own."""

from __future__ import annotations

import signal
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from vibex.lib.commands import faults_told


class Command(BaseCommand):
    help = "Write the candles and prices of a market until stopped. For installations of several processes."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--venue", default="sim", help="The market: sim (default) or recorded.")

    def handle(self, **options: Any) -> None:
        from marketdata.feed import FeedRunner
        from marketdata.selectors import feed_of

        venue = options["venue"]
        with faults_told():
            feed = feed_of(venue)
        runner = FeedRunner(venue)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: runner.end())
        self.stdout.write(f"{feed} is running. Ctrl-C stops it.")
        self.stdout.flush()
        runner.run()
        self.stdout.write("Stopped.")
