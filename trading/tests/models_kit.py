"""A small market, and a model server on loopback whose mind is a function of the prompt it is sent."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from decisions.tests.llm_server import model_server, sends
from marketdata.domain.recording import Recording
from marketdata.tests.build import START, recording, walk
from trading.services.backtest.plan import BacktestPlan

SYMBOL = "BTCUSDT"
HOURS = 24
WARM_UP = 300
ASK = re.compile(r"### (\w+), 1h candles\nLast price: [\d.]+, bid: [\d.]+, ask: ([\d.]+)")
TICK = re.compile(r"- (\w+): \w+ against \w+, group \w+, tick ([\d.]+), step ([\d.]+)")
DECISION_ID = re.compile(r'decision_id: "(\w+)"')
TIMES = re.compile(r"were asked (\d+) times before")

type Mind = Callable[[str, int], str]
"""What a model wants (buy, hold, close, nonsense) by the prompt it is sent, and by how often it was sent that before."""


@dataclass
class Model:
    """A model on loopback: where it is, and the prompts that it was sent."""

    address: str = ""
    prompts: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)

    @property
    def asked(self) -> int:
        return len(self.prompts)


def first(prompt: str) -> int:
    """Return how often the model had been asked before."""
    return int(TIMES.search(prompt)[1])


def now_and_then(prompt: str, times: int) -> str:
    """Buy every eighth time, close six decisions later; the same whenever it is asked."""
    number = first(prompt) % 8
    return {1: "buy", 7: "close"}.get(number, "hold")


@contextmanager
def thinking(mind: Mind = now_and_then, *, cost: float = 0.002) -> Iterator[Model]:
    """Serve a model of this mind."""
    model = Model()

    def behave(connection: Any, request: dict[str, Any]) -> None:
        system, user = (message["content"] for message in request["messages"][:2])
        wish = mind(user, model.seen[request["model"] + user])
        model.prompts.append(user)
        model.models.append(request["model"])
        model.seen[request["model"] + user] += 1
        sends(_body(request["model"], _reply(wish, system, user), cost))(connection, request)

    with model_server(behave) as server:
        model.address = server.url
        yield model


def market(seed: int = 7) -> Recording:
    """Return enough hours of a random walk for a day of decisions after the warm-up."""
    return recording(walk(WARM_UP + HOURS + 1, symbol=SYMBOL, seed=seed))


def begins() -> datetime:
    return START + timedelta(hours=WARM_UP)


def day_plan(model: str, **changes: Any) -> BacktestPlan:
    """Return a plan of 24 hourly decisions."""
    begin = begins()
    return BacktestPlan((SYMBOL,), begin, begin + timedelta(hours=HOURS), "1h", ("1h", "4h"), model, **changes)


def _reply(wish: str, system: str, user: str) -> str:
    if wish == "nonsense":
        return "I would rather not say."
    decision_id = DECISION_ID.search(user)[1]
    items = [_item(wish, system, name, ask) for name, ask in ASK.findall(user)]
    return json.dumps({"decision_id": decision_id, "decisions": items})


def _item(wish: str, system: str, symbol: str, ask: str) -> dict[str, Any]:
    entry = dict.fromkeys(("quantity", "profit_target", "stop_loss", "leverage", "risk_usd"))
    words = {"confidence": 0.62, "invalidation_condition": "", "justification": f"<b>{wish}</b>", "check": ""}
    signal = {"buy": "buy_to_enter", "close": "close_position"}.get(wish, "hold")
    if wish == "buy":
        rules = {name: (float(tick), float(step)) for name, tick, step in TICK.findall(system)}
        tick, step = rules[symbol]
        price = float(ask)
        stop, target = (round(round(price * (1 + way) / tick) * tick, 10) for way in (-0.02, 0.05))
        quantity = round(max(1, round(3_000 / price / step)) * step, 10)
        entry |= {"quantity": quantity, "profit_target": target, "stop_loss": stop, "leverage": 2}
        entry["risk_usd"] = round(quantity * (price - stop), 2)
        words["check"] = f"{quantity} {target} {stop} 2"
    return {"coin": symbol, "signal": signal, **entry, **words}


def _body(model: str, text: str, cost: float) -> bytes:
    usage = {"prompt_tokens": 3_000, "completion_tokens": 120, "total_tokens": 3_120, "cost": cost}
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    return json.dumps(
        {"id": "gen-1", "object": "chat.completion", "model": model, "choices": [choice], "usage": usage}
    ).encode()
