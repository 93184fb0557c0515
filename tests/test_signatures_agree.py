"""Signatures are those that eth-account makes of the same text, and recover to the same address; V1 as an HMAC elsewhere.

The witness runs in an environment of its own and is given only what a server would get: the text that was sent.
"""

from __future__ import annotations

import json
import random
from urllib.parse import unquote_plus

import pytest

from marketdata.aster.signing import MAINNET_CHAIN, TESTNET_CHAIN, HmacSigner, LocalNonces, V3Signer
from tests.oracles.environments import isolated
from vibex.lib.errors import Rejected

pytestmark = [pytest.mark.ci, pytest.mark.timeout(300)]

WITNESS = "eth-account==0.13.7"
USER = "0x63DD5aCC6b1aa0f563956C0e534DD30B6dcF7C4e"
LETTERS = "aZ09 +&=%/?#:.~_-*'\"\\<>\x00\n\tüß€漢字🙂\u202e"
ORDER = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "quantity": "0.001", "price": "64000.1"}
CHOSEN = [
    {},
    ORDER,
    {"batchOrders": json.dumps([ORDER] * 5)},
    {"newClientOrderId": "vx:1/ü b"},
    {"empty": ""},
    {"long": "x" * 20_000},
    {"number": -(10**30), "zero": 0},
]
PAYLOADS = 60


@pytest.fixture(scope="module")
def payloads() -> list[dict[str, str | int]]:
    chance = random.Random(20250617)

    def text() -> str:
        return "".join(chance.choices(LETTERS, k=chance.choice([0, 1, 7, 40, 300])))

    made = [{f"p{place}": text() for place in range(chance.randint(1, 9))} for _ in range(PAYLOADS - len(CHOSEN))]
    return [*CHOSEN, *made]


def v3_signer(key: str, chain: int) -> V3Signer:
    """Return a signer of the key; what its address is, only the refusal of a wrong one tells."""
    nonces = LocalNonces()
    try:
        return V3Signer(user=USER, signer=USER, private_key=key, chain_id=chain, nonces=nonces)
    except Rejected as refused:
        address = str(refused).partition("but to ")[2][:42]
        return V3Signer(user=USER, signer=address, private_key=key, chain_id=chain, nonces=nonces)


def test_an_independent_implementation_signs_and_recovers_as_we_do(payloads) -> None:
    chance = random.Random(7)
    asked, ours = {"v3": [], "v1": []}, []
    for payload in payloads:
        key, secret = chance.randbytes(32).hex(), chance.randbytes(20).hex()
        chain, method = chance.choice([MAINNET_CHAIN, TESTNET_CHAIN]), chance.choice(["GET", "POST", "PUT", "DELETE"])
        agent = v3_signer(key, chain)
        signed = agent.sign(method, payload)
        text, _, signature = (signed.query or signed.body).rpartition("&signature=")
        asked["v3"].append([key, chain, text, signature])
        old = HmacSigner(key="k" * 32, secret=secret, clock=lambda: 1_750_147_220_000).sign(method, payload)
        parts = [part.rpartition("&signature=") for part in (old.query, old.body)]
        asked["v1"].append([secret, parts[0][0], parts[1][0]])
        ours.append((signature, agent.signer, "".join(part[2] for part in parts)))

    theirs = isolated("signatures.py", asked, WITNESS)

    for payload, (signature, address, old), v3, v1 in zip(payloads, ours, theirs["v3"], theirs["v1"], strict=True):
        assert v3["made"] == signature, payload
        assert v3["recovered"].lower() == v3["address"].lower() == address, payload
        assert v1 == old, payload
    assert len(theirs["v3"]) == len(theirs["v1"]) >= 50


def test_the_vectors_of_the_quick_tests_are_made_by_the_witness() -> None:
    from marketdata.tests.test_signing import KEY, KNOWN, PARAMS, v3

    texts = {chain: v3(chain_id=chain).sign("POST", PARAMS).body.rpartition("&signature=") for chain in KNOWN}
    asked = [[KEY, chain, text, signature] for chain, (text, _, signature) in texts.items()]
    theirs = isolated("signatures.py", {"v3": asked, "v1": []}, WITNESS)
    assert {chain: one["made"] for chain, one in zip(KNOWN, theirs["v3"], strict=True)} == KNOWN
    assert unquote_plus(texts[MAINNET_CHAIN][0]).startswith("symbol=BTCUSDT")
