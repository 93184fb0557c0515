"""Servers on loopback that list models, each in the shape of one provider, well or badly."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

type Serve = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class CatalogueServer:
    """What was asked, and under which address to ask."""

    url: str = ""
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def catalogue_server(routes: dict[str, Any]) -> Iterator[CatalogueServer]:
    """Serve until the block ends. A route is what follows /v1, its value a body, a (status, body) or a function."""
    server = CatalogueServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.paths.append(self.path)
            server.headers.append(dict(self.headers))
            path = self.path.removeprefix("/v1")
            found = routes.get(path, routes.get(path.partition("?")[0], (404, {"error": {"message": "no such path"}})))
            if callable(found):
                found(self)
                return
            status, body = found if isinstance(found, tuple) else (200, found)
            send(self, status, body if isinstance(body, bytes) else json.dumps(body).encode())

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{http.server_port}/v1"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join(2)


def send(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body)))
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


def dripping(handler: BaseHTTPRequestHandler) -> None:
    """Send a byte every fifth of a second: no single read is slow."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    for _ in range(50):
        try:
            handler.wfile.write(b" ")
            handler.wfile.flush()
        except OSError:
            return
        time.sleep(0.2)


def openrouter_model(slug: str, **other: Any) -> dict[str, Any]:
    """Return a model as OpenRouter lists it."""
    return {
        "id": slug,
        "canonical_slug": f"{slug}-20260430",
        "name": slug.title(),
        "context_length": 1_050_000,
        "architecture": {"output_modalities": ["text"]},
        "pricing": {"prompt": "0.00000125", "completion": "0.0000025", "request": "0", "image": "0"},
        "top_provider": {"context_length": 1_050_000, "max_completion_tokens": 128_000, "is_moderated": False},
        "supported_parameters": ["max_tokens", "reasoning", "response_format", "structured_outputs", "temperature"],
        "reasoning": {"supported_efforts": ["high", "low", "medium", "minimal"], "mandatory": True},
        "knowledge_cutoff": "2026-01-31",
        "expiration_date": None,
    } | other


def openrouter_list(*models: dict[str, Any], after: str | None = None, total: int | None = None) -> dict[str, Any]:
    return {"data": list(models), "total_count": len(models) if total is None else total, "links": {"next": after}}


def openai_list(*slugs: str) -> dict[str, Any]:
    rows = [{"id": slug, "object": "model", "created": 1_782_000_000, "owned_by": "system"} for slug in slugs]
    return {"object": "list", "data": rows}
