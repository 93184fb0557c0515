"""Results of a bot are shown beside what its models cost, and net of it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.core.cache import cache
from django.utils import timezone

from accounts.models import Bot
from decisions.models import Cycle, Interaction
from decisions.selectors import cost_between, cost_by_day, cost_by_model, cost_of_cycles, cost_per_decision
from trading.models import Position
from trading.selectors.model_money import DAYS, account_money, bot_money, figure_of_cost, slices_of
from trading.tests.builders import make_account, make_bot

pytestmark = pytest.mark.django_db
D = Decimal
NOW = datetime(2026, 3, 28, 22, 30, tzinfo=UTC)
"""In Tokyo it is 07:30 of the 29th."""


@pytest.fixture(autouse=True)
def _nothing_is_remembered():
    cache.clear()


@pytest.fixture
def bot() -> Bot:
    return with_account(make_bot("thrifty", model="openrouter/x/y", cost_per_day=D("2")))


def with_account(bot: Bot) -> Bot:
    """Return the bot with its account read already, as pages have it."""
    assert bot.account.time_zone
    return bot


def call(bot, cost=None, *, at=NOW, model="x/y", estimate=None, cycle=None, tokens=100, **more):
    return Interaction.objects.create(
        bot=bot,
        cycle=cycle,
        provider=more.pop("provider", "openrouter"),
        model_requested=model,
        cost=None if cost is None else D(cost),
        estimate=None if estimate is None else D(estimate),
        prompt_tokens=tokens,
        completion_tokens=10,
        outcome=more.pop("outcome", "answered"),
        at=at,
        **more,
    )


def cycle_of(bot, minute):
    at = NOW - timedelta(minutes=minute)
    return Cycle.objects.create(bot=bot, account=bot.account, scheduled_for=at, status="done", lease_until=at)


def position(bot, realised, fees, funding):
    values = {"realised": D(realised), "fees": D(fees), "funding": D(funding), "closed": NOW, "opened": NOW}
    return Position.objects.create(
        account=bot.account,
        bot=bot,
        symbol="BTCUSDT",
        side="long",
        quantity=0,
        cost=0,
        entry_price=1,
        leverage=1,
        **values,
    )


# What counts


def test_a_call_counts_its_cost_else_its_estimate_until_the_late_reply_says(bot):
    call(bot, "0.10")
    call(bot, estimate="0.04", outcome="no_answer")
    given_up = call(bot, estimate="0.07", outcome="no_answer")
    call(bot, "0.05", late_of=given_up, outcome="no_answer")
    call(bot, outcome="no_answer", reason="unreachable: nobody")
    spent = cost_between(bot)
    assert (spent.told, spent.assumed, spent.total) == (D("0.15"), D("0.04"), D("0.19"))
    assert (spent.calls, spent.untold, spent.tokens) == (3, 1, 550)


def test_a_call_of_before_there_were_estimates_counts_as_usual(bot):
    call(bot, "0.06")
    call(bot, provider="")
    call(bot, provider="", outcome="no_answer", reason="http.503: the server answered 503")
    assert cost_between(bot).total == D("0.12")


def test_every_purpose_counts(bot):
    for purpose in Interaction.Purpose:
        call(bot, "0.01", purpose=purpose)
    assert cost_between(bot).total == len(Interaction.Purpose) * D("0.01")


def test_cost_by_model_and_by_day_of_the_account(django_assert_num_queries):
    bot = with_account(make_bot(model="openrouter/x/y", account=make_account(time_zone="Asia/Tokyo")))
    call(bot, "0.1", at=NOW)
    call(bot, "0.2", at=NOW - timedelta(hours=8))
    call(bot, "0.4", at=NOW, model="z")
    with django_assert_num_queries(2):
        days, models = cost_by_day(bot), cost_by_model(bot)
    assert [(each.day, each.model, each.spent.total) for each in days] == [
        (date(2026, 3, 28), "openrouter/x/y", D("0.2")),
        (date(2026, 3, 29), "openrouter/x/y", D("0.1")),
        (date(2026, 3, 29), "openrouter/z", D("0.4")),
    ]
    assert [(each.model, each.spent.total, each.spent.calls) for each in models] == [
        ("openrouter/z", D("0.4"), 1),
        ("openrouter/x/y", D("0.3"), 2),
    ]


def test_a_decision_costs_what_all_calls_of_its_cycle_cost(bot):
    first, second = cycle_of(bot, 3), cycle_of(bot, 6)
    call(bot, "0.1", cycle=first)
    call(bot, "0.2", cycle=first, purpose="shadow")
    call(bot, estimate="0.3", cycle=second)
    call(bot, "9", purpose="dry_run")
    costs = cost_per_decision(bot)
    assert (costs.cycles, costs.spent.total, costs.each) == (2, D("0.6"), D("0.3"))
    assert {key: spent.total for key, spent in cost_of_cycles(bot, [first.pk, second.pk]).items()} == {
        first.pk: D("0.3"),
        second.pk: D("0.3"),
    }


def test_before_the_first_decision_none_costs_anything(bot):
    assert cost_per_decision(bot).each is None


# Beside results


def test_what_is_left_of_a_bots_result_is_net_of_its_models(bot):
    position(bot, "12.50", "1.25", "-0.25")
    call(bot, "0.4", cycle=cycle_of(bot, 3))
    call(bot, "1.1", at=NOW - timedelta(days=DAYS + 5))
    money = bot_money(bot, now=NOW)
    assert (money.booked, money.all.total, money.net) == (D("11"), D("1.5"), D("9.5"))
    assert (money.recent.total, money.today.total, money.cycles, money.each) == (D("0.4"), D("0.4"), 1, D("0.4"))


def test_days_that_are_over_are_counted_once_and_the_last_two_anew(bot, django_assert_num_queries):
    call(bot, "0.1", at=NOW - timedelta(days=5))
    call(bot, "0.2", at=NOW - timedelta(days=1))
    with django_assert_num_queries(1):
        first = slices_of(bot, now=NOW)
    call(bot, "0.4", at=NOW - timedelta(days=1))
    with django_assert_num_queries(1):
        second = slices_of(bot, now=NOW)
    assert sum(each.spent.total for each in first) == D("0.3")
    assert sum(each.spent.total for each in second) == D("0.7")
    assert slices_of(bot, now=NOW) == second
    later = slices_of(bot, now=NOW + timedelta(days=2))
    assert sum(each.spent.total for each in later) == D("0.7")


def test_an_account_is_shown_both_since_the_start_and_of_today(bot):
    other = make_bot("other", account=bot.account, model="openrouter/z")
    call(bot, "0.5", at=NOW)
    call(other, "0.25", at=NOW)
    call(other, "4", at=NOW - timedelta(days=9))
    money = account_money(bot.account, total=D("10"), day=D("-1"), market_now=NOW, now=NOW)
    assert (money.all.total, money.net) == (D("4.75"), D("5.25"))
    assert (money.today.total, money.net_today) == (D("0.75"), D("-1.75"))


def test_a_market_of_another_day_has_no_cost_of_today(bot):
    call(bot, "0.5", at=NOW)
    money = account_money(bot.account, total=None, day=None, market_now=NOW - timedelta(days=300), now=NOW)
    assert (money.today, money.net_today, money.net) == (None, None, None)


def test_the_chart_has_a_bar_for_each_day_and_a_layer_for_each_model(bot):
    call(bot, "0.1", at=NOW - timedelta(days=3))
    call(bot, "0.3", at=NOW, model="dear")
    figure = figure_of_cost(slices_of(bot, now=NOW))
    assert [trace["name"] for trace in figure["data"]] == ["openrouter/dear", "openrouter/x/y"]
    assert [trace["y"] for trace in figure["data"]] == [[0, 0, 0, 0.3], [0.1, 0, 0, 0]]
    assert figure["data"][0]["x"][0] == "2026-03-25"
    assert figure_of_cost([])["data"] == []


def test_the_chart_adds_what_stands_under_one_name(bot):
    call(bot, "0.1", at=NOW, model="openrouter/x/y")
    call(bot, "0.3", at=NOW)
    (trace,) = figure_of_cost(slices_of(bot, now=NOW))["data"]
    assert (trace["name"], trace["y"]) == ("openrouter/x/y", [0, 0.4])


def test_one_day_is_drawn_as_two(bot):
    call(bot, "0.1", at=NOW)
    assert figure_of_cost(slices_of(bot, now=NOW))["data"][0]["y"] == [0, 0.1]


# The pages


@pytest.fixture
def owner(client, bot):
    client.force_login(bot.account.owner)
    return client


def test_the_page_of_a_bot_says_what_its_models_cost(owner, bot):
    position(bot, "12.50", "1.25", "-0.25")
    call(bot, "0.0043", at=timezone.now(), cycle=cycle_of(bot, 3))
    page = owner.get(f"/bots/{bot.pk}/spent/").content.decode()
    assert "Result and model cost" in page
    assert "0.0043 USD in 1 call" in page
    assert "0.0043 of 2.00 USD, 110 tokens" in " ".join(page.split())
    assert "openrouter/x/y" in page
    assert f'data-chart="/bots/{bot.pk}/cost/"' in page
    assert owner.get(f"/bots/{bot.pk}/cost/").json()["data"][0]["name"] == "openrouter/x/y"


def test_the_desk_says_what_models_cost_and_says_nothing_where_none_was_asked(owner, bot):
    desk = f"/accounts/{bot.account_id}/"
    assert "Model cost" not in owner.get(desk).content.decode()
    call(bot, "1.25", at=timezone.now())
    page = owner.get(desk).content.decode()
    assert "Model cost" in page
    assert "1.25 <small>USD</small>" in page


def test_nobody_else_sees_what_it_costs(client, bot):
    client.force_login(make_account("foreign").owner)
    assert client.get(f"/bots/{bot.pk}/cost/").status_code == 404
