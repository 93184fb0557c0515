"""The audit trail over the API: one's own acts, what was done to one's accounts, and nothing of others."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Account, AuditEntry, User
from accounts.services import account_change, audit_write, incident_open, incident_resolve
from accounts.services.bots import bot_change, bot_delete
from tests.support.demo import account_of, bot_of, person
from trading.models import Lock, Position
from trading.selectors.changes import changes_of

pytestmark = pytest.mark.django_db

ALL = "/api/v1/audit/"


def rows(client: Client, query: str = "", path: str = ALL) -> list[dict[str, Any]]:
    answer = client.get(f"{path}?{query}")
    assert answer.status_code == 200, answer.content
    found: list[dict[str, Any]] = answer.json()["results"]
    return found


def actions(client: Client, query: str = "", path: str = ALL) -> list[str]:
    kept = [row["action"] for row in rows(client, query, path) if not row["action"].startswith("sign-in")]
    return [action for action in kept if action != "call"]


@pytest.fixture
def owner() -> User:
    return person()


@pytest.fixture
def account(owner: User) -> Account:
    return account_of(owner)


@pytest.fixture
def mine(client: Client, owner: User) -> Client:
    client.force_login(owner)
    client.get("/api/v1/accounts/")
    return client


def test_it_holds_what_was_done_to_ones_accounts_whoever_did_it(mine: Client, account: Account) -> None:
    boss = person("boss@vibex.local", is_staff=True)
    bot = bot_of(account)
    bot_change(bot=bot, actor=boss, symbols=["ETHUSDT"])
    account_change(account=account, actor=None, time_zone="Asia/Tokyo")
    incident_resolve(incident=incident_open(account=account, kind="x", text="x"), actor=boss)
    lock = Lock.objects.create(account=account, reason="loss")
    audit_write(actor=None, action="lock-lift", obj=lock)
    assert actions(mine) == ["lock-lift", "incident-resolve", "account-change", "bot-change"]
    last = rows(mine, "action=bot-change")[0]
    assert (last["actor"], last["object_type"], last["object_id"]) == ("boss@vibex.local", "accounts.bot", str(bot.pk))
    assert rows(mine, "action=account-change")[0]["actor"] is None
    whole = mine.get(f"{ALL}{last['id']}/").json()
    assert (whole["after"], whole["before"]["symbols"][0]) == ({"symbols": ["ETHUSDT"]}, "BTCUSDT")


def test_it_holds_ones_own_acts_and_where_they_came_from(mine: Client, owner: User, account: Account) -> None:
    mine.patch(f"/api/v1/accounts/{account.pk}/", {"time_zone": "Asia/Tokyo"}, content_type="application/json")
    row = rows(mine, "action=account-change")[0]
    assert (row["via"], row["address"], row["actor"]) == ("session", "127.0.0.1", owner.email)
    assert row["request_id"]
    assert {each["request_id"] for each in rows(mine, f"request_id={row['request_id']}")} == {row["request_id"]}


def test_the_page_of_changes_tells_what_changed_and_not_that_somebody_called(mine: Client, account: Account) -> None:
    mine.patch(f"/api/v1/accounts/{account.pk}/", {"time_zone": "Asia/Tokyo"}, content_type="application/json")
    assert AuditEntry.objects.filter(action="call", object_id=str(account.pk)).exists()
    assert [entry.action for entry in changes_of(account)] == ["account-change"]


def test_where_others_called_from_is_told_to_staff_only(mine: Client, client: Client, account: Account) -> None:
    entry = audit_write(actor=person("boss@vibex.local"), action="account-change", obj=account)
    AuditEntry.objects.filter(pk=entry.pk).update(address="10.1.2.3")
    assert rows(mine, "action=account-change")[0]["address"] is None
    client.force_login(person("staff@vibex.local", is_staff=True, is_superuser=True))
    assert rows(client, "action=account-change")[0]["address"] == "10.1.2.3"


def test_nothing_of_others_is_in_it(mine: Client, owner: User, account: Account) -> None:
    other = person("other@vibex.local")
    theirs = bot_of(account_of(other))
    entry = audit_write(actor=other, action="bot-change", obj=theirs, after={"secret": "plan"})
    audit_write(actor=other, action="account-change", obj=theirs.account)
    assert actions(mine) == []
    assert mine.get(f"{ALL}{entry.pk}/").status_code == 404
    assert mine.get(f"/api/v1/accounts/{theirs.account_id}/audit/").status_code == 404
    assert mine.get(f"/api/v1/bots/{theirs.pk}/audit/").status_code == 404
    assert rows(mine, f"account={theirs.account_id}") == rows(mine, f"bot={theirs.pk}") == []


def test_an_act_on_what_is_anothers_does_not_tell_whose_it_is(mine: Client, owner: User) -> None:
    theirs = bot_of(account_of(person("other@vibex.local")))
    audit_write(actor=owner, action="bot-stopped", obj=theirs)
    [row] = rows(mine, "action=bot-stopped")
    assert row["object_id"] == str(theirs.pk)
    assert rows(mine, f"account={theirs.account_id}") == rows(mine, f"bot={theirs.pk}") == []


def test_it_is_narrowed_by_account_bot_action_time_and_who(mine: Client, owner: User, account: Account) -> None:
    second = account_of(owner, "second")
    bot = bot_of(account)
    position = Position.objects.create(
        account=account, bot=bot, symbol="BTCUSDT", side="long", quantity=1, peak_quantity=1, cost=1, entry_price=1,
        leverage=1, opened=timezone.now(),
    )  # fmt: skip
    audit_write(actor=owner, action="position-close", obj=position)
    audit_write(actor=None, action="account-reduce", obj=second)
    audit_write(actor=owner, action="prompt-template-add", obj=owner)
    for query, expected in {
        f"account={account.pk}": ["position-close"],
        f"account={second.pk}": ["account-reduce"],
        f"bot={bot.pk}": ["position-close"],
        "action=account-reduce": ["account-reduce"],
        "mine=false": ["account-reduce"],
        "object_type=trading.position": ["position-close"],
        "since=2100-01-01T00:00:00Z": [],
        "ordering=at": ["position-close", "account-reduce", "prompt-template-add"],
    }.items():
        assert actions(mine, query) == expected, query
    assert actions(mine, path=f"/api/v1/accounts/{second.pk}/audit/") == ["account-reduce"]
    assert actions(mine, path=f"/api/v1/bots/{bot.pk}/audit/") == ["position-close"]
    assert mine.get(f"{ALL}?acount=1").status_code == 400


def test_what_names_no_row_is_told_too(mine: Client, owner: User, account: Account) -> None:
    named = {"object_type": "accounts.account", "object_id": str(account.pk)}
    AuditEntry.objects.create(actor=owner, action="odd", account_id=account.pk, **named)
    AuditEntry.objects.create(actor=owner, action="odd", object_type="of nothing", object_id="none")
    AuditEntry.objects.create(actor=owner, action="odd", object_type="accounts.bot", object_id="None")
    AuditEntry.objects.create(actor=owner, action="odd", object_type="accounts.bot", object_id="9" * 40)
    assert len(rows(mine, "action=odd")) == 4
    assert [row["object_id"] for row in rows(mine, f"action=odd&account={account.pk}")] == [str(account.pk)]
    assert rows(mine, "action=odd&bot=9") == []


def test_it_is_about_a_bot_that_is_gone_too(mine: Client, owner: User, account: Account) -> None:
    bot = bot_of(account)
    bot_change(bot=bot, actor=person("boss@vibex.local", is_staff=True), symbols=["ETHUSDT"])
    bot_delete(bot=bot, actor=owner)
    assert actions(mine) == ["bot-delete", "bot-change"]
    assert actions(mine, f"bot={bot.pk}") == actions(mine, f"account={account.pk}") == ["bot-delete", "bot-change"]


@pytest.mark.parametrize("path", ["accounts/{account}/audit/", "bots/{bot}/audit/", "audit/?bot={bot}"])
def test_what_is_asked_of_one_is_read_by_its_index(mine: Client, account: Account, path: str) -> None:
    bot = bot_of(account)
    entry = audit_write(actor=None, action="bot-change", obj=bot)
    others = [AuditEntry(action="sign-in", object_type="accounts.signin", object_id=str(n)) for n in range(2_000)]
    AuditEntry.objects.bulk_create(others, batch_size=500)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    with CaptureQueriesContext(connection) as taken:
        answer = mine.get("/api/v1/" + path.format(account=account.pk, bot=bot.pk))
    assert [row["id"] for row in answer.json()["results"]] == [entry.pk]
    explain = "EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN "
    with connection.cursor() as cursor:
        cursor.execute(explain + taken[-1]["sql"])
        plan = str(cursor.fetchall()).lower()
    assert "audit_newest_of_account" in plan or "audit_newest_of_bot" in plan, plan
    assert [word for word in ("sort", "temp b-tree") if word in plan] == [], plan


def test_staff_that_may_see_any_sees_all(client: Client, account: Account) -> None:
    audit_write(actor=account.owner, action="account-change", obj=account)
    client.force_login(person("boss@vibex.local", is_staff=True, is_superuser=True))
    assert "account-change" in actions(client)
    assert actions(client, f"account={account.pk}") == ["account-change"]


def test_it_is_never_edited(mine: Client, owner: User, account: Account) -> None:
    entry = audit_write(actor=owner, action="account-change", obj=account)
    for method in ("put", "patch", "delete", "post"):
        assert getattr(mine, method)(f"{ALL}{entry.pk}/").status_code in (403, 405)
    assert mine.post(ALL).status_code in (403, 405)


def test_a_page_takes_two_queries(mine: Client, owner: User, account: Account, django_assert_num_queries: Any) -> None:
    bot = bot_of(account)
    for _ in range(60):
        audit_write(actor=owner, action="bot-change", obj=bot, after={"symbols": ["BTCUSDT"] * 20})
    with django_assert_num_queries(4):  # session, person, accounts that may be seen, rows
        answer = mine.get(ALL)
    assert len(answer.json()["results"]) == 50
    assert len(answer.content) < 30_000
