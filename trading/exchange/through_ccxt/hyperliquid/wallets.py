"""Wallets of an account: whose money it is, who signs for it, and the numbers that a signer uses up."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from typing import Final

from accounts.domain.credentials import WalletKeys
from vibex.lib.errors import NeedsOperator

ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}")
KEY: Final = re.compile(r"(0x)?[0-9a-fA-F]{64}")


class LocalMilliseconds:
    """Nonces of one process, for tools and tests: what trades takes them from the database."""

    def __init__(self, now: Callable[[], int] | None = None) -> None:
        self._now = now or (lambda: time.time_ns() // 1_000_000)
        self._lock = threading.Lock()
        self._last = 0

    def __call__(self) -> int:
        with self._lock:
            self._last = max(self._last + 1, self._now())
            return self._last


def address_of(keys: WalletKeys) -> str:
    """Return the address of the wallet that signs, in small letters. Raises NeedsOperator for keys that are none."""
    import coincurve
    from Crypto.Hash import keccak

    if not ADDRESS.fullmatch(keys.address):
        raise NeedsOperator(
            "The address of a wallet at Hyperliquid is 0x and 40 hexadecimal digits: give the account it."
        )
    if not KEY.fullmatch(keys.private_key):
        raise NeedsOperator("The private key of a wallet at Hyperliquid is 64 hexadecimal digits: give the account it.")
    try:
        key = coincurve.PrivateKey.from_hex(keys.private_key.removeprefix("0x"))
    except ValueError:
        raise NeedsOperator("The private key of this account at Hyperliquid is no key: copy it again.") from None
    public = key.public_key.format(compressed=False)[1:]
    return "0x" + keccak.new(digest_bits=256, data=public).digest()[-20:].hex()
