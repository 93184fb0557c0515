"""A model server on loopback that answers at once, or after a second: it says to hold all that it was asked about.

A process of its own, so that it takes no time from those who ask. `python -m benchmarks.asking_server` prints its port
and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks import house
from vibex.lib.env import ROOT

SLOW = "bench/slow"
SECONDS = 1.0
DECISION_ID = re.compile(rb'decision_id: \\"(\w+)')
MODEL = re.compile(rb'"model":\s*"([^"]+)"')
COINS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT", "DOGEUSDT")
LENGTH = re.compile(rb"content-length:\s*(\d+)", re.IGNORECASE)


@contextmanager
def serving() -> Iterator[str]:
    """Run the server; yield its address."""
    command = house.python("-m", "benchmarks.asking_server")
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        if child.stdin is None or child.stdout is None:
            raise RuntimeError("the server has no pipes")
        try:
            yield f"http://127.0.0.1:{int(child.stdout.readline())}/v1"
        finally:
            child.stdin.close()


def reply_to(request: bytes) -> bytes:
    """Return the body of an answer to the body of a request."""
    asked, model = DECISION_ID.search(request), MODEL.search(request)
    content = {"decision_id": asked[1].decode() if asked else "", "decisions": [_hold(coin) for coin in COINS]}
    message = {"role": "assistant", "content": json.dumps(content)}
    body = {
        "id": "gen-bench",
        "object": "chat.completion",
        "model": model[1].decode() if model else "",
        "choices": [{"index": 0, "finish_reason": "stop", "native_finish_reason": "stop", "message": message}],
        "usage": {"prompt_tokens": 6000, "completion_tokens": 400, "total_tokens": 6400, "cost": 0.004},
    }
    return json.dumps(body).encode()


def _hold(coin: str) -> dict[str, Any]:
    amounts = dict.fromkeys(("quantity", "profit_target", "stop_loss", "leverage", "risk_usd"))
    words = {"invalidation_condition": "", "justification": "no edge: EMA20 and EMA50 are within 0.1 %", "check": ""}
    return {"coin": coin, "signal": "hold", **amounts, "confidence": 0.5, **words}


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = LENGTH.search(head)
            request = await reader.readexactly(int(length[1]) if length else 0)
            model = MODEL.search(request)
            if model and model[1].decode() == SLOW:
                await asyncio.sleep(SECONDS)
            body = reply_to(request)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body))
            writer.write(body)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _run() -> None:
    server = await asyncio.start_server(_serve, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_run())
