"""A gate before a server: while it is shut nobody gets through, and who was inside is cut off."""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import dataclass, field
from typing import Self


@dataclass
class Gate:
    """Forwards a port of its own to a server. `shut`: connections are cut, new ones refused. `open`: as if nothing was."""

    host: str
    port: int
    at: int = 0
    """Our port, once it has been opened for the first time."""
    _listening: socket.socket | None = None
    _through: set[socket.socket] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def open(self) -> Self:
        listening = socket.create_server(("127.0.0.1", self.at), backlog=256)
        self._listening, self.at = listening, listening.getsockname()[1]
        threading.Thread(target=self._accept, args=(listening,), daemon=True).start()
        return self

    def shut(self) -> None:
        listening, self._listening = self._listening, None
        if listening is not None:
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            listening.close()
        with self._lock:
            through, self._through = self._through, set()
        for one in through:
            _cut(one)

    def _accept(self, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                caller, _ = listening.accept()
                threading.Thread(target=self._let_in, args=(listening, caller), daemon=True).start()

    def _let_in(self, listening: socket.socket, caller: socket.socket) -> None:
        try:
            server = socket.create_connection((self.host, self.port), timeout=10)
        except OSError:
            caller.close()
            return
        server.settimeout(None)
        with self._lock:
            if self._listening is not listening:  # it was shut meanwhile
                _cut(caller)
                _cut(server)
                return
            self._through |= {caller, server}
        for source, sink in ((caller, server), (server, caller)):
            threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                sink.sendall(data)
        for one in (source, sink):
            _cut(one)
        with self._lock:
            self._through -= {source, sink}


def _cut(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
