"""The page of performance: whose it is, what it says where little is known, and that it works without scripts."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Bot
from tests.support.demo import account_of, person
from trading import views_performance
from trading.tests import judged_kit as kit

pytestmark = pytest.mark.django_db
MODEL = "openrouter/x-ai/grok-4.3"
MOST_QUERIES = 12
PARTS = ("figures", "baselines", "trades", "funnel")
CHARTS = ("equity", "fan", "returns")
HTMX = {"HX-Request": "true"}


@pytest.fixture
def bot(client):
    kit.a_market()
    bot = kit.a_bot(model=MODEL)
    client.force_login(bot.account.owner)
    client.get("/halt/state/")  # the first request of a session puts its sign-in on record
    return bot


def filled(bot, days=40):
    kit.lives(bot, [0.012, -0.006] * (days // 2), cost="0.5", closed=1, won=1)
    for symbol in bot.symbols:
        kit.closes(symbol, [100 + place % 7 for place in range(days + 45)])
    asked = kit.decided(bot, kit.midnight(3), model=MODEL, cost="0.1", confidence=0.7)
    kit.traded(bot, "BTCUSDT", kit.midnight(3), kit.midnight(2), result="8", fees="1", decision=asked)
    return bot


def text_of(client, path, status=200, **headers):
    answer = client.get(path, headers=headers)
    assert answer.status_code == status, path
    return " ".join(answer.content.decode().split())


def test_it_shows_the_sums_and_leads_to_its_parts(client, bot):
    filled(bot)
    page = text_of(client, f"/performance/?of=bot-{bot.pk}")
    assert "40" in page
    assert "20.00 USD" in page  # 40 days of half a dollar
    assert f'<option value="bot-{bot.pk}" selected>one on one</option>' in page
    assert f'<option value="model-sim-{MODEL}"' in page
    for part in PARTS:
        assert f'<a href="/performance/{part}/?of=bot-{bot.pk}&amp;days=90">' in page
    assert 'aria-current="page">Performance</a>' in page


@pytest.mark.parametrize("of", ["account", "bot", "model"])
@pytest.mark.parametrize("framed", [True, False], ids=["framed", "htmx"])
def test_every_part_answers_for_everyone(client, bot, of, framed):
    filled(bot)
    key = {"account": f"account-{bot.account_id}", "bot": f"bot-{bot.pk}", "model": f"model-sim-{MODEL}"}[of]
    said = " ".join(text_of(client, f"/performance/{part}/?of={key}", **({} if framed else HTMX)) for part in PARTS)
    for words in (
        "Probabilistic Sharpe ratio", "May be contaminated", "1 different setting", "Buy and hold", "The same bot that holds",
        "stored candles", "By symbol", "Buy to enter", "Brier score 0.09", "log return over the 20 days", "Proposals",
        "manage.py replay",
    ):  # fmt: skip
        assert words in said, words
    assert ("<!DOCTYPE html>" in said) is framed


def test_no_request_asks_the_database_more_than_a_dozen_times(client, bot):
    filled(bot)
    kit.lives(kit.a_bot(bot.account.owner, "again", model=MODEL), [0.01] * 20)  # a repeat
    paths = ["", *(f"{name}/" for name in (*PARTS, *CHARTS))]
    asked = {}
    for path in paths:
        with CaptureQueriesContext(connection) as seen:
            text_of(client, f"/performance/{path}?of=bot-{bot.pk}&days=all")
        asked[path] = len(seen)
    assert {path: count for path, count in asked.items() if count > MOST_QUERIES} == {}


def test_trials_are_raised_by_the_address(client, bot):
    filled(bot)
    part = text_of(client, f"/performance/figures/?of=bot-{bot.pk}&trials=50", **HTMX)
    assert "raised to 50 by who looks at it" in part
    assert "best of 50" in part


def test_who_has_no_account_is_led_to_the_first_one(client):
    client.force_login(person("nobody@example.com"))
    assert 'href="/setup/"' in text_of(client, "/performance/")


def test_an_account_without_days_says_so(client, bot):
    assert "No whole day of one" in text_of(client, "/performance/")
    for part in PARTS:
        assert "No " in text_of(client, f"/performance/{part}/", **HTMX)
    for chart in CHARTS:
        assert client.get(f"/performance/{chart}/").json() == {"data": [], "layout": {}}


def test_few_days_are_called_few_and_missing_candles_missing(client, bot):
    kit.lives(bot, [0.01] * 3)
    assert "3 days are few" in text_of(client, "/performance/figures/", **HTMX)
    assert "No candle of these days is stored on sim" in text_of(client, "/performance/baselines/", **HTMX)
    assert "No close of these days" not in text_of(client, "/performance/figures/", **HTMX)


def test_a_part_that_cannot_be_computed_says_so_in_its_place(client, bot, monkeypatch):
    filled(bot)

    def fails(*_given):
        raise ValueError("A close is above 0.")

    monkeypatch.setattr(views_performance, "beside_of", fails)
    part = text_of(client, "/performance/baselines/", **HTMX)
    assert 'role="alert">This part could not be computed: A close is above 0.' in part
    assert "Probabilistic" in text_of(client, "/performance/figures/", **HTMX)


@pytest.mark.parametrize("path", ["", *(f"{name}/" for name in (*PARTS, *CHARTS))])
def test_what_is_anothers_and_what_is_none_is_not_found(client, bot, path):
    theirs = kit.a_bot(person("other@example.com"), "theirs", model="openrouter/openai/gpt-5")
    for query in (
        f"of=bot-{theirs.pk}", f"of=account-{theirs.account_id}", "of=model-sim-openrouter/openai/gpt-5", "of=bot-x",
        "of=nothing", f"of=bot-{10**30}", "days=7", "since=yesterday", "trials=0", "trials=many",
    ):  # fmt: skip
        text_of(client, f"/performance/{path}?{query}", 404)


def test_without_a_choice_the_account_whose_bot_runs_is_shown(client, bot):
    quiet = account_of(bot.account.owner, "a-first")
    Bot.objects.filter(pk=bot.pk).update(status=Bot.Status.RUNNING)
    assert f'<option value="account-{bot.account_id}" selected>' in text_of(client, "/performance/")
    assert f'<option value="account-{quiet.pk}"' in text_of(client, "/performance/")


def test_days_of_the_address_bound_what_is_drawn(client, bot):
    filled(bot)
    since = kit.TODAY - timedelta(days=5)
    told = client.get(f"/performance/returns/?of=bot-{bot.pk}&since={since}&until={kit.TODAY - kit.A_DAY}").json()
    assert told["data"][0]["x"] == [str(since + kit.A_DAY * place) for place in range(4)]
    months = client.get(f"/performance/returns/?of=bot-{bot.pk}&days=all").json()["data"][0]["x"]
    assert len(months) == 40


def test_the_fan_lies_around_the_middle_draw(client, bot):
    filled(bot)
    told = client.get(f"/performance/fan/?of=bot-{bot.pk}").json()
    ends = {trace["name"]: trace["y"][-1] for trace in told["data"]}
    assert ends["5 % of draws are below"] <= ends["middle draw"] <= ends["95 % of draws are below"]
