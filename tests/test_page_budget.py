"""Every page that is photographed asks the database a dozen times at most, whatever it shows; and every page is photographed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import get_resolver, resolve
from django.urls.exceptions import Resolver404

from accounts.models import User
from benchmarks.screenshots import PAGES
from tests.support.access import confirmed

pytestmark = [pytest.mark.django_db(transaction=True, reset_sequences=True), pytest.mark.ci, pytest.mark.timeout(300)]

MOST = 12
OF_ADMIN = 16
"""A page of the admin has its filters, each of which asks what there is to choose."""
AS_A_CYCLE = 40
"""What a bot would send now is made of all that a cycle reads."""
NO_PAGES_OF_THEIR_OWN = (
    "api", "admin", "health", "-live", "-equity", "-figure", "-file", "-cost", "-funnel", "-spent", "-shadows", "moment",
    "logout", "-add", "-end", "-revoke", "-remove", "-test", "-acknowledge", "-count", "-act", "-answer", "-note", "-decide",
    "-resolve", "-log", "password-set", "register", "equity", "act", "act-done", "setup", "cycle-text", "prompt-difference", "status", "-ready",
)  # fmt: skip
"""Ends of names of addresses that are parts of pages, files, charts and what is sent."""


@pytest.fixture
def seeded(transactional_db: None) -> None:
    from tests.support.serve import seed

    seed()


def test_no_page_asks_the_database_more_than_a_dozen_times(seeded: None) -> None:
    asked = dict(_asked())
    too_many = {name: count for name, count in asked.items() if count > _most(name)}
    assert too_many == {}


def _most(name: str) -> int:
    return AS_A_CYCLE if name == "prompt-preview" else OF_ADMIN if "admin" in name else MOST


def _asked() -> Iterator[tuple[str, int]]:
    for name, (who, path) in PAGES.items():
        client = Client(SERVER_NAME="localhost")
        if who:
            client.force_login(User.objects.get(email=who))
            confirmed(client)
        client.get(path)  # what a process reads once is read
        with CaptureQueriesContext(connection) as taken:
            answer = client.get(path)
        assert answer.status_code in (200, 302, 404), path
        yield name, len(taken)


def test_every_page_is_photographed() -> None:
    shown = {name for _, path in PAGES.values() if (name := _name_of(path))}
    there = {
        pattern.name
        for each in get_resolver().url_patterns
        for pattern in getattr(each, "url_patterns", [each])
        if getattr(pattern, "name", None) and not getattr(each, "namespace", None)
    }
    pages = {name for name in there if not name.endswith(NO_PAGES_OF_THEIR_OWN) and not name.startswith("api")}
    assert pages - shown == set()


def _name_of(path: str) -> str:
    try:
        return resolve(path.partition("?")[0]).url_name or ""
    except Resolver404:
        return ""
