"""Work of many that comes again and again, on a few threads: each has its turn when it is due, and never two at once."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from queue import SimpleQueue
from typing import Final, Protocol

log = logging.getLogger(__name__)

NEVER: Final = math.inf


@dataclass(frozen=True, slots=True)
class Next:
    """When somebody wants his next turns, on the monotonic clock."""

    short: float = NEVER
    long: float = NEVER


class Taker(Protocol):
    """Somebody who takes turns."""

    def turn(self, *, long: bool) -> Next:
        """Do what is at hand; only in a `long` one what may take long. Nothing but the next turn calls it again."""
        ...


class Team:
    """Threads that are begun as they are needed, `most` at once. They are daemons: the end of a process waits for none."""

    def __init__(self, name: str, most: int) -> None:
        self._name, self._most = name, most
        self._lock = threading.Lock()
        self._works: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads = self._under_way = 0

    def do(self, work: Callable[[], None]) -> None:
        """Have it done as soon as a thread is free. Returns at once."""
        with self._lock:
            self._under_way += 1
            if self._threads < min(self._under_way, self._most):
                self._threads += 1
                threading.Thread(target=self._run, name=f"{self._name}-{self._threads}", daemon=True).start()
        self._works.put(work)

    def close(self) -> None:
        """Let each thread end after what it is at. Nothing is to be done any more."""
        with self._lock:
            for _ in range(self._threads):
                self._works.put(None)

    def _run(self) -> None:
        while work := self._works.get():
            try:
                work()
            except Exception:
                log.exception("work of %s was broken off by a fault of ours", self._name)
            with self._lock:
                self._under_way -= 1


@dataclass(slots=True)
class _Wish:
    """A turn of one kind that a taker wants."""

    due: float = NEVER
    lined_up: float = NEVER
    """The time under which it stands in the line."""
    called: bool = False
    """Whether it was handed to the threads and has not begun."""


@dataclass(slots=True, eq=False)
class _Seat:
    """One taker, and what he wants."""

    taker: Taker
    short: _Wish = field(default_factory=_Wish)
    long: _Wish = field(default_factory=_Wish)
    at_work: bool = False


class Turns:
    """Gives turns, from `start` to `stop`. Safe from several threads.

    Short turns have threads of their own, so that what is quick never waits for what takes long.
    """

    def __init__(self, name: str, *, short: int, long: int) -> None:
        """`short` and `long` are the most threads of each kind."""
        self._name = name
        self._short, self._long = Team(f"{name}-short", short), Team(f"{name}-long", long)
        self._seats: dict[Taker, _Seat] = {}
        self._line: list[tuple[float, int, _Seat, _Wish]] = []
        """A heap of what is due when; what is not wanted any more when its time comes is passed over."""
        self._numbers = count()
        self._news = threading.Condition()
        self._ended = False

    def start(self) -> None:
        """Begin to give turns. Called once."""
        threading.Thread(target=self._call_up, name=f"{self._name}-turns", daemon=True).start()

    def ask(self, taker: Taker, at: float) -> None:
        """Give `taker` a short turn at this time of the monotonic clock or sooner, after the one that he may have now."""
        with self._news:
            seat = self._seats.get(taker) or self._seats.setdefault(taker, _Seat(taker))
            self._want(seat, seat.short, at)

    def drop(self, taker: Taker) -> bool:
        """Forget what `taker` wants. Returns False while he has a turn: what he wants after it counts again."""
        with self._news:
            seat = self._seats.get(taker)
            if seat is not None and seat.at_work:
                return False
            self._seats.pop(taker, None)
            return True

    def stop(self) -> None:
        """Begin no turn any more. Returns at once: turns that are under way go on to their end."""
        with self._news:
            self._ended = True
            self._seats.clear()
            self._news.notify()
        self._short.close()
        self._long.close()

    def _want(self, seat: _Seat, wish: _Wish, at: float) -> None:
        wish.due = min(wish.due, at)
        self._line_up(seat, wish)

    def _line_up(self, seat: _Seat, wish: _Wish) -> None:
        """Put a wish into the line, unless it stands there or cannot be granted now: after a turn it is lined up again."""
        if wish.due >= wish.lined_up or wish.called or seat.at_work:
            return
        wish.lined_up = wish.due
        heappush(self._line, (wish.due, next(self._numbers), seat, wish))
        if self._line[0][3] is wish:
            self._news.notify()

    def _call_up(self) -> None:
        """Hand what is due to the threads, until the end."""
        with self._news:
            while not self._ended:
                while self._line and self._line[0][0] <= time.monotonic():
                    at, _, seat, wish = heappop(self._line)
                    if wish.lined_up == at:
                        wish.lined_up = NEVER
                        self._call(seat, wish)
                self._news.wait(self._line[0][0] - time.monotonic() if self._line else None)

    def _call(self, seat: _Seat, wish: _Wish) -> None:
        if wish.due > time.monotonic():  # it was granted meanwhile, and is wanted again later
            self._line_up(seat, wish)
        elif not seat.at_work:
            wish.called = True
            team = self._long if wish is seat.long else self._short
            team.do(lambda: self._give(seat, wish))

    def _give(self, seat: _Seat, wish: _Wish) -> None:
        """Give a turn, and line up what is wanted next. One whose turn breaks off by a fault gets no more."""
        with self._news:
            wish.called = False
            if seat.at_work or self._seats.get(seat.taker) is not seat:
                return
            seat.at_work, long = True, wish is seat.long
            seat.short.due = NEVER
            wish.due = NEVER
        wanted: Next | None = None
        try:
            wanted = seat.taker.turn(long=long)
        finally:
            with self._news:
                seat.at_work = False
                if wanted is None:
                    self._seats.pop(seat.taker, None)
                elif self._seats.get(seat.taker) is seat:
                    self._want(seat, seat.short, wanted.short)
                    self._want(seat, seat.long, wanted.long)
                    if seat.short.due == seat.long.due == NEVER and not (seat.short.called or seat.long.called):
                        del self._seats[seat.taker]
