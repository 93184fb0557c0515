"""Every page that is photographed asks the database a dozen times at most, whatever it shows; and every page is photographed.

So do the pages of a live account that has most to say: one that may trade, with an entry that waits and a halt.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import get_resolver, resolve
from django.urls.exceptions import Resolver404
from django.utils import timezone

from accounts.models import Account, User
from benchmarks.screenshots import PAGES
from tests.support.access import confirmed
from tests.support.demo_live import halted, live_bot
from vibex.lib.variables import Features

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
    "metrics",
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


@pytest.mark.parametrize("in_force", [False, True], ids=["active", "halted"])
def test_no_page_of_a_live_account_does_either(seeded: None, settings: Any, in_force: bool) -> None:
    settings.FEATURES = Features(live_trading=True)
    now, main = timezone.now(), Account.objects.select_related("owner").get(name="main")
    bot, cycle = live_bot(main, main.owner, now=now)
    if in_force:
        halted(main, main.owner, now=now)
    of_account = {name: f"/accounts/{main.pk}/{name}/" for name in ("market", "diary", "books", "orders", "trades")}
    acts = {act: f"/accounts/{main.pk}/acts/{act}/" for act in ("halt", "resume", "close-all", f"start-bot/{bot.pk}")}
    pages = (
        of_account
        | acts
        | {"desk": f"/accounts/{main.pk}/", "bot": f"/bots/{bot.pk}/", "cycle": f"/cycles/{cycle.pk}/"}
    )
    answers = {name: _answered(main.owner, path) for name, path in pages.items()}
    assert {name: count for name, (count, _) in answers.items() if count > MOST} == {}
    assert "Watched it open." in answers["diary"][1]
    assert "XRPUSDT" in answers["cycle"][1]
    assert all(("Not proved flat yet" in text) is in_force for _, text in answers.values())


@pytest.mark.parametrize("name", ["market", "market-all", "desk", "bot"])
def test_pages_of_a_market_that_is_late_do_not_either(seeded: None, name: str) -> None:
    """Where candles are missing it is looked for those that were refused."""
    who, path = PAGES[name]
    with time_machine.travel(timezone.now() + timedelta(minutes=5)):
        assert _answered(User.objects.get(email=who), path)[0] <= MOST


def _asked() -> Iterator[tuple[str, int]]:
    for name, (who, path) in PAGES.items():
        yield name, _answered(User.objects.get(email=who) if who else None, path)[0]


def _answered(who: User | None, path: str) -> tuple[int, str]:
    """Return how often a page asks the database, and the page."""
    client = Client(SERVER_NAME="localhost")
    if who:
        client.force_login(who)
        confirmed(client)
    client.get(path)  # what a process reads once is read
    with CaptureQueriesContext(connection) as taken:
        answer = client.get(path)
    assert answer.status_code in (200, 302, 404), path
    return len(taken), answer.content.decode()


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
