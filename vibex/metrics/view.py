"""The door of `/metrics`: for who has the token, and for staff at a browser. For everybody else it is not there."""

from __future__ import annotations

from hmac import compare_digest

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from vibex.metrics.exposition import exposition

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@login_not_required  # a program has no session: who may is asked here
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer with the metrics. 401 for a wrong token, or none where one is set; 404 for whoever is not staff."""
    if given := _bearer(request):
        if not _right(given):
            return _unauthorized("The token is not the one in METRICS_TOKEN.")
    elif not request.user.is_authenticated:
        if settings.METRICS_TOKEN:
            return _unauthorized("Send METRICS_TOKEN as a bearer token, or sign in as staff.")
        raise Http404
    elif not request.user.is_staff:
        raise Http404
    return HttpResponse(exposition.page(), content_type=CONTENT_TYPE, headers={"Cache-Control": "no-store"})


def _bearer(request: HttpRequest) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _right(given: str) -> bool:
    """Compare in constant time. Without a token in the settings none is right."""
    wanted = settings.METRICS_TOKEN or ""
    return bool(wanted) and compare_digest(given.encode(), wanted.encode())


def _unauthorized(text: str) -> HttpResponse:
    return HttpResponse(
        f"{text}\n",
        status=401,
        content_type="text/plain; charset=utf-8",
        headers={"WWW-Authenticate": 'Bearer realm="metrics"'},
    )
