"""The key that opens an account's stream at AsterDEX. It is a secret: who has it can listen.

It lives for 60 minutes and is the same for all who ask while it lives; asking for it again prolongs it too.
"""

from __future__ import annotations

from typing import Any, Final

from marketdata.aster.http import AsterHttp, Params
from marketdata.aster.signing import HmacSigner, Signed, Signer
from marketdata.aster.values import Row, broken, rows_of
from trading.exchange.aster.calls import Calls, Generation
from vibex.lib.masking import register_secret

NAME: Final = "listenKey"
LONGEST_KEY: Final = 200


class ListenKeys:
    """Makes, prolongs and closes the listen key of one account. The errors are those of `Calls`; nothing is repeated."""

    def __init__(self, http: AsterHttp, signer: Signer, *, generation: Generation = "v3") -> None:
        self.user = signer.user
        self._calls = Calls(http, _KeyAlone(signer) if isinstance(signer, HmacSigner) else signer, generation)

    def obtain(self) -> str:
        """Return the listen key, a new one where none lives, good for an hour from now on."""
        key = _key_in(self._calls.send("POST", NAME, {}))
        register_secret(key)
        return key

    def prolong(self) -> None:
        """Let the key live for another hour. Raises VenueRefused when there is none any more."""
        self._calls.send("PUT", NAME, {})

    def close(self) -> None:
        """End the key, and with it what listens by it."""
        self._calls.send("DELETE", NAME, {})


class _KeyAlone:
    """Sends a V1 key without a signature: that is all that the calls about listen keys take."""

    def __init__(self, signer: HmacSigner) -> None:
        self.user = signer.user
        self._signer = signer

    def sign(self, method: str, params: Params) -> Signed:
        return Signed("", "", self._signer.header(), None)


def _key_in(payload: Any) -> str:
    rows: list[Row] = rows_of(payload, NAME)
    key = rows[0].get(NAME) if len(rows) == 1 else None
    if not isinstance(key, str) or not key.isalnum() or not key.isascii() or len(key) > LONGEST_KEY:
        raise broken(NAME, {}, "the key")
    return key
