"""What a request weighs, and what happens to those who ask too much: 429, then 418 with a ban."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from trading.exchange_server.answers import Parameters, Refusal

LIMIT: Final = 2_400
BAN_SECONDS: Final = 120.0
PATIENCE: Final = 10
"""So many refused requests in a minute are suffered; the next one is a ban."""

DEPTH: Final = ((50, 2), (100, 5), (500, 10), (1_000, 20))
KLINES: Final = ((99, 1), (499, 2), (1_000, 5), (10_000, 10))
PER_SYMBOL: Final = {"premiumIndex": (1, 10), "fundingInfo": (1, 10), "ticker/24hr": (1, 40)} | dict.fromkeys(
    ("ticker/price", "ticker/bookTicker"), (1, 2)
)
"""Weight with a symbol and without."""
FLAT: Final = {"historicalTrades": 20, "aggTrades": 20}
SIGNED: Final = {
    "POST batchOrders": 5, "POST countdownCancelAll": 10, "GET allOrders": 5, "GET balance": 5, "GET account": 5,
    "GET accountWithJoinMargin": 5, "GET positionRisk": 5, "GET positionSide/dual": 30, "GET multiAssetsMargin": 30,
    "GET userTrades": 5, "GET income": 30, "GET commissionRate": 20, "GET adlQuantile": 5,
}  # fmt: skip
"""Weights of signed requests; those that are not named weigh 1."""


def weight_of(name: str, given: Parameters) -> int:
    """Return the weight of a public request by the venue's table."""
    if name in PER_SYMBOL:
        return PER_SYMBOL[name][0 if given.get("symbol") else 1]
    if name.lower().endswith("klines"):
        return _stepped(KLINES, given)
    return _stepped(DEPTH, given) if name == "depth" else FLAT.get(name, 1)


def signed_weight(method: str, name: str, given: Parameters) -> int:
    """Return the weight of a signed request; two of them weigh more where no symbol is named."""
    if method == "GET" and name == "openOrders":
        return 1 if given.get("symbol") else 40
    if method == "GET" and name == "forceOrders":
        return 20 if given.get("symbol") else 50
    return SIGNED.get(f"{method} {name}", 1)


def _stepped(steps: tuple[tuple[int, int], ...], given: Parameters) -> int:
    text = given.get("limit", "")
    limit = int(text) if text.isdecimal() and len(text) < 10 else 500
    return next((weight for most, weight in steps if limit <= most), steps[-1][1])


@dataclass(slots=True)
class Account:
    """What one address has used in the running minute."""

    minute: int = 0
    used: int = 0
    refused: int = 0


@dataclass(slots=True)
class Ledger:
    """Weights of all addresses, in minutes of the wall clock: real clients wait by that one."""

    limit: int = LIMIT
    ban_seconds: float = BAN_SECONDS
    patience: int = PATIENCE
    wall: Callable[[], float] = time.time
    accounts: dict[str, Account] = field(default_factory=dict)
    bans: dict[str, float] = field(default_factory=dict)

    def charge(self, address: str, weight: int) -> int:
        """Book a request and return what the address has used. Raises Refusal with 429, or 418 during a ban."""
        now = self.wall()
        if self.bans.get(address, 0.0) > now:
            raise self.banned(address)
        account = self._account(address, now)
        account.used += weight
        if account.used > self.limit:
            account.refused += 1
            if account.refused > self.patience:
                raise self.ban(address, self.ban_seconds)
            raise too_many(self.limit)
        return account.used

    def used(self, address: str) -> int:
        return self._account(address, self.wall()).used

    def ban(self, address: str, seconds: float) -> Refusal:
        """Ban an address from now on and return the answer that says so."""
        self.bans[address] = self.wall() + seconds
        return self.banned(address)

    def banned(self, address: str) -> Refusal:
        until = int(self.bans[address] * 1000)
        text = f"Way too many requests; IP({address}) banned until {until}. Please use the websocket for live updates to avoid bans."
        return Refusal(-1003, text, status=418)

    def seconds_left(self) -> int:
        """Return the seconds until the minute is over."""
        return 60 - int(self.wall()) % 60

    def clear(self) -> None:
        """Forget what was used and lift every ban."""
        self.accounts.clear()
        self.bans.clear()

    def _account(self, address: str, now: float) -> Account:
        account = self.accounts.setdefault(address, Account())
        if account.minute != int(now // 60):
            account.minute, account.used, account.refused = int(now // 60), 0, 0
        return account


def too_many(limit: int) -> Refusal:
    text = f"Too many requests; current limit of IP is {limit} requests per minute. Please use the websocket for live updates to avoid polling the API."
    return Refusal(-1003, text, status=429)
