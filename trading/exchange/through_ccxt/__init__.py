"""Accounts at other venues through ccxt, an optional extra: real orders behind the Exchange port.

Nothing here imports ccxt before an account at such a venue is asked for.
"""

from __future__ import annotations

from collections.abc import Callable

from accounts.domain.credentials import ApiKeys, Keys, WalletKeys
from marketdata.aster.http import Budget
from marketdata.domain.instruments import InstrumentSpec
from trading.exchange.live import LiveExchange
from vibex.lib.clock import Clock
from vibex.lib.errors import NeedsOperator, Rejected

__all__ = ["MAINNET", "TESTNET", "VENUES", "ccxt_exchange"]

MAINNET, TESTNET = "mainnet", "testnet"
VENUES = ("binance_usdm", "hyperliquid")


def ccxt_exchange(
    venue: str,
    network: str,
    keys: Keys,
    *,
    specs: Callable[[str], InstrumentSpec],
    clock: Clock,
    budget: Budget | None = None,
    address: str | None = None,
    nonces: Callable[[], int] | None = None,
) -> LiveExchange:
    """Return the exchange that takes the orders of an account at `binance_usdm` or `hyperliquid`.

    `specs` returns the rules of a symbol and raises Rejected for one that is not there; `clock` is the market's.
    `budget` is what may be asked of the venue (default: what all processes share); `address` is that of a compatible
    server; `nonces` returns the next number of a wallet that signs (default: what all processes share). Raises Rejected
    with the remedy where ccxt is not installed, NeedsOperator for keys of another kind.
    """
    if venue not in VENUES:
        raise Rejected(f"{venue} is not traded through ccxt. There is {', '.join(VENUES)}.", code="venue")
    if network not in (MAINNET, TESTNET):
        raise Rejected(f"{network} is no network: it is {MAINNET} or {TESTNET}.", code="network")
    testnet = network == TESTNET
    if venue == "binance_usdm":
        if not isinstance(keys, ApiKeys):
            raise NeedsOperator("An account at Binance signs with a key and its secret: give it those.")
        from trading.exchange.through_ccxt.binance.dialect import binance_exchange

        return binance_exchange(keys, testnet=testnet, specs=specs, clock=clock, budget=budget, address=address)
    if not isinstance(keys, WalletKeys):
        raise NeedsOperator("An account at Hyperliquid signs with a wallet: give it its address and a private key.")
    from trading.exchange.through_ccxt.hyperliquid import hyperliquid_exchange

    return hyperliquid_exchange(
        keys, testnet=testnet, specs=specs, clock=clock, budget=budget, address=address, nonces=nonces
    )
