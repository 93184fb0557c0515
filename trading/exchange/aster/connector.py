"""AsterDEX's own library aster-connector-python as what carries the requests of an account with key and secret.

It is on no package index and never required: an operator who wants it installs it and sets ASTERDEX_TRANSPORT=connector.
Only its `sign_request` is used, since several of its other calls drop parameters. Budget, judging of answers, and that a
change is sent once stay ours. What it cannot do: sign by a measured clock, end a request at a deadline, and V3.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from typing import Any, Final, Literal

from marketdata.aster.answers import OK, Answer
from marketdata.aster.signing import RECV_WINDOW, Params, Signed, Signer
from marketdata.aster.wire import SIGNED_CONNECT_SECONDS, HttpWire, Wire, in_time
from marketdata.venues.public import VenueDown
from vibex.lib.clock import Deadline
from vibex.lib.errors import NeedsOperator

type Transport = Literal["own", "connector"]

OWN: Final = "own"
CONNECTOR: Final = "connector"
SETTING: Final = "ASTERDEX_TRANSPORT"
INSTALL: Final = (
    f"{SETTING}=connector needs aster-connector-python, which is on no package index: install it from "
    f"https://github.com/asterdex/aster-connector-python into this environment, or set {SETTING}=own."
)
NO_CONNECTION: Final = frozenset({"ConnectTimeout", "ConnectTimeoutError", "NewConnectionError", "NameResolutionError"})
"""Classes of requests and urllib3 that mean that not one byte left."""
DEEPEST: Final = 8
"""Errors within errors that are looked at."""
CHATTY: Final = ("urllib3.connectionpool", "aster")
"""Loggers that name what is asked with its query, or write answers whole."""


def connector_problem() -> str | None:
    """Return why the library cannot be used here and what to do, None where it can. Loads it only when it is there."""
    try:
        found = find_spec("aster.rest_api") if find_spec("aster") else None
    except (ImportError, ValueError, AttributeError):
        found = None
    if found is None:
        return INSTALL
    try:
        _client_class()
    except Exception as fault:  # noqa: BLE001 - what is installed there may be anything
        return f"A package `aster` is installed, but it is not the connector or cannot be loaded ({fault}). {INSTALL}"
    return None


def wire_for(transport: Transport, base_url: str, *, key: str | None = None, secret: str | None = None) -> Wire | None:
    """Return what carries the requests of an account, None for our own.

    An account without key and secret (V3) is always carried by our own: the library cannot sign for it. Raises
    NeedsOperator where the library is asked for and not there.
    """
    if transport == OWN or not (key and secret):
        return None
    if problem := connector_problem():
        raise NeedsOperator(problem)
    return ConnectorWire(base_url, key=key, secret=secret)


class ConnectorWire:
    """Carries what is signed with key and secret by the library, in the calling thread; the rest by our own."""

    def __init__(self, base_url: str, *, key: str, secret: str) -> None:
        self._base_url = base_url
        self._key, self._secret = key, secret
        self._plain = HttpWire(base_url)
        self._lock = threading.Lock()
        self._client: Any = None

    def carry(
        self,
        method: str,
        path: str,
        params: Params,
        *,
        signer: Signer | None,
        timeout: float,
        limit: Deadline,
        what: str,
    ) -> Answer:
        """Send ONCE. The time of one attempt is that of the first: the library has one for all."""
        # The library signs by itself. Ours is asked all the same: what it refuses to sign is refused here too, and who
        # asks learns from it whether anything may have left. Calls about a listen key carry the key and no signature.
        if signer is None or not _is_signed(signer.sign(method, params)):
            return self._plain.carry(method, path, params, signer=signer, timeout=timeout, limit=limit, what=what)
        in_time(limit, what)
        client = self._opened(timeout)
        try:
            found = client.sign_request(method, path, {**params, "recvWindow": RECV_WINDOW})
        except Exception as fault:  # noqa: BLE001 - what the library raises is its own, and has the query in its text
            answer = _answer_in(fault)
            if answer is None:
                raise _lost(fault, what) from None
            return answer
        return _answer_of(found)

    def another(self) -> ConnectorWire:
        """Return a wire with connections of its own."""
        return ConnectorWire(self._base_url, key=self._key, secret=self._secret)

    def close(self) -> None:
        """Close the connections."""
        self._plain.close()
        with self._lock:
            client, self._client = self._client, None
        if session := getattr(client, "session", None):
            session.close()

    def __repr__(self) -> str:
        return f"ConnectorWire({self._base_url})"

    def _opened(self, timeout: float) -> Any:
        with self._lock:
            if self._client is None:
                _keep_queries_out_of_the_log()
                # Without a timeout of its own the library waits for ever.
                seconds = (min(timeout, SIGNED_CONNECT_SECONDS), timeout)
                self._client = _client_class()(
                    self._key,
                    self._secret,
                    base_url=self._base_url.rstrip("/"),
                    timeout=seconds,
                    show_limit_usage=True,
                    show_header=True,
                )
                if (session := getattr(self._client, "session", None)) is not None:
                    session.max_redirects = 0  # following one would send a second time
            return self._client


def _client_class() -> Any:
    """Return the library's client. The name of the package is a common one, so it is looked at what is in it.

    Raises ImportError or AttributeError for another one.
    """
    from importlib import import_module

    found = import_module("aster.rest_api").Client
    _ = found.sign_request
    return found


def _is_signed(signed: Signed) -> bool:
    return bool(signed.query or signed.body)


def _answer_of(found: Any) -> Answer:
    """Return what came with a status below 400: JSON, or text where it was none."""
    wrapped = isinstance(found, Mapping) and "data" in found and "header" in found
    data, headers = (found["data"], _headers(found["header"])) if wrapped else (found, {})
    body = data if isinstance(data, str) else json.dumps(data)
    return Answer(OK, headers, body.encode())


def _answer_in(fault: Exception) -> Answer | None:
    """Return the answer that an error of the library stands for, None where there was none that can be told."""
    status = getattr(fault, "status_code", None)
    if not isinstance(status, int):
        return None
    message = getattr(fault, "error_message", None) or getattr(fault, "message", None) or ""
    code = getattr(fault, "error_code", None)
    body = str(message) if code is None else json.dumps({"code": code, "msg": str(message)})
    return Answer(status, _headers(getattr(fault, "header", None)), body.encode())


def _headers(found: Any) -> dict[str, str]:
    return {str(name).lower(): str(value) for name, value in found.items()} if isinstance(found, Mapping) else {}


def _lost(fault: Exception, what: str) -> VenueDown:
    """Return what is known when no answer came. The error's own text is left out: it may hold the query."""
    name = type(fault).__name__
    if isinstance(fault, (KeyError, TypeError)):
        return VenueDown(f"{what}: AsterDEX answered with an error that has no code of the exchange.")
    never = any(_refused_connection(one) for one in _within(fault))
    return VenueDown(f"{what}: AsterDEX cannot be reached ({name}).", arrived=False if never else None)


def _within(fault: BaseException) -> Iterator[BaseException]:
    """Yield an error and those that it carries as reason or argument: urllib3 and requests put one in the other."""
    waiting, seen = [fault], 0
    while waiting and seen < DEEPEST:
        one = waiting.pop(0)
        seen += 1
        yield one
        inner = (getattr(one, "reason", None), *one.args)
        waiting += [part for part in inner if isinstance(part, BaseException)]


def _refused_connection(fault: BaseException) -> bool:
    return isinstance(fault, ConnectionRefusedError) or type(fault).__name__ in NO_CONNECTION


@cache
def _keep_queries_out_of_the_log() -> None:
    """Let the library and what it stands on log nothing below a warning, whatever level is set: queries are signed."""
    for name in CHATTY:
        logger = logging.getLogger(name)
        logger.addFilter(_only_warnings)
        logger.setLevel(max(logger.level, logging.WARNING))  # those below it take it over, unless they have their own


def _only_warnings(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING
