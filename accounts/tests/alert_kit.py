"""Receivers on loopback that take messages as messengers do: one by HTTP, one by SMTP."""

from __future__ import annotations

import json
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_string, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from accounts.models import AlertChannel, User
from accounts.services.alerts.channels import channel_save


@dataclass
class Receiver:
    """What arrived, oldest first: (title, text). Answers with `status`, after `delay` seconds."""

    port: int = 0
    got: list[tuple[str, str]] = field(default_factory=list)
    raw: list[str] = field(default_factory=list)
    status: int = 200
    delay: float = 0.0
    elsewhere: str = ""
    """Where it sends who asks, instead of an answer."""

    @property
    def json(self) -> str:
        return f"json://127.0.0.1:{self.port}/hook"


@contextmanager
def http_receiver() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            time.sleep(receiver.delay)
            if receiver.status == 200 and not receiver.elsewhere:
                told = json.loads(body)
                receiver.raw.append(f"{self.path} {body}")
                receiver.got.append((told["title"], told["message"]))
            self.send_response(302 if receiver.elsewhere else receiver.status)
            if receiver.elsewhere:
                self.send_header("Location", receiver.elsewhere)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with _running(server):
        receiver.port = server.server_address[1]
        yield receiver


@contextmanager
def smtp_receiver() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self._say("220 ready")
            while line := self.rfile.readline().decode().strip():
                if line.upper() == "DATA":
                    self._say("354 go on")
                    self._take()
                elif line.upper() == "QUIT":
                    self._say("221 bye")
                    return
                else:
                    self._say("250 fine")

        def _take(self) -> None:
            lines = list(iter(lambda: self.rfile.readline().decode().rstrip("\r\n"), "."))
            mail = message_from_string("\n".join(lines), policy=policy.default)
            body = mail.get_body(("plain", "html"))
            receiver.got.append((str(mail["Subject"]), body.get_content() if body else ""))
            self._say("250 taken" if receiver.status == 200 else "554 not wanted")

        def _say(self, line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    with _running(server):
        receiver.port = server.server_address[1]
        yield receiver


def channel_to(user: User, url: str, name: str = "desk", **fields: Any) -> AlertChannel:
    """Return a channel of a person who may send to this machine."""
    if not user.is_staff:
        User.objects.filter(pk=user.pk).update(is_staff=True)
        user.refresh_from_db()
    return channel_save(user=user, actor=user, name=name, url=url, **fields)


@contextmanager
def _running(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
