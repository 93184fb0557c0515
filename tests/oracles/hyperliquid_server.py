"""A loopback server of Hyperliquid's public `POST /info`: the shapes of its documentation and of ccxt's parser.

Prices are a formula of the time, so that a test can say what every candle has to be. Only public questions are
answered; whatever is sent to `/exchange`, where orders and builder fees go, is counted.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

MINUTE = 60_000
LENGTHS = {"1m": MINUTE, "3m": 3 * MINUTE, "5m": 5 * MINUTE, "15m": 15 * MINUTE, "1h": 60 * MINUTE, "1d": 1440 * MINUTE}
HOUR = 60 * MINUTE
MOST_CANDLES = 5000
MOST_SETTLEMENTS = 500
HISTORY = 40 * 24 * HOUR
"""How far the settlements go back."""
JITTER = 71
"""Milliseconds by which a settlement is stamped late."""

COINS: list[dict[str, Any]] = [
    {"name": "BTC", "szDecimals": 5, "maxLeverage": 40, "mark": "97123.0", "bid": "97122.0", "ask": "97123.0"},
    {"name": "ETH", "szDecimals": 4, "maxLeverage": 25, "mark": "2369.6", "bid": "2369.5", "ask": "2369.6"},
    {"name": "kPEPE", "szDecimals": 0, "maxLeverage": 10, "mark": "0.012345", "bid": "0.012344", "ask": "0.012346"},
    {"name": "HYPE", "szDecimals": 2, "maxLeverage": 10, "mark": "27.63", "bid": "27.591", "ask": "27.631"},
    {"name": "GONE", "szDecimals": 1, "maxLeverage": 3, "isDelisted": True, "mark": "0.5", "bid": None, "ask": None},
]


def candle(coin: str, interval: str, opens: int) -> dict[str, Any]:
    """Return the candle that opens at `opens` (ms), as the venue writes it."""
    step = opens // LENGTHS[interval] % 1000
    low, high = 2000 + step, 2010 + step
    return {
        "t": opens, "T": opens + LENGTHS[interval] - 1, "s": coin, "i": interval, "o": f"{low + 1}.5", "h": f"{high}.0",
        "l": f"{low}.0", "c": f"{low + 2}.25", "v": f"{step}.125", "n": 3,
    }  # fmt: skip


@dataclass
class Hyperliquid:
    """What the server knows and what was asked of it."""

    asked: list[str] = field(default_factory=list)
    exchange_calls: int = 0
    """Whatever was sent to /exchange, where orders go."""
    answers: list[tuple[int, str, dict[str, str]]] = field(default_factory=list)
    """The next answers, instead of true ones: status, text, headers."""
    address: str = ""
    stands_at: int | None = None
    """Where its clock stands, in ms; None: it runs."""

    def now(self) -> int:
        return now_ms() if self.stands_at is None else self.stands_at

    async def info(self, request: web.Request) -> web.StreamResponse:
        question = await request.json()
        self.asked.append(question["type"])
        if self.answers:
            status, text, headers = self.answers.pop(0)
            return web.Response(status=status, text=text, headers=headers)
        answer = getattr(self, f"_{question['type']}", None)
        if answer is None:
            return web.Response(status=422, text="Failed to deserialize the JSON body into the target type")
        return web.json_response(answer(question))

    async def exchange(self, request: web.Request) -> web.StreamResponse:
        self.exchange_calls += 1
        return web.json_response({"status": "err", "response": "no orders here"})

    def _exchangeStatus(self, question: Any) -> Any:
        return {"specialStatuses": None, "time": self.now()}

    def _metaAndAssetCtxs(self, question: Any) -> Any:
        universe = [
            {name: coin[name] for name in ("name", "szDecimals", "maxLeverage", "isDelisted") if name in coin}
            for coin in COINS
        ]
        return [{"universe": universe, "marginTables": [], "collateralToken": 0}, [_context(coin) for coin in COINS]]

    def _l2Book(self, question: Any) -> Any:
        coin = next(coin for coin in COINS if coin["name"] == question["coin"])
        levels = [[{"px": coin[side], "sz": "1.5", "n": 2}] if coin[side] else [] for side in ("bid", "ask")]
        return {"coin": coin["name"], "levels": levels, "time": self.now()}

    def _candleSnapshot(self, question: Any) -> Any:
        """Answer with the newest 5,000 of the window, the candle that holds its start included."""
        asked = question["req"]
        length = LENGTHS[asked["interval"]]
        last = min(asked["endTime"], self.now()) // length * length
        opens = range(asked["startTime"] // length * length, last + 1, length)[-MOST_CANDLES:]
        return [candle(asked["coin"], asked["interval"], one) for one in opens]

    def _fundingHistory(self, question: Any) -> Any:
        """Answer with the first 500 of the window."""
        end = min(question.get("endTime", self.now()), self.now())
        first = -(-max(question["startTime"] - JITTER, self.now() - HISTORY) // HOUR) * HOUR
        times = range(first + JITTER, end + 1, HOUR)[:MOST_SETTLEMENTS]
        return [{"coin": question["coin"], "fundingRate": rate_at(at), "premium": "0.0001", "time": at} for at in times]


def rate_at(ms: int) -> str:
    """Return the rate that was settled in the hour of `ms`."""
    return f"{(ms // HOUR % 20 - 9) / 1e7:.7f}"


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def _context(coin: dict[str, Any]) -> dict[str, Any]:
    return {
        "funding": "0.0000125", "openInterest": "688.11", "prevDayPx": coin["mark"], "dayNtlVlm": "1169046.29",
        "premium": "0.00031774", "oraclePx": coin["mark"], "markPx": coin["mark"],
        "midPx": coin["mark"] if coin["bid"] else None, "impactPxs": [coin["bid"], coin["ask"]] if coin["bid"] else None,
        "dayBaseVlm": "100.0",
    }  # fmt: skip


@contextmanager
def hyperliquid_in_thread(*, stands_at: int | None = None) -> Iterator[Hyperliquid]:
    """Serve on a free loopback port until the block ends."""
    with in_thread(Hyperliquid(stands_at=stands_at)) as venue:
        yield venue


@contextmanager
def in_thread[Served: Hyperliquid](venue: Served) -> Iterator[Served]:
    """Serve this venue on a free loopback port until the block ends."""
    loop, ready = asyncio.new_event_loop(), threading.Event()

    async def begin() -> web.AppRunner:
        app = web.Application()
        app.router.add_post("/info", venue.info)
        app.router.add_post("/exchange", venue.exchange)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        venue.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
        ready.set()
        return runner

    def run() -> None:
        runner = loop.run_until_complete(begin())
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=run, name="hyperliquid")
    thread.start()
    ready.wait()
    try:
        yield venue
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
