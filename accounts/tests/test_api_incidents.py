"""Incidents and alerts over the API: seen by whom they concern, resolved and acknowledged with a name to it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.domain.alerts import EventType, Severity
from accounts.models import Account, Alert, AuditEntry, Incident, Role, SignIn, User
from accounts.services import account_create, alert_raise, incident_open
from accounts.services.promotion import account_promote
from tests.support.demo import account_of, bot_of, person

pytestmark = pytest.mark.django_db

INCIDENTS, ALERTS = "/api/v1/incidents/", "/api/v1/alerts/"


def resolve(client: Client, incident: Incident, body: Any = None) -> Any:
    return client.post(f"{INCIDENTS}{incident.pk}/resolve/", body or {}, content_type="application/json")


def ids(client: Client, path: str) -> list[int]:
    answer = client.get(path)
    assert answer.status_code == 200, answer.content
    return [row["id"] for row in answer.json()["results"]]


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


@pytest.fixture
def bare(account: Account) -> Incident:
    return incident_open(account=account, kind="no-stop", text="It is bare.", subject="BTCUSDT", data={"size": "1"})


def test_an_incident_is_told_with_what_it_is_about_and_its_figures(mine: Client, bare: Incident) -> None:
    row = mine.get(f"{INCIDENTS}{bare.pk}/").json()
    assert (row["kind"], row["subject"], row["severity"], row["resolved"]) == ("no-stop", "BTCUSDT", "error", None)
    assert row["data"] == {"size": "1", "subject": "BTCUSDT"}
    [short] = mine.get(INCIDENTS).json()["results"]
    assert short == {name: value for name, value in row.items() if name != "data"}


def test_incidents_are_narrowed(mine: Client, account: Account, bare: Incident) -> None:
    old = incident_open(account=account, kind="ledger-mismatch", text="A cent.", severity="warning")
    Incident.objects.filter(pk=old.pk).update(resolved=timezone.now(), opened=timezone.now() - timedelta(days=2))
    yesterday = (timezone.now() - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    for query, expected in {
        "": [bare, old],
        "open=true": [bare],
        "open=false": [old],
        "kind=no-stop": [bare],
        "symbol=BTCUSDT": [bare],
        "severity=warning": [old],
        f"since={yesterday}": [bare],
        f"until={yesterday}": [old],
        f"account={account.pk}": [bare, old],
        "account=999": [],
        "ordering=opened": [old, bare],
    }.items():
        assert ids(mine, f"{INCIDENTS}?{query}") == [each.pk for each in expected], query
    assert ids(mine, f"/api/v1/accounts/{account.pk}/incidents/?open=true") == [bare.pk]


@pytest.mark.parametrize(
    "query",
    [
        "opne=true",
        "since=yesterday",
        "since=0000-01-01T00:00:00Z",
        "account=99999999999999999999",
        "kind=%00",
        "open=5",
    ],
)
def test_a_filter_that_does_not_fit_is_refused(mine: Client, query: str) -> None:
    assert mine.get(f"{INCIDENTS}?{query}").status_code == 400


def test_an_incident_is_resolved_once_with_name_and_reason(mine: Client, owner: User, bare: Incident) -> None:
    first = resolve(mine, bare, {"reason": "seen at the exchange"})
    assert (first.status_code, first.json()["resolved"] is not None) == (200, True)
    assert resolve(mine, bare).json() == first.json()
    entry = AuditEntry.objects.get(action="incident-resolve")
    assert (entry.actor, entry.after) == (owner, {"reason": "seen at the exchange"})


def test_what_is_still_wrong_is_opened_anew(mine: Client, account: Account, bare: Incident) -> None:
    resolve(mine, bare)
    again = incident_open(account=account, kind="no-stop", text="It is bare.", subject="BTCUSDT")
    assert ids(mine, f"{INCIDENTS}?open=true") == [again.pk]


def test_resolving_may_raise_risk_so_that_a_viewer_may_not_and_real_money_is_confirmed(
    client: Client, mine: Client, owner: User
) -> None:
    real = account_promote(paper=account_create(owner=owner, name="before", venue="aster"), name="real", actor=owner)
    incident = incident_open(account=real, kind="x", text="x")
    SignIn.objects.filter(user=owner).update(confirmed=None)
    assert resolve(mine, incident).json()["code"] == "confirmation-needed"
    viewer = person("viewer@vibex.local", role=Role.VIEWER)
    theirs = incident_open(account=account_of(viewer), kind="x", text="x")
    client.force_login(viewer)
    assert resolve(client, theirs).json()["code"] == "role"
    assert Incident.objects.filter(resolved__isnull=True).count() == 2


def test_nobody_sees_or_resolves_what_concerns_another(client: Client, bare: Incident) -> None:
    client.force_login(person("other@vibex.local"))
    installation = incident_open(account=None, kind="disk", text="It is full.")
    assert ids(client, INCIDENTS) == []
    assert ids(client, f"{INCIDENTS}?account={bare.account_id}") == []
    for each in (bare, installation):
        assert client.get(f"{INCIDENTS}{each.pk}/").status_code == 404
        assert resolve(client, each).status_code == 404
    assert client.get(f"/api/v1/accounts/{bare.account_id}/incidents/").status_code == 404
    assert client.get(f"/api/v1/accounts/{bare.account_id}/alerts/").status_code == 404


def test_staff_sees_all_resolves_those_of_the_installation_and_leaves_the_others(
    client: Client, bare: Incident
) -> None:
    installation = incident_open(account=None, kind="disk", text="It is full.")
    client.force_login(person("boss@vibex.local", is_staff=True, is_superuser=True))
    assert set(ids(client, INCIDENTS)) == {bare.pk, installation.pk}
    assert resolve(client, bare).json()["code"] == "not-yours"
    assert resolve(client, installation).status_code == 200
    operator = person("second@vibex.local", role=Role.OPERATOR, is_staff=True)
    other = incident_open(account=None, kind="clock", text="It is late.")
    client.force_login(operator)
    assert resolve(client, other).status_code == 403


def tell(account: Account, symbol: str, severity: Severity = Severity.ERROR, **more: Any) -> Alert:
    type_ = EventType.MISSING_PROTECTION
    return alert_raise(
        account=account, type=type_, severity=severity, message=f"{symbol} is bare.", subject=symbol, **more
    )


def test_all_alerts_are_acknowledged_or_those_of_an_account_or_those_one_has_seen(
    mine: Client, owner: User, account: Account
) -> None:
    first, other = tell(account, "BTCUSDT"), tell(account_of(owner, "second"), "ETHUSDT")
    foreign = tell(account_of(person("other@vibex.local")), "BTCUSDT")
    seen = timezone.now()
    late = tell(account, "SOLUSDT")

    def acknowledge(body: Any) -> Any:
        return mine.post(f"{ALERTS}acknowledge-all/", body, content_type="application/json").json()

    assert acknowledge({"account": account.pk, "until": seen.isoformat()}) == {"acknowledged": 1}
    assert set(ids(mine, f"{ALERTS}?open=true")) == {other.pk, late.pk}
    assert "acount" in acknowledge({"acount": account.pk})["errors"]
    assert acknowledge({"account": foreign.account_id}) == {"acknowledged": 0}
    assert acknowledge({}) == {"acknowledged": 2}
    assert acknowledge({}) == {"acknowledged": 0}
    first.refresh_from_db()
    foreign.refresh_from_db()
    assert (first.acknowledged_by, foreign.acknowledged) == (owner, None)


def test_alerts_are_narrowed(mine: Client, owner: User, account: Account) -> None:
    bot = bot_of(account)
    first, second = tell(account, "BTCUSDT"), tell(account, "ETHUSDT", Severity.CRITICAL, bot=bot)
    for query, expected in {
        "symbol=BTCUSDT": [first],
        "severity=critical": [second],
        f"bot={bot.pk}": [second],
        "type=fill": [],
        "since=2100-01-01T00:00:00Z": [],
        "until=2100-01-01T00:00:00Z": [second, first],
    }.items():
        assert ids(mine, f"{ALERTS}?{query}") == [each.pk for each in expected], query
    assert ids(mine, f"/api/v1/accounts/{account.pk}/alerts/?symbol=BTCUSDT") == [first.pk]
    assert ids(mine, f"/api/v1/accounts/{account_of(owner, 'second').pk}/alerts/") == []
