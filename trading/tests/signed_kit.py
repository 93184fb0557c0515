"""Signed requests for tests of the test exchange: written from research/aster.md, without the code that Vibex signs with."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import httpx2

from trading.exchange_server.accounts import TestAccount, Truth
from trading.exchange_server.auth import MAINNET, Agent, ApiKey, new_agent, new_key
from trading.exchange_server.build import simulated_markets
from trading.exchange_server.server import Served, serve_in_thread
from trading.tests.exchange_kit import SECONDS, START, Answer

USER = "0x" + "ab" * 20
AGENT = new_agent()
KEY = new_key()
VERSIONS = {"balance": "v2", "positionRisk": "v2", "account": "v4"}
"""V1 paths that are not /fapi/v1."""
CLIENT = httpx2.Client(timeout=SECONDS, limits=httpx2.Limits(max_keepalive_connections=0))
"""One client for all, because making one takes long; it keeps no connection, because ports are used again."""
_nonces = itertools.count()


def nonce() -> int:
    """Return microseconds that never repeat."""
    return time.time_ns() // 1000 + next(_nonces)


def typed_data(message: str, *, chain_id: int = MAINNET, key: str = AGENT.private_key) -> str:
    """Return the EIP-712 signature of a message (aster.md 1.2)."""
    import coincurve
    from Crypto.Hash import keccak

    def k(data: bytes) -> bytes:
        return keccak.new(digest_bits=256, data=data).digest()

    domain = k(
        k(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
        + k(b"AsterSignTransaction")
        + k(b"1")
        + chain_id.to_bytes(32, "big")
        + bytes(32)
    )
    digest = k(b"\x19\x01" + domain + k(k(b"Message(string msg)") + k(message.encode())))
    signed = coincurve.PrivateKey(bytes.fromhex(key[2:])).sign_recoverable(digest, hasher=None)
    return "0x" + signed[:64].hex() + bytes([27 + signed[64]]).hex()


@dataclass
class Trader:
    """One client of the test exchange: `version` 3 signs as an agent, 1 with a key and its secret."""

    exchange: Served
    version: int = 3
    user: str = USER
    agent: Agent = field(default_factory=lambda: AGENT)
    key: ApiKey = field(default_factory=lambda: KEY)
    chain_id: int = MAINNET

    def get(self, name: str, **given: Any) -> Answer:
        return self.send("GET", name, **given)

    def post(self, name: str, **given: Any) -> Answer:
        return self.send("POST", name, **given)

    def put(self, name: str, **given: Any) -> Answer:
        return self.send("PUT", name, **given)

    def delete(self, name: str, **given: Any) -> Answer:
        return self.send("DELETE", name, **given)

    def send(self, method: str, name: str, **given: Any) -> Answer:
        text = urlencode(given)
        query = self.sign(text)
        return self.raw(method, name, query)

    def sign(self, text: str, *, stamp: int | None = None) -> str:
        """Return parameters with the signature behind them."""
        joined = text + "&" if text else ""
        if self.version == 3:
            message = (
                f"{joined}nonce={nonce() if stamp is None else stamp}&user={self.user}&signer={self.agent.address}"
            )
            return f"{message}&signature={typed_data(message, chain_id=self.chain_id, key=self.agent.private_key)}"
        message = f"{joined}timestamp={int(time.time() * 1000) if stamp is None else stamp}"
        return f"{message}&signature={hmac.new(self.key.secret.encode(), message.encode(), hashlib.sha256).hexdigest()}"

    def raw(self, method: str, name: str, signed: str, *, in_query: bool | None = None) -> Answer:
        """Send what has been signed, in the query of a GET and else in the body."""
        version = "v3" if self.version == 3 else VERSIONS.get(name, "v1")
        url = f"{self.exchange.http}/fapi/{version}/{name}"
        headers = {} if self.version == 3 else {"X-MBX-APIKEY": self.key.key}
        if method == "GET" if in_query is None else in_query:
            response = CLIENT.request(method, f"{url}?{signed}", headers=headers)
        else:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            response = CLIENT.request(method, url, content=signed.encode(), headers=headers)
        is_json = response.headers.get("content-type", "").startswith("application/json")
        return Answer(response.status_code, response.json() if is_json else response.text, response.headers)

    def told(self, method: str, name: str, **given: Any) -> Any:
        """Send what must be answered with 200 and return the body."""
        answer = self.send(method, name, **given)
        assert answer.status == 200, answer
        return answer.body

    def code(self, method: str, name: str, **given: Any) -> int:
        """Send what must be refused and return the venue's code."""
        answer = self.send(method, name, **given)
        assert answer.status >= 400, answer
        return int(answer.body["code"])

    def buy(self, quantity: str = "0.1", symbol: str = "BTCUSDT", **more: Any) -> Any:
        return self.market("BUY", quantity, symbol, **more)

    def sell(self, quantity: str = "0.1", symbol: str = "BTCUSDT", **more: Any) -> Any:
        return self.market("SELL", quantity, symbol, **more)

    def market(self, side: str, quantity: str, symbol: str, **more: Any) -> Any:
        return self.told(
            "POST", "order", symbol=symbol, side=side, type="MARKET", quantity=quantity,
            newOrderRespType="RESULT", **more,
        )  # fmt: skip

    def truth(self) -> Truth:
        return self.exchange.control.account(self.user)


@contextmanager
def trading(
    symbols: tuple[str, ...] = ("BTCUSDT", "ETHUSDT"), *, price: float | None = 50_000, version: int = 3, **account: Any
) -> Iterator[Trader]:
    """Run an exchange whose clock stands, with one account, and yield a trader on it. BTCUSDT costs `price`."""
    markets = simulated_markets(list(symbols), start=START, history_days=1)
    markets.clock.stand()
    opened = TestAccount(USER, agents=(AGENT.address,), keys=(KEY,), **account)
    with serve_in_thread(markets, accounts=[opened], pulse=3600) as exchange:
        exchange.server.ledger.limit = 10**9
        if price is not None:
            exchange.control.set_price("BTCUSDT", last=price, mark=price)
        yield Trader(exchange, version)


@contextmanager
def exchange_with(
    symbols: tuple[str, ...] = ("BTCUSDT", "ETHUSDT"), *, rules: dict[str, dict[str, Any]] | None = None, **options: Any
) -> Iterator[Served]:
    """Run an exchange whose clock stands, BTCUSDT at 50000 and ETHUSDT at 3000, without an account.

    `rules` overwrites fields of entries of `exchangeInfo`; a filter is named by its type.
    """
    markets = simulated_markets(list(symbols), start=START, history_days=1)
    markets.clock.stand()
    for symbol, changed in (rules or {}).items():
        markets.contracts[symbol] = replace(contract := markets.contracts[symbol], info=_ruled(contract.info, changed))
    with serve_in_thread(markets, pulse=3600, **options) as exchange:
        exchange.server.ledger.limit = 10**9
        for symbol, price in (("BTCUSDT", 50_000), ("ETHUSDT", 3_000)):
            if symbol in symbols:
                exchange.control.set_price(symbol, last=price, mark=price)
        yield exchange


def newcomer(exchange: Served, version: int = 3, **account: Any) -> Trader:
    """Open an account that nobody has used, and return who trades on it."""
    agent, key = new_agent(), new_key()
    opened = TestAccount(agents=(agent.address,), keys=(key,), **account)
    exchange.control.open_account(opened)
    return Trader(exchange, version, opened.user, agent, key, exchange.server.signed.gate.chain_id)


def _ruled(info: Mapping[str, Any], changed: Mapping[str, Any]) -> dict[str, Any]:
    plain = {name: value for name, value in changed.items() if not isinstance(value, dict)}
    filters = [one | changed.get(one["filterType"], {}) for one in info["filters"]]
    return {**info, **plain, "filters": filters}


def total(truth: Truth) -> Decimal:
    """Return the sum of all that was ever booked."""
    return sum((one.amount for one in truth.income), Decimal(0))
