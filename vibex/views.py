"""What stands around the API: its schema and documentation, and problems where no view of it was reached."""

from __future__ import annotations

from functools import cache
from http import HTTPStatus
from typing import Any, Final

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import Resolver404, resolve
from django.utils.cache import get_conditional_response
from django.views import defaults
from django.views.decorators.csrf import csrf_exempt, requires_csrf_token
from django.views.decorators.http import require_safe

from vibex.lib.api.problems import NOT_FOUND, plain_problem
from vibex.lib.requests import API

TYPES: Final = {"json": "application/vnd.oai.openapi+json", "yaml": "application/vnd.oai.openapi"}


@login_not_required
@require_safe
def schema(request: HttpRequest) -> HttpResponse:
    """Answer with the schema of the API: JSON, or YAML where `format` or `Accept` ask for it."""
    _documented_or_404()
    wanted = request.GET.get("format") or ("json" if request.accepts("application/json") else "yaml")
    if wanted not in TYPES:
        return plain_problem(request, 400, "The schema comes as json or as yaml.", code="invalid")
    body, etag = _schema(wanted)
    response = HttpResponse(body, content_type=TYPES[wanted], headers={"ETag": etag, "Cache-Control": "no-cache"})
    return get_conditional_response(request, etag=etag, response=response) or response


@login_not_required
@require_safe
def documentation(request: HttpRequest) -> HttpResponse:
    """Show the schema as a page on which calls can be tried out."""
    _documented_or_404()
    return render(request, "drf_spectacular/documentation.html")


@login_not_required
@require_safe
def to_documentation(_: HttpRequest) -> HttpResponse:
    """Lead to the page from the address that people try first."""
    _documented_or_404()
    return redirect("api-docs")


@login_not_required
@csrf_exempt
def no_address(request: HttpRequest, rest: str) -> HttpResponse:
    """Answer that there is no such address of the API; and which one is meant where only the slash is missing."""
    detail = NOT_FOUND
    if not rest.endswith("/") and _there(f"{request.path_info}/"):
        detail = f"Every address ends with a slash: {request.path}/"
    return plain_problem(request, HTTPStatus.NOT_FOUND, detail, code="not-found")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if request.path.startswith(API):
        return plain_problem(request, HTTPStatus.BAD_REQUEST, "This is no call that can be read.", code="invalid")
    return defaults.bad_request(request, exception)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    if request.path.startswith(API):
        return plain_problem(request, HTTPStatus.FORBIDDEN, "You may not do this.", code="permission")
    return defaults.permission_denied(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if request.path.startswith(API):
        return plain_problem(request, HTTPStatus.NOT_FOUND, NOT_FOUND, code="not-found")
    return defaults.page_not_found(request, exception)


@requires_csrf_token
def broken(request: HttpRequest) -> HttpResponse:
    """Answer to a fault of the code: the log has it, under the request id; the caller gets no detail."""
    if request.path.startswith(API):
        text = "Something is wrong here. The log tells more to the operator."
        return plain_problem(request, HTTPStatus.INTERNAL_SERVER_ERROR, text, code="broken")
    return defaults.server_error(request)


def _documented_or_404() -> None:
    if not settings.API_DOCS:
        raise Http404


def _there(path: str) -> bool:
    try:
        return resolve(path).func is not no_address
    except Resolver404:
        return False


@cache
def _schema(written: str) -> tuple[bytes, str]:
    """Return the schema and its ETag. It is made once: it takes a second, and changes with the code only."""
    from hashlib import sha256

    from drf_spectacular.generators import SchemaGenerator
    from drf_spectacular.renderers import OpenApiJsonRenderer, OpenApiYamlRenderer

    generator: Any = SchemaGenerator  # untyped
    found = generator().get_schema(request=None, public=True)
    writer = OpenApiJsonRenderer() if written == "json" else OpenApiYamlRenderer()
    body = writer.render(found, renderer_context={})
    return body, f'"{sha256(body).hexdigest()[:32]}"'
