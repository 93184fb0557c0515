"""An account at Hyperliquid with the database that all processes share: budget and nonces. Runs where ccxt is installed.

In: the path of a new database file. Out: what became of an entry and a close, the weights that were booked, and the nonces that were used.
"""

from __future__ import annotations

import json
import sys
import threading
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
SYMBOL = "BTCUSDC"


def main() -> None:
    import django
    from django.conf import settings

    settings.DATABASES["default"]["NAME"] = json.load(sys.stdin)
    django.setup()
    from django.core.management import call_command
    from django.db import connection

    from accounts.domain.credentials import WalletKeys
    from marketdata.models import SignerNonce, VenueBudget
    from tests.oracles.hyperliquid_accounts import Opened
    from tests.oracles.hyperliquid_exchange import hyperliquid_exchange_in_thread
    from tests.oracles.hyperliquid_signatures import new_wallet
    from trading.exchange.through_ccxt import ccxt_exchange
    from trading.tests.matching_kit import BTC, START, order
    from vibex.lib.clock import SimulatedClock

    call_command("migrate", verbosity=0)
    wallet = new_wallet()
    with hyperliquid_exchange_in_thread(Opened(wallet.address), at=START) as venue:
        exchange = ccxt_exchange(
            "hyperliquid", "mainnet", WalletKeys(wallet.address, wallet.private_key), specs=lambda symbol: replace(BTC, symbol=symbol),
            clock=SimulatedClock(START), address=venue.address,
        )  # fmt: skip
        exchange.prepare({SYMBOL: 2})
        entry = exchange.place(order("BUY", quantity="2", symbol=SYMBOL))
        faults: list[str] = []

        def lower() -> None:
            try:
                for _ in range(5):
                    exchange.place(order("SELL", quantity="0.1", symbol=SYMBOL, reduce_only=True))
            except Exception as fault:
                faults.append(repr(fault))
            finally:
                connection.close()

        threads = [threading.Thread(target=lower) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        state = exchange.account()
        nonces = [action["nonce"] for action in venue.actions]
    told = {
        "entry": entry.status, "held": str(state.positions[0].quantity), "faults": faults,
        "actions": len(nonces), "nonces": len(set(nonces)), "last": max(nonces) == SignerNonce.objects.get().last,
        "signer": SignerNonce.objects.get().signer == f"hyperliquid:{wallet.address}",
        "used": VenueBudget.objects.get().used > 0, "limit": VenueBudget.objects.get().limit,
    }  # fmt: skip
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
