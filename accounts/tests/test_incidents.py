"""An incident is opened once, stays open until it is resolved, and is resolved once."""

from __future__ import annotations

import pytest

from accounts.models import Account, AuditEntry, Incident, User
from accounts.services import account_create, incident_open, incident_resolve, user_create

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner() -> User:
    return user_create(email="owner@example.com", password="correct horse battery")


@pytest.fixture
def account(owner: User) -> Account:
    return account_create(owner=owner, name="paper", venue="sim")


def test_the_same_trouble_is_one_incident(account: Account) -> None:
    first = incident_open(account=account, kind="no-stop", text="BTCUSDT has no stop", data={"symbol": "BTCUSDT"})
    again = incident_open(account=account, kind="no-stop", text="BTCUSDT has no stop")
    assert first == again
    assert Incident.objects.get().data == {"symbol": "BTCUSDT"}


@pytest.mark.parametrize(("kind", "text"), [("no-stop", "ETHUSDT has no stop"), ("mismatch", "BTCUSDT has no stop")])
def test_other_trouble_is_another_incident(account: Account, kind: str, text: str) -> None:
    incident_open(account=account, kind="no-stop", text="BTCUSDT has no stop")
    incident_open(account=account, kind=kind, text=text)
    assert Incident.objects.count() == 2


def test_trouble_that_comes_back_is_a_new_incident(account: Account) -> None:
    first = incident_open(account=account, kind="no-stop", text="BTCUSDT has no stop")
    assert incident_resolve(incident=first)
    assert incident_open(account=account, kind="no-stop", text="BTCUSDT has no stop") != first


def test_an_incident_needs_no_account() -> None:
    incident = incident_open(account=None, kind="feed-down", text="no prices", severity=Incident.Severity.CRITICAL)
    assert incident_open(account=None, kind="feed-down", text="no prices") == incident


def test_an_incident_is_resolved_once_and_by_whom_is_on_record(account: Account, owner: User) -> None:
    incident = incident_open(account=account, kind="no-stop", text="BTCUSDT has no stop")
    assert incident_resolve(incident=incident, actor=owner)
    assert not incident_resolve(incident=incident, actor=owner)
    assert AuditEntry.objects.get(action="incident-resolve").actor == owner
    assert Incident.objects.get().resolved is not None
