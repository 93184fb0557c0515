"""Accounts and bots over the API, to read: one's own only. Status and health: details for who is signed in."""

import pytest
from django.test import Client

from tests.support.demo import account_of, bot_of, person
from vibex.lib.variables import Features

pytestmark = pytest.mark.django_db


@pytest.fixture
def signed_in(client: Client) -> Client:
    client.force_login(person())
    return client


def test_nobody_reads_anything_without_signing_in(client):
    for path in ("accounts/", "bots/", "positions/", "diary/", "status/"):
        assert client.get(f"/api/v1/{path}").status_code in (401, 403)


def test_the_list_holds_ones_own_accounts_and_only_the_named_fields(client):
    mine, other = account_of(person()), account_of(person("other@vibex.local"))
    client.force_login(mine.owner)
    body = client.get("/api/v1/accounts/").json()
    assert [row["id"] for row in body["results"]] == [mine.pk]
    assert not {"epoch", "credentials", "halted_at"} & set(body["results"][0])
    assert other.pk not in [row["id"] for row in body["results"]]


def test_amounts_are_text_without_trailing_zeros(client):
    account = account_of(person())
    client.force_login(account.owner)
    assert client.get(f"/api/v1/accounts/{account.pk}/").json()["starting_balance"] == "10000"


def test_anothers_account_and_bot_do_not_exist(signed_in):
    theirs = account_of(person("other@vibex.local"))
    bot = bot_of(theirs)
    assert signed_in.get(f"/api/v1/accounts/{theirs.pk}/").status_code == 404
    assert signed_in.get(f"/api/v1/bots/{bot.pk}/").status_code == 404
    assert signed_in.get(f"/api/v1/bots/?account={theirs.pk}").json()["results"] == []


def test_bots_can_be_narrowed_to_an_account(client):
    user = person()
    first, second = account_of(user, "one"), account_of(user, "two")
    bot_of(first)
    wanted = bot_of(second)
    client.force_login(user)
    assert [row["id"] for row in client.get(f"/api/v1/bots/?account={second.pk}").json()["results"]] == [wanted.pk]


@pytest.mark.parametrize("query", ["account=x", "status=asleep", "acount=1"])
def test_a_filter_that_does_not_fit_is_refused_by_name(signed_in, query):
    answer = signed_in.get(f"/api/v1/bots/?{query}")
    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.json()["errors"]


@pytest.mark.parametrize("method", ["post", "put"])
def test_a_row_is_changed_in_part_or_not_at_all(client, method):
    account = account_of(person())
    client.force_login(account.owner)
    assert getattr(client, method)(f"/api/v1/accounts/{account.pk}/").status_code == 405


def test_a_list_takes_two_queries_however_long_it_is(client, django_assert_num_queries):
    user = person()
    account = account_of(user)
    for index in range(60):
        bot_of(account, f"bot-{index}")
    client.force_login(user)
    client.get("/api/v1/bots/")  # the first request of a session writes the sign-in
    with django_assert_num_queries(4):  # session, person, accounts that may be seen, rows
        answer = client.get("/api/v1/bots/")
    assert len(answer.json()["results"]) == 50
    assert answer.json()["next"]
    assert len(answer.content) < 30_000


def test_the_status_has_details_for_signed_in_people(signed_in):
    body = signed_in.get("/api/v1/status/").json()
    assert {check["name"] for check in body["checks"]} == {"database", "scheduler", "market", "guard", "disk", "backup"}
    assert body["features"] == dict.fromkeys(
        ("FEATURE_REGISTRATION", "FEATURE_LIVE_TRADING", "FEATURE_ENSEMBLE", "FEATURE_EXTERNAL_TEXT"), False
    )


def test_the_status_names_the_host_of_the_model_server_and_never_a_key(signed_in, settings):
    settings.LLM_BASE_URL = "https://models.example.com:8000/v1"
    settings.LLM_API_KEY = "sk-hunter3"
    settings.FEATURES = Features(ensemble=True)
    answer = signed_in.get("/api/v1/status/")
    assert answer.json()["decider_host"] == "models.example.com:8000"
    assert answer.json()["features"]["FEATURE_ENSEMBLE"] is True
    assert b"hunter" not in answer.content
    settings.LLM_BASE_URL = (
        "https://me:hunter2@models.example.com:8000/v1"  # no model is asked with a key in an address
    )
    answer = signed_in.get("/api/v1/status/")
    assert (answer.json()["decider_host"], b"hunter" in answer.content) == ("", False)


def test_health_is_open_and_says_no_more_than_yes_or_no(client):
    assert client.get("/api/v1/health/live/").json() == {"status": "alive"}
    for path in ("/api/v1/health/ready/", "/api/health/"):
        assert list(client.get(path).json()) == ["status"]


def test_times_are_utc_wherever_the_person_is(client):
    account = account_of(person(time_zone="Asia/Tokyo"))
    client.force_login(account.owner)
    assert client.get(f"/api/v1/accounts/{account.pk}/").json()["created"].endswith("Z")
