"""Signed requests to a server on loopback with budget and nonces of the database that the environment names.

Prints seconds as JSON. A process of its own for each database: `benchmarks.signing` starts it.
"""

from __future__ import annotations

import json
import multiprocessing
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

REQUESTS, SIGNATURES = 400, 2_000
ORDER = {
    "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "IOC", "quantity": "0.001", "price": "64000.1",
    "newClientOrderId": "vxabcd0123456789abcdef0123456789", "newOrderRespType": "RESULT",
}  # fmt: skip
USER, KEY, SIGNER = "0x" + "63" * 20, "0" * 63 + "1", "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"
ANSWER = b'{"orderId":1}'
REPLY = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-MBX-USED-WEIGHT-1M: 1\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(ANSWER), ANSWER)
)


def main() -> None:
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = multiprocessing.get_context("fork").Process(target=serve, args=(listening,), daemon=True)
        connection.close()
        server.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    try:
        found = {"vendor": connection.vendor, "signing": signing(), "requests": requests(url)}
    finally:
        server.terminate()
        server.join()
    json.dump(found, sys.stdout)


def signing() -> dict[str, float]:
    """Return the seconds of one signature, without the nonce's database."""
    from benchmarks.timing import in_turns

    calls: dict[str, Callable[[], object]] = {
        name: partial(signer.sign, "POST", ORDER) for name, signer in signers().items()
    }
    return in_turns(calls, rounds=20, repeat=SIGNATURES // 20)


def signers(nonces: Any = None) -> dict[str, Any]:
    """Return both kinds of signers."""
    from marketdata.aster.signing import HmacSigner, LocalNonces, V3Signer

    return {
        "V3": V3Signer(user=USER, signer=SIGNER, private_key=KEY, chain_id=714, nonces=nonces or LocalNonces()),
        "V1": HmacSigner(key="k" * 64, secret="s" * 64, clock=lambda: time.time_ns() // 1_000_000),
    }


def requests(url: str) -> dict[str, float]:
    """Return the seconds of one POST by each way, taken in turns on connections that stay open."""
    from urllib.parse import urlencode

    import httpx2

    from benchmarks.timing import in_turns
    from marketdata.aster.http import AsterHttp
    from marketdata.services.budget import DatabaseBudget, Unmetered
    from marketdata.services.nonces import DatabaseNonces
    from marketdata.venues.public import Purpose

    path, body = (
        "/fapi/v3/order",
        urlencode({**ORDER, "nonce": 1, "user": USER, "signer": SIGNER, "signature": "0" * 132}),
    )
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    with (
        httpx2.Client(base_url=url) as bare,
        AsterHttp(url, Unmetered(), Purpose.CLOSING) as plain,
        AsterHttp(url, DatabaseBudget("bench", limit=10_000_000), Purpose.CLOSING) as counted,
    ):
        memory, stored = signers(), signers(DatabaseNonces())

        def send(http: AsterHttp, signer: Any) -> Callable[[], object]:
            return lambda: http.send("POST", path, ORDER, signer=signer, weight=1)

        calls: dict[str, Callable[[], object]] = {
            "bare": lambda: bare.post(path, content=body, headers=form).json(),
            "V3, no database": send(plain, memory["V3"]),
            "V1, no database": send(plain, memory["V1"]),
            "V3": send(counted, stored["V3"]),
            "V1": send(counted, stored["V1"]),
        }
        for call in calls.values():
            call()  # opens the connection
        return in_turns(calls, rounds=REQUESTS, clock=time.perf_counter)


def serve(listening: socket.socket) -> None:
    """Answer every request on every connection in the same way."""
    import threading

    while True:
        connection, _ = listening.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=_answer, args=(connection,), daemon=True).start()


def _answer(connection: socket.socket) -> None:
    gathered = b""
    with connection, suppress(ConnectionError):
        while received := connection.recv(65_536):
            gathered += received
            head, found, body = gathered.partition(b"\r\n\r\n")
            lines = head.lower().split(b"\r\n")
            length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
            if found and len(body) >= length:
                gathered = b""
                connection.sendall(REPLY)


if __name__ == "__main__":
    main()
