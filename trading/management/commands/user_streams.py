"""`manage.py user_streams`: listen to what venues tell of live accounts, as a process of its own."""

from __future__ import annotations

import resource
import signal
import sys
from typing import Any

from django.core.management.base import BaseCommand

from vibex.lib.alive import Pulse, ended_when_stuck, moving


class Command(BaseCommand):
    help = (
        "Listen to what venues tell of live accounts until stopped. One process of an installation does; `up` has it."
    )

    def handle(self, **_options: Any) -> None:
        from trading.services.user_streams import UserStreams

        handles_allow()
        streams = UserStreams()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: streams.end())
        self._say("Live accounts are listened to. Ctrl-C stops it.")
        with ended_when_stuck("user-streams"):
            Pulse("user-streams", moving(lambda: streams.rounds)).start()
            streams.run()
        if streams.left_behind():
            self.stderr.write(
                "An account was still being looked at and was left; the next look finds what became of it."
            )
            sys.exit(1)
        self._say("Stopped.")

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


def handles_allow() -> None:
    """Let this process have as many handles as it may: each account takes one, and what is usual ends at 1,024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
