"""What an event is, and what a log of events promises, wherever it is kept."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

EVERYBODY: Final = "*"
"""The topic of what concerns every stream."""
LOST: Final = "lost"
"""The kind of the event that says: before me some could not be published. Whoever watches looks anew."""
KEPT: Final = 20_000
"""So many events are kept for those who come back."""


def account_topic(account_id: int) -> str:
    """Return the topic of what happens on an account."""
    return f"account.{account_id}"


def person_topic(user_id: int) -> str:
    """Return the topic of what concerns a person."""
    return f"person.{user_id}"


def market_topic(market: str) -> str:
    """Return the topic of the prices of a market."""
    return f"market.{market}"


@dataclass(frozen=True, slots=True)
class Hint:
    """An event before it has its place in the log."""

    topics: tuple[str, ...]
    kind: str
    data: dict[str, Any] = field(default_factory=dict)
    at: float = field(default_factory=time.time)
    """Wall time, seconds since 1970."""

    def text(self) -> str:
        """Return it as JSON; what JSON has no form for becomes text."""
        return json.dumps([self.topics, self.kind, self.data, self.at], default=str, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Event:
    """An event with its place: sequences of one log only grow, by one where nothing is missing."""

    sequence: int
    topics: tuple[str, ...]
    kind: str
    data: dict[str, Any]
    at: float

    @classmethod
    def from_text(cls, sequence: int, text: str | bytes) -> Event:
        """Read what `Hint.text` wrote."""
        topics, kind, data, at = json.loads(text)
        return cls(sequence, tuple(topics), kind, data, at)


@dataclass(frozen=True, slots=True)
class Batch:
    """Events in their order. With `gap` some before them are gone for ever."""

    events: Sequence[Event]
    gap: bool = False


class Log(Protocol):
    """Where events are kept in their order, for all processes of an installation."""

    def put(self, hints: Sequence[Hint]) -> None:
        """Add events. Never raises and never takes more than half a second: a trade may be waiting for it."""
        ...

    async def newest(self) -> int:
        """Return the sequence of the newest event. That of the next is one more, unless some before it are gone."""
        ...

    async def recent(self, count: int) -> Sequence[Event]:
        """Return the newest events, at most `count`, oldest first."""
        ...

    def listen(self, after: int) -> AsyncIterator[Batch]:
        """Yield what comes after a sequence, for ever. Ends by cancelling."""
        ...
