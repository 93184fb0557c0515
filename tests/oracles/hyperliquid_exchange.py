"""A loopback Hyperliquid that trades: `POST /info` and `POST /exchange` over our matching engine, signatures verified.

Shapes and sentences are those of the venue's documents and of what its other clients read. A test moves the prices and
the clock, and asks for faults. Nonces and expiries are compared with the wall clock, since clients sign by it.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from aiohttp import web

from tests.oracles.hyperliquid_accounts import Account, Coin, Opened, Row, text
from tests.oracles.hyperliquid_server import MOST_SETTLEMENTS, Hyperliquid, in_thread
from tests.oracles.hyperliquid_signatures import ADDRESS, MAINNET, NO_SIGNATURE, NonceBook, action_hash, signer_of
from vibex.lib.clock import from_ms, to_ms

UNREADABLE = "Failed to deserialize the JSON body into the target type"
MOST_FILLS = 2000


@dataclass
class Fault:
    """What goes wrong with the next request of a kind: `type` of the question or action, "" for any."""

    type: str
    done: bool
    """Whether the venue does what it is asked before it fails."""
    status: int = 0
    """Zero: the connection ends without an answer."""
    text: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    """The answer comes so late; with status 200 and no text it is the true one."""


def coins() -> list[Coin]:
    return [
        Coin("BTC", 3, 50, Decimal(100)),
        Coin("SOL", 2, 20, Decimal(50)),
        Coin("ETH", 4, 25, Decimal("2369.6")),
    ]


class HyperliquidExchange(Hyperliquid):
    """The venue. Everything is done under one lock, since tests act from another thread than its server."""

    def __init__(self, *opened: Opened, at: datetime, source: str = MAINNET) -> None:
        super().__init__(stands_at=to_ms(at))
        self.source = source
        self.coins = coins()
        self.lock = threading.RLock()
        self.faults: list[Fault] = []
        self.actions: list[Row] = []
        """Every action whose signature was good, with `nonce` and `expiresAfter`."""
        self.nonces: dict[str, NonceBook] = {}
        self.refuses_twice = False
        """Whether a client id that an open order has is refused. The venue's documents do not say; the worse is assumed."""
        self.remembers_refused = False
        """Whether orderStatus knows orders that were refused at once."""
        self.most_fills, self.most_rows = MOST_FILLS, MOST_SETTLEMENTS
        self.accounts = {one.user.lower(): Account(one, self.coins, lambda: from_ms(self.now())) for one in opened}
        self.agents = {agent.lower(): one.user.lower() for one in opened for agent in (*one.agents, one.user)}
        self.look()

    # -- what a test does ----------------------------------------------------------------------------------------------

    def drive(self, coin: str, price: str, at: datetime | None = None, *, mark: str | None = None) -> None:
        """Let the clock be `at`, and bid, ask, last price and mark of a coin be `price`."""
        with self.lock:
            self.stands_at = to_ms(at) if at else self.stands_at
            found = next(one for one in self.coins if one.name == coin)
            found.price, found.mark = Decimal(price), None if mark is None else Decimal(mark)
            self.look()

    def look(self) -> None:
        for account in self.accounts.values():
            for coin in self.coins:
                account.look(coin)

    def settle(self, coin: str, rate: str) -> None:
        """Let an hour end: who holds the coin pays or receives."""
        with self.lock:
            found = next(one for one in self.coins if one.name == coin)
            self.stands_at = to_ms(from_ms(self.now()) + timedelta(hours=1))
            for account in self.accounts.values():
                account.settle(found, Decimal(rate))

    def account(self, user: str) -> Account:
        return self.accounts[user.lower()]

    def fault(self, type: str = "", *, done: bool = False, **more: Any) -> None:
        self.faults.append(Fault(type, done, **more))

    # -- the two doors -------------------------------------------------------------------------------------------------

    async def info(self, request: web.Request) -> web.StreamResponse:
        question = await request.json()
        return await self._answered(request, question.get("type", ""), lambda: self._told(question))

    async def exchange(self, request: web.Request) -> web.StreamResponse:
        self.exchange_calls += 1
        sent = json.loads(await request.text())
        kind = sent.get("action", {}).get("type", "") if isinstance(sent, dict) else ""
        return await self._answered(request, kind, lambda: self._done(sent))

    async def _answered(self, request: web.Request, kind: str, answer: Any) -> web.StreamResponse:
        self.asked.append(kind)
        fault = next((one for one in self.faults if one.type in ("", kind)), None)
        if fault:
            self.faults.remove(fault)
        told: Any = None
        if fault is None or fault.done:
            with self.lock:
                told = answer()
        if fault:
            await asyncio.sleep(fault.seconds)
            if not fault.status:
                assert request.transport
                request.transport.close()
                return web.Response()
            if fault.text or fault.status != 200:
                return web.Response(status=fault.status, text=fault.text, headers=fault.headers)
        return told if isinstance(told, web.Response) else web.json_response(told)

    def _told(self, question: Row) -> Any:
        asked = getattr(self, f"_{question.get('type')}", None)
        if asked is None:
            return web.Response(status=422, text=UNREADABLE)
        return asked(question)

    def _done(self, sent: Any) -> Any:
        """Verify an action and do it. Everything that is wrong with it is said with status 200."""
        try:
            action, nonce = sent["action"], sent["nonce"]
            vault, expires = sent.get("vaultAddress"), sent.get("expiresAfter")
            assert type(nonce) is int
            connection = action_hash(action, nonce, vault, expires)
        except (KeyError, TypeError, AssertionError, ValueError, OverflowError):
            return web.Response(status=422, text=UNREADABLE)
        signer = signer_of(connection, sent.get("signature"), self.source)
        if signer is None:
            return _no(NO_SIGNATURE)
        user = self.agents.get(signer)
        if user is None or (vault is not None and vault.lower() != user):
            return _no(f"User or API Wallet {signer} does not exist.")
        now = time.time_ns() // 1_000_000
        if fault := self.nonces.setdefault(signer, NonceBook()).fault(nonce, now):
            return _no(fault)
        if expires is not None and expires < now:
            return _no("Action expired.")
        self.actions.append({**action, "nonce": nonce, "expiresAfter": expires})
        doing = getattr(self, f"_do_{action['type']}", None)
        return _no(f"Unknown action {action['type']}.") if doing is None else doing(self.accounts[user], action)

    # -- actions -------------------------------------------------------------------------------------------------------

    def _do_order(self, account: Account, action: Row) -> Any:
        if action.get("grouping") != "na":
            return _no("This test exchange takes only orders by themselves.")
        try:
            rules = {"refuses_twice": self.refuses_twice, "remembers": self.remembers_refused}
            return _yes("order", [account.place(wire, **rules) for wire in action["orders"]])
        except (KeyError, TypeError, IndexError, ArithmeticError):
            return web.Response(status=422, text=UNREADABLE)

    def _do_cancel(self, account: Account, action: Row) -> Any:
        return _yes("cancel", [account.cancel(one["a"], oid=one["o"]) for one in action["cancels"]])

    def _do_cancelByCloid(self, account: Account, action: Row) -> Any:
        return _yes("cancel", [account.cancel(one["asset"], cloid=one["cloid"]) for one in action["cancels"]])

    def _do_updateLeverage(self, account: Account, action: Row) -> Any:
        fault = account.update_leverage(action["asset"], action["leverage"], cross=action["isCross"])
        return _no(fault) if fault else {"status": "ok", "response": {"type": "default"}}

    def _do_scheduleCancel(self, account: Account, action: Row) -> Any:
        account.cancel_at = action.get("time")
        return {"status": "ok", "response": {"type": "default"}}

    def _do_approveBuilderFee(self, account: Account, action: Row) -> Any:
        return {"status": "ok", "response": {"type": "default"}}

    _do_setReferrer = _do_approveBuilderFee

    # -- questions about an account ------------------------------------------------------------------------------------

    def _of(self, question: Row) -> Account:
        """Return the account that is asked about; one that nobody opened has nothing."""
        user = question["user"].lower()
        assert ADDRESS.fullmatch(user)
        return self.accounts.get(user) or Account(Opened(user, Decimal(0)), self.coins, lambda: from_ms(self.now()))

    def _clearinghouseState(self, question: Row) -> Any:
        return self._of(question).clearinghouse()

    def _frontendOpenOrders(self, question: Row) -> Any:
        return self._of(question).open_orders()

    def _openOrders(self, question: Row) -> Any:
        names = ("coin", "side", "limitPx", "sz", "oid", "timestamp", "origSz", "cloid", "reduceOnly")
        return [{name: row[name] for name in names} for row in self._of(question).open_orders()]

    def _orderStatus(self, question: Row) -> Any:
        return self._of(question).status(question["oid"])

    def _historicalOrders(self, question: Row) -> Any:
        account = self._of(question)
        return [account.status(oid)["order"] for oid in sorted(account.orders, reverse=True)][:2000]

    def _userFills(self, question: Row) -> Any:
        return self._of(question).fills()[::-1][: self.most_fills]

    def _userFillsByTime(self, question: Row) -> Any:
        return self._page(self._of(question).fills(), question, self.most_fills)

    def _userFunding(self, question: Row) -> Any:
        return self._page(self._of(question).funding, question, self.most_rows)

    def _userNonFundingLedgerUpdates(self, question: Row) -> Any:
        return self._page(self._of(question).ledger(), question, self.most_rows)

    def _page(self, rows: list[Row], question: Row, most: int) -> list[Row]:
        """Return the first rows of a span, as the venue pages them."""
        start, end = question.get("startTime", 0), question.get("endTime", self.now())
        return [row for row in rows if start <= row["time"] <= end][:most]

    def _userFees(self, question: Row) -> Any:
        maker, taker = self._of(question).opened.fees
        return {
            "dailyUserVlm": [], "feeSchedule": {"cross": "0.00045", "add": "0.00015", "referralDiscount": "0.04"},
            "userCrossRate": str(taker), "userAddRate": str(maker), "activeReferralDiscount": "0.0",
        }  # fmt: skip

    def _userAbstraction(self, question: Row) -> Any:
        return self._of(question).opened.abstraction

    def _userRole(self, question: Row) -> Any:
        user = question["user"].lower()
        if user in self.accounts:
            return {"role": "user"}
        owner = self.agents.get(user)
        return {"role": "agent", "data": {"user": owner}} if owner else {"role": "missing"}

    def _activeAssetData(self, question: Row) -> Any:
        account = self._of(question)
        coin = account.coin(question["coin"])
        return {
            "user": account.user, "coin": coin.name,
            "leverage": {"type": account.mode(coin), "value": account.leverage(coin)},
            "maxTradeSzs": ["0.0", "0.0"], "availableToTrade": ["0.0", "0.0"], "markPx": text(coin.mark or coin.price),
        }  # fmt: skip

    # -- questions about the market ------------------------------------------------------------------------------------

    def _meta(self, question: Row) -> Any:
        universe = [
            {
                "name": one.name,
                "szDecimals": one.size_decimals,
                "maxLeverage": one.most_leverage,
                "marginTableId": 50 + i,
            }
            for i, one in enumerate(self.coins)
        ]
        tables = [
            [50 + i, {"description": "", "marginTiers": [
                {"lowerBound": "0.0", "maxLeverage": one.most_leverage},
                {"lowerBound": "1000000.0", "maxLeverage": one.most_leverage // 2},
            ]}]
            for i, one in enumerate(self.coins)
        ]  # fmt: skip
        return {"universe": universe, "marginTables": tables, "collateralToken": 0}

    def _metaAndAssetCtxs(self, question: Row) -> Any:
        contexts = [
            {
                "funding": "0.0000125", "openInterest": "688.11", "prevDayPx": text(one.price), "dayNtlVlm": "1.0",
                "premium": "0.0", "oraclePx": text(one.mark or one.price), "markPx": text(one.mark or one.price),
                "midPx": text(one.price), "impactPxs": [text(one.price)] * 2, "dayBaseVlm": "1.0",
            }
            for one in self.coins
        ]  # fmt: skip
        return [self._meta(question), contexts]

    def _allMids(self, question: Row) -> Any:
        return {one.name: text(one.price) for one in self.coins}

    def _l2Book(self, question: Row) -> Any:
        coin = next(one for one in self.coins if one.name == question["coin"])
        level = [{"px": text(coin.price), "sz": "1000.0", "n": 2}]
        return {"coin": coin.name, "levels": [level, level], "time": self.now()}

    def _spotMeta(self, question: Row) -> Any:
        return {"tokens": [{"name": "USDC", "szDecimals": 8, "weiDecimals": 8, "index": 0}], "universe": []}

    def _perpDexs(self, question: Row) -> Any:
        return [None]


@contextmanager
def hyperliquid_exchange_in_thread(
    *opened: Opened, at: datetime, source: str = MAINNET
) -> Iterator[HyperliquidExchange]:
    """Serve accounts on a free loopback port until the block ends. The market's clock stands at `at`."""
    with in_thread(HyperliquidExchange(*opened, at=at, source=source)) as venue:
        yield venue


def _yes(kind: str, statuses: list[Any]) -> Row:
    return {"status": "ok", "response": {"type": kind, "data": {"statuses": statuses}}}


def _no(said: str) -> Row:
    return {"status": "err", "response": said}
