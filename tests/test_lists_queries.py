"""Every list of the API takes three queries at most besides authentication, whatever it shows. Found by walking the routes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from rest_framework.test import APIClient

from accounts.access.views import Rows
from accounts.models import User
from tests.support.demo import demo

AT_MOST = 3

type Route = tuple[str, URLPattern, frozenset[str]]


def routes(urls: URLResolver, namespace: str = "", keys: frozenset[str] = frozenset()) -> Iterator[Route]:
    """Yield every address with a name, and the names of what stands in it."""
    for each in urls.url_patterns:
        inside = keys | each.pattern.converters.keys()
        if isinstance(each, URLResolver):
            yield from routes(each, f"{namespace}{each.namespace}:" if each.namespace else namespace, inside)
        elif each.name:
            yield f"{namespace}{each.name}", each, inside


def lists() -> dict[str, frozenset[str]]:
    """Return the names of all addresses that are lists, with what stands in them."""
    found = {}
    for name, route, keys in routes(get_resolver()):
        kind = getattr(route.callback, "cls", None)
        if isinstance(kind, type) and issubclass(kind, Rows) and route.callback.actions.get("get") == "list":
            found[name] = keys
    return found


LISTS = lists()


def test_the_walk_finds_the_lists_there_are():
    assert {"position-list", "balance-list"} <= LISTS.keys()
    assert len(LISTS) >= 8


@pytest.mark.ci
@pytest.mark.django_db
def test_every_list_takes_three_queries_at_most_besides_authentication():
    made = demo(cycles=2, equity_points=2)
    staff = User.objects.create_superuser("staff@example.com", "correct horse battery")
    given = {"account_id": made.account.pk, "bot_id": made.bot.pk}
    client, odd = APIClient(), {}
    for name, keys in LISTS.items():
        path = reverse(name, kwargs={key: given[key] for key in keys})
        for person in (made.user, staff):
            client.force_authenticate(person)
            with CaptureQueriesContext(connection) as taken:
                answer = client.get(path)
            if answer.status_code == 200:
                break  # what only staff may see is counted for staff
        if len(taken) > AT_MOST:
            odd[path] = [query["sql"][:200] for query in taken]
        assert answer.status_code == 200, (path, answer.content)
    assert odd == {}
