"""AsterDEX as a handful of prepared answers: for faults that a real exchange shows too seldom to wait for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import httpx2

from marketdata.aster.http import AsterHttp
from marketdata.aster.signing import HmacSigner, LocalNonces, Signer, V3Signer
from marketdata.venues.public import Purpose
from trading.exchange.aster.adapter import AsterExchange
from trading.tests.matching_kit import SPECS
from vibex.lib.clock import SimulatedClock
from vibex.lib.errors import Rejected

USER = "0x" + "11" * 20
AGENT_KEY = "0x" + "00" * 31 + "01"
AGENT = "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf"
"""The address of the private key 1, which everybody knows."""
NOW = datetime(2025, 10, 10, 12, tzinfo=UTC)
HTML = "<html><body>503 Service Temporarily Unavailable</body></html>"

type Answers = Callable[[httpx2.Request], httpx2.Response]


class Purse:
    """A budget in memory that writes down what is taken from it."""

    def __init__(self) -> None:
        self.taken: list[tuple[int, Purpose]] = []
        self.fault: Exception | None = None
        self.fault_after: Exception | None = None

    def take(self, weight: int, purpose: Purpose) -> None:
        if self.fault:
            raise self.fault
        self.taken.append((weight, purpose))

    def report(self, used: int) -> None:
        if self.fault_after:
            raise self.fault_after

    def block(self, until: datetime, reason: str, *, told: bool = False) -> None:
        pass

    def limit_set(self, limit: int) -> None:
        raise AssertionError(limit)


class Script:
    """A venue that answers each call ("POST order") with what was prepared, the last of it again and again."""

    def __init__(self, **answers: Any) -> None:
        self.answers: dict[str, list[Any]] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.paths: list[str] = []

    def on(self, call: str, *answers: Any) -> Script:
        self.answers[call] = list(answers)
        return self

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        name = request.url.path.split("/", 3)[3]
        call = f"{request.method} {name}"
        given = dict(parse_qsl(request.url.query.decode() + request.content.decode()))
        self.asked.append((call, given))
        self.paths.append(request.url.path)
        prepared = self.answers[call]
        answer = prepared.pop(0) if len(prepared) > 1 else prepared[0]
        if callable(answer):
            answer = answer(given)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx2.Response) else httpx2.Response(200, json=answer)

    def given(self, call: str) -> list[dict[str, str]]:
        """Return what was sent with each of these calls, besides what the signer adds."""
        added = {"nonce", "user", "signer", "signature", "timestamp", "recvWindow"}
        return [
            {name: value for name, value in given.items() if name not in added}
            for asked, given in self.asked
            if asked == call
        ]


def signer(generation: str) -> Signer:
    if generation == "v3":
        return V3Signer(user=USER, signer=AGENT, private_key=AGENT_KEY, chain_id=1666, nonces=LocalNonces())
    return HmacSigner(key="k" * 64, secret="s" * 64, clock=lambda: int(NOW.timestamp() * 1000))


def specs(symbol: str) -> Any:
    if symbol not in SPECS:
        raise Rejected(f"{symbol} is not an instrument here")
    return SPECS[symbol]


def over(
    script: Script,
    generation: str = "v3",
    purse: Purse | None = None,
    clock: SimulatedClock | None = None,
    venue_clock: Any = None,
) -> AsterExchange:
    """Return the adapter over a script, asking each question once."""
    transport = httpx2.MockTransport(script)
    http = AsterHttp("https://venue.test", purse or Purse(), Purpose.FEED, attempts=1, transport=transport)
    return AsterExchange(
        http,
        signer(generation),
        generation=generation,  # type: ignore[arg-type]
        specs=specs,
        clock=clock or SimulatedClock(NOW),
        venue_clock=venue_clock,
    )


def refusal(code: int, status: int = 400, text: str = "no") -> httpx2.Response:
    return httpx2.Response(status, json={"code": code, "msg": text})


def page(status: int) -> httpx2.Response:
    return httpx2.Response(status, text=HTML, headers={"content-type": "text/html"})


def order_row(client_order_id: str = "vx1", **more: Any) -> dict[str, Any]:
    """An order as the venue shows it."""
    row = {
        "orderId": 405, "clientOrderId": client_order_id, "symbol": "BTCUSDT", "status": "FILLED", "side": "BUY",
        "type": "LIMIT", "origType": "LIMIT", "timeInForce": "IOC", "price": "100.2", "avgPrice": "100.00000",
        "origQty": "10", "executedQty": "10", "cumQty": "10", "cumQuote": "1000", "stopPrice": "0",
        "reduceOnly": False, "closePosition": False, "updateTime": 1760097600000,
    }  # fmt: skip
    return row | more


def risk_row(**more: Any) -> dict[str, Any]:
    """A flat symbol as positionRisk shows it."""
    row = {
        "symbol": "BTCUSDT", "positionAmt": "0.000", "entryPrice": "0.0", "markPrice": "100.00000000",
        "unRealizedProfit": "0.00000000", "liquidationPrice": "0", "leverage": "20", "marginType": "isolated",
        "isolatedMargin": "0.00000000", "positionSide": "BOTH", "updateTime": 0,
    }  # fmt: skip
    return row | more


def held_row(**more: Any) -> dict[str, Any]:
    return risk_row(positionAmt="1.000", entryPrice="100", isolatedWallet="5", **more)
