"""Keys of venues over the API: they go in, and what is secret never comes out."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.domain.credentials import AsterV3Keys
from accounts.models import Account, AuditEntry, Credentials, SignIn, User
from accounts.services import account_create
from accounts.services.credentials import credentials_save, keys_of
from accounts.services.promotion import account_promote
from tests.support.demo import account_of, person

pytestmark = pytest.mark.django_db

USER, SIGNER = "0x" + 20 * "11", "0x" + 20 * "22"
PRIVATE = "0x" + 32 * "a7"
V3 = {"kind": "aster_v3", "user": USER, "signer": SIGNER, "private_key": PRIVATE}


def address(account: Account) -> str:
    return f"/api/v1/accounts/{account.pk}/credentials/"


def put(client: Client, account: Account, body: Any) -> Any:
    return client.put(address(account), body, content_type="application/json")


def live(owner: User, name: str = "test") -> Account:
    return account_create(owner=owner, name=name, venue="aster", mode="live", network="testnet")


@pytest.fixture
def owner() -> User:
    return person()


@pytest.fixture
def mine(client: Client, owner: User) -> Client:
    client.force_login(owner)
    client.get("/api/v1/accounts/")
    return client


def test_keys_are_stored_and_only_their_public_part_is_told(mine: Client, owner: User) -> None:
    account = live(owner)
    before = mine.get(address(account)).json()
    assert (before["stored"], before["kind"], before["public"]) == (False, None, {})
    assert [form["kind"] for form in before["accepts"]] == ["aster_v3", "aster_v1"]
    answer = put(mine, account, V3)
    assert answer.status_code == 200, answer.content
    told = mine.get(address(account))
    assert told.json() == answer.json()
    assert (told.json()["stored"], told.json()["kind"]) == (True, "aster_v3")
    assert told.json()["public"] == {"user": USER, "signer": SIGNER}
    assert keys_of(account) == AsterV3Keys(USER, SIGNER, PRIVATE)
    everything = answer.content + told.content + str(list(AuditEntry.objects.values())).encode()
    assert PRIVATE[2:].encode() not in everything


def test_of_a_key_only_the_end_is_told(mine: Client, owner: User) -> None:
    account = live(owner)
    answer = put(mine, account, {"kind": "aster_v1", "key": "k" * 60 + "WXYZ", "secret": "s" * 64})
    assert answer.json()["public"] == {"key": "…WXYZ"}
    assert b"kkkk" not in answer.content


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"private_key": None}, "private_key"),
        ({"private_key": "0x12"}, "private_key"),
        ({"user": PRIVATE}, "user"),
        ({"secret": "of another kind"}, "secret"),
        ({"kind": "wallet", "signer": None, "user": None, "address": USER}, "kind"),
        ({"kind": "aster_v9"}, "kind"),
        ({"privat_key": PRIVATE}, "privat_key"),
    ],
)
def test_keys_of_no_form_are_refused_by_part_without_being_shown(
    mine: Client, owner: User, changed: dict[str, Any], field: str
) -> None:
    account = live(owner)
    body = {name: value for name, value in (V3 | changed).items() if value is not None}
    answer = put(mine, account, body)
    assert answer.status_code == 400, answer.content
    assert field in answer.json()["errors"]
    assert PRIVATE[2:].encode() not in answer.content
    assert not Credentials.objects.exists()


def test_a_paper_account_takes_no_keys(mine: Client, owner: User) -> None:
    paper = account_of(owner, venue="aster")
    assert mine.get(address(paper)).json()["accepts"] == []
    assert "kind" in put(mine, paper, V3).json()["errors"]


def test_a_wallet_of_somebody_else_is_refused_without_saying_whose(mine: Client, owner: User) -> None:
    theirs = live(person("other@vibex.local"), "their-secret-name")
    credentials_save(account=theirs, keys=AsterV3Keys(USER, SIGNER, PRIVATE), actor=theirs.owner)
    answer = put(mine, live(owner), V3)
    assert "another person's account" in answer.json()["errors"]["user"][0]
    assert b"other@vibex.local" not in answer.content
    assert b"their-secret-name" not in answer.content
    put(mine, live(owner, "second"), V3 | {"user": "0x" + 20 * "33"})
    assert "second of operator" in str(put(mine, live(owner, "third"), V3 | {"user": "0x" + 20 * "33"}).json())


def test_keys_are_taken_out_twice_without_harm(mine: Client, owner: User) -> None:
    account = live(owner)
    put(mine, account, V3)
    assert [mine.delete(address(account)).status_code for _ in range(2)] == [204, 204]
    assert not Credentials.objects.exists()
    assert AuditEntry.objects.filter(action="credentials-delete").count() == 1


def test_keys_to_real_money_take_a_confirmation(mine: Client, owner: User) -> None:
    real = account_promote(paper=account_create(owner=owner, name="before", venue="aster"), name="real", actor=owner)
    SignIn.objects.filter(user=owner).update(confirmed=None)
    for answer in (put(mine, real, V3), mine.delete(address(real))):
        assert (answer.status_code, answer.json()["code"]) == (403, "confirmation-needed")
    SignIn.objects.filter(user=owner).update(confirmed=timezone.now())
    assert put(mine, real, V3).status_code == 200


def test_nobody_but_the_owner_sees_or_changes_keys(client: Client, owner: User) -> None:
    account = live(owner)
    credentials_save(account=account, keys=AsterV3Keys(USER, SIGNER, PRIVATE), actor=owner)
    client.force_login(person("other@vibex.local"))
    answers = client.get(address(account)), put(client, account, V3), client.delete(address(account))
    assert {answer.status_code for answer in answers} == {404}
    client.force_login(person("boss@vibex.local", is_staff=True, is_superuser=True))
    answers = client.get(address(account)), put(client, account, V3), client.delete(address(account))
    assert {answer.status_code for answer in answers} == {403}
    assert USER.encode() not in answers[0].content
    assert keys_of(account).user == USER  # type: ignore[union-attr]
