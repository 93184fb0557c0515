"""Visitors of an installation: one a second, led to a web server that answers, as the proxy before them does it."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from tests.fleet.fleet import Fleet

WAITS: Final = 10.0
"""`lb_try_duration` of deploy/caddy/Caddyfile: so long a web server that is started anew is waited for."""
APART: Final = 1.0


@dataclass
class Visitors:
    """Asks whether the installation is ready, in threads of its own, between `come` and `go`."""

    house: Fleet
    ports: tuple[int, ...]
    """Where the web servers listen: UPSTREAMS of the proxy."""
    waited: list[float | None] = field(default_factory=list)
    """Seconds that each of them waited until it was told that all is well; None for one who was not."""
    _gone: threading.Event = field(default_factory=threading.Event)
    _coming: threading.Thread | None = None

    def come(self) -> None:
        self._coming = threading.Thread(target=self._come, daemon=True)
        self._coming.start()

    def go(self) -> None:
        """Let nobody come any more, and wait for the last ones."""
        self._gone.set()
        if self._coming is not None:
            self._coming.join()

    @property
    def share(self) -> float:
        """Share of the visitors who were told that all is well."""
        return sum(waited is not None for waited in self.waited) / len(self.waited)

    @property
    def longest(self) -> float:
        return max((waited for waited in self.waited if waited is not None), default=0.0)

    def _come(self) -> None:
        with ThreadPoolExecutor(max_workers=16) as visitors:
            while not self._gone.wait(APART):
                visitors.submit(self._visit)

    def _visit(self) -> None:
        began = time.monotonic()
        while time.monotonic() - began < WAITS:
            told = next(filter(None, (self.house.says("/api/v1/health/ready/", port) for port in self.ports)), 0)
            if told == 200:
                self.waited.append(time.monotonic() - began)
                return
            if told:  # it was answered: the proxy passes on what it is told
                break
            time.sleep(0.25)
        self.waited.append(None)
