"""`Idempotency-Key`: a call that names itself acts once, however often it is sent.

Kept for a day is what was done or decided (2xx, 409). A call that was turned away before it did anything, or that
failed, is not: the same key may try again. But one that may raise risk and failed after it had begun may have reached
the exchange: it is never done again. What lowers risk acts again while nobody knows how the first call ended, and from
a minute after it on: done twice it is harmless, and nothing may stand in the way of a halt, least of all the answer to
one of this morning, which a script sends under the same name.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from django.utils import timezone
from rest_framework import exceptions
from rest_framework.permissions import SAFE_METHODS
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access.acts import Act
from accounts.access.permissions import act_of
from accounts.models import IdempotentCall
from accounts.services.calls import LONGEST, call_answered, call_begin, call_drop
from vibex.lib.api.problems import CONTENT_TYPE

if TYPE_CHECKING:
    from accounts.access.views import Face

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotency-Replayed"
WELL_FORMED: Final = re.compile(r"[\x21-\x7e]{1,120}")
HEADERS_KEPT: Final = ("Location", "Retry-After")
END_FOR: Final = timedelta(minutes=1)
"""So long a call that lowers risk and comes again is taken for the same one."""
WITHOUT_BODY: Final = (HTTPStatus.NO_CONTENT, HTTPStatus.RESET_CONTENT)


class KeyReused(exceptions.APIException):
    status_code = HTTPStatus.UNPROCESSABLE_ENTITY
    default_detail = "This Idempotency-Key belongs to another call. Take a new one."
    default_code = "key-reused"


class StillRunning(exceptions.APIException):
    status_code = HTTPStatus.CONFLICT
    default_detail = "The first call with this Idempotency-Key is still worked on."
    default_code = "still-running"
    wait = 1.0


class UnknownOutcome(exceptions.APIException):
    status_code = HTTPStatus.CONFLICT
    default_detail = (
        "The first call with this Idempotency-Key began and failed or never ended, so that nobody knows what it did. "
        "Look how things stand, then call with a new key."
    )
    default_code = "unknown-outcome"


class SecretShownOnce(exceptions.APIException):
    status_code = HTTPStatus.CONFLICT
    default_detail = "The first call with this Idempotency-Key was answered with a secret, which is shown once."
    default_code = "secret-shown-once"


def answered_once(view: Face, answer: Callable[[], Response]) -> Response:
    """Return what `answer` gives or, to a call that was answered before, the same again without acting.

    Raises APIException for a key of another call (422), and while the outcome of the first call is not known (409).
    """
    request = view.request
    key = request.headers.get(HEADER)
    if key is None or request.method in SAFE_METHODS or not request.user.is_authenticated:
        return answer()
    if not WELL_FORMED.fullmatch(key):
        raise exceptions.ValidationError({HEADER: ["1 to 120 visible ASCII characters."]})
    call, new = call_begin(user=request.user, key=key, digest=_digest(request))
    if not new and not _may_be_done_twice(view, call, request):
        return _again(call, request)
    try:
        response = answer()
    except Exception:
        _failed(call, HTTPStatus.INTERNAL_SERVER_ERROR, begun=_may_raise_risk(view, request))
        raise
    _keep(view, call, response)
    return response


def _may_be_done_twice(view: Face, call: IdempotentCall, request: Request) -> bool:
    if act_of(request, view) is not Act.END or call.digest != _digest(request):
        return False
    return call.status is None or timezone.now() - call.created >= END_FOR


def _may_raise_risk(view: Face, request: Request) -> bool:
    return act_of(request, view) is Act.TRADE


def _again(call: IdempotentCall, request: Request) -> Response:
    if call.digest != _digest(request):
        raise KeyReused
    if call.status is None:
        raise StillRunning if timezone.now() - call.created < LONGEST else UnknownOutcome
    if call.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise UnknownOutcome
    if call.body is None and call.status not in WITHOUT_BODY:
        raise SecretShownOnce
    wrong = call.status >= HTTPStatus.BAD_REQUEST
    return Response(
        call.body,
        status=call.status,
        headers={**call.headers, REPLAYED: "true"},
        content_type=CONTENT_TYPE if wrong else None,
    )


def _keep(view: Face, call: IdempotentCall, response: Response) -> None:
    if response.status_code >= HTTPStatus.BAD_REQUEST and response.status_code != HTTPStatus.CONFLICT:
        _failed(call, response.status_code, begun=_may_raise_risk(view, view.request) and _had_begun(response))
        return
    headers = {name: response.headers[name] for name in HEADERS_KEPT if name in response.headers}
    secret = view.act_name in view.secret_acts
    call_answered(call=call, status=response.status_code, headers=headers, body=None if secret else _plain(response))


def _had_begun(response: Response) -> bool:
    """Return whether a call that failed may have acted: by a job, or until a fault of the code.

    Without a job what is 503 was refused: too much is at work, or what it takes could not be reached (`Retryable`).
    """
    broken = response.status_code == HTTPStatus.INTERNAL_SERVER_ERROR
    return broken or (response.status_code > HTTPStatus.INTERNAL_SERVER_ERROR and "Location" in response.headers)


def _failed(call: IdempotentCall, status: int, *, begun: bool) -> None:
    """Let the same key try again, but for what may have acted: that it failed is all that is kept of it."""
    if begun:
        call_answered(call=call, status=status, headers={}, body=None)
    else:
        call_drop(call=call)


def _plain(response: Response) -> Any:
    """Return the body as it stands in JSON."""
    return None if response.data is None else json.loads(JSONRenderer().render(response.data))


def _digest(request: Request) -> str:
    raw = request._request
    parts = (request.method or "", raw.get_full_path(), raw.content_type or "", "")
    return hashlib.sha256("\n".join(parts).encode() + raw.body).hexdigest()
