"""Pages, API and admin of alerts: one's own only, closed to others, and no address is ever shown."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.test import Client

from accounts.domain.alerts import EventType, Severity
from accounts.models import Account, Alert, AlertChannel, AlertDelivery, AuditEntry, User
from accounts.services import account_create, alert_raise, user_create
from accounts.services.alerts.channels import channel_address
from accounts.services.alerts.sending import deliveries_send
from accounts.tests.alert_kit import Receiver, channel_to, http_receiver
from vibex.lib.errors import NeedsOperator

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}
FIELDS = {"min_severity": "warning", "per_hour": "30", "enabled": "on"}
SECRET = "json://user:s3cret-word-99@example.com/t0ken-of-the-hook"


@pytest.fixture
def desk() -> Iterator[Receiver]:
    with http_receiver() as receiver:
        yield receiver


@pytest.fixture
def owner() -> User:
    return user_create(email="owner@example.com", password="correct horse battery")


@pytest.fixture
def account(owner: User) -> Account:
    return account_create(owner=owner, name="main", venue="sim")


@pytest.fixture
def stranger() -> Client:
    client = Client()
    client.force_login(user_create(email="other@example.com", password="correct horse battery"))
    return client


@pytest.fixture
def person(client: Client, owner: User) -> Client:
    client.force_login(owner)
    return client


def tell(account: Account, subject: str = "BTCUSDT", severity: Severity = Severity.ERROR, **more: Any) -> Alert:
    kind = more.pop("type", EventType.MISSING_PROTECTION)
    return alert_raise(account=account, type=kind, severity=severity, subject=subject, message=f"{subject} is bare.")


def test_alerts_are_listed_with_how_they_left_and_counted_above(
    person: Client, account: Account, owner: User, desk: Receiver
) -> None:
    channel_to(owner, desk.json, "phone")
    channel_to(owner, "json://127.0.0.1:1/", "pager")
    tell(account)
    deliveries_send()
    page = person.get("/alerts/").content.decode()
    assert "BTCUSDT is bare." in page
    assert "phone: sent" in page
    assert "pager: waiting. A Connection error" in page
    assert 'title="not acknowledged">1</span>' in page


def test_nobody_sees_or_acknowledges_what_another_was_told(stranger: Client, account: Account, owner: User) -> None:
    alert = tell(account)
    channel = channel_to(owner, SECRET)
    assert "is bare" not in stranger.get("/alerts/?seen=all").content.decode()
    assert stranger.get("/api/v1/alerts/").json()["results"] == []
    for path in (
        f"/alerts/{alert.pk}/acknowledge/",
        f"/api/v1/alerts/{alert.pk}/acknowledge/",
        f"/alerts/channels/{channel.pk}/",
        f"/alerts/channels/{channel.pk}/test/",
        f"/alerts/channels/{channel.pk}/remove/",
    ):
        assert stranger.post(path).status_code == 404, path
    assert stranger.get(f"/api/v1/alerts/{alert.pk}/").status_code == 404
    stranger.post("/alerts/acknowledge/")
    assert Alert.objects.get().acknowledged is None
    assert AlertChannel.objects.exists()


@pytest.mark.parametrize("path", ["/alerts/", "/alerts/channels/", "/api/v1/alerts/"])
def test_who_is_not_signed_in_sees_nothing(client: Client, path: str) -> None:
    assert client.get(path).status_code in (302, 401, 403)


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", {"BTCUSDT", "ETHUSDT"}),
        ("seen=all", {"BTCUSDT", "ETHUSDT", "SOLUSDT"}),
        ("severity=error", {"BTCUSDT"}),
        ("type=fill", {"ETHUSDT"}),
        ("account={account}", {"BTCUSDT", "ETHUSDT"}),
        ("severity=error&type=fill", set()),
    ],
)
def test_filters(person: Client, account: Account, owner: User, query: str, shown: set[str]) -> None:
    tell(account)
    tell(account, "ETHUSDT", Severity.INFO, type=EventType.FILL)
    Alert.objects.filter(pk=tell(account, "SOLUSDT").pk).update(acknowledged="2026-01-01T00:00Z", acknowledged_by=owner)
    page = person.get("/alerts/?" + query.format(account=account.pk)).content.decode()
    assert {symbol for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT") if f"{symbol} is bare" in page} == shown


@pytest.mark.parametrize("query", ["severity=loud", "type=x", "account=999999", "account=x", "seen=x"])
def test_a_filter_that_does_not_exist_matches_nothing_and_says_so(person: Client, account: Account, query: str) -> None:
    tell(account)
    answer = person.get(f"/alerts/?{query}")
    assert answer.status_code == 400
    assert 'role="alert"' in answer.content.decode()
    assert "is bare" not in answer.content.decode()


def test_one_is_acknowledged_in_place_and_says_by_whom(person: Client, account: Account) -> None:
    alert = tell(account)
    answer = person.post(f"/alerts/{alert.pk}/acknowledge/", headers=HTMX).content.decode()
    assert "acknowledged by owner@example.com" in answer
    assert 'hx-swap-oob="true"' in answer
    assert "not acknowledged" not in answer
    assert person.get(f"/alerts/{alert.pk}/acknowledge/").status_code == 405
    assert person.post(f"/alerts/{alert.pk}/acknowledge/").status_code == 302


def test_all_of_the_list_are_acknowledged_and_no_others(person: Client, account: Account) -> None:
    tell(account)
    other = tell(account, "ETHUSDT", Severity.INFO)
    person.post("/alerts/acknowledge/", {"query": "severity=error"})
    assert list(Alert.objects.filter(acknowledged__isnull=True)) == [other]
    person.post("/alerts/acknowledge/", {"query": "severity=nonsense"})
    assert list(Alert.objects.filter(acknowledged__isnull=True)) == [other]
    person.post("/alerts/acknowledge/")
    assert not Alert.objects.filter(acknowledged__isnull=True).exists()


def test_the_list_costs_the_same_however_long_it_is(
    person: Client, account: Account, owner: User, django_assert_max_num_queries: Any
) -> None:
    channel_to(owner, SECRET)
    for number in range(12):
        tell(account, f"S{number}")
    with django_assert_max_num_queries(12):
        person.get("/alerts/")


def test_api_lists_filters_and_acknowledges(person: Client, account: Account) -> None:
    alert = tell(account)
    tell(account, "ETHUSDT", Severity.INFO)
    [row] = person.get("/api/v1/alerts/?severity=error&open=true").json()["results"]
    assert (row["id"], row["type"], row["account"]) == (alert.pk, "missing-protection", account.pk)
    for _ in range(2):
        done = person.post(f"/api/v1/alerts/{alert.pk}/acknowledge/")
        assert (done.status_code, done.json()["acknowledged_by"]) == (200, "owner@example.com")
    assert len(person.get("/api/v1/alerts/?open=true").json()["results"]) == 1
    assert person.get("/api/v1/alerts/?nonsense=1").status_code == 400
    assert person.delete(f"/api/v1/alerts/{alert.pk}/").status_code == 405


def test_a_channel_is_added_changed_tested_and_removed(person: Client, owner: User, desk: Receiver) -> None:
    User.objects.filter(pk=owner.pk).update(is_staff=True)
    person.post("/alerts/channels/", {**FIELDS, "name": "desk", "url": desk.json})
    channel = AlertChannel.objects.get()
    assert (channel.kind, channel.shown) == ("json", f"json://127.0.0.1:{desk.port}/…")
    tested = person.post(f"/alerts/channels/{channel.pk}/test/", headers=HTMX).content.decode()
    assert "sent" in tested
    assert desk.got[0][0] == "Vibex INFO: test"
    person.post(f"/alerts/channels/{channel.pk}/", {**FIELDS, "name": "team", "url": "", "types": ["fill", "halt"]})
    channel.refresh_from_db()
    assert (channel.name, channel.types, channel_address(channel)) == ("team", ["fill", "halt"], desk.json)
    person.post(f"/alerts/channels/{channel.pk}/remove/")
    assert not AlertChannel.objects.exists()
    actions = AuditEntry.objects.order_by("pk").values_list("action", flat=True)
    assert [each for each in actions if "channel" in each] == [
        "alert-channel-create",
        "alert-channel-change",
        "alert-channel-delete",
    ]


def test_a_test_that_fails_says_why(person: Client, owner: User, desk: Receiver) -> None:
    channel = channel_to(owner, desk.json)
    desk.status = 403
    assert "error=403" in person.post(f"/alerts/channels/{channel.pk}/test/", headers=HTMX).content.decode()
    followed = person.post(f"/alerts/channels/{channel.pk}/test/", follow=True)
    assert "error=403" in followed.content.decode()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "nothing is stored yet"),
        ("phone", "one line like"),
        ("jsn://example.com", "Did you mean json://"),
        ("tgram://onlyatoken", "look like tgram://{bot_token}"),
        ("syslog://", "on the server itself"),
        ("dbus://", "on the server itself"),
        ("file:///etc/passwd", "is not known"),
        ("mqtt://example.com/topic", "needs a package"),
        ("json://localhost:8000/", "only staff"),
        ("json://[::1]/", "only staff"),
        ("json://10.0.0.8/", "only staff"),
        ("json://169.254.169.254/latest", "only staff"),
        ("mailto://me:pass@example.com?smtp=192.168.1.1", "only staff"),
        ("json://example.com/?retry=50", "Leave retry="),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/?template=/etc/passwd", "Leave template="),
    ],
)
def test_an_address_that_cannot_be_used_says_what_is_wrong(person: Client, owner: User, url: str, says: str) -> None:
    answer = person.post("/alerts/channels/", {**FIELDS, "name": "desk", "url": url}).content.decode()
    assert says in answer.replace("&#x27;", "'")
    assert not AlertChannel.objects.exists()


def test_an_address_is_never_shown_again(person: Client, owner: User, admin_client: Client) -> None:
    wrong = person.post("/alerts/channels/", {**FIELDS, "name": "not a slug", "url": SECRET}).content.decode()
    assert 'role="alert"' in wrong
    channel = channel_to(owner, SECRET)
    tell(account_create(owner=owner, name="main", venue="sim"))
    AlertDelivery.objects.update(error="refused")
    pages = [person.get(path) for path in ("/alerts/", "/alerts/channels/", f"/alerts/channels/{channel.pk}/")]
    models = ("alert", "alertdelivery", "alertchannel", f"alertchannel/{channel.pk}/change")
    pages += [admin_client.get(f"/admin/accounts/{model}/") for model in models]
    for text in [wrong, *(page.content.decode() for page in pages)]:
        for secret in ("s3cret-word-99", "t0ken-of-the-hook", channel.sealed):
            assert secret not in text
    assert [page.status_code for page in pages] == [200] * len(pages)
    assert "s3cret" not in str(list(AuditEntry.objects.values()))


def test_the_admin_only_reads(admin_client: Client, owner: User) -> None:
    channel = channel_to(owner, SECRET)
    for path in ("add/", f"{channel.pk}/delete/"):
        assert admin_client.post(f"/admin/accounts/alertchannel/{path}").status_code == 403
    assert admin_client.post(f"/admin/accounts/alertchannel/{channel.pk}/change/", {"name": "x"}).status_code == 403


def test_names_are_unique_and_channels_have_an_end(person: Client, owner: User) -> None:
    url = "json://example.com/hook"
    for number in range(20):
        channel_to(owner, url, f"c{number}")
    assert (
        "You have 20 channels" in person.post("/alerts/channels/", {**FIELDS, "name": "x", "url": url}).content.decode()
    )
    AlertChannel.objects.last().delete()
    answer = person.post("/alerts/channels/", {**FIELDS, "name": "c0", "url": url}).content.decode()
    assert "You have a channel of this name." in answer


def test_addresses_are_sealed_anew_with_the_keys_of_accounts(owner: User, settings: Any) -> None:
    channel = channel_to(owner, SECRET)
    old, new = settings.CREDENTIALS_KEYS[0], Fernet.generate_key().decode()
    settings.CREDENTIALS_KEYS = (new, old)
    out = StringIO()
    call_command("rotate_credentials_key", stdout=out)
    assert "channel desk of owner@example.com" in out.getvalue()
    settings.CREDENTIALS_KEYS = (new,)
    channel.refresh_from_db()
    assert channel_address(channel) == SECRET
    settings.CREDENTIALS_KEYS = (old,)
    with pytest.raises(CommandError, match=r"channel desk of owner@example\.com"):
        call_command("rotate_credentials_key")


def test_an_address_of_another_person_does_not_open(owner: User) -> None:
    channel, other = channel_to(owner, SECRET), user_create(email="b@example.com", password="correct horse battery")
    AlertChannel.objects.filter(pk=channel.pk).update(user=other)
    with pytest.raises(NeedsOperator, match="does not open"):
        channel_address(AlertChannel.objects.get())
