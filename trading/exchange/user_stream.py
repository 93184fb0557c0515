"""What an adapter offers that is told of an account's events by its venue, instead of having to ask."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from trading.domain.venue_events import VenueEvent


class UserStream(Protocol):
    """The events of one account, from `start` to `stop`. Safe from several threads.

    They come in the order of the venue's clock as far as they are there in time; twice, late or not at all is possible,
    and a `Gap` says when something may be missing.
    """

    def start(self) -> None:
        """Begin to listen. Returns at once; a second call does nothing."""
        ...

    def stop(self, seconds: float = ...) -> bool:
        """Stop listening and wait for the end of it, `seconds` (three, if not told) at most. Returns whether it was done.

        With 0 it is only begun, or asked whether it is done.
        """
        ...

    def when_news(self, call: Callable[[float], None]) -> None:
        """Have `call` called, in any thread, with the seconds after which what has just come can be drained."""
        ...

    def due(self) -> float | None:
        """Return the seconds until something can be drained, None while nothing has come."""
        ...

    def drain(self) -> list[VenueEvent]:
        """Return what has come since the last call, duplicates included."""
        ...

    def wait(self, seconds: float) -> bool:
        """Return True as soon as something can be drained, False when nothing came for so long."""
        ...

    def heard_at(self) -> datetime | None:
        """Return when (wall time) the venue last gave a sign of life on the stream; None before the first."""
        ...

    def connected_at(self) -> datetime | None:
        """Return since when (wall time) events can come; None while they cannot."""
        ...

    def connected(self) -> bool:
        """Return whether events can come now."""
        ...

    def problem(self) -> str:
        """Return why no events can come, "" while they can. Never holds a secret."""
        ...
