"""An exchange in a process of its own, where ccxt is installed: the child reads calls and writes what they return.

Run as a script it is the child; imported, it holds `RemoteExchange`, which looks like any `LiveExchange`.
"""

from __future__ import annotations

import atexit
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


class Child:
    """The other process. It is started once and makes an exchange whenever it is asked: its imports take seconds."""

    def __init__(self, python: Path, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [python, __file__], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )
        self._lock = threading.Lock()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def call(self, *asked: Any) -> Any:
        """Return what the child answers, raise what it raised."""
        assert self._process.stdin
        assert self._process.stdout
        with self._lock:
            pickle.dump(asked, self._process.stdin)
            self._process.stdin.flush()
            error, value, refusal = pickle.load(self._process.stdout)
        if error:
            raise _error(error, value, refusal)
        return value

    def close(self) -> None:
        self._process.communicate()


class RemoteExchange:
    """A `LiveExchange` whose calls are made in another process, at the time that `clock` shows here."""

    def __init__(self, child: Child, number: int, clock: Any, prefix: str = "") -> None:
        self._child, self._number, self._clock, self._prefix = child, number, clock, prefix
        self.supports_close_position, self.income_reach = self._call("facts")

    def urgent(self) -> RemoteExchange:
        """Return the same account for closing, in the same process."""
        return RemoteExchange(self._child, self._number, self._clock, "urgent.")

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **named: self._call(self._prefix + name, *args, **named)

    def _call(self, name: str, *args: Any, **named: Any) -> Any:
        return self._child.call(self._number, self._clock.now(), name, args, named)


_children: dict[tuple[Path, tuple[tuple[str, str], ...]], Child] = {}
"""By interpreter and environment: what one test told its child must not be what the next one's child knows."""


@contextmanager
def exchange_in(python: Path, environment: dict[str, str], *, clock: Any, **made: Any) -> Iterator[RemoteExchange]:
    """Return an exchange in the interpreter `python`. `made` is given to `ccxt_exchange`, `specs` as a dictionary.

    `timeout_ms` is the patience with one request, `attempts` how often a question is asked (once).
    """
    key = python, tuple(sorted(environment.items()))
    child = _children.get(key)
    if child is None or not child.alive:
        child = _children[key] = Child(python, environment)
        atexit.register(child.close)
    number = child.call(0, clock.now(), "make", (), made)
    yield RemoteExchange(child, number, clock)
    child.call(number, clock.now(), "forget", (), {})


class Purse:
    """A budget in memory that writes down what is taken from it, and what blocks it."""

    def __init__(self) -> None:
        self.taken: list[tuple[int, str]] = []
        self.blocks: list[tuple[datetime, str, bool]] = []

    def take(self, weight: int, purpose: Any) -> None:
        self.taken.append((weight, purpose.name))

    def report(self, used: int) -> None:
        """Believe our own count."""

    def block(self, until: datetime, reason: str, *, told: bool = False) -> None:
        self.blocks.append((until, reason, told))

    def limit_set(self, limit: int) -> None:
        """Allow everything."""


def _error(name: str, text: str, refusal: str | None) -> Exception:
    from trading.exchange import base
    from vibex.lib import errors

    kind = getattr(base, name, None) or getattr(errors, name, None)
    if kind is None:
        return AssertionError(f"{name} in the other process: {text}")
    made: Exception = kind(text, refusal=base.Refusal(refusal)) if refusal else kind(text)
    return made


class Workshop:
    """What the child holds: exchanges by number, each with its own clock and purse."""

    def __init__(self) -> None:
        self._held: dict[int, tuple[Any, Any, Purse]] = {}
        self._made = 0
        self._nonces: Any = None

    def answer(self, number: int, now: datetime, called: str, args: Any, named: Any) -> Any:
        if called == "make":
            return self.make(now, **named)
        exchange, clock, purse = self._held[number]
        if now > clock.now():
            clock.move_to(now)
        if called == "forget":
            del self._held[number]
            return None
        if called == "purse":
            return purse
        if called == "facts":
            return exchange.supports_close_position, exchange.income_reach
        way, _, name = called.rpartition(".")
        return getattr(exchange.urgent() if way else exchange, name)(*args, **named)

    def make(self, now: datetime, *, specs: Any, timeout_ms: int = 10_000, attempts: int = 1, **given: Any) -> int:
        import stamina

        from trading.exchange.through_ccxt import ccxt_exchange, client
        from trading.exchange.through_ccxt.hyperliquid.wallets import LocalMilliseconds
        from vibex.lib.clock import SimulatedClock
        from vibex.lib.errors import Rejected

        def spec(symbol: str) -> Any:
            if symbol not in specs:
                raise Rejected(f"{symbol} is not an instrument here")
            return specs[symbol]

        client.TIMEOUT_MS = timeout_ms  # type: ignore[misc]
        stamina.set_testing(True, attempts=attempts)
        if given["venue"] == "hyperliquid" and "nonces" not in given:
            given["nonces"] = self._nonces = self._nonces or LocalMilliseconds()  # there is no database here
        clock, purse = SimulatedClock(now), Purse()
        self._made += 1
        self._held[self._made] = ccxt_exchange(**given, specs=spec, clock=clock, budget=purse), clock, purse
        return self._made


def main() -> None:
    """Be the child: answer calls until there are no more."""
    from trading.exchange.base import Refused
    from vibex.lib.errors import VibexError

    answers, workshop = sys.stdout.buffer, Workshop()
    sys.stdout = sys.stderr  # whatever logs must not write between the answers
    while True:
        try:
            asked = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer: Any = (None, workshop.answer(*asked), None)
        except VibexError as error:
            answer = (type(error).__name__, str(error), error.refusal.value if isinstance(error, Refused) else None)
        except Exception as error:
            answer = (type(error).__name__, repr(error), None)
        pickle.dump(answer, answers)
        answers.flush()


if __name__ == "__main__":
    # By its own name, so that what is written here can be read over there.
    sys.path.insert(0, str(ROOT))
    from tests.oracles.exchange_process import main as named

    named()
