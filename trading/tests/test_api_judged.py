"""What results are worth, over the API: the same figures as the page, of what one may see only."""

import json
from decimal import Decimal as D

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.support.demo import person
from trading.selectors.judged.beside import beside_of
from trading.selectors.judged.closed import Books
from trading.selectors.judged.figures import figures_of
from trading.tests import judged_kit as kit

pytestmark = pytest.mark.django_db
MODEL = "openrouter/x-ai/grok-4.3"
AT = "/api/v1/performance/judged/"


@pytest.fixture
def bot(client):
    kit.a_market()
    bot = kit.a_bot(model=MODEL)
    kit.lives(bot, [0.012, -0.006] * 20, cost="0.5", closed=1, won=1, turnover=50)
    for symbol in bot.symbols:
        kit.closes(symbol, [100 + place % 7 for place in range(85)])
    asked = kit.decided(bot, kit.midnight(3), model=MODEL, cost="0.1", confidence=0.7)
    kit.traded(bot, "BTCUSDT", kit.midnight(3), kit.midnight(2), result="8", fees="1", decision=asked, why="target")
    client.force_login(bot.account.owner)
    client.get("/halt/state/")
    return bot


def answer(client, path=AT, status=200, **query):
    found = client.get(path, query)
    assert found.status_code == status, found.content
    return found.json()


def test_it_tells_what_the_selectors_measure(client, bot):
    told = answer(client, bot=bot.pk, trials=7)
    subject, lived, asked = kit.judged(bot.account.owner, bot=bot.pk, trials=7)
    books = Books(subject, lived)
    figures, beside = figures_of(subject, lived, asked, books), beside_of(subject, lived)
    assert told["of"] == {
        "kind": "bot", "key": f"bot-{bot.pk}", "name": "one on one", "market": "sim", "accounts": [bot.account_id],
        "bots": [bot.pk], "model": "",
    }  # fmt: skip
    assert (told["days"]["count"], told["days"]["last"]) == (40, str(kit.TODAY - kit.A_DAY))
    assert D(told["booked"]["model_cost"]) == 20
    assert told["figures"]["sharpe"] == figures.measured.sharpe
    assert told["figures"]["return"] == figures.measured.returned
    assert told["proof"]["dsr"] == figures.measured.proof.dsr
    assert told["sharpe_interval"]["low"] == figures.measured.drawn.sharpe.low
    assert told["trials"]["number"] == 7
    assert told["stamp"]["state"] == "unknown"
    assert told["repeats"] is None
    assert [row["name"] for row in told["baselines"]] == [
        "cash", "hold", "buy and hold", "equal weight", "momentum", "random",
    ]  # fmt: skip
    assert told["baselines"][2]["above"]["value"] == beside.rows[2].over.value
    assert told["random"]["draws"] >= 100
    assert [table["by"] for table in told["attribution"]] == [
        "symbol", "side", "hour", "holding", "signal", "model", "exit",
    ]  # fmt: skip
    assert told["attribution"][0]["total"]["net_after_cost"] == "6.9"
    assert told["calibration"]["brier"] == pytest.approx(0.09)
    assert sum(row["days"] for row in told["regimes"]) == 40
    assert told["funnel"][0]["name"] == "Cycles"


def test_attribution_by_one_property_only(client, bot):
    (table,) = answer(client, bot=bot.pk, by="exit")["attribution"]
    assert (table["by"], [line["key"] for line in table["lines"]]) == ("exit", ["target"])


@pytest.mark.parametrize("below", ["account", "bot"])
def test_below_an_account_and_a_bot_it_is_the_same(client, bot, below):
    key = bot.pk if below == "bot" else bot.account_id
    named = answer(client, **{below: key})
    assert answer(client, f"/api/v1/{below}s/{key}/performance/judged/") == named


def test_a_model_is_named_with_its_market(client, bot):
    told = answer(client, model=MODEL)
    assert told["of"]["key"] == f"model-sim-{MODEL}"
    assert answer(client, model=MODEL, market="sim") == told
    answer(client, model=MODEL, market="elsewhere", status=404)


def test_what_nothing_is_known_of_is_null(client, bot):
    told = answer(client, bot=bot.pk, since=str(kit.TODAY))
    assert told["days"]["count"] == 0
    assert (told["figures"], told["baselines"], told["proof"], told["trials"]) == (None, None, None, None)
    assert (told["attribution"], told["regimes"], told["funnel"]) == ([], [], [])


def test_who_has_no_account_finds_nothing(client, bot):
    client.force_login(person("nobody@example.com"))
    for query in ({"bot": bot.pk}, {"account": bot.account_id}, {"model": MODEL}):
        answer(client, status=404, **query)


def test_what_is_anothers_is_not_found(client, bot):
    theirs = kit.a_bot(person("other@example.com"), "theirs", model="openrouter/openai/gpt-5")
    for query in ({"bot": theirs.pk}, {"account": theirs.account_id}, {"model": theirs.model}):
        answer(client, status=404, **query)
    answer(client, f"/api/v1/bots/{theirs.pk}/performance/judged/", 404)
    answer(client, f"/api/v1/accounts/{theirs.account_id}/performance/judged/", 404)


@pytest.mark.parametrize(
    "query",
    [
        {}, {"account": 1, "bot": 1}, {"account": 1, "market": "sim"}, {"account": 1, "by": "mood"}, {"account": 1, "trials": 0},
        {"account": 1, "since": "2026-11-02", "until": "2026-11-02"}, {"account": 1, "seeds": 5},
    ],
    ids=["nobody", "two", "market", "by", "trials", "no days", "unknown"],
)  # fmt: skip
def test_what_does_not_fit_is_refused(client, bot, query):
    answer(client, status=400, **query)


def test_it_carries_an_etag_and_says_what_it_said_before(client, bot):
    first = client.get(AT, {"bot": bot.pk})
    again = client.get(AT, {"bot": bot.pk}, headers={"If-None-Match": first["ETag"]})
    assert again.status_code == 304


def test_nothing_that_is_no_number_leaves(client, bot):
    text = client.get(AT, {"bot": bot.pk}).content.decode()
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_each_kind_of_rows_is_read_once(client, bot):
    with CaptureQueriesContext(connection) as seen:
        answer(client, bot=bot.pk)
    tables = ("trading_position", "marketdata_candle", "trading_performanceday", "accounts_auditentry")
    for table, most in zip(tables, (3, 1, 2, 2), strict=True):
        assert sum(f'FROM "{table}"' in query["sql"] for query in seen.captured_queries) <= most, table
