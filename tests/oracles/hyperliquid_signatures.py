"""Who sends an action to Hyperliquid: the signature over its msgpack hash, and nonces that are used once.

Written from the venue's documents and not from ccxt, which signs: what both got wrong alike would not be seen.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

MAINNET, TESTNET = "a", "b"
"""Where an action counts: the `source` of the phantom agent that is signed."""
NONCES_KEPT: Final = 100
OLDEST_MS: Final = 2 * 86_400_000
NEWEST_MS: Final = 86_400_000
"""A nonce lies between two days ago and a day ahead of the venue's clock."""
NO_SIGNATURE: Final = "Unable to recover signer."
ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}")


@dataclass(frozen=True, slots=True)
class Wallet:
    """A wallet with its private key. For tests: nothing of worth may hang on it."""

    address: str
    private_key: str = field(repr=False)


@dataclass(slots=True)
class NonceBook:
    """The highest nonces of one signer."""

    kept: list[int] = field(default_factory=list)

    def fault(self, nonce: int, now_ms: int) -> str | None:
        """Take a nonce, or return why the venue does not."""
        if not now_ms - OLDEST_MS < nonce < now_ms + NEWEST_MS:
            return f"Invalid nonce: {nonce} is not close to {now_ms}"
        if nonce in self.kept:
            return f"Invalid nonce: duplicate nonce {nonce}"
        if len(self.kept) >= NONCES_KEPT and nonce < self.kept[0]:
            return f"Invalid nonce: nonce too low {nonce} < {self.kept[0]}"
        self.kept = sorted([*self.kept, nonce])[-NONCES_KEPT:]
        return None


def new_wallet() -> Wallet:
    """Return a wallet out of nowhere."""
    import coincurve

    key = coincurve.PrivateKey()
    return Wallet(_address(key.public_key.format(compressed=False)), "0x" + key.secret.hex())


def action_hash(action: Any, nonce: int, vault: str | None = None, expires_after: int | None = None) -> bytes:
    """Return what the phantom agent carries: keccak of the packed action, the nonce, the vault and the end."""
    import msgpack

    data = msgpack.packb(action) + nonce.to_bytes(8, "big")
    data += b"\x00" if vault is None else b"\x01" + bytes.fromhex(vault.removeprefix("0x"))
    if expires_after is not None:
        data += b"\x00" + expires_after.to_bytes(8, "big")
    return keccak(data)


def signer_of(connection: bytes, signature: Any, source: str) -> str | None:
    """Return the address (small letters) that signed the agent of this hash, None where the signature is none."""
    import coincurve

    try:
        raw = b"".join(int(signature[name], 16).to_bytes(32, "big") for name in ("r", "s"))
        raw += bytes([int(signature["v"]) - 27])
        public = coincurve.PublicKey.from_signature_and_message(raw, _digest(connection, source), hasher=None)
    except Exception:
        return None
    return _address(public.format(compressed=False))


def keccak(data: bytes) -> bytes:
    from Crypto.Hash import keccak as hashing

    return hashing.new(digest_bits=256, data=data).digest()


def _digest(connection: bytes, source: str) -> bytes:
    domain = keccak(
        keccak(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
        + keccak(b"Exchange")
        + keccak(b"1")
        + (1337).to_bytes(32, "big")
        + bytes(32)
    )
    agent = keccak(keccak(b"Agent(string source,bytes32 connectionId)") + keccak(source.encode()) + connection)
    return keccak(b"\x19\x01" + domain + agent)


def _address(public: bytes) -> str:
    return "0x" + keccak(public[1:])[-20:].hex()
