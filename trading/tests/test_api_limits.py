"""Limits over the API: read, set whole or in part, refused where they contradict themselves."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Account, AuditEntry, RiskLimits, Role, SignIn, User
from accounts.services import account_create
from accounts.services.promotion import account_promote
from tests.support.demo import account_of, person
from trading.models import EquityPoint

pytestmark = pytest.mark.django_db


def path(account: Account) -> str:
    return f"/api/v1/accounts/{account.pk}/limits/"


def send(client: Client, method: str, account: Account, body: Any) -> Any:
    return getattr(client, method)(path(account), body, content_type="application/json")


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


def test_limits_are_exact_text_and_can_be_sent_back_as_they_are(mine: Client, account: Account) -> None:
    told = mine.get(path(account)).json()
    assert (told["account"], told["risk_per_trade"], told["max_leverage"]) == (account.pk, "0.01", 5)
    assert (told["equity_floor"], told["sides"], told["cautions"]) == (None, "both", [])
    whole = {name: value for name, value in told.items() if name not in ("account", "cautions")}
    answer = send(mine, "put", account, whole)
    assert (answer.status_code, answer.json()) == (200, told)
    assert not AuditEntry.objects.filter(action="limits-change").exists()


def test_a_part_is_set_and_the_rest_stays_on_record(mine: Client, owner: User, account: Account) -> None:
    answer = send(mine, "patch", account, {"max_leverage": 3, "risk_per_trade": 0.005})
    assert answer.status_code == 200, answer.content
    assert (answer.json()["max_leverage"], answer.json()["risk_per_trade"]) == (3, "0.005")
    limits = RiskLimits.objects.get()
    assert (limits.max_leverage, limits.risk_per_trade, limits.max_positions) == (3, Decimal("0.005"), 3)
    entry = AuditEntry.objects.get(action="limits-change")
    assert (entry.actor, entry.before["max_leverage"], entry.after["max_leverage"]) == (owner, 5, 3)


def test_all_are_set_by_naming_all(mine: Client, account: Account) -> None:
    answer = send(mine, "put", account, {"max_leverage": 3})
    assert answer.status_code == 400
    assert "risk_per_trade" in answer.json()["errors"]
    assert "max_leverage" not in answer.json()["errors"]


WRONG: Final[list[tuple[dict[str, Any], str]]] = [
    ({"max_leverage": 11}, "max_leverage"),
    ({"max_leverage": "many"}, "max_leverage"),
    ({"max_leverage": 10**30}, "max_leverage"),
    ({"risk_per_trade": "0.0000001"}, "risk_per_trade"),
    ({"risk_per_trade": "NaN"}, "risk_per_trade"),
    ({"risk_per_trade": None}, "risk_per_trade"),
    ({"max_position": "5"}, "max_position"),
    ({"daily_loss": "0.5"}, "daily_loss"),
    ({"risk_per_trade": "0.04"}, "risk_per_trade"),
    ({"opens_per_hour": 2**31}, "opens_per_hour"),
    ({"min_hold_minutes": -1}, "min_hold_minutes"),
    ({"sides": "sideways"}, "sides"),
    ({"equity_floor": "12345678901234567.5"}, "equity_floor"),
    ({"max_leverge": 2}, "max_leverge"),
    ({"account": 5}, "account"),
]


def test_limits_that_cannot_be_meant_are_refused(mine: Client, account: Account) -> None:
    before = RiskLimits.objects.values().get()
    for body, field in WRONG:
        answer = send(mine, "patch", account, body)
        assert answer.status_code == 400, (body, answer.content)
        assert field in answer.json()["errors"], (body, answer.json())
    assert RiskLimits.objects.values().get() == before


def test_a_floor_above_the_equity_of_now_is_refused(mine: Client, account: Account) -> None:
    assert send(mine, "patch", account, {"equity_floor": "20000"}).status_code == 200  # nothing is known yet
    EquityPoint.objects.create(account=account, at=timezone.now(), equity=9_000, wallet=9_000, unrealised=0)
    assert send(mine, "patch", account, {"max_leverage": 2}).status_code == 200  # one that stands may stay
    refused = send(mine, "patch", account, {"equity_floor": "9500"})
    assert (refused.status_code, "equity_floor" in refused.json()["errors"]) == (400, True)
    assert send(mine, "patch", account, {"equity_floor": "8000"}).status_code == 200


def test_what_is_rarely_meant_is_said_and_stored(mine: Client, account: Account) -> None:
    answer = send(mine, "patch", account, {"min_confidence": "1"})
    assert answer.status_code == 200
    [caution] = answer.json()["cautions"]
    assert caution["limits"] == ["min_confidence"]
    assert mine.get(path(account)).json()["cautions"] == [caution]


def test_an_account_without_limits_gets_them_whole(mine: Client, account: Account) -> None:
    whole = mine.get(path(account)).json()
    RiskLimits.objects.all().delete()
    assert mine.get(path(account)).status_code == 404
    del whole["account"], whole["cautions"]
    assert send(mine, "put", account, whole).status_code == 200
    assert AuditEntry.objects.filter(action="limits-create").exists()


def test_limits_of_real_money_take_a_confirmation(mine: Client, owner: User) -> None:
    real = account_promote(paper=account_create(owner=owner, name="before", venue="aster"), name="real", actor=owner)
    SignIn.objects.filter(user=owner).update(confirmed=None)
    assert send(mine, "patch", real, {"max_leverage": 2}).json()["code"] == "confirmation-needed"
    SignIn.objects.filter(user=owner).update(confirmed=timezone.now())
    assert send(mine, "patch", real, {"max_leverage": 2}).status_code == 200


def test_nobody_but_the_owner_sees_or_sets_them(client: Client, account: Account) -> None:
    for who, code in (
        (person("other@vibex.local"), 404),
        (person("boss@vibex.local", is_staff=True, is_superuser=True), 403),
    ):
        client.force_login(who)
        assert send(client, "patch", account, {"max_leverage": 2}).status_code == code
        assert client.get(path(account)).status_code == (404 if code == 404 else 200)
    viewer = person("viewer@vibex.local", role=Role.VIEWER)
    client.force_login(viewer)
    assert send(client, "patch", account_of(viewer), {"max_leverage": 2}).json()["code"] == "role"
