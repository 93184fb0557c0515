"""Every address that acts leaves a record of the call: a new one that does not derive from the base fails here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.test import APIClient

from accounts.access.acts import ALL_SCOPES, Access
from accounts.access.views import Face
from accounts.models import AuditEntry
from accounts.services.sign_ins import sign_in_begin
from tests.support.demo import person

pytestmark = pytest.mark.django_db
ACTING = ("post", "put", "patch", "delete")


def routes(patterns: list[Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the route and the view of every address below /api/v1/ that is a view of the API."""
    for one in patterns:
        route = before + str(one.pattern)
        if isinstance(one, URLResolver):
            yield from routes(one.url_patterns, route)
        elif isinstance(one, URLPattern) and route.startswith("api/v1/") and hasattr(one.callback, "cls"):
            yield route, one.callback


def acting() -> list[tuple[str, str, Any]]:
    """Return method, route and view of every call that acts."""
    found = []
    for route, view in routes(get_resolver().url_patterns):
        methods = getattr(view, "actions", None) or [name for name in ACTING if hasattr(view.cls, name)]
        found += [(method, route, view) for method in methods if method in ACTING]
    return found


def test_every_address_derives_from_the_base():
    views = [view.cls for _, view in routes(get_resolver().url_patterns)]
    assert len(views) > 60
    assert [view.__name__ for view in views if not issubclass(view, Face)] == []


def test_every_act_is_named():
    unnamed = []
    for method, route, view in acting():
        name = getattr(view, "actions", {}).get(method, method)
        if name not in view.cls.acts:
            unnamed.append((route, name))
    assert unnamed == []


@pytest.mark.ci
def test_every_act_leaves_a_record():
    client = APIClient(raise_request_exception=False)
    someone = person()
    row = sign_in_begin(user=someone, kind="tokens", address="192.0.2.7", agent="a walk")
    client.force_authenticate(someone, Access("tokens", ALL_SCOPES, row))
    calls, silent = acting(), []
    assert len(calls) > 40
    for method, route, _ in calls:
        path = "/" + _filled(route)
        before = AuditEntry.objects.filter(action="call").count()
        answer = getattr(client, method)(path, {"no such field": 1})
        assert answer.status_code < 500, (method, path, answer.content)
        if AuditEntry.objects.filter(action="call").count() != before + 1:
            silent.append((method, path, answer.status_code))
    assert silent == []


def _filled(route: str) -> str:
    """Return a path of the route: whatever stands for a part of it is an id that nobody has, or a word."""
    route = route.replace("^", "").replace("$", "").replace("\\Z", "")
    route = re.sub(r"\(\?P<\w+>[^)]*\)", "999999", route)
    route = re.sub(r"<int:\w+>", "999999", route)
    return re.sub(r"<(?:\w+:)?\w+>", "nothing", route)
