"""What moves many times a second and of which only the newest counts: it is told at a pace, of all that moved meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from vibex.lib.events import Event


@dataclass(frozen=True, slots=True)
class Pace:
    """What becomes of an event of a market: an event of this kind on the topic `<prefix>.<market>`."""

    kind: str
    prefix: str
    seconds: float
    """Between two of them."""


class Pacing:
    """Takes events with `symbols` in their data, and gives out few that name all symbols that moved."""

    def __init__(self, paces: Mapping[str, Sequence[Pace]], due: Callable[[Event], None]) -> None:
        self._paces, self._due = paces, due
        self._moved: defaultdict[tuple[str, str], dict[str, int]] = defaultdict(dict)
        """By topic and kind: the newest sequence of each symbol."""
        self._waiting: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        self._last: dict[tuple[str, str], float] = {}
        self._timers: dict[tuple[str, str], asyncio.TimerHandle] = {}

    def take(self, event: Event, *, told: bool) -> bool:
        """Take an event that is paced; False for another one. One that was `told` is only noted."""
        paces = self._paces.get(event.kind)
        if paces is None:
            return False
        symbols = [str(symbol) for symbol in event.data.get("symbols", ())]
        for pace in paces:
            for topic in event.topics:
                key = (f"{pace.prefix}.{topic.partition('.')[2]}", pace.kind)
                self._moved[key].update(dict.fromkeys(symbols, event.sequence))
                if not told:
                    self._waiting[key].update(symbols)
                    self._plan(key, pace.seconds)
        return True

    def moved_since(self, since: int, topics: Set[str]) -> Iterator[Event]:
        """Return what moved on topics after a sequence, each topic and kind as one event."""
        for (topic, kind), sequences in self._moved.items():
            symbols = [symbol for symbol, sequence in sequences.items() if sequence > since]
            if topic in topics and symbols:
                yield self._event(topic, kind, symbols)

    def clear(self) -> None:
        """Forget everything."""
        for timer in self._timers.values():
            timer.cancel()
        for each in (self._timers, self._moved, self._waiting, self._last):
            each.clear()

    def _plan(self, key: tuple[str, str], seconds: float) -> None:
        if key not in self._timers:
            rest = max(0.0, self._last.get(key, 0.0) + seconds - time.monotonic())
            self._timers[key] = asyncio.get_running_loop().call_later(rest, self._go, key)

    def _go(self, key: tuple[str, str]) -> None:
        del self._timers[key]
        self._last[key] = time.monotonic()
        self._due(self._event(*key, sorted(self._waiting.pop(key))))

    def _event(self, topic: str, kind: str, symbols: Sequence[str]) -> Event:
        sequences = self._moved[topic, kind]
        newest = max(sequences[symbol] for symbol in symbols)
        return Event(newest, (topic,), kind, {"symbols": list(symbols)}, time.time())
