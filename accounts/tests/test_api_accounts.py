"""Accounts over the API: made, changed, promoted and deleted by their owner, within what an account may become."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Account, AuditEntry, Bot, Credentials, Incident, Role, SignIn, User
from accounts.services import account_create
from accounts.services.promotion import account_promote
from tests.support.demo import account_of, person

pytestmark = pytest.mark.django_db

ALL = "/api/v1/accounts/"
NEW = {"name": "second", "venue": "sim"}


def one(account: Account, act: str = "") -> str:
    return f"{ALL}{account.pk}/{act}"


def send(client: Client, method: str, path: str, body: Any = None) -> Any:
    return getattr(client, method)(path, {} if body is None else body, content_type="application/json")


def unconfirmed(user: User) -> None:
    SignIn.objects.filter(user=user).update(confirmed=None)


@pytest.fixture
def owner() -> User:
    return person()


@pytest.fixture
def mine(client: Client, owner: User) -> Client:
    client.force_login(owner)
    client.get(ALL)  # from the first request on there is a sign-in
    SignIn.objects.filter(user=owner).update(confirmed=timezone.now())
    return client


@pytest.fixture
def real(owner: User) -> Account:
    """An account with real money."""
    return account_promote(paper=account_create(owner=owner, name="before", venue="aster"), name="real", actor=owner)


def test_an_account_is_made_for_who_asks_with_default_limits_and_on_record(mine: Client, owner: User) -> None:
    answer = send(mine, "post", ALL, NEW | {"starting_balance": "2500.50", "time_zone": "Asia/Tokyo"})
    assert answer.status_code == 201, answer.content
    made = Account.objects.get(pk=answer.json()["id"])
    assert (made.owner, made.mode, made.network, made.time_zone) == (owner, "paper", "mainnet", "Asia/Tokyo")
    assert made.starting_balance == Decimal("2500.5")
    assert answer.json()["starting_balance"] == "2500.5"
    assert answer.json()["badge"] == "paper"
    assert made.limits.max_leverage == 5
    entry = AuditEntry.objects.get(action="account-create")
    assert (entry.actor, entry.object_id, entry.via) == (owner, str(made.pk), "session")


def test_a_live_account_is_to_be_had_on_a_testnet(mine: Client) -> None:
    answer = send(mine, "post", ALL, NEW | {"venue": "aster", "mode": "live", "network": "testnet"})
    assert (answer.status_code, answer.json()["badge"]) == (201, "testnet")


WRONG: Final[list[tuple[dict[str, Any], str]]] = [
    ({"mode": "live"}, "mode"),
    ({"mode": "live", "network": "testnet", "venue": "sim"}, "detail"),
    ({"venue": "aster_testnet"}, "venue"),
    ({"venue": "nowhere"}, "venue"),
    ({"name": "two words"}, "name"),
    ({"name": "x" * 41}, "name"),
    ({"name": "a\x00b"}, "detail"),
    ({"time_zone": "Mars/Olympus"}, "detail"),
    ({"time_zone": "../../etc/passwd"}, "detail"),
    ({"starting_balance": "0"}, "starting_balance"),
    ({"starting_balance": "NaN"}, "starting_balance"),
    ({"starting_balance": "1e400"}, "starting_balance"),
    ({"starting_balance": "1234567890123456.5"}, "starting_balance"),
    ({"starting_balance": [1]}, "starting_balance"),
    ({"foreign_positions": "eat"}, "foreign_positions"),
    ({"owner": 1}, "owner"),
    ({"promoted_from": 1}, "promoted_from"),
    ({"state": "active"}, "state"),
]


def test_what_an_account_cannot_be_is_refused_by_field(mine: Client) -> None:
    for body, field in WRONG:
        answer = send(mine, "post", ALL, NEW | body)
        assert answer.status_code == 400, (body, answer.content)
        assert field == "detail" or field in answer.json()["errors"], (body, answer.json())
    assert not Account.objects.exists()


@pytest.mark.parametrize("body", [[], [NEW], "text", None, 5])
def test_a_body_that_is_no_object_is_refused(mine: Client, body: Any) -> None:
    answer = mine.generic("POST", ALL, "null" if body is None else str(body), content_type="application/json")
    assert answer.status_code == 400


def test_a_name_is_used_once(mine: Client, owner: User) -> None:
    account_of(owner, "second")
    account_of(person("other@vibex.local"), "third")
    assert send(mine, "post", ALL, NEW).status_code == 400
    assert send(mine, "post", ALL, NEW | {"name": "third"}).status_code == 201


def test_what_may_become_another_is_changed_and_on_record(mine: Client, owner: User) -> None:
    account = account_of(owner)
    answer = send(mine, "patch", one(account), {"time_zone": "Asia/Tokyo", "name": "renamed"})
    assert answer.status_code == 200, answer.content
    assert (answer.json()["time_zone"], answer.json()["name"]) == ("Asia/Tokyo", "renamed")
    entry = AuditEntry.objects.get(action="account-change")
    assert entry.before == {"time_zone": "UTC", "name": "paper"}
    assert entry.after == {"time_zone": "Asia/Tokyo", "name": "renamed"}


def test_a_live_account_keeps_its_name(mine: Client, owner: User) -> None:
    account = account_create(owner=owner, name="test", venue="aster", mode="live", network="testnet")
    answer = send(mine, "patch", one(account), {"name": "renamed"})
    assert (answer.status_code, answer.json()["code"]) == (409, "fixed")


@pytest.mark.parametrize("body", [{"venue": "aster"}, {"mode": "live"}, {"state": "active"}, {"epoch": 5}])
def test_what_was_decided_once_cannot_be_sent(mine: Client, owner: User, body: dict[str, Any]) -> None:
    assert send(mine, "patch", one(account_of(owner)), body).status_code == 400


def test_an_account_without_history_is_deleted_and_stays_on_record(mine: Client, owner: User) -> None:
    account = account_of(owner)
    answer = mine.delete(one(account))
    assert (answer.status_code, answer.content) == (204, b"")
    assert not Account.objects.exists()
    entry = AuditEntry.objects.get(action="account-delete")
    assert (entry.before["name"], entry.actor) == ("paper", owner)
    assert AuditEntry.objects.get(action="call").object_id == str(account.pk)
    assert mine.delete(one(account)).status_code == 404


@pytest.mark.parametrize(
    ("table", "row", "said"),
    [
        (Bot, {"name": "b", "symbols": ["BTCUSDT"], "timeframes": ["3m"]}, "bots"),
        (Incident, {"kind": "x", "text": "x"}, "incidents"),
    ],
)
def test_an_account_with_a_history_stays_and_says_why(
    mine: Client, owner: User, table: Any, row: dict[str, Any], said: str
) -> None:
    account = account_of(owner)
    table.objects.create(account=account, **row)
    answer = mine.delete(one(account))
    assert (answer.status_code, answer.json()["code"]) == (409, "history")
    assert said in answer.json()["detail"]
    assert Account.objects.exists()


def test_the_keys_go_with_a_deleted_account(mine: Client, owner: User) -> None:
    account = account_create(owner=owner, name="test", venue="aster", mode="live", network="testnet")
    Credentials.objects.create(account=account, kind="aster_v3", public={"user": "0x1"}, sealed="sealed")
    assert mine.delete(one(account)).status_code == 204
    assert not Credentials.objects.exists()
    assert "sealed" not in str(AuditEntry.objects.get(action="account-delete").before)


def test_a_paper_account_is_promoted_with_its_limits(mine: Client, owner: User) -> None:
    paper = account_create(owner=owner, name="before", venue="aster")
    type(paper.limits).objects.update(max_leverage=2)
    answer = send(mine, "post", one(paper, "promote/"), {"name": "after"})
    assert answer.status_code == 201, answer.content
    assert (answer.json()["badge"], answer.json()["promoted_from"]) == ("live", paper.pk)
    assert Account.objects.get(name="after").limits.max_leverage == 2
    again = send(mine, "post", one(Account.objects.get(name="after"), "promote/"), {"name": "third"})
    assert (again.status_code, again.json()["code"]) == (409, "live")


def test_real_money_takes_a_confirmation_to_make_to_change_and_to_delete(
    mine: Client, owner: User, real: Account
) -> None:
    unconfirmed(owner)
    for answer in (
        send(mine, "post", one(real.promoted_from, "promote/"), {"name": "after"}),
        send(mine, "patch", one(real), {"time_zone": "Asia/Tokyo"}),
        mine.delete(one(real)),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "confirmation-needed")
    assert send(mine, "patch", one(real.promoted_from), {"time_zone": "Asia/Tokyo"}).status_code == 200
    assert Account.objects.filter(pk=real.pk, time_zone="UTC").exists()
    assert not Account.objects.filter(name="after").exists()


def test_another_persons_account_is_not_found_whatever_is_asked(mine: Client) -> None:
    theirs = account_of(person("other@vibex.local"))
    assert mine.get(one(theirs)).status_code == 404
    assert send(mine, "patch", one(theirs), {"time_zone": "Asia/Tokyo"}).status_code == 404
    assert mine.delete(one(theirs)).status_code == 404
    assert send(mine, "post", one(theirs, "promote/"), {"name": "after"}).status_code == 404
    for list_of in ("alerts/", "incidents/"):
        assert mine.get(one(theirs, list_of)).status_code == 404
    assert Account.objects.get() == theirs


def test_staff_that_may_see_any_sees_whose_it_is_and_changes_nothing(mine: Client, owner: User) -> None:
    theirs = account_of(person("other@vibex.local"))
    User.objects.filter(pk=owner.pk).update(is_staff=True, is_superuser=True)
    assert mine.get(one(theirs)).json()["owner"] == "other@vibex.local"
    for answer in (send(mine, "patch", one(theirs), {"time_zone": "Asia/Tokyo"}), mine.delete(one(theirs))):
        assert (answer.status_code, answer.json()["code"]) == (403, "not-yours")


def test_a_viewer_looks_and_makes_nothing(client: Client) -> None:
    viewer = person("viewer@vibex.local", role=Role.VIEWER)
    account = account_of(viewer)
    client.force_login(viewer)
    assert client.get(one(account)).status_code == 200
    for answer in (send(client, "post", ALL, NEW), client.delete(one(account))):
        assert (answer.status_code, answer.json()["code"]) == (403, "role")


@pytest.mark.parametrize("key", ["99999999999999999999999999", "9223372036854775808", "-1", "abc", "0", "1.5"])
def test_an_id_that_no_row_can_have_is_not_found(mine: Client, key: str) -> None:
    assert mine.get(f"{ALL}{key}/").status_code == 404
    assert mine.get(f"{ALL}{key}/incidents/").status_code == 404


def test_what_has_not_changed_is_not_sent_again(mine: Client, owner: User) -> None:
    account = account_of(owner)
    first = mine.get(one(account))
    assert mine.get(one(account), headers={"If-None-Match": first["ETag"]}).status_code == 304
    send(mine, "patch", one(account), {"time_zone": "Asia/Tokyo"})
    assert mine.get(one(account), headers={"If-None-Match": first["ETag"]}).status_code == 200


def test_the_list_can_be_narrowed_and_ordered(mine: Client, owner: User) -> None:
    account_of(owner, "b")
    account_create(owner=owner, name="a", venue="aster", mode="live", network="testnet")
    names = lambda query: [row["name"] for row in mine.get(f"{ALL}?{query}").json()["results"]]  # noqa: E731
    assert names("mode=live") == ["a"]
    assert names("venue=sim") == ["b"]
    assert names("network=testnet") == ["a"]
    assert names("ordering=name") == ["a", "b"]
    assert names("ordering=-name") == ["b", "a"]
