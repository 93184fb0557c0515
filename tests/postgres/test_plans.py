"""No statement that is asked often reads a large table from end to end: the server says how it would go about each.

The statements are those of the real services, pages and lists, caught on their way. What a table of a few rows is read by
does not matter and is not looked at.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import Account, Bot, User
from benchmarks.screenshots import PAGES
from tests.postgres.many_rows import ACCOUNTS, fill
from tests.support.access import confirmed
from tests.support.demo import account_of, bot_of
from tests.test_lists_queries import LISTS

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.ci,
    pytest.mark.django_db(transaction=True, reset_sequences=True),
    pytest.mark.timeout(900),
]

LARGE = 4_000
"""Rows from which on a table counts as large."""
EXPLAINED = ("SELECT", "UPDATE", "DELETE", "WITH")


@pytest.fixture
def filled(transactional_db: None) -> None:
    from tests.support.serve import seed

    seed()
    filler = User.objects.create_user("filler@vibex.local")
    accounts = [account_of(filler, f"a{number}") for number in range(ACCOUNTS)]
    bots = [bot_of(account, "b") for account in accounts]
    main = Account.objects.get(pk=1)
    fill([*accounts, main], [*bots, Bot.objects.filter(account=main).earliest("pk")])


def test_no_hot_statement_reads_a_large_table_from_end_to_end(filled: None) -> None:
    large, found, broken, looked_at = _large(), {}, {}, 0
    for name, work in _hot():
        statements, fault = _caught(work)
        if fault:
            broken[name] = fault
        for statement in statements:
            looked_at += 1
            for table in _read_whole(statement) & large:
                found.setdefault(f"{name}: {table}", statement[:300] + " … " + statement[-700:])
    assert {"trading_order", "decisions_decision", "marketdata_candle", "trading_equitypoint"} <= large
    assert looked_at > 300
    assert found == {}, "\n\n".join(f"{name}\n{statement}" for name, statement in found.items())
    assert broken == {}


def _hot() -> Iterator[tuple[str, Callable[[], Any]]]:
    yield from _services()
    for name, (who, path) in PAGES.items():
        if who and "admin" not in name:
            yield f"page {name}", _getting(_browser(who), path)
    yield from _lists()


def _services() -> Iterator[tuple[str, Callable[[], Any]]]:
    from accounts.services.alerts.sending import deliveries_send
    from accounts.services.api_keys import api_key_create, api_key_valid
    from trading.services import schedule, waiting, watchers
    from trading.services.guard_pass import guard_pass
    from trading.services.live import cycle_run
    from trading.services.performance import performance_refresh
    from trading.services.reconcile import account_reconcile

    bot = Bot.objects.get(pk=1)
    Bot.objects.filter(pk=bot.pk).update(model="rules/trend")
    slot = timezone.now().replace(second=0, microsecond=0)
    yield "cycle", lambda: cycle_run(bot_id=bot.pk, scheduled_for=slot)
    yield "guard", guard_pass
    yield "reconcile", lambda: account_reconcile(account_id=bot.account_id, trigger="plans")
    yield "ticks", schedule.ticks_catch_up
    yield "schedules", schedule.schedules_sync
    yield "watch", watchers.service_watch
    yield "approvals", waiting.approvals_sweep
    yield "alerts", deliveries_send
    yield "performance", lambda: performance_refresh(bot.account)
    _, secret = api_key_create(user=bot.account.owner, name="plans", scopes=["read"], expires=None, actor=None)
    yield "key", lambda: api_key_valid(secret)


def _lists() -> Iterator[tuple[str, Callable[[], Any]]]:
    """Every list of the API: as its owner sees it, as staff does, and the page after the first."""
    account = Account.objects.get(pk=1)
    given = {"account_id": account.pk, "bot_id": Bot.objects.filter(account=account).earliest("pk").pk}
    staff = User.objects.create_superuser("staff@example.com", "correct horse battery")
    for person in (account.owner, staff):
        for name, keys in LISTS.items():
            client = APIClient()
            client.force_authenticate(person)
            path = reverse(name, kwargs={key: given[key] for key in keys})
            yield f"list {name}", _getting(client, path)
            following = client.get(path).json()
            if isinstance(following, dict) and following.get("next"):
                yield f"list {name}, next", _getting(client, following["next"])


def _browser(who: str) -> Client:
    client = Client(SERVER_NAME="localhost")
    client.force_login(User.objects.get(email=who))
    return confirmed(client)


def _getting(client: Any, path: str) -> Callable[[], Any]:
    return lambda: client.get(path)


def _caught(work: Callable[[], Any]) -> tuple[list[str], str]:
    """Return the statements that are sent, and what went wrong."""
    fault = ""
    with CaptureQueriesContext(connection) as taken:
        try:
            work()
        except Exception as broken:
            fault = repr(broken)
    return [query["sql"] for query in taken if query["sql"].lstrip("( \n").upper().startswith(EXPLAINED)], fault


def _read_whole(statement: str) -> set[str]:
    """Return the tables that the server would read from end to end for a statement. It is not carried out."""
    with connection.cursor() as cursor:
        cursor.execute("SET random_page_cost = 1.1")  # as docs/database.md says for a disk without a moving head
        cursor.execute(f"EXPLAIN (FORMAT JSON) {statement}".replace("%", "%%"), ())
        told = cursor.fetchone()[0]
    plan = (json.loads(told) if isinstance(told, str) else told)[0]["Plan"]
    return {node["Relation Name"] for node in _nodes(plan) if node["Node Type"] == "Seq Scan"}


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from _nodes(below)


def _large() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relkind = 'r' AND reltuples > %s", [LARGE])
        return {name for (name,) in cursor.fetchall()}
