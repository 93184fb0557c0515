"""Who asks: V3 signatures (EIP-712 by an agent) and V1 signatures (HMAC), over the string as it was sent.

Nothing here is shared with the code that signs: what both got wrong alike would not be seen.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from trading.exchange_server.answers import Parameters, Refusal, missing

MAINNET, TESTNET = 1666, 714
"""Chain ids of the signing domain."""
NONCE_SECONDS: Final = 10.0
"""How far a nonce may lie from the server's clock. A newer figure says 60; the stricter one is the default here."""
NONCES_KEPT: Final = 100
RECV_WINDOW: Final = 5_000
MOST_RECV_WINDOW: Final = 60_000
AHEAD_MS: Final = 1_000
"""So far may a timestamp lie ahead of the server."""
KEY_HEADER: Final = "X-MBX-APIKEY"
MARK: Final = "signature="


@dataclass(frozen=True, slots=True)
class Signed:
    """A request as it came: the two raw strings, and what they say."""

    query: str
    body: str
    given: Parameters
    headers: Mapping[str, str]

    @property
    def whole(self) -> str:
        """Query and body one after the other without anything between: what signatures cover."""
        return self.query + self.body


@dataclass(frozen=True, slots=True)
class Agent:
    """A signer with its private key. For tests and for trying: nothing of worth may hang on it."""

    address: str
    private_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A V1 key with its secret. For tests and for trying as well."""

    key: str
    secret: str = field(repr=False)


@dataclass(slots=True)
class Nonces:
    """The nonces of one signer that were seen last."""

    kept: list[int] = field(default_factory=list)

    def take(self, nonce: int) -> bool:
        """Remember a nonce. Return False when it was there already, or is older than all that are remembered."""
        if nonce in self.kept or (len(self.kept) >= NONCES_KEPT and nonce < min(self.kept)):
            return False
        self.kept = [*self.kept, nonce][-NONCES_KEPT:] if len(self.kept) < NONCES_KEPT else self._newest(nonce)
        return True

    def _newest(self, nonce: int) -> list[int]:
        return sorted([*self.kept, nonce])[-NONCES_KEPT:]


class Gate:
    """The keys that are known, and whose they are. `wall` counts real seconds: clients sign by the wall clock."""

    def __init__(self, *, chain_id: int = MAINNET, market_ms: Callable[[], int]) -> None:
        self.chain_id, self.market_ms = chain_id, market_ms
        self.nonce_seconds = NONCE_SECONDS
        self.wall: Callable[[], float] = time.time
        self._agents: dict[str, str] = {}
        self._keys: dict[str, tuple[str, str]] = {}
        self._nonces: dict[str, Nonces] = {}

    def admit_agent(self, address: str, user: str) -> None:
        self._agents[address.lower()] = user

    def dismiss_agent(self, address: str) -> None:
        """Take an agent's permission away, as its owner can at any time."""
        self._agents.pop(address.lower(), None)

    def admit_key(self, key: ApiKey, user: str) -> None:
        self._keys[key.key] = (key.secret, user)

    def user_of(self, request: Signed, *, needs_signature: bool = True) -> str:
        """Return whose request this is. Raises Refusal. `needs_signature` is False where a V1 key alone is enough."""
        if request.given.get("signer"):
            return self._agents_user(request)
        key = request.headers.get(KEY_HEADER)
        if not key:
            raise Refusal(-2014, "API-key format invalid.", status=401)
        if key not in self._keys:
            raise Refusal(-2015, "Invalid API-key, IP, or permissions for action.", status=401)
        secret, user = self._keys[key]
        if needs_signature:
            self._check_hmac(request, secret)
        return user

    def _agents_user(self, request: Signed) -> str:
        """Check a V3 request: signature, then agent, then nonce, so that a stranger cannot use a nonce up."""
        given = request.given
        for name in ("nonce", "signature"):
            if not given.get(name):
                raise missing(name)
        signer = given["signer"]
        if recovered(_message(request), given["signature"], self.chain_id) != signer.lower():
            raise invalid_signature()
        user = self._agents.get(signer.lower())
        if user is None or (given.get("user") and given["user"].lower() != user.lower()):
            raise Refusal(-1000, "No agent found")
        self._check_nonce(signer.lower(), given["nonce"])
        return user

    def _check_nonce(self, signer: str, text: str) -> None:
        if not text.isdecimal() or len(text) > 20:
            raise missing("nonce")
        nonce = int(text)
        clocks = (self.market_ms() / 1000, self.wall())  # those who ask for the time sign by the market's
        if all(abs(nonce / 1e6 - now) > self.nonce_seconds for now in clocks):
            raise expired_nonce()
        if not self._nonces.setdefault(signer, Nonces()).take(nonce):
            raise expired_nonce()

    def _check_hmac(self, request: Signed, secret: str) -> None:
        given = request.given
        for name in ("timestamp", "signature"):
            if not given.get(name):
                raise missing(name)
        wanted = hmac.new(secret.encode(), _message(request).encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(wanted.encode(), given["signature"].lower().encode()):
            raise invalid_signature()
        stamp, window = given["timestamp"], given.get("recvWindow") or str(RECV_WINDOW)
        if not stamp.isdecimal() or not window.isdecimal() or int(window) > MOST_RECV_WINDOW:
            raise Refusal(-1130, "Data sent for parameter 'recvWindow' or 'timestamp' is not valid.")
        clocks = (self.market_ms(), int(self.wall() * 1000))
        if not any(int(stamp) < now + AHEAD_MS and now - int(stamp) <= int(window) for now in clocks):
            raise wrong_time()


def new_agent() -> Agent:
    """Return an agent with a key out of nowhere."""
    import coincurve

    key = coincurve.PrivateKey()
    return Agent(_address(key.public_key.format(compressed=False)), "0x" + key.secret.hex())


def new_key() -> ApiKey:
    """Return a V1 key out of nowhere."""
    import secrets

    return ApiKey(secrets.token_hex(32), secrets.token_hex(32))


def recovered(message: str, signature: str, chain_id: int) -> str | None:
    """Return the address that signed a message (small letters), None where the signature is none."""
    import coincurve

    try:
        raw = bytes.fromhex(signature.removeprefix("0x"))
        recovery = raw[64] - 27 if len(raw) == 65 and raw[64] >= 27 else raw[64]
        digest = _digest(message, chain_id)
        public = coincurve.PublicKey.from_signature_and_message(raw[:64] + bytes([recovery]), digest, hasher=None)
    except Exception:  # noqa: BLE001  the library raises what it likes over what is no signature
        return None
    return _address(public.format(compressed=False))


def invalid_signature() -> Refusal:
    return Refusal(-1022, "Signature for this request is not valid.")


def expired_nonce() -> Refusal:
    return Refusal(-4225, "Nonce Expired")


def wrong_time() -> Refusal:
    return Refusal(-1021, "Timestamp for this request is outside of the recvWindow.")


def _message(request: Signed) -> str:
    """Return what was signed: all that comes before the signature, which has to be the last parameter."""
    head, found, tail = request.whole.rpartition(MARK)
    if not found or "&" in tail or (head and head[-1] != "&" and head != request.query):
        raise invalid_signature()
    return head.removesuffix("&")


def _digest(message: str, chain_id: int) -> bytes:
    """Return what an EIP-712 signature of a message signs (research aster.md 1.2)."""
    domain = _keccak(
        _keccak(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
        + _keccak(b"AsterSignTransaction")
        + _keccak(b"1")
        + chain_id.to_bytes(32, "big")
        + bytes(32)
    )
    content = _keccak(_keccak(b"Message(string msg)") + _keccak(message.encode()))
    return _keccak(b"\x19\x01" + domain + content)


def _address(public: bytes) -> str:
    """Return the address of an uncompressed public key, in small letters."""
    return "0x" + _keccak(public[1:])[-20:].hex()


def _keccak(data: bytes) -> bytes:
    from Crypto.Hash import keccak

    return keccak.new(digest_bits=256, data=data).digest()
