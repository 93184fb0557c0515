"""No NUL character reaches a page: PostgreSQL keeps none, and would answer with an error where SQLite keeps it.

The API has words of its own for that (`vibex/lib/api/parsing.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import render
from django.utils.decorators import sync_and_async_middleware

from vibex.lib.requests import API

NUL: Final = "\0"
FORMS: Final = ("application/x-www-form-urlencoded", "multipart/form-data")
WHY: Final = "There is a NUL character in the address. Take it out, or go back and try again."


@sync_and_async_middleware
def no_nul(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Refuse a page whose address holds a NUL (400, in words), and take it out of what a form sends.

    A form is never refused for it: the one of an emergency stop has to act.
    """
    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponseBase:
            answer: HttpResponseBase = _refused(request) or await get_response(request)
            return answer

        return asynchronous

    def synchronous(request: HttpRequest) -> HttpResponseBase:
        answer: HttpResponseBase = _refused(request) or get_response(request)
        return answer

    return synchronous


def _refused(request: HttpRequest) -> HttpResponse | None:
    """Return the page that refuses; else None, and what the request says is free of NULs."""
    if request.path.startswith(API):
        return None
    odd = _holds(request.GET)
    if NUL in request.path_info or (odd and request.method != "POST"):
        return render(request, "400.html", {"why": WHY}, status=400)
    if odd:
        request.GET = _without(request.GET)  # type: ignore[assignment]
    if request.method == "POST" and request.content_type in FORMS and _holds(request.POST):
        request.POST = _without(request.POST)  # type: ignore[assignment]
    return None


def _holds(sent: QueryDict) -> bool:
    return any(NUL in text for name, values in sent.lists() for text in (name, *values))


def _without(sent: QueryDict) -> QueryDict:
    """Return what was sent without NULs in its values, and without fields that have one in their name: no form has such."""
    clean = QueryDict(mutable=True, encoding=sent.encoding)
    for name, values in sent.lists():
        if NUL not in name:
            clean.setlist(name, [value.replace(NUL, "") for value in values])
    clean._mutable = False
    return clean
