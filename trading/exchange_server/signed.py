"""The signed half of the test exchange: who asks, what is answered, and what is told on the user streams."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import parse_qsl

from trading.domain.matching import Changes
from trading.exchange_server.accounts import Account, Accounts, TestAccount
from trading.exchange_server.answers import Refusal
from trading.exchange_server.auth import MAINNET, Gate, Signed, expired_nonce, wrong_time
from trading.exchange_server.events import (
    Event,
    expiry,
    forced,
    leverage_event,
    margin_calls,
    margin_type_event,
    order_events,
)
from trading.exchange_server.faults import Fault
from trading.exchange_server.markets import Markets
from trading.exchange_server.order_rows import is_forced
from trading.exchange_server.orders import ORDERS, Call, Json
from trading.exchange_server.private import PRIVATE
from trading.exchange_server.streams import Hub

ORDER_LIMITS: Final = ((10, 300, "10 SECOND"), (60, 1_200, "1 MINUTE"))
"""Seconds, orders in them, and how the venue names it."""
COUNTED: Final = (("POST", "order"), ("PUT", "order"), ("POST", "batchOrders"))


class SignedHalf:
    """Accounts behind signatures. Lives on the server's loop like everything else."""

    def __init__(
        self, markets: Markets, hub: Hub, *, chain_id: int = MAINNET, accounts: Iterable[TestAccount] = ()
    ) -> None:
        self.markets, self.hub = markets, hub
        self.gate = Gate(chain_id=chain_id, market_ms=markets.now_ms)
        self.accounts = Accounts(markets, self.gate, self._changed)
        self.endpoints = ORDERS | PRIVATE
        self.order_limits = ORDER_LIMITS
        self._told: dict[str, set[int]] = {}
        self._placed: dict[str, deque[float]] = {}
        for opened in accounts:
            self.accounts.open(opened)
        hub.before.append(self.advance)

    def knows(self, method: str, name: str) -> bool:
        return (method, name) in self.endpoints

    def answer(self, method: str, name: str, request: Signed, fault: Fault | None) -> tuple[Json, dict[str, str]]:
        """Return what a signed request is answered with, and headers for it. Raises Refusal."""
        if fault and fault.kind == "-1021":
            raise wrong_time()
        if fault and fault.kind == "-4225":
            raise expired_nonce()
        user = self.gate.user_of(request, needs_signature=name != "listenKey")
        account = self.accounts.of(user)
        headers = {"X-MBX-ORDER-COUNT-1M": str(self._count(account, method, name))}
        account.advance()
        given = {key: value for key, value in request.given.items() if key != "signature"}
        call = Call(account, given, broken=fault is not None and fault.kind == "batch-partial")
        answer = self.endpoints[method, name](call)
        self._tell(account, self._news_of(call, method, name))
        return answer, headers

    def advance(self) -> None:
        """Let the market happen to every account, and end listen keys that nobody kept alive."""
        now = self.markets.now_ms()
        for account in self.accounts:
            account.advance()
            if account.engine.state().positions or account.called:
                self._tell(account, margin_calls(account, now))
            if account.listen_key and time.monotonic() > account.listen_until:
                self.expire(account)

    def expire(self, account: Account) -> None:
        """End a listen key and say so on its stream."""
        self._tell(account, [expiry(self.markets.now_ms())])
        account.listen_key = None

    def _changed(self, account: Account, changes: Changes) -> None:
        now, known = self.markets.now_ms(), self._told.setdefault(account.user, set())
        fresh = [one for one in changes.orders if is_forced(one) and one.exchange_id not in known]
        self._tell(account, order_events(account, changes, now, known=known))
        for order in fresh:
            for name in (f"{order.symbol.lower()}@forceOrder", "!forceOrder@arr"):
                self.hub.tell(name, forced(order, now))

    def _news_of(self, call: Call, method: str, name: str) -> list[Event]:
        """Return what a change of settings is told by."""
        now, symbol = self.markets.now_ms(), call.given.get("symbol", "")
        if (method, name) == ("POST", "leverage"):
            return [leverage_event(symbol, call.account.leverage(symbol), now)]
        if (method, name) == ("POST", "marginType"):
            return [margin_type_event(call.account, symbol, now)]
        return []

    def _tell(self, account: Account, events: Iterable[Event]) -> None:
        for event in events:
            if account.listen_key:
                self.hub.tell(account.listen_key, event)

    def _count(self, account: Account, method: str, name: str) -> int:
        """Count an order and return how many there were in the last minute. Raises Refusal above a limit."""
        now, placed = self.gate.wall(), self._placed.setdefault(account.user, deque())
        while placed and placed[0] <= now - 60:
            placed.popleft()
        if (method, name) in COUNTED:
            for seconds, most, words in self.order_limits:
                if sum(at > now - seconds for at in placed) >= most:
                    text = f"Too many new orders; current limit is {most} orders per {words}."
                    raise Refusal(-1015, text, status=429)
            placed.append(now)
        return len(placed)


def signed_request(query: str, body: str, headers: Mapping[str, str]) -> Signed:
    """Return a request with its parameters read out of both strings; the body wins where both name one.

    Raises Refusal for one that names a parameter twice.
    """
    given: dict[str, str] = {}
    for part in (query, body):
        pairs = parse_qsl(part, keep_blank_values=True)
        names = [name for name, _ in pairs]
        if len(set(names)) != len(names):
            raise Refusal(-1101, "Duplicate values for a parameter detected.")
        given.update(pairs)
    return Signed(query, body, given, headers)
