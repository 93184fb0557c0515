"""The hub: what waits goes out together and in order, gaps are told, everybody is ticked, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
from collections import Counter
from collections.abc import Callable, MutableMapping, Sequence, Set
from contextlib import suppress
from typing import Any

import pytest

from vibex.lib import hub as hubs
from vibex.lib.events import Event, Hint, Log
from vibex.lib.events.over_redis import RedisLog
from vibex.lib.events.ring import Ring
from vibex.lib.hub import TURNS, Hub
from vibex.lib.watcher import WAITING, Change, Wants, Watcher

TOPIC = "account.1"
KINDS = frozenset("abcdef") | {"price"}


class Spectator:
    """A connection that writes down what it is told and asked."""

    def __init__(self, hub: Hub, person_id: int = 1, topics: frozenset[str] = frozenset({TOPIC})) -> None:
        self.hub, self.topics = hub, topics
        self.frames: list[list[str]] = []
        self.renewed = 0
        self.ticks: list[float] = []
        self.ticked: Callable[[], None] = lambda: None
        self.watcher = Watcher(self._send, person_id, self)
        self.watcher.wants = Wants(KINDS)

    async def __aenter__(self) -> Spectator:
        self._writing = asyncio.create_task(self.watcher.write())
        await self.comes()
        self.hub.watch(self.watcher, self.topics)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.hub.leave(self.watcher)
        self._writing.cancel()
        with suppress(asyncio.CancelledError):
            await self._writing

    async def comes(self) -> None:
        self.hub.join(self.watcher)
        await self.hub.ready()

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        self.frames.append([each["kind"] for each in json.loads(message["text"])["changes"]])

    def recheck(self) -> None:
        self.watcher.release(pause=True)

    def renew(self) -> None:
        self.renewed += 1

    def tick(self, now: float) -> None:
        self.ticks.append(now)
        self.ticked()


class Gate:
    """Renders like the real one, in a thread, and not before it is opened: a database that takes its time."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.asked: list[str] = []

    def __call__(self, events: Sequence[Event], topics: Set[str]) -> Sequence[Sequence[Change]]:
        self.asked.append("".join(event.kind for event in events))
        assert self.opened.wait(10)
        return [[self._change(event, topic) for topic in event.topics if topic in topics] for event in events]

    def _change(self, event: Event, topic: str) -> Change:
        return Change(event.sequence, topic, event.kind, json.dumps({"kind": event.kind}))


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not happened():
            await asyncio.sleep(0.001)


def put(log: Log, kinds: str) -> None:
    log.put([Hint((TOPIC,), kind) for kind in kinds])


async def come_one_by_one(hub: Hub, log: Log, several: Sequence[str]) -> None:
    """Publish each when the one before has been read, so that each is a batch of its own."""
    for kinds in several:
        waiting = len(hub._inbox)
        put(log, kinds)
        await until(lambda waiting=waiting: len(hub._inbox) > waiting)


def run(scene: Callable[[], Any]) -> Any:
    """Run a scene in a loop of its own, and end what the hub has left there."""
    return asyncio.run(scene())


# -- what waits goes out together ----------------------------------------------------------------------------------


def test_what_came_while_others_were_handed_on_goes_out_in_one_frame_and_in_order():
    log, gate = Ring(), Gate()
    hub = Hub(log, gate, {})

    async def scene() -> list[list[str]]:
        async with Spectator(hub) as one:
            put(log, "a")
            await until(lambda: gate.asked == ["a"])
            await come_one_by_one(hub, log, ["b", "c", "de", "f"])
            gate.opened.set()
            await until(lambda: sum(map(len, one.frames)) == 6)
            assert one.renewed == 0
            return one.frames

    assert run(scene) == [["a"], ["b", "c", "d", "e", "f"]]
    assert gate.asked == ["a", "bcdef"], "and is read with one look at the database"


def test_a_gap_between_what_waits_is_told_and_what_was_before_it_is_forgotten():
    log, gate = Ring(size=2), Gate()
    hub = Hub(log, gate, {})

    async def scene() -> tuple[Spectator, list[Any], int]:
        async with Spectator(hub) as one:
            put(log, "a")
            await until(lambda: gate.asked == ["a"])
            await come_one_by_one(hub, log, ["b", "ccde", "f"])  # of the second the ring has only the last two
            gate.opened.set()
            await until(lambda: sum(map(len, one.frames)) == 5)
            newest = await log.newest()
            missed = [await hub.missed(newest - back, frozenset({TOPIC})) for back in (6, 5, 4, 3, 2, 1, 0)]
            return one, missed, newest

    one, missed, newest = run(scene)
    assert one.frames == [["a"], ["b"], ["d", "e", "f"]]
    assert one.renewed == 1
    told = [found and [change.sequence for change in found] for found in missed]
    assert told == [None, None, None, [newest - 2, newest - 1, newest], [newest - 1, newest], [newest], []]


@pytest.mark.parametrize("several", [["f" * 3 * WAITING], ["f" * (WAITING - 1)] * 3], ids=["at once", "in batches"])
def test_who_reads_is_not_closed_however_much_came_meanwhile(several):
    log, gate = Ring(), Gate()
    hub = Hub(log, gate, {})

    async def scene() -> tuple[str, int | None]:
        async with Spectator(hub) as one:
            put(log, "a")
            await until(lambda: gate.asked == ["a"])
            await come_one_by_one(hub, log, several)
            put(log, "b")
            gate.opened.set()
            await until(lambda: one.watcher.closed is not None or "b" in (one.frames or [""])[-1])
            return "".join(kind for frame in one.frames for kind in frame), one.watcher.closed

    assert run(scene) == (f"a{''.join(several)}b", None)


def test_prices_that_are_due_meanwhile_keep_their_place():
    log, gate = Ring(), Gate()
    hub = Hub(log, gate, {})

    async def scene() -> list[list[str]]:
        async with Spectator(hub, topics=frozenset({TOPIC, "market.sim"})) as one:
            put(log, "a")
            await until(lambda: gate.asked == ["a"])
            await come_one_by_one(hub, log, ["b"])
            hub._due(Event(await log.newest(), ("market.sim",), "price", {}, 0.0))
            await come_one_by_one(hub, log, ["c", "d"])
            gate.opened.set()
            await until(lambda: sum(map(len, one.frames)) == 5)
            return one.frames

    assert [kind for frame in run(scene) for kind in frame] == ["a", "b", "price", "c", "d"]
    assert gate.asked == ["a", "b", "price", "cd"]


def test_connections_of_a_person_that_watch_the_same_share_it():
    hub = Hub(Ring(), Gate(), {})

    async def scene() -> list[frozenset[str]]:
        async with (
            Spectator(hub) as one,
            Spectator(hub, topics=frozenset([TOPIC])) as other,
            Spectator(hub, 2) as third,
        ):
            hub.watch(third.watcher, frozenset([TOPIC, "account.2"]))
            hub.watch(other.watcher, frozenset(["account.2"]))
            hub.watch(other.watcher, frozenset([f"account.{1}"]))
            return [each.watcher.topics for each in (one, other, third)]

    one, other, third = run(scene)
    assert one is other
    assert third == {TOPIC, "account.2"}


# -- signs of life -------------------------------------------------------------------------------------------------


@pytest.mark.ci
def test_everybody_is_ticked_each_second_a_few_at_a_time():
    hub = Hub(Ring(), Gate(), {})
    many = 2 * TURNS + 7

    async def scene() -> list[Spectator]:
        several = [Spectator(hub, number) for number in range(many)]
        for one in several:
            await one.__aenter__()
        await until(lambda: all(len(one.ticks) >= 2 for one in several))
        for one in several:
            await one.__aexit__()
        return several

    several = run(scene)
    assert {len(one.ticks) for one in several} <= {2, 3}
    at_once = Counter(tick for one in several for tick in one.ticks)
    assert max(at_once.values()) == 3


def test_who_left_in_the_midst_of_a_round_is_not_ticked_any_more():
    hub = Hub(Ring(), Gate(), {})

    async def scene() -> list[int]:
        several = [Spectator(hub, number) for number in range(TURNS)]
        first = several[0]

        def all_others_leave() -> None:
            for other in several[1:]:
                hub.leave(other.watcher)

        first.ticked = all_others_leave
        for one in several:
            await one.comes()
        await until(lambda: bool(first.ticks))
        await asyncio.sleep(4 / TURNS)
        hub.leave(first.watcher)
        return [len(one.ticks) for one in several]

    assert run(scene) == [1] + [0] * (TURNS - 1)


# -- a log that cannot be read -------------------------------------------------------------------------------------


def test_who_comes_while_redis_hangs_is_told_so_in_time_and_all_together(monkeypatch):
    monkeypatch.setattr(hubs, "STARTS_WITHIN", 0.3)

    async def scene(url: str) -> list[BaseException | None]:
        hub = Hub(RedisLog(url, "vibex:test:hub"), Gate(), {})
        several = [Spectator(hub, number) for number in range(20)]
        async with asyncio.timeout(5):  # one after the other they would take 6 s
            found = await asyncio.gather(*(one.comes() for one in several), return_exceptions=True)
        for one in several:
            hub.leave(one.watcher)
        assert hub._people == {}
        assert hub._watching == {}
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return found

    with socket.create_server(("127.0.0.1", 0)) as mute:
        found = asyncio.run(scene(f"redis://127.0.0.1:{mute.getsockname()[1]}/0"))
    assert [type(each) for each in found] == [TimeoutError] * 20


def test_who_goes_while_redis_hangs_takes_nobody_along(monkeypatch):
    """The first to come begins to read; when it goes, those who came after it still get in."""

    class Late(Ring):
        answers: asyncio.Event

        async def newest(self) -> int:
            await self.answers.wait()
            return await super().newest()

    async def scene() -> int:
        log = Late()
        log.answers = asyncio.Event()
        hub = Hub(log, Gate(), {})
        first, second = Spectator(hub, 1), Spectator(hub, 2)
        coming = [asyncio.create_task(one.comes()) for one in (first, second)]
        await asyncio.sleep(0)
        coming[0].cancel()
        hub.leave(first.watcher)
        await asyncio.sleep(0)
        log.answers.set()
        await coming[1]
        hub.leave(second.watcher)
        return hub.sequence

    assert run(scene) > 0


@pytest.mark.redis
def test_a_hub_that_starts_after_a_redis_that_lost_some_events_resumes_nobody_from_before(redis_url):
    import redis

    key = "vibex:test:hub"
    log, gate = RedisLog(redis_url, key), Gate()
    gate.opened.set()
    with redis.Redis.from_url(redis_url) as client:
        client.delete(key, f"{key}:sequence")
        put(log, "ab")
        old = int(client.get(f"{key}:sequence"))
        client.set(f"{key}:sequence", old + 1_000)  # what is between is gone
        put(log, "cd")

        async def scene() -> list[Any]:
            hub = Hub(log, gate, {})
            async with Spectator(hub):
                newest = hub.sequence
                return [await hub.missed(since, frozenset({TOPIC})) for since in (old, old + 1, newest - 2, newest - 1)]

        found = asyncio.run(scene())
        client.delete(key, f"{key}:sequence")
    assert [each and [change.kind for change in each] for each in found] == [None, None, ["c", "d"], ["d"]]


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "vibex.lib.events.over_redis")
