"""Two ways to sign a request to AsterDEX behind one interface: V3 with an agent's key, V1 with key and secret.

What is signed is the text that is sent, byte for byte: so a signer also decides how parameters are written and whether
they travel in the query (GET, DELETE) or as a form in the body (POST, PUT), where both generations read them.
No secret stands in a message, a `repr` or a pickle.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, NoReturn, Protocol
from urllib.parse import urlencode

from vibex.lib.errors import NeedsOperator, Rejected

MAINNET_CHAIN, TESTNET_CHAIN = 1666, 714
RECV_WINDOW: Final = 5_000
"""Milliseconds within which a V1 request has to arrive."""
LONGEST_RECV_WINDOW: Final = 60_000
NONCE_AHEAD: Final = 5_000_000
"""Microseconds that a nonce may be ahead of the venue's clock; the venue refuses those further away than 10 s."""
IN_BODY: Final = frozenset({"POST", "PUT"})
FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}
OURS: Final = frozenset({"nonce", "user", "signer", "signature", "timestamp", "recvWindow"})
"""Parameters that a signer adds: nobody else may."""
_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}")
_PRIVATE_KEY: Final = re.compile(r"(?:0x)?[0-9a-fA-F]{64}")
_ONE_WORD: Final = re.compile(r"[!-~]+")

type Params = Mapping[str, str | int]


@dataclass(frozen=True, slots=True, repr=False)
class Signed:
    """A request as it has to be sent: `query` and `body` are encoded, one of the two is empty."""

    query: str
    body: str
    headers: Mapping[str, str]
    nonce: int | None
    """Microseconds; None where the venue knows no nonce (V1)."""

    def __repr__(self) -> str:
        return f"Signed(nonce={self.nonce})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("A signed request is sent by the process that signed it.")


class Signer(Protocol):
    """Signs for one account. Safe from several threads."""

    @property
    def user(self) -> str:
        """What identifies the account in messages; never a secret."""
        ...

    def sign(self, method: str, params: Params) -> Signed:
        """Return the request with everything that proves who sends it.

        Raises NeedsOperator where no nonce can be had that the venue would take.
        """
        ...


class Nonces(Protocol):
    """Numbers that AsterDEX takes once: microseconds, strictly rising per signer over all threads and processes."""

    def next(self, signer: str) -> int:
        """Return the next one. Never inside a database transaction. Raises NeedsOperator for a clock put back."""
        ...


class LocalNonces:
    """Nonces of one process, for tools and tests: what trades takes them from the database."""

    def __init__(self, now: Callable[[], int] | None = None) -> None:
        self._now = now or microseconds
        self._last: dict[str, int] = {}
        self._lock = threading.Lock()

    def next(self, signer: str) -> int:
        """Return the next one. Raises NeedsOperator when the clock was put back by more than five seconds."""
        with self._lock:
            now, last = self._now(), self._last.get(signer, 0)
            if last >= now + NONCE_AHEAD:
                raise clock_put_back(signer, last - now)
            self._last[signer] = max(last + 1, now)
            return self._last[signer]


class V3Signer:
    """Signs with the key of an API wallet ("agent") by EIP-712, for the account of the wallet `user`."""

    __slots__ = ("_domain", "_key", "_nonces", "signer", "user")

    def __init__(self, *, user: str, signer: str, private_key: str, chain_id: int, nonces: Nonces) -> None:
        """Raises Rejected for what is no address or key, and when the key does not belong to `signer`."""
        self.user = _address(user, "user (address of the main wallet)")
        self.signer = _address(signer, "signer (address of the API wallet)")
        self._key = _private_key(private_key)
        self._domain = _domain(chain_id)
        self._nonces = nonces
        if _address_of(self._key) != self.signer.lower():
            raise Rejected(
                f"The private key does not belong to the signer {self.signer}, but to {_address_of(self._key)}. Copy "
                "address and key of the same API wallet.",
                code="key",
            )

    def sign(self, method: str, params: Params) -> Signed:
        """Return the request with nonce, user, signer and, at the end, signature."""
        nonce = self._nonces.next(self.signer.lower())
        message = _encoded(params, nonce=nonce, user=self.user, signer=self.signer)
        signature = self._key.sign_recoverable(_digest(self._domain, message), hasher=None)
        text = signature[:64].hex() + bytes([27 + signature[64]]).hex()
        return _placed(method, f"{message}&signature=0x{text}", {}, nonce)

    def __repr__(self) -> str:
        return f"V3Signer({self.user} by {self.signer})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("A signer holds a key and is not written anywhere.")


class HmacSigner:
    """Signs with key and secret by HMAC-SHA256 (V1). `clock` returns milliseconds by the venue's clock."""

    __slots__ = ("_clock", "_key", "_secret", "recv_window", "user")

    def __init__(self, *, key: str, secret: str, clock: Callable[[], int], recv_window: int = RECV_WINDOW) -> None:
        """Raises Rejected for a key or a secret that cannot be one, and for a window that the venue does not allow."""
        if not 0 < recv_window <= LONGEST_RECV_WINDOW:
            raise Rejected(
                f"recvWindow has to be 1 to {LONGEST_RECV_WINDOW} ms, not {recv_window}.", code="recv_window"
            )
        self._key = _one_word(key, "API key")
        self._secret = _one_word(secret, "API secret").encode()
        self._clock = clock
        self.recv_window = recv_window
        self.user = f"key …{self._key[-4:]}" if len(self._key) > 15 else "key …"

    def sign(self, method: str, params: Params) -> Signed:
        """Return the request with timestamp, recvWindow and, at the end, signature."""
        message = _encoded(params, recvWindow=self.recv_window, timestamp=self._clock())
        # Query and body are signed as one text without anything in between; one of them is always empty here.
        signature = hmac.new(self._secret, message.encode(), hashlib.sha256).hexdigest()
        return _placed(method, f"{message}&signature={signature}", self.header(), None)

    def header(self) -> Mapping[str, str]:
        """Return the header that names the account: all that the calls about a listen key want of a V1 account."""
        return {"X-MBX-APIKEY": self._key}

    def __repr__(self) -> str:
        return f"HmacSigner({self.user})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("A signer holds a secret and is not written anywhere.")


def microseconds() -> int:
    """Return the wall clock in microseconds since the epoch."""
    return time.time_ns() // 1_000


def clock_put_back(signer: str, ahead: int) -> NeedsOperator:
    """Return the error for a signer whose last nonce is `ahead` microseconds in the future."""
    seconds = ahead / 1_000_000
    return NeedsOperator(
        f"The last nonce of the signer {signer} is {seconds:,.1f} s ahead of the clock, which was put back: AsterDEX would "
        f"refuse the next. Set the clock right, or wait {max(1, round(seconds - NONCE_AHEAD / 1_000_000)):,} s."
    )


def _encoded(params: Params, **ours: str | int) -> str:
    """Write parameters and ours as one text. Raises ValueError for a parameter that is a signer's to add."""
    if taken := OURS & params.keys():
        raise ValueError(f"{', '.join(sorted(taken))}: added by the signer")
    return urlencode({**params, **ours})


def _placed(method: str, text: str, headers: Mapping[str, str], nonce: int | None) -> Signed:
    if method in IN_BODY:
        return Signed("", text, {**FORM, **headers}, nonce)
    return Signed(text, "", headers, nonce)


def _keccak(content: bytes) -> bytes:
    from Crypto.Hash import keccak

    return keccak.new(data=content, digest_bits=256).digest()


@cache
def _domain(chain_id: int) -> bytes:
    """Return the hash of AsterDEX's EIP-712 domain on a chain."""
    kind = _keccak(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
    name, version = _keccak(b"AsterSignTransaction"), _keccak(b"1")
    return _keccak(kind + name + version + chain_id.to_bytes(32, "big") + bytes(32))


@cache
def _message_type() -> bytes:
    return _keccak(b"Message(string msg)")


def _digest(domain: bytes, message: str) -> bytes:
    """Return what EIP-712 has signed for `Message {msg: message}`."""
    return _keccak(b"\x19\x01" + domain + _keccak(_message_type() + _keccak(message.encode())))


def _address(text: str, what: str) -> str:
    if not _ADDRESS.fullmatch(text):
        raise Rejected(f"The {what} has to be 0x and 40 hexadecimal digits.", code="address")
    return text


def _private_key(text: str) -> Any:
    from coincurve import PrivateKey

    if not _PRIVATE_KEY.fullmatch(text):
        raise Rejected("The private key has to be 64 hexadecimal digits, with or without 0x.", code="key")
    try:
        return PrivateKey(bytes.fromhex(text[-64:]))
    except ValueError:
        raise Rejected("The private key is out of the range that keys have.", code="key") from None


def _address_of(key: Any) -> str:
    """Return the address of a private key, in lower case."""
    return "0x" + _keccak(key.public_key.format(compressed=False)[1:])[-20:].hex()


def _one_word(text: str, what: str) -> str:
    if not _ONE_WORD.fullmatch(text):
        raise Rejected(f"The {what} has to be one word of plain characters.", code="key")
    return text
