"""Cycles of a real bot on the database that the environment names; prints milliseconds and statements as JSON.

A process of its own for each database: `benchmarks.cycle` starts it. The model answers at once and in memory; prompt,
gate, risk, orders and the paper exchange are the real ones.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any
from unittest import mock

from django.core.management import call_command
from django.db import connection

STEP = timedelta(minutes=3)
WARM_UP, HOLDS, TRADES = 5, 150, 24
TRADED = {"opens_per_hour": 100, "opens_per_day": 100, "losing_streak": 0, "cooldown_minutes": 0, "min_hold_minutes": 0}
"""Limits that do not mind one entry every six minutes, each of which loses its fees. Every rule is asked all the same."""
MODEL = "bench/instant"
CONTROL = re.compile(r"(BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE)", re.IGNORECASE)
KINDS = ("ours", "venue", "control")
DECISION_ID = re.compile(r'decision_id: "(\w+)"')


def main() -> None:
    call_command("migrate", verbosity=0)
    bench = Bench()
    bench.rounds(WARM_UP)
    found = {"model holds": bench.rounds(HOLDS), "opens": [], "closes": []}
    for turn in range(TRADES):
        symbol = bench.symbols[turn % len(bench.symbols)]
        found["opens"] += bench.rounds(1, symbol, "buy_to_enter")
        found["closes"] += bench.rounds(1, symbol, "close_position")
    bench.decide_by("rules/hold")
    found["rules hold"] = bench.rounds(HOLDS)
    json.dump({"vendor": connection.vendor, "rounds": found, "steps": bench.steps()}, sys.stdout)


class Bench:
    """A bot on a still market, and a model that says what it is told to say."""

    def __init__(self) -> None:
        from accounts.models import RiskLimits
        from accounts.services import account_create, bot_create, user_create
        from benchmarks.still_market import PRICES, VENUE, StillMarket
        from decisions.services import prompt_template_install

        prompt_template_install()
        self.market = StillMarket()
        self.symbols = tuple(PRICES)
        owner = user_create(email="bench@example.com", password="a password of a benchmark")
        account = account_create(owner=owner, name="bench", venue=VENUE)
        RiskLimits.objects.filter(account=account).update(**TRADED)
        self._bot = bot_create(
            account=account,
            name="bench",
            model=f"openrouter/{MODEL}",
            symbols=self.symbols,
            interval="3m",
            timeframes=("3m", "15m", "1h", "4h"),
        )
        self._said: dict[str, dict[str, Any]] = {}
        _answer_with(self._reply)

    def decide_by(self, model: str) -> None:
        type(self._bot).objects.filter(pk=self._bot.pk).update(model=model)

    def rounds(self, count: int, symbol: str = "", signal: str = "hold") -> list[dict[str, float]]:
        """Run `count` cycles, each on new candles, in which the model says `signal` for `symbol` and holds the others."""
        self._said = {name: _item(name, "hold") for name in self.symbols}
        if symbol:
            self._said[symbol] = self._entry(symbol) if signal == "buy_to_enter" else _item(symbol, signal)
        return [self._round(signal) for _ in range(count)]

    def steps(self) -> dict[str, float]:
        """Return the median milliseconds of each step of the cycles in which the model held everything."""
        from statistics import median

        from decisions.models import Cycle

        timings = list(Cycle.objects.order_by("scheduled_for").values_list("timings", flat=True))[
            WARM_UP : WARM_UP + HOLDS
        ]
        return {step: median(timing[step] for timing in timings) for step in timings[0]}

    def _round(self, signal: str) -> dict[str, float]:
        from trading.services.live import cycle_run

        self.market.advance(STEP)
        with _counted() as counts:
            began, busy = time.perf_counter(), time.process_time()
            run = cycle_run(bot_id=self._bot.pk, scheduled_for=self.market.at)
            spent, busy = time.perf_counter() - began, time.process_time() - busy
        if run.result is None:
            raise RuntimeError(f"the cycle ended as {run.status}: {run.text}")
        if (signal == "hold") == bool(run.result.done):
            raise RuntimeError(f"asked for {signal}, got: {run.text}; {run.result.reading}; {run.result.rulings}")
        return {"ms": spent * 1000, "busy": busy * 1000, **{kind: counts[kind] for kind in KINDS}}

    def _entry(self, symbol: str) -> dict[str, Any]:
        spec, ask = self.market.spec(symbol), self.market.quote(symbol).ask
        stop = spec.price_down(ask * Decimal("0.97"))
        quantity = (Decimal(2_000) / ask) // spec.step_size * spec.step_size
        return _item(
            symbol,
            "buy_to_enter",
            quantity=float(quantity),
            leverage=2,
            stop_loss=float(stop),
            profit_target=float(spec.price_up(ask * Decimal("1.06"))),
            risk_usd=float(round(quantity * (ask - stop), 2)),
            confidence=0.6,
        )

    def _reply(self, prompt: str) -> bytes:
        named = DECISION_ID.search(prompt)
        content = {"decision_id": named[1] if named else "", "decisions": list(self._said.values())}
        message = {"role": "assistant", "content": json.dumps(content)}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        usage = {"prompt_tokens": 6000, "completion_tokens": 400, "cost": 0.004}
        return json.dumps({"id": "bench", "model": MODEL, "choices": [choice], "usage": usage}).encode()


def _item(symbol: str, signal: str, **values: Any) -> dict[str, Any]:
    amounts = dict.fromkeys(("quantity", "profit_target", "stop_loss", "leverage", "risk_usd"))
    words = {"invalidation_condition": "a close below the stop", "justification": "a benchmark says so"}
    return {"coin": symbol, "signal": signal, **amounts, "confidence": 0.5, **words, **values}


def _answer_with(reply: Callable[[str], bytes]) -> None:
    """Put an instant answer in the place of the network call, and nothing else."""
    from decisions.deciders import climb
    from decisions.llm.client import Received
    from decisions.llm.endpoints import Endpoint

    def instant(endpoint: Endpoint, body: dict[str, Any], *, seconds: float) -> Received:  # noqa: ARG001
        return Received(reply(body["messages"][1]["content"]), 200)

    mock.patch.object(climb, "send", instant).start()


@contextmanager
def _counted() -> Iterator[Counter[str]]:
    """Count statements by kind: our own, those on the paper venue's tables, and the beginning and end of transactions."""
    counts: Counter[str] = Counter()

    def count(execute: Any, sql: str, *rest: Any) -> Any:
        counts["control" if CONTROL.match(sql) else "venue" if "trading_paper" in sql else "ours"] += 1
        return execute(sql, *rest)

    with connection.execute_wrapper(count):
        yield counts


if __name__ == "__main__":
    import django

    django.setup()
    main()
