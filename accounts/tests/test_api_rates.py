"""How often may be called, by whom, and that ending never waits for anything else."""

import pytest
from django.core.cache import cache
from rest_framework.test import APIClient

from accounts.access import throttles
from accounts.access.acts import ALL_SCOPES, Access
from accounts.access.throttles import network_of
from accounts.models import ApiKey, AuditEntry
from tests.support.demo import account_of, bot_of, person

pytestmark = [pytest.mark.django_db, pytest.mark.urls("accounts.tests.api_kit")]


@pytest.fixture(autouse=True)
def _counted_anew(monkeypatch):
    cache.clear()
    monkeypatch.setattr(throttles, "_down_until", 0.0)
    yield
    cache.clear()


@pytest.fixture
def bot(db):
    return bot_of(account_of(person()))


def caller(user, key: int | None = None) -> APIClient:
    client = APIClient()
    client.force_authenticate(user, Access("key", ALL_SCOPES, ApiKey(pk=key)) if key else None)
    return client


def statuses(client, path: str, times: int, method: str = "get") -> list[int]:
    return [getattr(client, method)(f"/api/v1/{path}").status_code for _ in range(times)]


def test_over_the_budget_is_429_and_says_when_to_come_again(settings, bot):
    settings.API_RATE_USER = (3, 3600)
    client = caller(bot.account.owner)
    assert statuses(client, "things/", 4) == [200, 200, 200, 429]
    answer = client.get("/api/v1/things/")
    assert answer.json()["code"] == "throttled"
    assert 1 <= int(answer.headers["Retry-After"]) <= 3600


def test_a_window_ends(settings, bot, time_machine):
    settings.API_RATE_USER = (1, 60)
    client = caller(bot.account.owner)
    time_machine.move_to("2026-11-29 12:00:01+00:00", tick=False)
    assert statuses(client, "things/", 2) == [200, 429]
    time_machine.move_to("2026-11-29 12:01:01+00:00", tick=False)
    assert statuses(client, "things/", 1) == [200]


def test_each_key_has_a_budget_and_all_ways_of_a_person_share_one(settings, bot):
    settings.API_RATE_KEY, settings.API_RATE_USER = (2, 3600), (5, 3600)
    owner = bot.account.owner
    assert statuses(caller(owner, 1), "things/", 3) == [200, 200, 429]
    assert statuses(caller(owner, 2), "things/", 2) == [200, 200]
    assert statuses(caller(owner), "things/", 1) == [429]


def test_an_address_that_nobody_has_signed_in_from_has_its_own(settings, bot):
    settings.API_RATE_ADDRESS = (2, 3600)
    assert statuses(APIClient(), "things/", 3) == [401, 401, 429]
    assert statuses(APIClient(), "door/", 1, "post") == [429]
    assert statuses(caller(bot.account.owner), "things/", 1) == [200]
    assert APIClient(REMOTE_ADDR="10.0.0.9").get("/api/v1/things/").status_code == 401


def test_acts_on_money_and_changes_have_budgets_of_their_own(settings, bot):
    settings.API_RATE_TRADE, settings.API_RATE_ADMIN = (1, 3600), (1, 3600)
    client = caller(bot.account.owner)
    for what in ("go", "manage"):
        assert statuses(client, f"things/{bot.pk}/{what}/", 2, "post") == [200, 429]
    assert statuses(client, "things/", 1) == [200]


def test_no_flood_of_reads_or_starts_keeps_anybody_from_ending(settings, bot):
    settings.API_RATE_USER = settings.API_RATE_KEY = settings.API_RATE_TRADE = (2, 3600)
    client = caller(bot.account.owner, 1)
    statuses(client, "things/", 9)
    statuses(client, f"things/{bot.pk}/go/", 9, "post")
    assert statuses(client, f"things/{bot.pk}/end/", 3, "post") == [200, 200, 429]


def test_what_is_over_the_budget_leaves_no_record(settings, bot):
    settings.API_RATE_TRADE = (1, 3600)
    statuses(caller(bot.account.owner), f"things/{bot.pk}/go/", 5, "post")
    assert AuditEntry.objects.filter(action="call").count() == 1


class Gone:
    """A cache that cannot be reached."""

    asked = 0

    def incr(self, _: str) -> int:
        self.asked += 1
        raise ConnectionRefusedError


def test_without_the_cache_ends_and_reads_go_on_and_all_else_waits(monkeypatch, bot):
    gone = Gone()
    monkeypatch.setattr(throttles, "cache", gone)
    client = caller(bot.account.owner)
    assert statuses(client, f"things/{bot.pk}/end/", 2, "post") == [200, 200]
    assert statuses(client, "things/", 1) == [200]
    answer = client.post(f"/api/v1/things/{bot.pk}/go/")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers["Retry-After"] == "5"
    assert gone.asked == 1  # then it is left alone for a while: each question could take a second


@pytest.mark.parametrize(
    ("address", "network"),
    [("203.0.113.7", "203.0.113.7"), ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"), (None, "unknown")],
)
def test_an_ipv6_household_counts_as_one(address, network):
    assert network_of(address) == network


def test_no_key_uses_up_what_its_person_has_for_ending(settings, bot):
    settings.API_RATE_TRADE = (2, 3600)
    owner, path = bot.account.owner, f"things/{bot.pk}/end/"
    assert statuses(caller(owner, 1), path, 3, "post") == [200, 200, 429]
    assert statuses(caller(owner), path, 1, "post") == statuses(caller(owner, 2), path, 1, "post") == [200]
