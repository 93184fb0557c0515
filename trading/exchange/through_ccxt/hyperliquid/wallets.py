"""Wallets of an account: whose money it is, and who signs for it. Pure."""

from __future__ import annotations

import re
from typing import Final

from accounts.domain.credentials import WalletKeys
from vibex.lib.errors import NeedsOperator

ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}")
KEY: Final = re.compile(r"(0x)?[0-9a-fA-F]{64}")


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
