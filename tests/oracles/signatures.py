"""What eth-account and the standard library say of signed requests. Runs where only eth-account is installed.

In: `v3` ([private key, chain id, text without its signature, our signature]), `v1` ([secret, query, body], both without
the signature). Out: for each V3 request the signature that eth-account makes and the address that it recovers from
ours, and the address of the key; for each V1 request the signature.
"""

import hashlib
import hmac
import json
import sys

from eth_account import Account
from eth_account.messages import encode_typed_data

TYPES = {
    "EIP712Domain": [
        {"name": "name", "type": "string"},
        {"name": "version", "type": "string"},
        {"name": "chainId", "type": "uint256"},
        {"name": "verifyingContract", "type": "address"},
    ],
    "Message": [{"name": "msg", "type": "string"}],
}


def typed(chain, text):
    """Return the message as AsterDEX's V3 documents define it."""
    return encode_typed_data(
        full_message={
            "types": TYPES,
            "primaryType": "Message",
            "domain": {
                "name": "AsterSignTransaction", "version": "1", "chainId": chain,
                "verifyingContract": "0x0000000000000000000000000000000000000000",
            },
            "message": {"msg": text},
        }
    )  # fmt: skip


def v3(key, chain, text, signature):
    message = typed(chain, text)
    account = Account.from_key(key)
    made = account.sign_message(message).signature.hex()
    return {
        "made": made if made.startswith("0x") else f"0x{made}",
        "recovered": Account.recover_message(message, signature=signature),
        "address": account.address,
    }


def v1(secret, query, body):
    return hmac.new(secret.encode(), f"{query}{body}".encode(), hashlib.sha256).hexdigest()


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    answer = {"v3": [v3(*one) for one in asked["v3"]], "v1": [v1(*one) for one in asked["v1"]]}
    json.dump(answer, sys.stdout)
