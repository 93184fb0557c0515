"""Cycles of a bot that asks a server on loopback, and many asks at once; prints milliseconds as JSON.

A process of its own for each database: `benchmarks.asking` starts it. Its argument is the address of the server.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from django.core.management import call_command
from django.db import connection, connections

STEP = timedelta(minutes=3)
WARM_UP, CYCLES = 5, 60
AT_ONCE = 64
STEPS = ("prompt", "ask", "read")
"""What lies around a model call: the text, the client with ladder, turn, money and gate; the gate again, and storing."""
PROVIDER = "bench"


def main() -> None:
    call_command("migrate", verbosity=0)
    bench = Bench(sys.argv[1])
    for _ in range(WARM_UP):
        bench.cycle()
    rounds = [bench.cycle() for _ in range(CYCLES)]
    json.dump({"vendor": connection.vendor, "rounds": rounds, "many": bench.many()}, sys.stdout)


class Bench:
    """A bot of six symbols and four timeframes on a still market, whose model answers at once."""

    def __init__(self, address: str) -> None:
        from accounts.services import account_create, bot_create, user_create
        from benchmarks.asking_server import SLOW
        from benchmarks.still_market import PRICES, VENUE, StillMarket
        from decisions.models import Provider
        from decisions.services import prompt_template_install

        prompt_template_install()
        Provider.objects.create(
            name=PROVIDER,
            dialect=Provider.Dialect.OPENROUTER,
            base_url=address,
            requests_per_minute=1_000_000,
            at_once=1_000,
        )
        self.address = address
        self.market = StillMarket()
        owner = user_create(email="bench@example.com", password="a password of a benchmark")
        account = account_create(owner=owner, name="bench", venue=VENUE)
        self.bot = bot_create(
            account=account,
            name="bench",
            model=f"{PROVIDER}/bench/instant",
            symbols=tuple(PRICES),
            interval="3m",
            timeframes=("3m", "15m", "1h", "4h"),
        )
        self.slow = f"{PROVIDER}/{SLOW}"
        self._question: Any = None

    def cycle(self) -> dict[str, float]:
        """Run a cycle on new candles; return the milliseconds around its model call, and those of a bare request."""
        from trading.services.live import cycle_run

        self.market.advance(STEP)
        run = cycle_run(bot_id=self.bot.pk, scheduled_for=self.market.at)
        if run.result is None or run.result.reading.outcome.value != "answered":
            raise RuntimeError(f"the cycle ended as {run.status}: {run.text}")
        self._question = run.result.question
        took = {step: run.result.timings[step] for step in STEPS}
        return {**took, "around": sum(took.values()), "bare": self._bare(), "busy": self._busy()}

    def _busy(self) -> float:
        """Return the milliseconds of processor time of one ask with its reading, whatever else the machine does."""
        from trading.services.live import bot_view

        decider = self._decider(bot_view(self.bot))
        began = time.process_time()
        answer = decider.ask(self._question, self._deadline())
        decider.read(self._question, answer)
        return (time.process_time() - began) * 1000

    def many(self) -> dict[str, float]:
        """Let threads of this process ask a model that takes a second, all at once; return how that went."""
        from decisions.domain.question import Outcome
        from trading.services.live import bot_view

        type(self.bot).objects.filter(pk=self.bot.pk).update(model=self.slow)
        self.bot.refresh_from_db()
        decider, question, start = self._decider(bot_view(self.bot)), self._question, threading.Barrier(AT_ONCE)

        def ask(_: int) -> tuple[float, bool]:
            start.wait()  # nobody holds a connection of the database here: there may be fewer than threads
            began = time.perf_counter()
            try:
                answer = decider.ask(question, self._deadline())
                reading = decider.read(question, answer)
                return time.perf_counter() - began, reading.outcome is Outcome.ANSWERED
            finally:
                connections.close_all()

        busy, began = time.process_time(), time.perf_counter()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            ended = list(pool.map(ask, range(AT_ONCE)))
        wall, busy = time.perf_counter() - began, time.process_time() - busy
        slowest = max(seconds for seconds, _ in ended)
        return {"wall": wall, "slowest": slowest, "answered": sum(well for _, well in ended), "busy": busy}

    def _decider(self, view: Any) -> Any:
        from decisions.deciders.registry import decider_for

        return decider_for(view)

    def _deadline(self) -> Any:
        from vibex.lib.clock import Deadline

        return Deadline(30.0)

    def _bare(self) -> float:
        """Return the milliseconds of the same bytes sent on an open connection without any client, and read back."""
        where = urlsplit(self.address)
        line = http.client.HTTPConnection(where.hostname or "", where.port or 80)
        line.connect()
        body = self._body()
        took = []
        for _ in range(2):  # the first opens the way
            began = time.perf_counter()
            line.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
            line.getresponse().read()
            took.append((time.perf_counter() - began) * 1000)
        line.close()
        return took[-1]

    def _body(self) -> bytes:
        from decisions.domain.dialects import body_of
        from decisions.domain.ladder import Rung
        from decisions.domain.schema import response_schema

        asked = self._question
        body = body_of(
            "openrouter",
            model="bench/instant",
            prompt=asked.prompt,
            asking=asked.bot.asking,
            schema=response_schema(asked.bot.symbols),
            rung=Rung.STRICT,
        )
        return json.dumps(body).encode()


if __name__ == "__main__":
    import django

    django.setup()
    main()
