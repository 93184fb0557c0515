"""One log line per request, and a request id that everything done for it carries."""

import logging
import re
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from vibex.lib.logging import bound

HEADER = "X-Request-ID"
_WELL_FORMED = re.compile(r"[A-Za-z0-9_-]{8,48}")

log = logging.getLogger(__name__)


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

    with bound(request_id=request_id):
        yield answer


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
