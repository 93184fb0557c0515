"""Where the exchange of an account is made: the matching engine on paper, the venue itself for a live account.

A live account has one client in a process, and a second one for what must not wait; they are made anew when its keys
are changed. Accounts at the same address share the connections of the first, and those of the second. Whoever holds one may
look after what is open: whether anything may be *opened* is asked at each intent.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

from django.conf import settings

from accounts.domain.credentials import AsterV1Keys, AsterV3Keys, Keys
from accounts.models import Account
from accounts.services.credentials import keys_of
from marketdata.aster.clock import VenueClock
from marketdata.aster.http import AsterHttp
from marketdata.aster.signing import MAINNET_CHAIN, TESTNET_CHAIN, HmacSigner, Signer, V3Signer
from marketdata.aster.wire import HttpWire, Wire
from marketdata.domain.instruments import InstrumentSpec
from marketdata.market import Market
from marketdata.selectors import market_clock, market_for
from marketdata.services.budget import DatabaseBudget
from marketdata.services.nonces import DatabaseNonces
from marketdata.services.venues import ASTER, aster_address
from marketdata.venues.public import Purpose
from trading.exchange.aster.adapter import AsterExchange
from trading.exchange.aster.calls import Generation
from trading.exchange.aster.connector import Transport, wire_for
from trading.exchange.aster.listen_key import ListenKeys
from trading.exchange.base import Exchange
from trading.exchange.live import LiveExchange
from trading.exchange.paper import PaperExchange, open_paper_account
from trading.models import PaperAccount
from vibex.lib.clock import Clock
from vibex.lib.errors import NeedsOperator, Rejected


class Keyless(NeedsOperator):
    """The exchange was not asked, because this process has no keys for it that can be used. It proves nothing of it."""


@dataclass(frozen=True, slots=True)
class _Made:
    """An exchange and the keys that it was made with."""

    keys: Keys
    exchange: LiveExchange
    clock: VenueClock | None = None
    listen_keys: ListenKeys | None = None
    close: Callable[[], object] = bool


_made: dict[int, _Made] = {}
_wires: dict[str, HttpWire] = {}
"""What carries requests, by address: the same for all accounts there, but for those that a library carries."""
_lock = threading.Lock()


def exchange_for(account: Account, market: Market, clock: Clock) -> Exchange:
    """Return the exchange of an account. Raises NeedsOperator where its keys are missing, or its venue takes no orders."""
    if account.live:
        return live_exchange_for(account)
    if not PaperAccount.objects.filter(account=account).exists():
        open_paper_account(account, at=clock.now())
    return PaperExchange(account.pk, market, clock)


def live_exchange_for(account: Account) -> LiveExchange:
    """Return the exchange that takes the orders of a live account. Raises NeedsOperator for keys that are missing or unusable."""
    return _of(account).exchange


def venue_clock_for(account: Account) -> VenueClock | None:
    """Return what measures the clock of a live account's venue; None where nobody has to."""
    return _of(account).clock if account.live else None


def listen_keys_for(account: Account) -> ListenKeys | None:
    """Return what opens the stream of a live account's events; None where its venue has none. Errors as above."""
    return _of(account).listen_keys if account.venue == ASTER else None


def exchanges_forget() -> None:
    """Close every exchange; it is made anew when it is next asked for."""
    with _lock:
        made = list(_made.values())
        _made.clear()
        _wires.clear()
    for one in made:
        one.close()


def _of(account: Account) -> _Made:
    if not account.live:
        raise NeedsOperator(f"{account.name} trades on paper: its orders leave this machine never.")
    try:
        keys = keys_of(account)
    except NeedsOperator as missing:
        raise Keyless(str(missing)) from missing
    with _lock:
        made = _made.get(account.pk)
        if made is not None and made.keys == keys:
            return made
        try:
            made = _made[account.pk] = _make(account, keys)
        except Rejected as wrong:  # keys or addresses that cannot be used: nobody but a person can put them right
            raise Keyless(f"{account.name}: {wrong}") from wrong
        return made


def _make(account: Account, keys: Keys) -> _Made:
    market, clock = market_for(account.market), market_clock(account.market)
    if account.venue == ASTER:
        return _aster(account, keys, market.instrument, clock)
    from trading.exchange.through_ccxt import ccxt_exchange

    exchange = ccxt_exchange(account.venue, account.network, keys, specs=market.instrument, clock=clock)
    return _Made(keys, exchange)


def _aster(account: Account, keys: Keys, specs: Callable[[str], InstrumentSpec], clock: Clock) -> _Made:
    testnet = account.network == Account.Network.TESTNET
    url = aster_address(account.market)
    budget = DatabaseBudget(urlsplit(url).netloc.rpartition("@")[2])
    http = AsterHttp(url, budget, Purpose.FEED, wire=_wire(url, keys))
    theirs = VenueClock(http)
    signer = _signer(account, keys, theirs, chain=TESTNET_CHAIN if testnet else MAINNET_CHAIN)
    generation: Generation = "v3" if isinstance(keys, AsterV3Keys) else "v1"
    exchange = AsterExchange(http, signer, generation=generation, specs=specs, clock=clock, venue_clock=theirs)
    return _Made(keys, exchange, theirs, ListenKeys(http, signer, generation=generation), http.close)


def _wire(url: str, keys: Keys) -> Wire:
    """Return what carries the requests: our own, or the library where that is set. Raises NeedsOperator without it."""
    if isinstance(keys, AsterV1Keys):
        transport = cast("Transport", settings.ASTERDEX_TRANSPORT)
        if library := wire_for(transport, url, key=keys.key, secret=keys.secret):
            return library
    return _wires.setdefault(url, HttpWire(url.rstrip("/")))


def _signer(account: Account, keys: Keys, theirs: VenueClock, *, chain: int) -> Signer:
    match keys:
        case AsterV3Keys(user, signer, private_key):
            nonces = DatabaseNonces(theirs.ahead)
            return V3Signer(user=user, signer=signer, private_key=private_key, chain_id=chain, nonces=nonces)
        case AsterV1Keys(key, secret):
            return HmacSigner(key=key, secret=secret, clock=theirs.milliseconds)
        case _:
            raise NeedsOperator(f"The keys of {account.name} are none of AsterDEX: give it those of an API wallet.")
