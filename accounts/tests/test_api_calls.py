"""Every acting call is on record: who, what, by what way, from where, and how it was answered."""

import pytest
from rest_framework.test import APIClient

from accounts.access.acts import ALL_SCOPES, Access
from accounts.models import ApiKey, AuditEntry
from tests.support.demo import account_of, bot_of, person
from vibex.lib.requests import address_behind_proxy

pytestmark = [pytest.mark.django_db, pytest.mark.urls("accounts.tests.api_kit")]
ID = "a-request-of-mine"


@pytest.fixture
def bot(db):
    return bot_of(account_of(person()))


def caller(user, *scopes: str) -> APIClient:
    client = APIClient(REMOTE_ADDR="192.0.2.7", headers={"X-Request-ID": ID})
    client.force_authenticate(user, Access("key", frozenset(scopes) or ALL_SCOPES, ApiKey(prefix="vbx_9")))
    return client


def calls() -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(action="call").order_by("pk"))


def test_a_call_is_on_record_and_what_it_changed_carries_the_same_marks(bot):
    caller(bot.account.owner).post(f"/api/v1/things/{bot.pk}/end/", {"note": "a-secret-of-the-body"})
    (call,), change = calls(), AuditEntry.objects.get(action="end")
    for entry in (call, change):
        assert (entry.actor, entry.object_type, entry.object_id) == (bot.account.owner, "accounts.bot", str(bot.pk))
        assert (entry.via, entry.address, entry.request_id) == ("key vbx_9", "192.0.2.7", ID)
        assert (entry.account_id, entry.bot_id) == (bot.account_id, bot.pk)
    assert call.after == {
        "method": "POST",
        "route": "api/v1/things/(?P<pk>[0-9]{1,19})/end/$",
        "status": 200,
        "act": "end",
    }
    assert "a-secret-of-the-body" not in str(call.after)


@pytest.mark.parametrize(
    ("what", "scopes", "status", "code"),
    [
        ("end", ("read",), 403, "scope"),
        ("unnamed", (), 403, "closed"),
        ("refuse", (), 409, "over"),
        ("fail", (), 503, "unavailable"),
    ],
)
def test_what_was_refused_is_on_record_too(bot, what, scopes, status, code):
    caller(bot.account.owner, *scopes).post(f"/api/v1/things/{bot.pk}/{what}/")
    (call,) = calls()
    assert (call.after["status"], call.after["code"], call.object_id) == (status, code, str(bot.pk))


def test_a_call_for_anothers_row_is_on_record_by_its_address(bot):
    caller(person("other@vibex.local")).post(f"/api/v1/things/{bot.pk}/end/")
    (call,) = calls()
    assert (call.after["status"], call.object_type, call.object_id) == (404, "things", str(bot.pk))
    assert (call.account_id, call.bot_id) == (None, None)


def test_a_fault_of_the_code_is_on_record(bot):
    with pytest.raises(RuntimeError):
        caller(bot.account.owner).post(f"/api/v1/things/{bot.pk}/later/")
    assert [call.after["status"] for call in calls()] == [500]


def test_reading_is_not_acting_and_nobody_leaves_nothing_but_at_an_open_door(bot):
    caller(bot.account.owner).get("/api/v1/things/")
    APIClient().post(f"/api/v1/things/{bot.pk}/end/")
    assert calls() == []
    APIClient().post("/api/v1/door/", {})
    assert [(call.actor, call.after["act"]) for call in calls()] == [(None, "open")]


@pytest.mark.parametrize(
    ("https", "peer", "forwarded", "address"),
    [
        (True, "10.0.0.1", "203.0.113.9", "203.0.113.9"),
        (True, "10.0.0.1", "198.51.100.1, 203.0.113.9", "203.0.113.9"),  # what stands first was sent by the client
        (True, "10.0.0.1", "nonsense", "10.0.0.1"),
        (True, "10.0.0.1", "", "10.0.0.1"),
        (False, "10.0.0.1", "203.0.113.9", "10.0.0.1"),
        (False, "", "", None),
        (False, None, "", None),
    ],
)
def test_one_proxy_is_believed_and_only_where_there_is_one(settings, https, peer, forwarded, address):
    settings.HTTPS = https
    assert address_behind_proxy(peer, forwarded) == address
