"""A server on loopback that takes error reports and traces as the real ones do, and keeps them."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

ENVELOPES, TRACES = "/api/1/envelope/", "/v1/traces"


@dataclass(slots=True)
class Taken:
    """What has arrived: bodies by path, unpacked, and the headers they came with."""

    port: int = 0
    bodies: dict[str, list[bytes]] = field(default_factory=dict)
    headers: list[dict[str, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def dsn(self) -> str:
        return f"http://publickey@127.0.0.1:{self.port}/1"

    def events(self) -> list[dict[str, Any]]:
        """Return the events of all envelopes: after the head of an envelope come pairs of a head and a body."""
        found = []
        for body in self.bodies.get(ENVELOPES, []):
            lines = body.split(b"\n")
            found += [json.loads(lines[at + 1]) for at in range(1, len(lines) - 1, 2) if b'"event"' in lines[at]]
        return found

    def spans(self) -> list[dict[str, Any]]:
        """Return all spans as plain data: names, keys, times, attributes."""
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        found = []
        for body in self.bodies.get(TRACES, []):
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    found += [_plain(span) for span in scope.spans]
        return found

    def whole(self) -> bytes:
        return b"\n".join(body for bodies in self.bodies.values() for body in bodies)

    def wait_for[T](self, found: Callable[[], T], seconds: float = 60.0) -> T:
        ends = time.monotonic() + seconds
        while not (there := found()):
            assert time.monotonic() < ends, f"nothing of that kind arrived within {seconds:g} s"
            time.sleep(0.1)
        return there


def _plain(span: Any) -> dict[str, Any]:
    told = {each.key: getattr(each.value, each.value.WhichOneof("value") or "string_value") for each in span.attributes}
    return {
        "name": span.name, "id": span.span_id, "trace": span.trace_id, "parent": span.parent_span_id, "told": told,
        "began": span.start_time_unix_nano, "ended": span.end_time_unix_nano,
    }  # fmt: skip


@contextmanager
def taking() -> Iterator[Taken]:
    """Serve while the block runs."""
    taken = Taken()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            taken.headers.append(dict(self.headers.items()))
            taken.bodies.setdefault(self.path, []).append(body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    taken.port = server.server_address[1]
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield taken
    finally:
        server.shutdown()
        server.server_close()
