"""The record of acting calls: who asked what, from where, and how it was answered, also where it was refused.

What the call changed stands in entries of its own, with the same request id. What was sent is not recorded: it may hold
a secret. Not recorded are calls of nobody (401) and calls over the limit (429): their number is what floods are made of;
the request log has them.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from django.db import Error
from rest_framework.permissions import SAFE_METHODS

from accounts.access.acts import Act
from accounts.access.permissions import act_of
from accounts.services.audit import call_record

if TYPE_CHECKING:
    from accounts.access.views import Face

log = logging.getLogger(__name__)

ENDS_A_VIEW: Final = ("ViewSet", "View")


def call_recorded(view: Face, status: int, code: str = "") -> None:
    """Record an acting call that was answered with `status`; `code` is that of the problem.

    A record that cannot be written does not take back what was done: it is told in the log.
    """
    request = view.request
    if request.method in SAFE_METHODS or status == HTTPStatus.TOO_MANY_REQUESTS:
        return
    person, act = request.user, act_of(request, view)
    if not (person.is_authenticated or act is Act.OPEN):
        return
    match = request._request.resolver_match
    told = {"method": request.method, "route": match.route if match else "", "status": status, "act": act or ""}
    object_type, object_id = _object_of(view)
    try:
        call_record(
            actor=person if person.is_authenticated else None,
            object_type=object_type,
            object_id=object_id,
            obj=view.acted_on,
            told=told | ({"code": code} if code else {}),
        )
    except Error:
        log.exception("a call of %s could not be recorded: %s", person.pk, told)


def _object_of(view: Face) -> tuple[str, str]:
    """Return type and key of the row that the call looked up; without one, what the address is about."""
    if view.acted_on is not None:
        return view.acted_on._meta.label_lower, str(view.acted_on.pk)
    name = type(view).__name__
    for ending in ENDS_A_VIEW:
        name = name.removesuffix(ending)
    return name.lower(), str(next(iter(view.kwargs.values()), ""))
