"""A model server on loopback that speaks raw HTTP, so that it can misbehave in every way a real one does."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

type Behave = Callable[[socket.socket, dict], None]


@dataclass
class ModelServer:
    """Answers each request with the next behaviour; the last one stays."""

    behaviours: list[Behave]
    url: str = ""
    requests: list[dict] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)
    open: set[socket.socket] = field(default_factory=set)

    def answer(self, connection: socket.socket) -> None:
        self.open.add(connection)
        with connection, suppress(OSError):
            connection.settimeout(10)
            head, body = read_request(connection)
            if not head:
                return
            self.headers.append(head)
            self.requests.append(json.loads(body))
            turn = min(len(self.requests), len(self.behaviours)) - 1
            self.behaviours[turn](connection, self.requests[-1])
        self.open.discard(connection)

    def hang_up(self) -> None:
        """End every connection: a client that gave up waiting for an answer may still listen for a late one."""
        for connection in list(self.open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def model_server(*behaviours: Behave) -> Iterator[ModelServer]:
    """Serve until the block ends. A behaviour that wants to wait reads `server` of its own closure."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = ModelServer(list(behaviours), f"http://127.0.0.1:{listener.getsockname()[1]}/v1")
    threads: list[threading.Thread] = []

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=server.answer, args=(connection,), daemon=True))
            threads[-1].start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield server
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join(2)
        server.hang_up()
        for thread in threads:
            thread.join(2)


def read_request(connection: socket.socket) -> tuple[str, bytes]:
    received = b""
    while b"\r\n\r\n" not in received:
        chunk = connection.recv(65_536)
        if not chunk:
            return "", b""
        received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
    )
    while len(body) < length:
        body += connection.recv(65_536)
    return head.decode(), body


def sends(body: bytes, status: int = 200, kind: str = "application/json", headers: str = "") -> Behave:
    """Answer with a complete body."""

    def behave(connection: socket.socket, request: dict) -> None:
        head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{headers}"
        connection.sendall(f"{head}Connection: close\r\n\r\n".encode() + body)

    return behave


def drips(body: bytes, every: float = 0.1, seconds: float = 5.0) -> Behave:
    """Answer with a byte now and then, always in time for a timeout that counts per read."""

    def behave(connection: socket.socket, request: dict) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n")
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            connection.sendall(b" ")
            time.sleep(every)
        connection.sendall(body)

    return behave


def stays_silent(seconds: float = 5.0) -> Behave:
    """Take the request and say nothing, until the client goes away."""

    def behave(connection: socket.socket, request: dict) -> None:
        connection.settimeout(seconds)
        with suppress(TimeoutError):
            connection.recv(1)

    return behave


def hangs_up(part: bytes = b"") -> Behave:
    """Close the connection, after a part of an answer or none."""

    def behave(connection: socket.socket, request: dict) -> None:
        connection.sendall(part)

    return behave
