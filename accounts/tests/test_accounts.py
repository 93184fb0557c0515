"""People, accounts, limits and bots are made whole or not at all, and it is on record who made them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from accounts.domain.limits import DEFAULTS
from accounts.models import Account, AuditEntry, Bot, RiskLimits, User
from accounts.services import account_create, bot_create, limits_change, password_generate, user_create
from vibex.lib.errors import Rejected

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery"


@pytest.fixture
def owner() -> User:
    return user_create(email="owner@example.com", password=PASSWORD)


def bot(account: Account, **changes: Any) -> Bot:
    values = {"name": "first", "model": "rules/trend", "symbols": ["BTCUSDT"], "interval": "3m", "timeframes": ["3m"]}
    return bot_create(account=account, **{**values, **changes})


def test_a_person_signs_in_with_the_address_in_any_case() -> None:
    user_create(email="Owner@Example.com", password=PASSWORD)
    user = User.objects.get(email="owner@example.com")
    assert user.check_password(PASSWORD)
    assert not user.is_staff


def test_an_operator_may_open_the_admin() -> None:
    operator = user_create(email="boss@example.com", password=PASSWORD, operator=True)
    assert operator.is_staff
    assert operator.is_superuser


def test_an_address_is_taken_once(owner: User) -> None:
    with pytest.raises(Rejected, match="taken"):
        user_create(email="OWNER@example.com", password=PASSWORD)
    assert User.objects.count() == 1


@pytest.mark.parametrize("password", ["short", "123456789012", "password12345"[:10]])
def test_a_weak_password_makes_nobody(password: str) -> None:
    with pytest.raises(Rejected):
        user_create(email="weak@example.com", password=password)
    assert not User.objects.exists()
    assert not AuditEntry.objects.exists()


def test_generated_passwords_are_strong_and_differ() -> None:
    made = {password_generate() for _ in range(100)}
    assert len(made) == 100
    assert min(map(len, made)) >= 20


def test_no_password_reaches_the_audit_trail(owner: User) -> None:
    entry = AuditEntry.objects.get(action="user-create")
    assert PASSWORD not in str(entry.after)
    assert owner.password not in str(entry.after)


def test_an_account_comes_with_the_default_limits(owner: User) -> None:
    account = account_create(owner=owner, name="paper", venue="sim", actor=owner)
    assert account.mode == Account.Mode.PAPER
    assert account.starting_balance == 10_000
    assert account.limits.risk_per_trade == DEFAULTS.risk_per_trade
    assert AuditEntry.objects.get(action="account-create").actor == owner


def test_an_owner_has_one_account_of_a_name(owner: User) -> None:
    account_create(owner=owner, name="paper", venue="sim")
    with pytest.raises(Rejected, match="You have an account of this name"):
        account_create(owner=owner, name="paper", venue="recorded")
    assert Account.objects.count() == RiskLimits.objects.count() == 1


@pytest.mark.parametrize("balance", [0, -5, Decimal("0.5")])
def test_an_account_starts_with_money(owner: User, balance: Decimal) -> None:
    with pytest.raises(Rejected, match="starting_balance"):
        account_create(owner=owner, name="paper", venue="sim", starting_balance=balance)


def test_changed_limits_are_on_record_with_what_they_were(owner: User) -> None:
    limits = account_create(owner=owner, name="paper", venue="sim").limits
    limits.max_leverage = 3
    limits_change(limits=limits, actor=owner)
    entry = AuditEntry.objects.get(action="limits-change")
    assert (entry.actor, entry.before["max_leverage"], entry.after["max_leverage"]) == (owner, 5, 3)


def test_limits_that_did_not_change_leave_no_record(owner: User) -> None:
    limits = account_create(owner=owner, name="paper", venue="sim").limits
    limits_change(limits=limits, actor=owner)
    assert not AuditEntry.objects.filter(action="limits-change").exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_leverage", 11),
        ("max_leverage", 0),
        ("risk_per_trade", Decimal(2)),
        ("risk_per_trade", Decimal(0)),
        ("min_stop_distance", Decimal("0.2")),
        ("max_positions", 0),
    ],
)
def test_limits_that_contradict_themselves_are_refused(owner: User, field: str, value: Any) -> None:
    limits = account_create(owner=owner, name="paper", venue="sim").limits
    before = getattr(limits, field)
    setattr(limits, field, value)
    with pytest.raises(Rejected):
        limits_change(limits=limits, actor=owner)
    assert getattr(RiskLimits.objects.get(), field) == before


def test_a_new_bot_stands_still(owner: User) -> None:
    made = bot(account_create(owner=owner, name="paper", venue="sim"))
    assert Bot.objects.get(pk=made.pk).status == Bot.Status.STOPPED


@pytest.mark.parametrize(
    "changes", [{"interval": "7m"}, {"symbols": []}, {"timeframes": []}, {"capital": Decimal(0)}, {"name": "no spaces"}]
)
def test_a_bot_that_could_not_work_is_not_made(owner: User, changes: dict[str, Any]) -> None:
    account = account_create(owner=owner, name="paper", venue="sim")
    with pytest.raises(Rejected):
        bot(account, **changes)
    assert not Bot.objects.exists()


def test_an_account_has_one_bot_of_a_name(owner: User) -> None:
    account = account_create(owner=owner, name="paper", venue="sim")
    bot(account)
    with pytest.raises(Rejected, match="has a bot of this name"):
        bot(account)
