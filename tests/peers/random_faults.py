"""A model server whose every answer is drawn: mostly right, else one of two dozen ways to go wrong. It keeps what it sent.

What it does depends on the question and on how often it was asked, never on which thread came first. It runs in a process
of its own, so that it takes no time from those who wait for it.
"""

from __future__ import annotations

import json
import os
import pickle
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from threading import Lock
from typing import Any

from decisions.tests.builders import HOLD, OPEN, envelope, reply
from decisions.tests.llm_server import model_server
from vibex.lib.env import ROOT

OPENING = OPEN | {"check": "2.5 4400.0 4100.0 5"}


@dataclass(frozen=True, slots=True)
class Sent:
    """A whole body of HTTP 200 that says what it costs, as far as the server knows handed over."""

    decision: str
    generation: str
    kind: str
    prompt_tokens: int
    reply_tokens: int
    cost: Decimal


@dataclass
class Told:
    """What a server that ran had sent, and how often it did what; filled in when it has ended."""

    url: str
    sent: list[Sent] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)


@contextmanager
def faulty_server(seed: int) -> Iterator[Told]:
    """Run the server until the block ends; then it says what it did."""
    command = [sys.executable, "-c", "from tests.peers.random_faults import main; main()", str(seed)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ) as child:
        assert child.stdin
        assert child.stdout
        told = Told(child.stdout.readline().decode().strip())
        try:
            yield told
        finally:
            child.stdin.close()
            told.sent, told.kinds = pickle.load(child.stdout)


def main() -> None:
    server = FaultyServer(int(sys.argv[1]))
    with model_server(server.answer) as running:
        sys.stdout.write(f"{running.url}\n")
        sys.stdout.flush()
        sys.stdin.read()
        time.sleep(2.0)  # the slowest answers that are under way
    pickle.dump((server.sent, server.kinds), sys.stdout.buffer)


@dataclass
class FaultyServer:
    """`answer` is a behaviour of `decisions.tests.llm_server.model_server`."""

    seed: int
    sent: list[Sent] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    _asked: Counter[str] = field(default_factory=Counter)
    _lock: Lock = field(default_factory=Lock)

    def answer(self, connection: socket.socket, request: dict[str, Any]) -> None:
        decision = request["messages"][1]["content"].split('decision_id: "')[1].split('"')[0]
        with self._lock:
            number = self._asked[decision]
            self._asked[decision] += 1
        one = _One(Random(f"{self.seed} {decision} {number}"), decision, f"gen-{decision}-{number}", request["model"])
        kind = one.chance.choices(list(KINDS), [weight for weight, _ in KINDS.values()])[0]
        body = KINDS[kind][1](one, connection)
        with self._lock:
            self.kinds[kind] += 1
            if body and b'"usage"' in body:
                self.sent.append(one.sent(kind))


@dataclass(slots=True)
class _One:
    """One request, and what is drawn for it."""

    chance: Random
    decision: str
    generation: str
    model: str
    usage: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        tokens, replied = self.chance.randint(3000, 6000), self.chance.randint(80, 900)
        self.usage = {
            "prompt_tokens": tokens,
            "completion_tokens": replied,
            "total_tokens": tokens + replied,
            "cost": self.chance.randint(1, 90_000) / 10_000_000,
        }

    def sent(self, kind: str) -> Sent:
        cost = Decimal(str(self.usage["cost"])).quantize(Decimal("1e-10"))
        return Sent(
            self.decision,
            self.generation,
            kind,
            self.usage["prompt_tokens"],
            self.usage["completion_tokens"],
            cost,
        )

    def body(self, *items: dict[str, Any], **changes: Any) -> bytes:
        text = reply(*(items or (HOLD, OPENING)), decision_id=changes.pop("decision_id", self.decision))
        given = {"model": self.model, "id": self.generation, "usage": self.usage, **changes}
        return envelope(given.pop("text", text), **given)


type Behave = Callable[[_One, socket.socket], bytes]


def _whole(make: Callable[[_One], bytes], *, slow: tuple[float, float] = (0.0, 0.0)) -> Behave:
    """Send a whole body; return it when all of it went out."""

    def behave(one: _One, connection: socket.socket) -> bytes:
        time.sleep(one.chance.uniform(*slow))
        body = make(one)
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        connection.sendall(f"{head}Connection: close\r\n\r\n".encode() + body)
        return body

    return behave


def _status(status: int, headers: str = "") -> Behave:
    def behave(one: _One, connection: socket.socket) -> bytes:
        body = json.dumps({"error": {"code": status, "message": "no"}}).encode()
        head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{headers}"
        connection.sendall(f"{head}Connection: close\r\n\r\n".encode() + body)
        return b""

    return behave


def _silent(one: _One, connection: socket.socket) -> bytes:
    connection.settimeout(one.chance.uniform(0.1, 2.0))
    with suppress(TimeoutError):
        connection.recv(1)
    return b""


def _drips(one: _One, connection: socket.socket) -> bytes:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9000\r\n\r\n")
    until = time.monotonic() + one.chance.uniform(0.5, 2.0)
    while time.monotonic() < until:
        connection.sendall(b" ")
        time.sleep(0.05)
    return b""


def _half(one: _One, connection: socket.socket) -> bytes:
    body = one.body()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    connection.sendall(head + body[: one.chance.randrange(len(body))])
    return b""


KINDS: dict[str, tuple[int, Behave]] = {
    "valid": (40, _whole(_One.body)),
    "slow": (12, _whole(_One.body, slow=(0.1, 1.6))),
    "one symbol contradicts": (5, _whole(lambda one: one.body(HOLD, OPENING | {"risk_usd": 25.0}))),
    "error in 200": (4, _whole(lambda one: one.body(error={"code": 502, "message": "no"}))),
    "error in the choice": (3, _whole(lambda one: one.body(choice={"error": {"code": 502}, "finish_reason": "error"}))),
    "length": (3, _whole(lambda one: one.body(choice={"finish_reason": "length"}))),
    "cut text": (3, _whole(lambda one: one.body(text=reply(decision_id=one.decision)[: one.chance.randint(1, 300)]))),
    "another model": (3, _whole(lambda one: one.body(model="other/model"))),
    "an older answer": (3, _whole(lambda one: one.body(decision_id="0" * 16))),
    "no choices": (2, _whole(lambda one: one.body(choices=None))),
    "HTML": (2, _whole(lambda one: b"<html>Bad gateway</html>")),
    "empty": (2, _whole(lambda one: b"")),
    "null": (1, _whole(lambda one: b"null")),
    "silent": (3, _silent),
    "drips": (3, _drips),
    "half": (3, _half),
    "hangs up": (2, lambda one, connection: b""),
    "400": (2, _status(400)),
    "402": (1, _status(402)),
    "403": (1, _status(403)),
    "404": (1, _status(404)),
    "429 with a wait": (2, _status(429, "Retry-After: 1\r\n")),
    "429": (2, _status(429)),
    "500": (2, _status(500)),
    "503": (2, _status(503)),
    "529": (1, _status(529)),
}
"""Weight and behaviour of each kind of answer."""
