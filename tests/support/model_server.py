"""A model server on loopback that speaks as OpenAI's do: it holds, buys what it is told to at the price it is shown, or closes."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

DECISION_ID = re.compile(r'decision_id: "(\w+)"')
HOLD = {
    "signal": "hold",
    "quantity": None,
    "profit_target": None,
    "stop_loss": None,
    "leverage": None,
    "risk_usd": None,
    "confidence": 0.5,
    "invalidation_condition": "",
    "justification": "nothing to do",
    "check": "",
}
CLOSE = HOLD | {"signal": "close_position", "justification": "out of it"}
STOP, TARGET = 0.025, 0.06
"""Distances from the ask as shares of it."""
LEVERAGE = 5


@dataclass(slots=True)
class Model:
    """What the model wants. `buys` is a symbol and how much of it; None: nothing."""

    buys: tuple[str, float] | None = None
    closes: str = ""
    """A symbol that it wants to be out of."""
    slow: float = 0.0
    """Seconds that it thinks about each answer."""
    asked: int = 0
    address: str = ""

    def reply(self, prompt: str) -> str:
        """Return what it says to a prompt."""
        self.asked += 1
        time.sleep(self.slow)
        found = DECISION_ID.search(prompt)
        items = [_entry(prompt, *self.buys)] if self.buys else []
        items += [{"coin": self.closes} | CLOSE] if self.closes else []
        return json.dumps({"decision_id": found[1] if found else "", "decisions": items})


def _entry(prompt: str, symbol: str, quantity: float) -> dict[str, Any]:
    """Return an entry at the ask that stands in the prompt; a hold where none does."""
    shown = re.search(rf"### {symbol}, \w+ candles\nLast price: [\d.]+, bid: [\d.]+, ask: ([\d.]+)", prompt)
    if shown is None:
        return {"coin": symbol} | HOLD
    ask, places = float(shown[1]), len(shown[1].partition(".")[2])
    stop, target = round(ask * (1 - STOP), places), round(ask * (1 + TARGET), places)
    return {
        "coin": symbol,
        "signal": "buy_to_enter",
        "quantity": quantity,
        "profit_target": target,
        "stop_loss": stop,
        "leverage": LEVERAGE,
        "risk_usd": round(quantity * (ask - stop), 2),
        "confidence": 0.62,
        "invalidation_condition": "a close below the stop",
        "justification": f"{symbol} is wanted: trend and momentum agree",
        "check": f"{quantity} {target} {stop} {LEVERAGE}",
    }


@contextmanager
def serving() -> Iterator[Model]:
    """Run the server; yield the model behind it, whose mind can be changed at any time."""
    model = Model()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            said = model.reply("\n".join(str(message["content"]) for message in asked["messages"]))
            self._answer(
                {
                    "id": "gen-day",
                    "object": "chat.completion",
                    "model": asked["model"],
                    "choices": [
                        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": said}}
                    ],
                    "usage": {"prompt_tokens": 5000, "completion_tokens": 300, "total_tokens": 5300},
                }
            )

        def do_GET(self) -> None:
            self._answer({"object": "list", "data": [{"id": "day/model", "object": "model"}]})

        def _answer(self, body: dict[str, Any]) -> None:
            text = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            """Nobody reads it."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 1024
        """A thousand may ask at the same moment; five, the default, would let the others wait for a second try."""

    with Server(("127.0.0.1", 0), Handler) as server:
        model.address = f"http://127.0.0.1:{server.server_port}/v1"
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield model
        finally:
            server.shutdown()
