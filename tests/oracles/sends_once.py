"""How often one change reaches Binance through ccxt, whatever comes back: run where ccxt is installed, it prints JSON.

For each answer: the error that it is told as, whether the venue certainly got nothing, and how many requests there were.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import threading

from accounts.domain.credentials import ApiKeys
from tests.oracles.exchange_process import Purse
from trading.exchange.through_ccxt.binance.calls import calls_of

END = b"\r\n\r\n"
LINGER = struct.pack("ii", 1, 0)


def whole(status: bytes, body: bytes = b"", more: bytes = b"") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n%s" % (status, len(body), more, body)


RESET, CLOSE = b"reset", b"close"
HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"
ANSWERS = (
    RESET,
    CLOSE,
    HALF,
    whole(b"307 Temporary Redirect", more=b"Location: /fapi/v1/order\r\n"),
    whole(b"503 Service Unavailable"),
    whole(b"429 Too Many Requests"),
    whole(b"200 OK", b"<html>"),
)


class Venue:
    """A server that counts what is posted and answers it as it was told to."""

    def __init__(self) -> None:
        self.posts, self.answer = 0, b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            threading.Thread(target=self._serve, args=(self._listener.accept()[0],), daemon=True).start()

    def _serve(self, link: socket.socket) -> None:
        while head := self._request(link):
            answer = whole(b"200 OK", b"[]")
            if head.startswith(b"POST"):
                self.posts += 1
                answer = self.answer
            if answer == RESET:
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
            elif answer != CLOSE:
                link.sendall(answer)
            if answer in (RESET, CLOSE, HALF):
                break
        link.close()

    @staticmethod
    def _request(link: socket.socket) -> bytes:
        """Read one request and return its head, nothing at the end."""
        held = b""
        while END not in held:
            got = link.recv(65_536)
            if not got:
                return b""
            held += got
        head, _, body = held.partition(END)
        lines = [line.partition(b":") for line in head.lower().split(b"\r\n")]
        size = next((int(value) for name, _, value in lines if name == b"content-length"), 0)
        while len(body) < size:
            body += link.recv(65_536)
        return head


venue, told = Venue(), []
calls = calls_of(ApiKeys("k", "s"), testnet=False, address=venue.address, budget=Purse())
for one in ANSWERS:
    calls.ask("openOrders", {"symbol": "BTCUSDT"})  # so that the connection is one that was used before
    venue.posts, venue.answer = 0, one
    try:
        calls.send("POST", "order", {"symbol": "BTCUSDT"})
    except Exception as error:
        told.append([type(error).__name__, getattr(error, "arrived", "?"), venue.posts])
sys.stdout.write(json.dumps(told))
