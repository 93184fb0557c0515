"""The hub of a process: reads the events of the installation, renders each once, and hands it to who watches here.

Order is kept: events are read, rendered and handed on one after the other. An `access` event of a person holds back
everything for that person's connections from the moment it is read until their rights were read anew.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from asgiref.sync import sync_to_async
from django.db import DatabaseError, close_old_connections

from vibex.lib.events import EVERYBODY, LOST, Batch, Event, Log, log_of_process, person_topic
from vibex.lib.pacing import Pace, Pacing
from vibex.lib.watcher import Change, Watcher

log = logging.getLogger(__name__)

ACCESS: Final = "access"
REMEMBERED: Final = 5_000
"""Events that a process keeps for those who come back."""
LINGER: Final = 60.0
"""Seconds for which it goes on reading when nobody watches any more: a page that is opened next resumes at once."""
TOGETHER: Final = 250
"""Events that are handed on at once: who reads must have room for them, and writes them before the next ones come."""
STARTS_WITHIN: Final = 10.0
"""Seconds in which the log has to answer who comes first; later is as if it could not be read."""
PAUSE: Final = 0.5
"""Seconds until what could not be read is tried again."""
TRIES: Final = 60
TURNS: Final = 20
"""In a second."""

type Render = Callable[[Sequence[Event], Set[str]], Sequence[Sequence[Change]]]
"""Makes messages of events, for each its own, for the topics that are watched. Reads the database, in a thread."""


@dataclass(slots=True)
class Known:
    """An event with the messages that were made of it, by the topic of the event."""

    event: Event
    changes: dict[str, list[Change]] = field(default_factory=dict)

    def missing(self, topics: Set[str]) -> bool:
        """Tell whether it concerns a topic for which nothing was made of it yet."""
        return any(topic in topics and topic not in self.changes for topic in self.event.topics)


class Hub:
    """What the connections of one event loop share."""

    def __init__(self, events: Log, render: Render, paces: Mapping[str, Sequence[Pace]]) -> None:
        self.sequence = 0
        """Everything up to it has been handed on."""
        self._log, self._render = events, render
        self._pacing = Pacing(paces, self._due)
        self._whole_after = 0
        """Nothing after it is missing in what is remembered."""
        self._remembered: deque[Known] = deque(maxlen=REMEMBERED)
        self._watching: defaultdict[str, set[Watcher]] = defaultdict(set)
        self._people: defaultdict[int, set[Watcher]] = defaultdict(set)
        self._inbox: deque[Batch | Event] = deque()
        self._filled = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._starting: asyncio.Task[None] | None = None
        self._idle: asyncio.TimerHandle | None = None

    # -- connections ---------------------------------------------------------------------------------------------

    def join(self, watcher: Watcher) -> None:
        """Let a connection be told of its person's access, as soon as the log is read (`ready`)."""
        self._people[watcher.person_id].add(watcher)
        if self._idle:
            self._idle.cancel()
            self._idle = None

    async def ready(self) -> None:
        """Return when the log of events is read. Raises when it cannot be read in time."""
        if self._tasks:
            return
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
            self._starting.add_done_callback(self._started)
        # All who come meanwhile share one attempt: one after the other the last would wait for as many as came before.
        await asyncio.shield(self._starting)

    def leave(self, watcher: Watcher) -> None:
        """Forget a connection."""
        self.watch(watcher, frozenset())
        of_person = self._people[watcher.person_id]
        of_person.discard(watcher)
        if not of_person:
            del self._people[watcher.person_id]
        if not self._people and self._idle is None:
            self._idle = asyncio.get_running_loop().call_later(LINGER, self._stop)

    def watch(self, watcher: Watcher, topics: frozenset[str]) -> None:
        """Let a connection be told of these topics, and no longer of its others.

        A person's connections share one set: for who sees a thousand accounts it is 100 kB.
        """
        of_person = self._people.get(watcher.person_id, ())
        topics = next((each.topics for each in of_person if each.topics == topics), topics)
        for topic in watcher.topics - topics:
            self._watching[topic].discard(watcher)
            if not self._watching[topic]:
                del self._watching[topic]
        for topic in topics - watcher.topics:
            self._watching[topic].add(watcher)
        watcher.topics = topics

    def connections_of(self, person_id: int) -> int:
        """Return how many connections a person has here."""
        return len(self._people.get(person_id, ()))

    async def missed(self, since: int, topics: frozenset[str]) -> list[Change] | None:
        """Return what happened on these topics from a sequence until now, or None when that is not known any more."""
        if not self._whole_after <= since <= self.sequence:
            return None
        found: list[Known] = []
        for known in reversed(self._remembered):
            if known.event.sequence <= since:
                break
            if known.event.sequence <= self.sequence and not topics.isdisjoint(known.event.topics):
                found.append(known)
        found += map(Known, self._pacing.moved_since(since, topics))
        found.sort(key=lambda known: known.event.sequence)
        await self._make(found, topics)
        return [change for known in found for several in known.changes.values() for change in several]

    # -- reading -------------------------------------------------------------------------------------------------

    async def _start(self) -> None:
        async with asyncio.timeout(STARTS_WITHIN):
            self.sequence = await self._log.newest()
            recent = [event for event in await self._log.recent(REMEMBERED) if event.sequence <= self.sequence]
        self._remembered.clear()
        self._whole_after = self.sequence
        for event in reversed(recent):
            self._whole_after -= event.sequence == self._whole_after
        for event in recent:
            self._remember(event, told=True)
        parts = (self._read(), self._hand_on(), self._tick())
        self._tasks = [asyncio.create_task(part) for part in parts]

    def _started(self, start: asyncio.Task[None]) -> None:
        self._starting = None
        if not start.cancelled():
            start.exception()  # told to those who wait for it; perhaps nobody does any more

    def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._tasks, self._idle = [], None
        self._inbox.clear()
        self._pacing.clear()

    async def _read(self) -> None:
        after = self.sequence
        while True:
            try:
                async for batch in self._log.listen(after):
                    self._hold_access(batch.events)
                    self._take_in(batch)
                    after = batch.events[-1].sequence
            except Exception:
                log.exception("the log of events broke off")
                await asyncio.sleep(PAUSE)

    def _hold_access(self, events: Sequence[Event]) -> None:
        """Hold back everything for people whose access changed, before anything that comes after it is looked at."""
        for event in events:
            if event.kind == ACCESS:
                for watcher in self._of_people(event):
                    watcher.hold(pause=True)
                    watcher.connection.recheck()

    async def _hand_on(self) -> None:
        while True:
            item = await self._next()
            last = item.sequence if isinstance(item, Event) else item.events[-1].sequence
            try:
                await (self._hand_on_paced(item) if isinstance(item, Event) else self._hand_on_batch(item))
            except Exception:
                log.exception("events could not be handed on: whoever watches is told the state anew")
                self._forget(last)
            # One round of the loop: each connection writes what it was told. What comes meanwhile goes out together, in
            # one frame: the more clients there are, the fewer frames each event takes.
            await asyncio.sleep(0)

    def _take_in(self, item: Batch | Event) -> None:
        self._inbox.append(item)
        self._filled.set()

    async def _next(self) -> Batch | Event:
        """Return what came first, with the events of the log that came right after it: at most so many as fit into queues."""
        while not self._inbox:
            self._filled.clear()
            await self._filled.wait()
        item = self._inbox.popleft()
        if isinstance(item, Event):
            return item
        events = list(item.events)
        while len(events) < TOGETHER and self._inbox:
            following = self._inbox[0]
            if isinstance(following, Event) or following.gap:
                break
            events += following.events
            self._inbox.popleft()
        if len(events) > TOGETHER:
            self._inbox.appendleft(Batch(events[TOGETHER:]))
        return Batch(events[:TOGETHER], item.gap)

    async def _hand_on_paced(self, event: Event) -> None:
        known = Known(event)
        await self._make([known], self._watching.keys())
        self._tell(known)

    async def _hand_on_batch(self, batch: Batch) -> None:
        if batch.gap:
            self._forget(batch.events[0].sequence - 1)
        known = [each for event in batch.events if (each := self._remember(event))]
        # Who came while messages were made watches topics for which none was made.
        while any(each.missing(self._watching.keys()) for each in known):
            await self._make(known, self._watching.keys())
        for each in known:
            self._tell(each)
        self.sequence = max(self.sequence, batch.events[-1].sequence)

    def _remember(self, event: Event, *, told: bool = False) -> Known | None:
        """Keep an event; return it when it is to be told now, None when its time comes later or it tells nothing."""
        if event.kind == LOST:
            self._forget(event.sequence)
        elif self._pacing.take(event, told=told):
            return None
        elif event.kind != ACCESS:
            if len(self._remembered) == REMEMBERED:
                self._whole_after = max(self._whole_after, self._remembered[0].event.sequence)
            self._remembered.append(Known(event))
            return self._remembered[-1]
        return None

    def _forget(self, until: int) -> None:
        """Some events up to this sequence are lost: everybody is told the state anew."""
        self._remembered.clear()
        self._whole_after = until
        self.sequence = max(self.sequence, until)
        for watcher in self._watchers():
            watcher.connection.renew()

    def _due(self, event: Event) -> None:
        self._take_in(event)

    # -- telling -------------------------------------------------------------------------------------------------

    def _tell(self, known: Known) -> None:
        for several in known.changes.values():
            for change in several:
                for watcher in self._watching.get(change.topic, ()):
                    watcher.offer(change)

    async def _make(self, several: Sequence[Known], topics: Set[str]) -> None:
        """Make the messages of events for these topics, where none were made yet."""
        wanted = frozenset(topics)
        missing = [known for known in several if known.missing(wanted)]
        if not missing:
            return
        made = await self._rendered([known.event for known in missing], wanted)
        for known, changes in zip(missing, made, strict=True):
            own = [topic for topic in known.event.topics if topic in wanted and topic not in known.changes]
            known.changes |= {topic: [] for topic in own}
            for change in changes:
                # A finer topic than that of the event stands with the first one.
                place = change.topic if change.topic in known.event.topics else known.event.topics[0]
                if place in own:
                    known.changes[place].append(change)

    async def _rendered(self, events: Sequence[Event], topics: Set[str]) -> Sequence[Sequence[Change]]:
        """Render in a thread. A database that is away is waited for: the log keeps what comes meanwhile."""
        for _ in range(TRIES):
            try:
                return await _in(_RENDERER, partial(self._render, events, topics))
            except DatabaseError as fault:
                log.warning("events wait for the database: %s", fault)
                await asyncio.sleep(PAUSE)
        return await _in(_RENDERER, partial(self._render, events, topics))

    async def _tick(self) -> None:
        """Tick every connection each second, a few at a time: who came at once must not all be pinged at once."""
        while True:
            watchers = list(self._watchers())
            for turn in range(TURNS):
                await asyncio.sleep(1 / TURNS)
                self._tick_some(watchers[turn::TURNS], time.monotonic())

    def _tick_some(self, watchers: Sequence[Watcher], now: float) -> None:
        for watcher in watchers:
            if watcher in self._people.get(watcher.person_id, ()):  # it may have left since the round began
                watcher.connection.tick(now)

    def _watchers(self) -> Iterator[Watcher]:
        return (watcher for several in list(self._people.values()) for watcher in list(several))

    def _of_people(self, event: Event) -> Iterator[Watcher]:
        """Return the connections of the people whom an event concerns."""
        everybody = EVERYBODY in event.topics
        return (each for each in self._watchers() if everybody or person_topic(each.person_id) in event.topics)


_hubs: dict[asyncio.AbstractEventLoop, Hub] = {}


def hub_of_loop(render: Render, paces: Mapping[str, Sequence[Pace]]) -> Hub:
    """Return the hub of the running event loop: a process that serves has one."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        for gone in [other for other in _hubs if other.is_closed()]:
            del _hubs[gone]
        _hubs[loop] = Hub(log_of_process(), render, paces)
    return _hubs[loop]


_READERS: Final = ThreadPoolExecutor(2, "streams-read")
"""Read how things stand, and who may listen."""
_RENDERER: Final = ThreadPoolExecutor(1, "streams-render")
"""Of its own, so that no event waits for those who come in."""
OWN_THREADS = True
"""False: in the thread of who waits, for tests that read in one transaction."""


async def in_thread[**P, T](work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run something that reads the database in a thread."""
    return await _in(_READERS, partial(work, *args, **kwargs))


async def _in[T](threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    if not OWN_THREADS:
        return await sync_to_async(work)()
    return await asyncio.get_running_loop().run_in_executor(threads, _with_connection, work)


def _with_connection[T](work: Callable[[], T]) -> T:
    """Keep the connection of these few threads: to open one costs more than what is read. One that is broken is given up."""
    try:
        return work()
    except DatabaseError:
        close_old_connections()
        raise
