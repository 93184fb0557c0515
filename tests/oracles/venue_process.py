"""A venue in a process of its own, where ccxt is installed: the child reads calls and writes what they return.

Run as a script it is the child; imported, it holds `RemoteVenue`, which looks like any `PublicVenue`.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


class RemoteVenue:
    """A `PublicVenue` whose calls are made in another process."""

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        self._child = child
        self._lock = threading.Lock()
        self.venue, self.source, self.page = self._call("facts")

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **named: self._call(name, *args, **named)

    def _call(self, name: str, *args: Any, **named: Any) -> Any:
        from marketdata.venues import public

        assert self._child.stdin
        assert self._child.stdout
        with self._lock:
            pickle.dump((name, args, named), self._child.stdin)
            self._child.stdin.flush()
            error, value, more = pickle.load(self._child.stdout)
        if error:
            raise getattr(public, error)(value, **more)
        return value


@contextmanager
def venue_in(python: Path, name: str, address: str, environment: dict[str, str]) -> Iterator[RemoteVenue]:
    """Return a venue that the interpreter `python` reads through ccxt at `address`."""
    command = [python, __file__, name, address]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as child:
        try:
            yield RemoteVenue(child)
        finally:
            assert child.stdin
            child.stdin.close()


def main(name: str, address: str) -> None:
    sys.path.insert(0, str(ROOT))
    from marketdata.venues.public import VenueBusy, VenueDown, VenueRefused
    from marketdata.venues.through_ccxt import ccxt_venue

    venue = ccxt_venue(name, address=address)
    facts = venue.venue, venue.source, venue.page
    venue._exchange.rateLimit = 1  # a loopback server limits nobody
    answers = sys.stdout.buffer
    sys.stdout = sys.stderr  # whatever logs must not write between the answers
    while True:
        try:
            called, args, named = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer = (None, facts if called == "facts" else getattr(venue, called)(*args, **named), {})
        except VenueBusy as error:
            answer = ("VenueBusy", str(error), {"until": error.until})
        except VenueRefused as error:
            answer = ("VenueRefused", str(error), {"code": error.code})
        except VenueDown as error:
            answer = ("VenueDown", str(error), {})
        pickle.dump(answer, answers)
        answers.flush()


if __name__ == "__main__":
    import stamina

    stamina.set_testing(True, attempts=2)
    main(*sys.argv[1:])
