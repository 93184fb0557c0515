"""Requests to Hyperliquid through ccxt: questions to `info`, and signed actions to `exchange`.

ccxt signs and sends; what is signed is written here. Its own orders are not used: they approve and attach a builder, in
whose name the order then stands, also where its fee is switched off; they round, and they read answers loosely.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from typing import Any, Final

from marketdata.aster.http import Budget
from marketdata.venues.public import Purpose, VenueBusy, VenueDown, VenueRefused
from trading.exchange.base import Unavailable
from trading.exchange.through_ccxt.client import CcxtClient, made
from trading.exchange.through_ccxt.hyperliquid.words import VENUE, judge

EXPIRES_MS: Final = 15_000
"""A request that opens something is worth nothing to the venue after this: it takes nonces of the last two days."""
LIGHT: Final = frozenset({"l2Book", "allMids", "clearinghouseState", "orderStatus", "exchangeStatus"})
LIGHT_WEIGHT, INFO_WEIGHT, ROLE_WEIGHT, HISTORY_WEIGHT, ACTION_WEIGHT = 2, 20, 60, 45, 1
"""As the venue counts them; a history costs one more for each 20 rows, of which 500 are reckoned with."""
HISTORIES: Final = frozenset({"userFillsByTime", "userFunding", "userNonFundingLedgerUpdates", "historicalOrders"})
INFO, ACTION = "publicPostInfo", "privatePostExchange"


class Calls:
    """What can be asked and done for one wallet. `nonces` returns the next number of its signer."""

    def __init__(
        self,
        *,
        address: str,
        private_key: str,
        url: str,
        testnet: bool,
        budget: Budget,
        nonces: Callable[[], int],
    ) -> None:
        self.user = address.lower()
        self._nonces = nonces

        def make() -> Any:
            return _quiet(
                made(
                    "hyperliquid",
                    keys={"walletAddress": address, "privateKey": private_key},
                    urls={"public": url, "private": url},
                    options={"sandboxMode": testnet},
                )
            )

        self._client = CcxtClient(make, venue=VENUE, judge=judge, budget=budget, weigh=weight)

    def begin(self) -> None:
        """Raises Rejected with the remedy where ccxt is not installed."""
        self._client.begin()

    def urgent(self) -> Calls:
        """Return the same wallet for closing, and for what proves that it is closed."""
        other = copy(self)
        other._client = self._client.urgent()
        return other

    def ask(self, kind: str, *, closing: bool = False, **given: Any) -> Any:
        """Ask `info` about something. `closing` may use the part of the budget that is kept for it."""
        asked, purpose = {"type": kind, **given}, Purpose.CLOSING if closing else None
        return self._client.ask(kind, lambda exchange: getattr(exchange, INFO)(asked), purpose=purpose)

    def of_user(self, kind: str, *, closing: bool = False, **given: Any) -> Any:
        """Ask `info` about something of this wallet."""
        return self.ask(kind, closing=closing, user=self.user, **given)

    def act(self, action: Mapping[str, Any], *, closing: bool = False) -> Any:
        """Sign an action and send it ONCE. What opens something is refused by the venue when it comes late."""

        def send(exchange: Any) -> Any:
            nonce = self._nonces()
            expires = None if closing else nonce + EXPIRES_MS
            signature = exchange.sign_l1_action(action, nonce, None, expires)
            request = {"action": action, "nonce": nonce, "signature": signature}
            return getattr(exchange, ACTION)(request | ({} if expires is None else {"expiresAfter": expires}))

        return self._client.send(str(action["type"]), send, closing=closing)


@contextmanager
def beforehand() -> Iterator[None]:
    """Questions before something is sent: whatever they fail for, the order itself certainly did not leave."""
    try:
        yield
    except VenueDown as fault:
        raise VenueDown(str(fault), arrived=False) from fault
    except VenueBusy as fault:
        raise VenueBusy(str(fault), until=fault.until, arrived=False) from fault
    except VenueRefused as fault:
        raise Unavailable(f"{fault} Nothing was sent.") from fault


def weight(_method: str, path: str, params: Mapping[str, Any], _theirs: float) -> float:
    """Return the weight of a request as the venue counts it, of 1,200 a minute."""
    kind = params.get("type")
    if path == "exchange":
        return ACTION_WEIGHT
    if kind == "userRole":
        return ROLE_WEIGHT
    return LIGHT_WEIGHT if kind in LIGHT else HISTORY_WEIGHT if kind in HISTORIES else INFO_WEIGHT


def _quiet(exchange: Any) -> Any:
    """Take everything out of ccxt's object that it does of its own accord, and let a word be an answer."""
    exchange.options["approvedBuilderFee"] = False  # what is approved is attached to every order
    exchange.initialize_client = lambda: True  # approves the builder, sets the referrer
    fetch = exchange.fetch

    def fetched(url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
        answer = fetch(url, method, headers, body)
        return {"word": answer.strip().strip('"')} if isinstance(answer, str) else answer

    exchange.fetch = fetched
    return exchange
