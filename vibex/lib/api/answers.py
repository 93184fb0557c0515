"""What all answers have in common: who may keep them, an ETag where they move slowly, and problems in their own form."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from django.http import HttpResponseBase
from django.utils.cache import get_conditional_response
from rest_framework.permissions import SAFE_METHODS
from rest_framework.renderers import BaseRenderer, BrowsableAPIRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from vibex.lib.api.problems import CONTENT_TYPE

type Writers = Sequence[BaseRenderer]


def finished(request: Request, response: HttpResponseBase, renderers: Writers, *, slow: bool) -> None:
    """Complete an answer. Nobody between us and the caller may keep it; the caller itself may keep what is slow."""
    wrong = response.status_code >= HTTPStatus.BAD_REQUEST
    if wrong and isinstance(response, Response):
        _problem_written(request, response, renderers)
    if slow and not wrong and request.method in SAFE_METHODS and isinstance(response, Response):
        response.headers.setdefault("Cache-Control", "private, no-cache")
        response.add_post_render_callback(lambda written: _tagged(request, written))
    response.headers.setdefault("Cache-Control", "no-store")


def _problem_written(request: Request, response: Response, renderers: Writers) -> None:
    """Let a problem be told as JSON, or on the page where a person looks; never as a table."""
    chosen = getattr(request, "accepted_renderer", None)
    if isinstance(chosen, BrowsableAPIRenderer):
        response.content_type = None
        return
    request.accepted_renderer, request.accepted_media_type = renderers[0], renderers[0].media_type
    if isinstance(response.data, dict) and "detail" in response.data:  # whether it is ready is no problem to tell of
        response.content_type = CONTENT_TYPE


def _tagged(request: Request, response: Any) -> Any:
    """Return the answer with its ETag, or 304 without a body to a caller who has it."""
    etag = f'W/"{hashlib.sha256(response.content).hexdigest()[:32]}"'
    response.headers["ETag"] = etag
    return get_conditional_response(request._request, etag=etag, response=response)
