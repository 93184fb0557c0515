"""Errors as problem details (RFC 9457), one form for every address.

`{"type", "title", "status", "detail", "code", "instance", "request_id"}`, with `errors` (by field) for bad input. What the
services raise has its status here: Rejected 409 (`invalid` 400, `permission` 403), NeedsOperator 409, TooMany 429 and
Retryable 503 with Retry-After.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Final

from django.core.exceptions import PermissionDenied as DjangoDenied
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.db import DataError
from django.http import Http404, HttpRequest, JsonResponse
from rest_framework import exceptions
from rest_framework.response import Response

from vibex.lib.errors import NeedsOperator, Rejected, Retryable, TooMany
from vibex.lib.requests import acting

log = logging.getLogger(__name__)

CONTENT_TYPE: Final = "application/problem+json"
RETRY_AFTER: Final = "10"
"""Seconds after which a passing fault may be over."""
OF_CODES: Final = {
    "invalid": 400,
    **dict.fromkeys(("credentials", "second-factor-needed", "second-factor-wrong", "token", "signed-out"), 401),
    **dict.fromkeys(("permission", "registration-off"), 403),
    "wrong": 403,
    "not-found": 404,
}
"""Status of a Rejected by its code; every other one is a conflict with how things stand."""
CHALLENGE: Final = 'Bearer realm="vibex"'
WHOLE: Final = "body"
"""Name under `errors` of what is wrong with a body as a whole."""
NOT_FOUND: Final = "There is no such thing here, or it is another person's."
TITLES: Final = {413: "Content Too Large", 422: "Unprocessable Content"}
"""As RFC 9110 has them; older Pythons have older names."""

type Errors = dict[str, list[str]]


def problem(
    status: int, detail: str, *, code: str, errors: Errors | None = None, headers: dict[str, str] | None = None
) -> Response:
    """Return an answer that says what is wrong."""
    body = _body(status, detail, code)
    if errors:
        body["errors"] = errors
    return Response(body, status=status, headers=headers, content_type=CONTENT_TYPE)


def plain_problem(request: HttpRequest, status: int, detail: str, *, code: str) -> JsonResponse:
    """Return the same where no view of the API was reached."""
    body = _body(status, detail, code) | _where(request.path)
    return JsonResponse(body, status=status, content_type=CONTENT_TYPE, headers={"Cache-Control": "no-store"})


def problem_of(fault: Exception, context: dict[str, Any]) -> Response | None:
    """Return the answer to what a view raised; None for what is a fault of the code."""
    answer = _answer(fault)
    if answer is None:
        return None
    from rest_framework.views import set_rollback  # its module reads settings that name this one

    set_rollback()
    if (request := context.get("request")) is not None:
        answer.data |= _where(request.path)
    return answer


def flat_errors(told: Any, name: str = "") -> Errors:
    """Return what is wrong by the name of the field, however deep it lies: `symbols.0` is the first of the symbols."""
    found: Errors = {}
    for where, text in _flat(told, name):
        found.setdefault(where or WHOLE, []).append(text)
    return found


def _answer(fault: Exception) -> Response | None:  # noqa: C901 - a table, one line a kind of fault
    match fault:
        case TooMany():
            return problem(429, str(fault), code=fault.code, headers=_headers(fault))
        case Rejected():
            status = OF_CODES.get(fault.code, 409)
            headers = {"WWW-Authenticate": CHALLENGE} if status == HTTPStatus.UNAUTHORIZED else None
            return problem(status, str(fault), code=fault.code, errors=flat_errors(fault.errors), headers=headers)
        case NeedsOperator():
            return problem(409, str(fault), code="needs-operator")
        case Retryable():
            return problem(503, str(fault), code="unavailable", headers={"Retry-After": RETRY_AFTER})
        case Http404():
            return problem(404, NOT_FOUND, code="not-found")
        case DjangoDenied():
            return problem(403, "You may not do this.", code="permission")
        case RequestDataTooBig():
            return problem(413, "The body is larger than is taken here.", code="too-large")
        case SuspiciousOperation():
            return problem(400, "This is no call that can be read.", code="invalid")
        case DataError():
            log.warning("a value reached the database that it does not hold", exc_info=fault)
            return problem(400, "A value is none that can be stored.", code="invalid")
        case exceptions.ValidationError():
            return problem(400, "What was sent does not fit.", code="invalid", errors=flat_errors(fault.detail))
        case exceptions.APIException():
            return problem(fault.status_code, str(fault.detail), code=_code(fault), headers=_headers(fault))
    return None


def _body(status: int, detail: str, code: str) -> dict[str, Any]:
    return {
        "type": f"about:blank#{code}",
        "title": TITLES.get(status) or HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
    }


def _where(path: str) -> dict[str, str]:
    return {"instance": path, "request_id": acting().request_id}


def _flat(told: Any, name: str) -> Iterator[tuple[str, str]]:
    match told:
        case dict():
            for key, value in told.items():
                own = "" if key in ("non_field_errors", "__all__") else str(key)
                yield from _flat(value, ".".join(filter(None, (name, own))))
        case list() | tuple():
            for place, value in enumerate(told):
                yield from _flat(value, f"{name}.{place}" if isinstance(value, (dict, list)) else name)
        case None:
            return
        case _:
            yield name, str(told)


def _code(fault: exceptions.APIException) -> str:
    codes = fault.get_codes()
    return codes.replace("_", "-") if isinstance(codes, str) else "invalid"


def _headers(fault: Exception) -> dict[str, str] | None:
    if (wait := getattr(fault, "wait", None)) is not None:
        return {"Retry-After": str(max(1, math.ceil(wait)))}
    if (challenge := getattr(fault, "auth_header", None)) is not None:
        return {"WWW-Authenticate": challenge}
    return None
