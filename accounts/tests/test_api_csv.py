"""Lists as tables: the rows of the list, streamed, and no cell that a spreadsheet takes for a formula."""

import asyncio
import csv
import io
import threading
import time

import pytest
from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.db import connections
from django.test import AsyncRequestFactory
from rest_framework.test import APIClient, force_authenticate

from accounts.models import Bot
from accounts.tests.api_kit import Things
from tests.support.demo import account_of, bot_of, person
from vibex.lib.api import exports
from vibex.lib.cells import defused

pytestmark = [pytest.mark.django_db, pytest.mark.urls("accounts.tests.api_kit")]


@pytest.fixture
def owner():
    return person()


@pytest.fixture
def client(owner) -> APIClient:
    client = APIClient()
    client.force_authenticate(owner)
    return client


def table(answer) -> list[list[str]]:
    return list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode())))


def test_a_table_holds_the_rows_of_the_list_in_its_order(client, owner):
    account = account_of(owner)
    bots = [bot_of(account, f"b{index}", symbols=["BTCUSDT"]) for index in range(3)]
    bot_of(account_of(person("other@vibex.local")))
    answer = client.get("/api/v1/things/?format=csv&ordering=-created")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="things.csv"'
    head, *rows = table(answer)
    assert head == list(Things.csv_columns)
    assert rows == [[str(bot.pk), bot.name, "rules/trend", '["BTCUSDT"]', ""] for bot in reversed(bots)]


def test_filters_fields_and_the_accept_header_count(client, owner):
    account = account_of(owner)
    bot_of(account, "one")
    bot_of(account, "two")
    answer = client.get("/api/v1/things/?name=two&fields=model,name", headers={"Accept": "text/csv"})
    assert table(answer) == [["name", "model"], ["two", "rules/trend"]]


def test_a_table_without_rows_has_its_head(client):
    assert table(client.get("/api/v1/things/?format=csv")) == [list(Things.csv_columns)]


@pytest.mark.parametrize("query", ["format=csv&nmae=x", "format=csv&fields=account", "format=csv&ordering=x"])
def test_what_does_not_fit_is_a_problem_and_no_table(client, query):
    answer = client.get(f"/api/v1/things/?{query}")
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, "application/problem+json")


def test_one_row_is_no_table(client, owner):
    bot = bot_of(account_of(owner))
    assert client.get(f"/api/v1/things/{bot.pk}/?format=csv").status_code == 400


def test_an_export_ends_at_its_bound_and_is_read_in_parts(client, owner, monkeypatch, django_assert_num_queries):
    account = account_of(owner)
    rows = [Bot(account=account, name=f"b{index:03}", symbols=[], timeframes=[]) for index in range(30)]
    Bot.objects.bulk_create(rows)
    monkeypatch.setattr(exports, "MOST", 25)
    monkeypatch.setattr(exports, "AT_ONCE", 10)
    answer = client.get("/api/v1/things/?format=csv")
    parts = list(answer.streaming_content)
    assert [part.count(b"\r\n") for part in parts] == [1, 10, 10, 5]


@pytest.mark.django_db(transaction=True)
def test_the_server_sends_part_after_part_without_holding_up_others(owner):
    bot_of(account_of(owner))
    request = AsyncRequestFactory().get("/api/v1/things/?format=csv")
    force_authenticate(request, owner)
    answer = Things.as_view({"get": "list"})(request)
    assert answer.is_async

    async def read() -> list[bytes]:
        parts = [part async for part in answer]
        await sync_to_async(
            connections.close_all
        )()  # of the thread that read them; a server does it after each request
        return parts

    assert len(asyncio.run(read())) == 2


def test_of_many_tables_at_once_two_are_worked_on_and_all_are_written():
    working, most, lock = 0, [0], threading.Lock()

    def lines():
        nonlocal working
        for number in range(5):
            with lock:
                working += 1
                most[0] = max(most[0], working)
            time.sleep(0.004)
            with lock:
                working -= 1
            yield str(number).encode()

    async def one() -> bytes:
        async with ThreadSensitiveContext():  # each request has a thread of its own, as in the server
            return b"".join([part async for part in exports._without_waiting(lines())])

    async def all_of_them() -> list[bytes]:
        return await asyncio.gather(*(one() for _ in range(8)))

    assert asyncio.run(all_of_them()) == [b"01234"] * 8
    assert most == [exports.BESIDE]


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"),
        ('=HYPERLINK("http://x")', '\'=HYPERLINK("http://x")'),
        ("+1", "'+1"),
        ("-1+cmd|'/c calc'!A0", "'-1+cmd|'/c calc'!A0"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("\n=1", "'\n=1"),
        ("-", "'-"),
        ("--1", "'--1"),
        ("-12.50", "-12.50"),
        (-3, "-3"),
        (-0.5, "-0.5"),
        ("-1e-7", "-1e-7"),
        ("plain = text", "plain = text"),
        (None, ""),
        (True, "true"),
        ({"a": 1}, '{"a": 1}'),
    ],
)
def test_a_cell_that_begins_like_a_formula_is_text_and_a_number_stays_one(value, cell):
    assert defused(value) == cell


def test_what_a_model_wrote_leaves_defused(client, owner):
    bot_of(account_of(owner), model="rules/trend", status_reason="=cmd|'/c calc'!A0")
    assert table(client.get("/api/v1/things/?format=csv&fields=status_reason"))[1] == ["'=cmd|'/c calc'!A0"]
