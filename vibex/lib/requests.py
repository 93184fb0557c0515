"""One log line per request, a request id that everything done for it carries, and by what way it came."""

import logging
import re
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from vibex.lib.logging import bound, serves

HEADER = "X-Request-ID"
API: Final = "/api/"
"""Begins the path of every address that answers programs."""
_WELL_FORMED = re.compile(r"[A-Za-z0-9_-]{8,48}")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Acting:
    """By what way the running work was asked for. Stands in the audit log beside who asked."""

    via: str = ""
    """`session`, `tokens`, `key <prefix>`, `command`; empty: nobody asked, Vibex does it by itself."""
    address: str | None = None
    request_id: str = ""


_acting: ContextVar[Acting | None] = ContextVar("acting", default=None)


def acting() -> Acting:
    """Return by what way the running work was asked for. A thread that goes on with it has to copy the context."""
    return _acting.get() or Acting(via=_outside_of_requests())


def acting_by(via: str) -> None:
    """Note by what the running request was let in, once that is known."""
    _acting.set(replace(acting(), via=via))


def address_of(request: HttpRequest) -> str | None:
    """Return where a request came from; None where that cannot be told."""
    return address_behind_proxy(request.META.get("REMOTE_ADDR"), request.META.get("HTTP_X_FORWARDED_FOR", ""))


def address_behind_proxy(peer: str | None, forwarded: str) -> str | None:
    """Return the client's address from that of the connection and the header X-Forwarded-For.

    With HTTPS there is exactly one proxy that is trusted: it appended the last entry itself, what stands before was
    sent by the client. Without HTTPS nobody stands in front, and the header says nothing.
    """
    if settings.HTTPS and (last := _address(forwarded.rpartition(",")[2])):
        return last
    return _address(peer or "")


def _address(text: str) -> str | None:
    try:
        return str(ip_address(text.strip()))
    except ValueError:
        return None


def _outside_of_requests() -> str:
    """Return `command` in a command that a person runs, else nothing: a server's own tasks."""
    program = Path(sys.argv[0]).name if sys.argv else ""
    return "command" if program in ("manage.py", "django-admin") and not serves(sys.argv) else ""


@sync_and_async_middleware
def request_log(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Log method, route, status, milliseconds, user and request id of each request; answer with the id."""
    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponseBase:
            with _logged(request) as answer:
                return answer(await get_response(request))

        return asynchronous

    def synchronous(request: HttpRequest) -> HttpResponseBase:
        with _logged(request) as answer:
            return answer(get_response(request))

    return synchronous


@contextmanager
def _logged(request: HttpRequest) -> Iterator[Callable[[HttpResponseBase], HttpResponseBase]]:
    request_id = wanted_id(request.headers.get(HEADER)) or uuid.uuid4().hex
    started = time.monotonic()

    def answer(response: HttpResponseBase) -> HttpResponseBase:
        response.headers[HEADER] = request_id
        _log(request, response.status_code, time.monotonic() - started)
        return response

    # A page is only acted on from a browser's session. The API tells it when it knows.
    via = "" if request.path.startswith(API) else "session"
    before = _acting.set(Acting(via, address_of(request), request_id))
    try:
        with bound(request_id=request_id):
            yield answer
    finally:
        _acting.reset(before)


def wanted_id(given: str | None) -> str | None:
    """Return the caller's request id when it is well-formed, else None."""
    return given if given and _WELL_FORMED.fullmatch(given) else None


def _log(request: HttpRequest, status: int, seconds: float) -> None:
    # The route, not the path: a path may hold the token of a password reset.
    match = request.resolver_match
    fields = {
        "method": request.method,
        "route": match.route if match else None,
        "status": status,
        "ms": round(seconds * 1000, 1),
        "user": _known_user(request),
    }
    level = logging.WARNING if status >= 500 else logging.INFO
    log.log(level, "%s %s %s", request.method, fields["route"] or "(no route)", status, extra=fields)


def _known_user(request: HttpRequest) -> int | None:
    """Return the user's id if the request has been authenticated, without a query to find out."""
    user = getattr(request, "_cached_user", None)
    if user is None and "_wrapped" not in vars(request.__dict__.get("user", object)):
        user = request.__dict__.get("user")
    return getattr(user, "pk", None)
