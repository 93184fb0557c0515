"""What every stream is made of: who may listen, subscriptions, pings, and the end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, ClassVar, Final

from pydantic import Field, TypeAdapter, ValidationError

from trading.consumers import messages
from trading.consumers.codes import Code
from trading.consumers.messages import ALL, Subscribe
from trading.consumers.rendering import PACES, render
from trading.consumers.rights import Rights, known, reading_of
from trading.consumers.states import State
from vibex.lib.hub import hub_of_loop, in_thread
from vibex.lib.shared import Shared, shared
from vibex.lib.watcher import NOTHING, Wants, Watcher
from vibex.lib.wire import Send

log = logging.getLogger(__name__)

PING_EVERY: Final = 30.0
UNANSWERED: Final = 2
RECHECK_EVERY: Final = 15.0
"""Seconds after which the rights of who listens are read again, should the word that they changed have been lost."""
LONGEST: Final = 16_384
"""Characters of a message from a client."""
BAD_MESSAGES: Final = 5
MESSAGES: Final = 100
"""So many messages a client may send in `MESSAGES_IN` seconds."""
MESSAGES_IN: Final = 10.0
MOST_CONNECTIONS: Final = 50
"""Of one person on one process."""

type Receive = Callable[[], Awaitable[dict[str, Any]]]

_FROM_CLIENT: Final[TypeAdapter[Any]] = TypeAdapter(
    Annotated[messages.Subscribe | messages.Unsubscribe | messages.Ping | messages.Pong, Field(discriminator="type")]
)


class Refused(Exception):
    """What a client asked for cannot be done; it is told so."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Stream:
    """One connection. A stream says who may listen (`may`), what it tells (`topics`) and how things stand (`state`)."""

    kinds: ClassVar[frozenset[str]]
    """Kinds of changes that it tells."""
    snapshot: ClassVar[type[messages.Snapshot]]
    reads_topics: ClassVar[bool] = True
    """Whether its topics are read from the database."""

    def __init__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        self.scope = scope
        self._receive, self._send = receive, send
        self._hub = hub_of_loop(render, PACES)
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._wanted: Subscribe | None = None
        self._rights: Rights | None = None
        self._changed = 0
        """How often the rights were said to have changed."""
        self._unanswered = 0
        self._fresh_from = self._checked = self._pinged = self._counted_from = time.monotonic()
        self._bad = self._count = 0
        self._reading: Shared[Rights | None]
        self._watcher: Watcher

    @classmethod
    def as_asgi(cls) -> Any:
        """Return it as an application. Raises TypeError for a stream without a rule who may listen."""
        if cls.may is Stream.may:
            raise TypeError(f"{cls.__name__} does not say who may listen")

        async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
            await cls(scope, receive, send)._run()

        application.consumer_class = cls  # type: ignore[attr-defined]
        return application

    # -- what a stream says of itself ----------------------------------------------------------------------------

    async def may(self, rights: Rights) -> bool:
        """Return whether who listens may listen here. What is another's is as if it were not there."""
        raise NotImplementedError

    def topics(self, wanted: Subscribe, rights: Rights) -> frozenset[str]:
        """Return the topics of a subscription; in a thread. Raises Refused for what there is not."""
        raise NotImplementedError

    def state(self, wanted: Subscribe, rights: Rights) -> dict[str, Any]:
        """Return how things stand, as the fields of `snapshot`; in a thread."""
        raise NotImplementedError

    def wants(self, wanted: Subscribe) -> Wants:
        """Return what of its topics a subscription wants. Raises Refused for an unknown kind."""
        kinds = self.kinds if wanted.kinds == ALL else frozenset(wanted.kinds)
        if unknown := kinds - self.kinds:
            there = ", ".join(sorted(self.kinds))
            raise Refused("unknown-kind", f"There is no kind {min(unknown)!r} here; there are {there}.")
        return Wants(kinds, None if wanted.symbols == ALL else frozenset(wanted.symbols))

    # -- what the hub calls --------------------------------------------------------------------------------------

    def recheck(self) -> None:
        self._fresh_from = time.monotonic()
        self._changed += 1
        self._spawn(self._look_again())

    def renew(self) -> None:
        if self._wanted is not None:
            self._spawn(self._subscribe(self._wanted.model_copy(update={"since": None}), reset=True))

    def tick(self, now: float) -> None:
        if now - self._pinged >= PING_EVERY:
            self._pinged = now
            if self._unanswered >= UNANSWERED:
                self._watcher.close(Code.NO_PONG)
                return
            self._unanswered += 1
            self._say(messages.PingOut(at=_now().isoformat()))
        if now - self._checked >= RECHECK_EVERY:
            self._checked = now
            self._spawn(self._second_look(now))

    # -- a connection --------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        await self._receive()  # websocket.connect
        caller = await known(self.scope)
        if caller is None:
            await self._send({"type": "websocket.close"})  # before it is accepted: HTTP 403
            return
        await self._send({"type": "websocket.accept"})
        if self._hub.connections_of(caller.user.pk) >= MOST_CONNECTIONS:
            await self._send({"type": "websocket.close", "code": Code.TOO_MANY.value})
            return
        self._watcher = Watcher(self._send, caller.user.pk, self)
        self._reading = reading_of(caller)
        self._hub.join(self._watcher)  # at once: who comes at the same moment is counted with it
        writing, listening = asyncio.create_task(self._watcher.write()), asyncio.create_task(self._listen())
        try:
            await asyncio.wait([writing, listening], return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:  # the server goes down
            writing.cancel()
            await self._send({"type": "websocket.close", "code": Code.GOING_DOWN.value})
            raise
        finally:
            self._hub.leave(self._watcher)
            for task in (writing, listening, *self._tasks):
                task.cancel()
            await asyncio.gather(writing, listening, return_exceptions=True)

    async def _listen(self) -> None:
        try:
            await self._hub.ready()
            await self._let_in()
            while (message := await self._receive())["type"] == "websocket.receive":
                await self._take(message)
        except Exception:
            log.exception("a stream broke off")
            self._watcher.close(Code.TRY_AGAIN)
            await asyncio.Event().wait()  # the writer says goodbye, then this ends

    async def _let_in(self) -> None:
        rights = await self._reading.since(self._fresh_from)
        if rights is None:
            self._watcher.close(Code.SIGNED_OUT)
        elif not await self.may(rights):
            self._watcher.close(Code.NOT_FOUND)
        else:
            self._rights = rights

    async def _take(self, message: dict[str, Any]) -> None:
        self._unanswered = 0
        text = message.get("text") or ""
        if self._watcher.closed is not None or self._too_many(text):
            return
        try:
            asked = _FROM_CLIENT.validate_json(text)
            match asked:
                case messages.Ping():
                    self._say(messages.PongOut(at=asked.at))
                case Subscribe():
                    await self._subscribe(asked)
                case messages.Unsubscribe():
                    self._unsubscribe()
        except ValidationError as fault:
            self._complain("bad-message", _told(fault))
        except Refused as fault:
            self._complain(fault.code, str(fault))

    def _too_many(self, text: str) -> bool:
        """Close a connection that sends too much, and return whether it did."""
        now = time.monotonic()
        if now - self._counted_from > MESSAGES_IN:
            self._counted_from, self._count = now, 0
        self._count += 1
        if self._count > MESSAGES or len(text) > LONGEST:
            self._watcher.close(Code.BAD_REQUEST)
        return self._watcher.closed is not None

    def _complain(self, code: str, message: str) -> None:
        self._bad += 1
        error = messages.Error(code=code, message=message[:500])
        if self._bad >= BAD_MESSAGES:
            self._watcher.close(Code.BAD_REQUEST, error.model_dump_json())
        else:
            self._say(error)

    # -- subscriptions -------------------------------------------------------------------------------------------

    async def _subscribe(self, wanted: Subscribe, *, reset: bool = False) -> None:
        async with self._lock:
            await self._subscribe_now(wanted, reset=reset)

    async def _subscribe_now(self, wanted: Subscribe, *, reset: bool) -> None:
        """First be told, then read how things stand: what happens meanwhile is held back, and nothing is missing."""
        watcher, wants = self._watcher, self.wants(wanted)
        watcher.hold()
        try:
            while self._rights is not None and watcher.closed is None:
                changed, rights = self._changed, self._rights
                topics = await self._topics(wanted, rights)
                self._hub.watch(watcher, topics)
                sequence = self._hub.sequence
                answer = await self._answer(wanted, wants, rights, sequence, reset=reset)
                if changed == self._changed:
                    self._wanted = wanted
                    watcher.wants, watcher.after = wants, sequence
                    return answer()
                await self._read_rights()
        finally:
            watcher.release()

    async def _answer(
        self, wanted: Subscribe, wants: Wants, rights: Rights, sequence: int, *, reset: bool
    ) -> Callable[[], None]:
        """Return what says the answer: nothing of it leaves when the rights change while it is made."""
        if wanted.since is not None:
            since, topics = wanted.since, self._watcher.topics
            found = await self._hub.missed(since, topics)
            missed = [
                each for each in found or () if each.sequence <= sequence and each.topic in topics and each in wants
            ]
            if found is not None and self._watcher.room_for(missed):

                def resume() -> None:
                    self._say(messages.Resumed(sequence=sequence))
                    self._watcher.wants, self._watcher.after = wants, since
                    self._watcher.catch_up(missed)
                    self._watcher.after = sequence

                return resume
            wanted = wanted.model_copy(update={"since": None})  # whenever they left, the state is the same for all
        key = ("state", type(self), self.scope["path"], rights.user.pk, rights.accounts, wanted.model_dump_json())
        reading = shared(key, partial(self._state_text, wanted, rights))
        text = _with_sequence(await reading.since(time.monotonic()), sequence, reset=reset)
        return lambda: self._watcher.say(text)

    async def _topics(self, wanted: Subscribe, rights: Rights) -> frozenset[str]:
        return await in_thread(self.topics, wanted, rights) if self.reads_topics else self.topics(wanted, rights)

    def _state_text(self, wanted: Subscribe, rights: Rights) -> str:
        """Return the snapshot with a sequence that stands for that of each connection."""
        state = self.state(wanted, rights)
        return self.snapshot(sequence=0, at=_now(), **state).model_dump_json()

    def _unsubscribe(self) -> None:
        self._forget_wanted()
        self._say(messages.Unsubscribed(reason="asked"))

    def _forget_wanted(self) -> None:
        self._wanted = None
        self._hub.watch(self._watcher, frozenset())
        self._watcher.wants = NOTHING
        self._watcher.forget()

    # -- rights --------------------------------------------------------------------------------------------------

    async def _look_again(self) -> None:
        """Read the rights anew; the hub has held the watcher until then."""
        try:
            async with self._lock:
                await self._read_rights(apply=True)
        finally:
            self._watcher.release(pause=True)

    async def _second_look(self, now: float) -> None:
        """The same from time to time, shared by all connections of the same sign-in or key."""
        async with self._lock:
            await self._read_rights(apply=True, since=now - RECHECK_EVERY + 1)

    async def _read_rights(self, *, apply: bool = False, since: float | None = None) -> None:
        before = self._rights
        rights = await self._reading.since(self._fresh_from if since is None else max(since, self._fresh_from))
        if rights is None:
            self._watcher.close(Code.SIGNED_OUT)
        elif not await self.may(rights):
            self._watcher.close(Code.NOT_FOUND)
        self._rights = rights
        if apply and rights and before and self._wanted and rights.accounts != before.accounts:
            await self._narrow(self._wanted, rights, before.accounts - rights.accounts)

    async def _narrow(self, wanted: Subscribe, rights: Rights, lost: frozenset[int]) -> None:
        """Tell what may be seen now, and nothing that was made before."""
        if wanted.accounts != ALL:
            lost = lost & frozenset(wanted.accounts)
            if not lost:
                return
            kept = [each for each in wanted.accounts if each in rights.accounts]
            wanted = wanted.model_copy(update={"accounts": kept})
        self._forget_wanted()
        if lost:
            self._say(messages.Unsubscribed(reason="access", accounts=sorted(lost)))
        if wanted.accounts:
            await self._subscribe_now(wanted.model_copy(update={"since": None}), reset=True)

    # -- inside --------------------------------------------------------------------------------------------------

    def _say(self, message: State) -> None:
        self._watcher.say(message.model_dump_json())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        """A connection of which nobody knows what it may see, or how things stand, is closed; it comes back."""
        try:
            await work
        except Exception:
            log.exception("a stream is closed")
            self._watcher.close(Code.TRY_AGAIN)


def _now() -> datetime:
    return datetime.now(UTC)


def _with_sequence(text: str, sequence: int, *, reset: bool) -> str:
    text = text.replace('"sequence":0,', f'"sequence":{sequence},', 1)
    return text.replace('"reset":false', '"reset":true', 1) if reset else text


def _told(fault: ValidationError) -> str:
    first = fault.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(str(each) for each in first["loc"])
    return f"{place}: {first['msg']}" if place else first["msg"]
