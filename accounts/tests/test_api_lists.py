"""Lists: pages by cursor, order, sparse fields, ETags."""

from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import Bot
from tests.support.demo import account_of, bot_of, person

pytestmark = [pytest.mark.django_db, pytest.mark.urls("accounts.tests.api_kit")]


@pytest.fixture
def owner():
    return person()


@pytest.fixture
def client(owner) -> APIClient:
    client = APIClient()
    client.force_authenticate(owner)
    return client


def many(owner, number: int = 7) -> list[Bot]:
    account = account_of(owner)
    moment = timezone.now()
    rows = [
        Bot(
            account=account, name=f"b{index:02}", symbols=[], timeframes=[], created=moment - timedelta(days=index // 5)
        )
        for index in range(number)
    ]
    return Bot.objects.bulk_create(rows)


def walked(client, query: str, back: bool = False) -> list[str]:
    """Return the names on all pages, one page after the other."""
    names, link = [], f"/api/v1/things/?{query}"
    while link:
        page = client.get(link).json()
        names += [row["name"] for row in page["results"]]
        link = page["next"]
    return names


@pytest.mark.parametrize(
    "order", ["", "&ordering=created", "&ordering=-created", "&ordering=model", "&ordering=-tokens"]
)
@pytest.mark.parametrize("limit", [1, 3, 50])
def test_pages_hold_every_row_once_also_where_many_share_a_value(client, owner, order, limit):
    wanted = [bot.name for bot in many(owner)]
    Bot.objects.filter(name__in=("b01", "b04", "b05")).update(tokens_per_day=5)
    assert sorted(walked(client, f"limit={limit}{order}")) == wanted


def test_empty_values_count_as_smallest_on_every_database(client, owner):
    many(owner, 4)
    Bot.objects.filter(name="b02").update(tokens_per_day=5)
    Bot.objects.filter(name="b00").update(tokens_per_day=9)
    assert walked(client, "limit=1&ordering=tokens") == ["b01", "b03", "b02", "b00"]
    assert walked(client, "limit=1&ordering=-tokens") == ["b00", "b02", "b03", "b01"]


def test_a_page_leads_back_to_the_one_before(client, owner):
    many(owner)
    first = client.get("/api/v1/things/?limit=3").json()
    second = client.get(first["next"]).json()
    third = client.get(second["next"]).json()
    assert (first["previous"], third["next"]) == (None, None)
    assert client.get(third["previous"]).json()["results"] == second["results"]
    assert client.get(second["previous"]).json()["results"] == first["results"]


def test_rows_that_come_in_are_neither_missed_nor_shown_twice(client, owner):
    account = many(owner, 4)[0].account
    first = client.get("/api/v1/things/?limit=2").json()
    bot_of(account, "a-before")
    bot_of(account, "b03-after")
    assert [row["name"] for row in client.get(first["next"]).json()["results"]] == ["b02", "b03"]


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "limit=501", "limit=x", "limit=-1", "limit=%C2%B2", "cursor=x", "cursor=", "cursor=bnVsbA"),
        "cursor=W2ZhbHNlLCJhIl0",  # too few columns
        "cursor=W2ZhbHNlLCJhIixbXV0",  # a list for a value
        "cursor=W2ZhbHNlLCJhIiwibm8gaWQiXQ",  # no id
        "cursor=W2ZhbHNlLCJhXHUwMDAwIiwxXQ",  # a NUL character
        *(
            "ordering=secret",
            "ordering=account__owner",
            "fields=id,secret",
            "format=xml",
            "nmae=x",
            "name=%00",
            "a%00=1",
            "limit=1&limit=2",
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_name(client, owner, query):
    many(owner, 1)
    answer = client.get(f"/api/v1/things/?{query}")
    name = query.partition("=")[0].replace("%00", "")
    assert (answer.status_code, list(answer.json()["errors"])) == (400, [name])


def test_only_the_fields_that_are_asked_for_are_told(client, owner):
    bot = many(owner, 1)[0]
    assert client.get("/api/v1/things/?fields=name,id").json()["results"] == [{"id": bot.pk, "name": "b00"}]
    assert client.get(f"/api/v1/things/{bot.pk}/?fields=model").json() == {"model": "rules/trend"}
    assert client.get(f"/api/v1/things/{bot.pk}/?fields=secret").status_code == 400
    assert client.get(f"/api/v1/things/{bot.pk}/?field=model").status_code == 400


def test_a_list_below_an_account_holds_that_accounts_rows(client, owner):
    bot = bot_of(account_of(owner, "one"))
    bot_of(account_of(owner, "two"))
    theirs = bot_of(account_of(person("other@vibex.local")))
    assert [row["id"] for row in client.get(f"/api/v1/accounts/{bot.account_id}/things/").json()["results"]] == [bot.pk]
    for account in (theirs.account_id, 10**30):
        assert client.get(f"/api/v1/accounts/{account}/things/").status_code == 404


def test_a_list_of_fifty_takes_two_queries(client, owner, django_assert_num_queries):
    many(owner, 60)
    with django_assert_num_queries(2):  # which accounts, which rows
        assert len(client.get("/api/v1/things/").json()["results"]) == 50


def test_what_has_not_changed_is_not_sent_again_and_what_has_is(client, owner):
    bot = many(owner, 2)[0]
    for path in ("things/", f"things/{bot.pk}/", "things/?fields=model,id"):
        first = client.get(f"/api/v1/{path}")
        assert first.headers["Cache-Control"] == "private, no-cache"
        etag = first.headers["ETag"]
        again = client.get(f"/api/v1/{path}", headers={"If-None-Match": etag})
        assert (again.status_code, again.content) == (304, b"")
        Bot.objects.filter(pk=bot.pk).update(model=f"rules/{path[:9]}{len(path)}")
        assert client.get(f"/api/v1/{path}", headers={"If-None-Match": etag}).status_code == 200


@pytest.mark.parametrize("pk", ["0", "99", "10000000000000000000000000000", "9223372036854775808", "abc", "1%00"])
def test_an_id_that_is_none_is_not_found(client, pk):
    for path in (f"things/{pk}/", f"accounts/{pk}/things/"):
        answer = client.get(f"/api/v1/{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
