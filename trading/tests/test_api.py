"""Positions and diary over the API: to read, one's own only, few queries."""

import pytest

from decisions.models import DiaryEntry
from tests.support.demo import demo, person
from trading.models import Position

pytestmark = pytest.mark.django_db


@pytest.fixture
def made():
    return demo(cycles=3, equity_points=4)


def results(client, path):
    answer = client.get(f"/api/v1/{path}")
    assert answer.status_code == 200, answer.content
    return answer.json()["results"]


def test_positions_can_be_narrowed_to_the_open_ones_and_to_a_symbol(client, made):
    client.force_login(made.user)
    assert {row["symbol"] for row in results(client, "positions/?open=true")} == {"BTCUSDT", "SOLUSDT"}
    assert all(not row["open"] for row in results(client, "positions/?open=false"))
    assert len(results(client, "positions/")) == Position.objects.count()
    assert {row["symbol"] for row in results(client, "positions/?symbol=ETHUSDT")} == {"ETHUSDT"}


def test_the_diary_can_be_narrowed_by_account_bot_symbol_and_kind(client, made):
    client.force_login(made.user)
    everything = results(client, "diary/")
    assert len(everything) == DiaryEntry.objects.count()
    assert len(results(client, f"diary/?account={made.account.pk}&bot={made.bot.pk}")) == len(everything)
    assert {row["kind"] for row in results(client, "diary/?kind=error")} == {"error"}
    assert {row["symbol"] for row in results(client, "diary/?symbol=SOLUSDT")} == {"SOLUSDT"}


def test_what_is_anothers_does_not_exist(client, made):
    client.force_login(person("stranger@vibex.local"))
    for path in ("positions/", "diary/"):
        assert results(client, path) == []
    assert client.get(f"/api/v1/positions/{made.positions[0].pk}/").status_code == 404
    assert client.get(f"/api/v1/diary/{made.entries[0].pk}/").status_code == 404


@pytest.mark.parametrize("path", ["positions/?side=up", "positions/?open=perhaps", "diary/?kind=song", "diary/?bot=x"])
def test_a_filter_that_does_not_fit_is_refused(client, made, path):
    client.force_login(made.user)
    assert client.get(f"/api/v1/{path}").status_code == 400


@pytest.mark.parametrize("path", ["positions/", "diary/"])
def test_a_list_takes_two_queries(client, made, path, django_assert_num_queries):
    client.force_login(made.user)
    client.get(f"/api/v1/{path}")  # a sign-in is written down once
    with django_assert_num_queries(4):  # session and person; accounts and rows
        client.get(f"/api/v1/{path}")


def test_a_page_that_does_not_exist_is_refused(client, made):
    client.force_login(made.user)
    assert client.get("/api/v1/diary/?page=99").status_code == 400
    assert client.get("/api/v1/diary/?cursor=x").status_code == 400
