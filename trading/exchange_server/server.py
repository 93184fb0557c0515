"""The test exchange as one aiohttp application: REST, streams and the control API on one port."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from email.utils import format_datetime
from pathlib import Path
from ssl import SSLContext
from typing import Any, Final
from urllib.parse import parse_qsl

from aiohttp import web

from trading.exchange_server.accounts import TestAccount
from trading.exchange_server.answers import Parameters, Refusal
from trading.exchange_server.auth import MAINNET
from trading.exchange_server.control import Control
from trading.exchange_server.faults import AFTER, Fault, FaultBook, broken_rows, page
from trading.exchange_server.markets import Markets
from trading.exchange_server.rest import PUBLIC, Endpoint, info, spot_info
from trading.exchange_server.signed import SignedHalf, signed_request
from trading.exchange_server.streams import LIFE_SECONDS, PING_SECONDS, PULSE_SECONDS, Hub, dumps
from trading.exchange_server.tls import self_made
from trading.exchange_server.weights import LIMIT, Ledger, signed_weight, too_many, weight_of
from vibex.lib.clock import from_ms
from vibex.lib.errors import Rejected, VibexError

REST_PATH: Final = re.compile(r"/fapi/v[1-4]/(?P<name>.+)")
STREAM_PATH: Final = re.compile(r"(?:/[^/]*fstream[^/]*)?/(?P<kind>ws|stream)(?:/(?P<names>.*))?")
CONTROL_PATH: Final = re.compile(r"/_sim/(?P<name>[a-z-]+)/?")
USED: Final = "X-MBX-USED-WEIGHT-1M"
LOG_LENGTH: Final = 10_000
UNKNOWN: Final = {
    -1006: "An unexpected response was received from the message bus. Execution status unknown.",
    -1007: "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
}


@dataclass(frozen=True, slots=True)
class Logged:
    """One request as it was answered."""

    at: float
    method: str
    path: str
    query: str
    status: int
    weight: int


class ExchangeServer:
    """Everything that one running exchange consists of. Lives on one event loop.

    `endpoints` maps (method, name without version) to what answers; `signed` holds accounts and what they may ask.
    """

    def __init__(
        self,
        markets: Markets,
        *,
        weight_limit: int = LIMIT,
        fault_seed: int = 0,
        pulse: float = PULSE_SECONDS,
        life: float = LIFE_SECONDS,
        ping: float = PING_SECONDS,
        accounts: Iterable[TestAccount] = (),
        chain_id: int = MAINNET,
    ) -> None:
        self.markets = markets
        self.faults = FaultBook(fault_seed)
        self.ledger = Ledger(weight_limit)
        self.hub = Hub(markets, self.faults, pulse=pulse, life=life, ping=ping)
        self.endpoints: dict[tuple[str, str], Endpoint] = {("GET", name): one for name, one in PUBLIC.items()}
        self.endpoints["GET", "exchangeInfo"] = self._info
        self.signed = SignedHalf(markets, self.hub, chain_id=chain_id, accounts=accounts)
        self.log: deque[Logged] = deque(maxlen=LOG_LENGTH)
        self.control = Control(self)
        self._runner: web.AppRunner | None = None
        self._beat: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int, *, context: SSLContext | None = None) -> int:
        """Listen (by TLS, with a context for that), and return the port (a free one when it was 0). Raises OSError when the port is taken."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5, handle_signals=False)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port, ssl_context=context).start()
        self.control.bind()
        self._beat = asyncio.create_task(self.hub.run())
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Close every connection and stop listening, within about a second."""
        if self._beat is not None:
            self._beat.cancel()
            with suppress(asyncio.CancelledError):
                await self._beat
        await self.hub.close()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if stream := STREAM_PATH.fullmatch(request.path):
            return await self._stream(request, stream["kind"], stream["names"] or "")
        if command := CONTROL_PATH.fullmatch(request.path):
            return await self._control(request, command["name"])
        return await self._rest(request)

    async def _stream(self, request: web.Request, kind: str, names: str) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return web.Response(status=400, text="Bad Request: a WebSocket is spoken here")
        listed = request.query.get("streams", "") if kind == "stream" else names
        chosen = [name for name in listed.split("/") if name]
        return await self.hub.serve(request, chosen, combined=kind == "stream")

    async def _control(self, request: web.Request, name: str) -> web.Response:
        try:
            given = await request.json() if request.can_read_body else {}
            answer = self.control.command(name, given)
        except Refusal as refusal:
            return self._refused(refusal)
        except (ValueError, TypeError, VibexError) as error:
            return web.Response(status=400, text=dumps({"error": str(error)}), content_type="application/json")
        return web.Response(text=dumps(answer), content_type="application/json")

    async def _rest(self, request: web.Request) -> web.Response:
        """Answer a request, or do what a fault says. Every answer is logged and carries the used weight."""
        match = REST_PATH.fullmatch(request.path)
        name = match["name"] if match else ""
        body = await request.text() if request.can_read_body else ""
        weight = self._weight(request, name, body)
        fault = self.faults.strike(request.path, request.method, dict(parse_qsl(body)) | dict(request.query))
        if fault and fault.kind == "delay":
            await asyncio.sleep(fault.seconds)
        if fault and fault.kind == "drop":
            self._note(request, 0, weight)
            return _dropped(request)
        address = request.remote or "?"
        try:
            self.ledger.charge(address, weight)
            response = self._faulty(fault, address) or self._answer(request, name, body, fault)
        except Refusal as refusal:
            response = self._refused(refusal)
        if fault and fault.kind in AFTER:
            response = await self._veiled(request, response, fault)
        response.headers[USED] = str(self.ledger.used(address))
        response.headers["Date"] = format_datetime(from_ms(self.markets.now_ms()), usegmt=True)
        self._note(request, response.status, weight)
        return response

    def _weight(self, request: web.Request, name: str, body: str) -> int:
        if self.signed.knows(request.method, name):
            return signed_weight(request.method, name, dict(parse_qsl(body)) | dict(request.query))
        return weight_of(name, request.query) if name in PUBLIC else 1

    def _answer(self, request: web.Request, name: str, body: str, fault: Fault | None) -> web.Response:
        if self.signed.knows(request.method, name):
            asked = signed_request(request.raw_path.partition("?")[2], body, request.headers)
            told, headers = self.signed.answer(request.method, name, asked, fault)
            return web.Response(text=dumps(told), content_type="application/json", headers=headers)
        endpoint = self.endpoints.get((request.method, name))
        if endpoint is None and request.path == "/api/v3/exchangeInfo":
            endpoint = spot_info
        if endpoint is None:
            return web.Response(status=404, text=page("404"), content_type="text/html")
        answer = endpoint(self.markets, request.query)
        if fault and fault.kind == "corrupt":
            answer = broken_rows(answer)
        return web.Response(text=dumps(answer), content_type="application/json")

    async def _veiled(self, request: web.Request, response: web.Response, fault: Fault) -> web.Response:
        """Return what comes instead of the answer to a request that has been executed."""
        if fault.kind == "delay-after":
            await asyncio.sleep(fault.seconds)
            return response
        if fault.kind == "drop-after":
            return _dropped(request)
        if fault.kind == "503-after":
            return web.Response(status=503, text=page("503"), content_type="text/html")
        code = int(fault.kind.removesuffix("-after"))
        return self._refused(Refusal(code, UNKNOWN[code]))

    def _info(self, markets: Markets, given: Parameters) -> Any:
        """Return `exchangeInfo` with the limit of weight that holds here."""
        answer = info(markets, given)
        limits = [
            limit | {"limit": self.ledger.limit} if limit["rateLimitType"] == "REQUEST_WEIGHT" else limit
            for limit in answer["rateLimits"]
        ]
        return {**answer, "rateLimits": limits}

    def _faulty(self, fault: Fault | None, address: str) -> web.Response | None:
        """Return what a fault says instead of an answer, None where the answer is still given."""
        match fault.kind if fault else None:
            case "429-empty":
                return web.Response(status=429)
            case "429":
                raise too_many(self.ledger.limit)
            case "418":
                raise self.ledger.ban(address, (fault.seconds if fault else 0) or self.ledger.ban_seconds)
            case "-1001":
                text = "Internal error; unable to process your request. Please try again."
                raise Refusal(-1001, text, status=500)
            case "refuse":
                code = fault.code if fault else 0
                raise Refusal(code, f"This is refused with {code}.")
            case "403" | "404" | "500" | "503" | "200-html" as kind:
                status = 200 if kind == "200-html" else int(kind)
                return web.Response(status=status, text=page(kind), content_type="text/html")
        return None

    def _refused(self, refusal: Refusal) -> web.Response:
        headers = {"Retry-After": str(self.ledger.seconds_left())} if refusal.status == 429 else {}
        body = dumps({"code": refusal.code, "msg": refusal.msg})
        return web.Response(status=refusal.status, text=body, content_type="application/json", headers=headers)

    def _note(self, request: web.Request, status: int, weight: int) -> None:
        self.log.append(Logged(time.time(), request.method, request.path, request.query_string, status, weight))


@dataclass(frozen=True, slots=True)
class Served:
    """A running exchange: its addresses, and the control to be used from any thread."""

    http: str
    ws: str
    control: Control
    server: ExchangeServer
    certificate: Path | None = None
    """With TLS: the file that clients have to trust. It is there as long as the exchange runs."""


@contextmanager
def serve_in_thread(
    markets: Markets, *, host: str = "127.0.0.1", port: int = 0, tls: bool = False, **options: Any
) -> Iterator[Served]:
    """Run an exchange in a thread of its own for as long as the block lasts. `options` are those of ExchangeServer.

    `tls` lets it speak https and wss with a certificate that it makes itself. Raises OSError when the port is taken.
    """
    loop = asyncio.new_event_loop()
    server = ExchangeServer(markets, **options)
    thread = threading.Thread(target=_run, args=(loop,), name="exchange-server", daemon=True)
    thread.start()
    secure, s = self_made(host) if tls else nullcontext(), "s" if tls else ""
    try:
        with secure as made:
            context = made.context if made else None
            bound = asyncio.run_coroutine_threadsafe(server.start(host, port, context=context), loop).result(10)
            where, file = f"{host}:{bound}", made.certificate if made else None
            yield Served(f"http{s}://{where}", f"ws{s}://{where}", server.control, server, file)
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def serve(
    server: ExchangeServer, *, host: str, port: int, ready: Callable[[int], None], context: SSLContext | None = None
) -> None:
    """Run until SIGINT or SIGTERM; `ready` is called with the port. Raises Rejected when nobody can listen there."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    try:
        try:
            bound = await server.start(host, port, context=context)
        except OSError as fault:
            reason = os.strerror(fault.errno) if fault.errno and fault.errno > 0 else fault
            text = f"{host}:{port} cannot be listened on ({reason}): choose another --port."
            raise Rejected(text, code="port") from None
        ready(bound)
        await ended.wait()
    finally:
        await server.stop()


def _run(loop: asyncio.AbstractEventLoop) -> None:
    """Run the loop until it is stopped, then end what is still waiting: answers that were to be late, for example."""
    asyncio.set_event_loop(loop)
    loop.run_forever()
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))


def _dropped(request: web.Request) -> web.Response:
    """Break the connection in the middle of a request."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=499)
