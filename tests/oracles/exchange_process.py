"""An exchange in a process of its own, where ccxt is installed: the child reads calls and writes what they return.

Run as a script it is the child; imported, it holds `RemoteExchange`, which looks like any `LiveExchange`.
"""

from __future__ import annotations

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


class RemoteExchange:
    """A `LiveExchange` whose calls are made in another process, at the time that `clock` shows here."""

    def __init__(self, child: subprocess.Popen[bytes], clock: Any, prefix: str = "", lock: Any = None) -> None:
        self._child, self._clock, self._prefix = child, clock, prefix
        self._lock = lock or threading.Lock()
        self.supports_close_position, self.income_reach = self._call("facts")

    def urgent(self) -> RemoteExchange:
        """Return the same account for closing, in the same process."""
        return RemoteExchange(self._child, self._clock, "urgent.", self._lock)

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **named: self._call(self._prefix + name, *args, **named)

    def _call(self, name: str, *args: Any, **named: Any) -> Any:
        assert self._child.stdin
        assert self._child.stdout
        with self._lock:
            pickle.dump((self._clock.now(), name, args, named), self._child.stdin)
            self._child.stdin.flush()
            error, value, refusal = pickle.load(self._child.stdout)
        if error:
            raise _error(error, value, refusal)
        return value


@contextmanager
def exchange_in(python: Path, environment: dict[str, str], *, clock: Any, **made: Any) -> Iterator[RemoteExchange]:
    """Return an exchange in the interpreter `python`. `made` is given to `ccxt_exchange`, `specs` as a dictionary.

    `timeout_ms` is the patience with one request, `attempts` how often a question is asked (once).
    """
    command = [python, __file__]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as child:
        try:
            assert child.stdin
            pickle.dump({"now": clock.now(), **made}, child.stdin)
            yield RemoteExchange(child, clock)
        finally:
            assert child.stdin
            child.stdin.close()


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


def main() -> None:
    """Be the child: make the exchange, then answer calls until there are no more."""
    import stamina

    from trading.exchange.base import Refused
    from trading.exchange.through_ccxt import ccxt_exchange, client
    from vibex.lib.clock import SimulatedClock
    from vibex.lib.errors import Rejected, VibexError

    given = pickle.load(sys.stdin.buffer)
    answers = sys.stdout.buffer
    sys.stdout = sys.stderr  # whatever logs must not write between the answers
    clock, listed, purse = SimulatedClock(given.pop("now")), given.pop("specs"), Purse()
    client.TIMEOUT_MS = given.pop("timeout_ms", client.TIMEOUT_MS)
    stamina.set_testing(True, attempts=given.pop("attempts", 1))
    if given["venue"] == "hyperliquid":
        given["nonces"] = client.Increasing()  # there is no database here

    def specs(symbol: str) -> Any:
        if symbol not in listed:
            raise Rejected(f"{symbol} is not an instrument here")
        return listed[symbol]

    exchange = ccxt_exchange(**given, specs=specs, clock=clock, budget=purse)
    calls = {"facts": lambda: (exchange.supports_close_position, exchange.income_reach), "purse": lambda: purse}
    while True:
        try:
            now, called, args, named = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        if now > clock.now():
            clock.move_to(now)
        try:
            way, _, name = called.rpartition(".")
            call = calls.get(called) or getattr(exchange.urgent() if way else exchange, name)
            answer: Any = (None, call(*args, **named), None)
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
