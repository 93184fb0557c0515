"""Who is told of what: each person concerned, what repeats once, what grows graver again, and never a secret."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from accounts.domain.alerts import INCIDENTS, WAITS, EventType, Severity, is_private, told_as, wait_after
from accounts.models import Account, Alert, AlertDelivery, Incident, User
from accounts.services import account_create, alert_raise, incident_open, incident_resolve, user_create
from accounts.services.alerts import alert_acknowledge, alerts_acknowledge, installation_alert, never_in_the_way
from accounts.tests.alert_kit import channel_to
from vibex.lib.masking import register_secret

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner() -> User:
    return user_create(email="owner@example.com", password="correct horse battery")


@pytest.fixture
def account(owner: User) -> Account:
    return account_create(owner=owner, name="main", venue="sim")


def tell(account: Account, message: str = "BTCUSDT is stale", **more: Any) -> Alert:
    given = {"type": EventType.DATA_STALE, "severity": Severity.WARNING, "subject": "BTCUSDT", **more}
    return alert_raise(account=account, message=message, **given)


def test_what_repeats_is_counted_with_its_newest_words(account: Account) -> None:
    first = tell(account)
    again = tell(account, "BTCUSDT is stale for 40 s")
    assert again == first
    assert (again.count, again.message) == (2, "BTCUSDT is stale for 40 s")
    assert again.last > again.created


@pytest.mark.parametrize(
    "other",
    [{"subject": "ETHUSDT"}, {"type": EventType.FILL}],
)
def test_what_is_about_something_else_is_told_by_itself(account: Account, other: dict[str, Any]) -> None:
    tell(account)
    tell(account, **other)
    assert Alert.objects.count() == 2


def test_what_was_acknowledged_or_is_long_ago_is_told_anew(account: Account, owner: User) -> None:
    first = tell(account)
    assert alert_acknowledge(alert=first, actor=owner)
    second = tell(account)
    assert second != first
    Alert.objects.filter(pk=second.pk).update(created=second.created - timedelta(minutes=10, seconds=1))
    assert tell(account) not in (first, second)


def test_what_grows_graver_is_sent_again_and_what_grows_milder_is_not(account: Account, owner: User) -> None:
    channel_to(owner, "json://127.0.0.1:1/")
    for severity in (Severity.WARNING, Severity.CRITICAL, Severity.WARNING):
        alert = tell(account, severity=severity)
    assert (alert.severity, alert.count) == ("critical", 3)
    assert AlertDelivery.objects.filter(alert=alert).count() == 2


def test_a_channel_takes_what_is_grave_enough_and_of_its_kinds(account: Account, owner: User) -> None:
    channel_to(owner, "json://127.0.0.1:1/", "grave", min_severity=Severity.ERROR)
    channel_to(owner, "json://127.0.0.1:1/", "fills", min_severity=Severity.INFO, types=["fill"])
    channel_to(owner, "json://127.0.0.1:1/", "off", min_severity=Severity.INFO, enabled=False)
    channel_to(owner, "json://127.0.0.1:1/", "all", min_severity=Severity.INFO)
    tell(account)
    assert set(AlertDelivery.objects.values_list("channel__name", flat=True)) == {"all"}


def test_alert_and_delivery_come_and_go_with_the_transaction(account: Account, owner: User) -> None:
    channel_to(owner, "json://127.0.0.1:1/")
    with pytest.raises(RuntimeError), transaction.atomic():  # noqa: PT012
        tell(account)
        raise RuntimeError
    assert not Alert.objects.exists()
    assert not AlertDelivery.objects.exists()


def test_what_belongs_to_no_account_is_told_to_active_staff(account: Account, owner: User) -> None:
    for name, staff, active in (("a", True, True), ("b", True, False), ("c", False, True)):
        person = user_create(email=f"{name}@example.com", password="correct horse battery")
        User.objects.filter(pk=person.pk).update(is_staff=staff, is_active=active)
    incident_open(account=None, kind="impossible-candle", text="A candle is impossible.", severity="warning")
    installation_alert(type=EventType.SERVICE_LATE, severity=Severity.ERROR, message="The worker is late.")
    assert [alert.user.email for alert in Alert.objects.all()] == ["a@example.com"] * 2


def test_a_new_incident_is_told_once_and_not_when_it_is_resolved(account: Account, owner: User) -> None:
    opened = [
        incident_open(account=account, kind="no-stop", text=text, subject="BTCUSDT", severity="error")
        for text in ("BTCUSDT has no stop", "BTCUSDT has no stop, 20 s")
    ]
    incident_resolve(incident=opened[0])
    alert = Alert.objects.get()
    assert (alert.user, alert.incident, alert.count) == (owner, opened[0], 1)
    assert (alert.type, alert.severity, alert.subject) == ("missing-protection", "critical", "no-stop BTCUSDT")


def test_two_incidents_about_nothing_in_particular_are_two(account: Account) -> None:
    for number in (1, 2):
        incident_open(account=account, kind="order-state", text=f"vx{number}: cannot be")
    assert Alert.objects.count() == 2


def test_an_incident_that_comes_and_goes_is_counted(account: Account) -> None:
    for _ in range(3):
        incident_resolve(incident=incident_open(account=account, kind="guard-blind", text="blind", subject="exchange"))
    assert Alert.objects.get().count == 3
    assert Incident.objects.count() == 3


def test_every_kind_of_incident_is_told_at_least_as_gravely_as_it_is() -> None:
    for kind in (*INCIDENTS, "anything"):
        for severity in ("warning", "error", "critical"):
            assert told_as(kind, severity)[1].rank >= Severity(severity).rank


def test_telling_never_stops_what_it_tells_of(account: Account) -> None:
    @never_in_the_way
    def tell_wrongly() -> None:
        Alert.objects.create(user_id=None)  # type: ignore[misc]

    with transaction.atomic():
        tell_wrongly()
        tell(account)  # the transaction goes on
    assert Alert.objects.count() == 1


def test_no_secret_is_stored(account: Account) -> None:
    register_secret("registered-secret-0815")
    alert = tell(account, "the key registered-secret-0815 and token=abcdef123456", subject="registered-secret-0815")
    assert alert.message == "the key *** and token=***"
    assert alert.subject == "***"


def test_all_are_acknowledged_at_once_and_only_those_given(account: Account, owner: User) -> None:
    for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT"):
        tell(account, subject=symbol)
    some = Alert.objects.exclude(subject="SOLUSDT")
    assert alerts_acknowledge(alerts=some, actor=owner) == 2
    assert alerts_acknowledge(alerts=some, actor=owner) == 0
    assert Alert.objects.filter(acknowledged_by=owner).count() == 2


def test_waits_grow_and_end() -> None:
    waits = [wait_after(attempts) for attempts in range(1, len(WAITS) + 2)]
    assert waits == [*sorted(WAITS), None]


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "169.254.169.254",
        "::1",
        "fe80::1%eth0",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:a00:1::",
        "0.0.0.0",
        "x",
    ],
)
def test_addresses_that_are_not_of_the_public_net(address: str) -> None:
    assert is_private(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_addresses_of_the_public_net(address: str) -> None:
    assert not is_private(address)
