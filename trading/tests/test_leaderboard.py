"""Figures of bots: formulas against known numbers, and whose equity it is."""

from datetime import date, timedelta
from decimal import Decimal as D
from math import sqrt
from random import Random
from statistics import mean, stdev

import pytest
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.models import Bot
from accounts.selectors import bots_of
from tests.support.demo import account_of, bot_of, person
from trading.domain.performance import (
    ENOUGH,
    Z_95,
    EquityOfDay,
    compounded,
    daily_returns,
    mean_of,
    sharpe,
)
from trading.models import EquityHour, PerformanceDay
from trading.selectors.leaderboard import days_by_market, equity_known, hours_by_market, scores_of
from trading.services.performance import performance_rebuild
from trading.tests.figures_kit import History

pytestmark = pytest.mark.django_db

TODAY = date(2026, 11, 29)

RETURNS = st.lists(st.floats(-0.2, 0.2, allow_nan=False), min_size=ENOUGH, max_size=200)


# -- formulas ---------------------------------------------------------------------------------------------


def test_the_ratio_is_mean_by_deviation_of_a_year_of_365_days():
    returns = [0.01, -0.004, 0.002, 0.007, -0.009] * 8
    found = sharpe(returns)
    assert found.value == pytest.approx(mean(returns) / stdev(returns) * sqrt(365))
    assert found.days == 40


def test_for_normal_returns_the_interval_is_that_of_lo():
    dice = Random(1)
    returns = [dice.gauss(0.002, 0.01) for _ in range(20_000)]
    found = sharpe(returns)
    daily = found.value / sqrt(365)
    lo = sqrt((1 + daily**2 / 2) / len(returns)) * Z_95 * sqrt(365)
    assert (found.high - found.low) / 2 == pytest.approx(lo, rel=0.01)


def test_returns_with_rare_great_losses_have_a_wider_interval():
    calm = [0.002, 0.001] * 50
    shaken = [0.002, 0.001] * 49 + [0.002, -0.05]
    wide, narrow = (
        (found.high - found.low) / abs(found.value)
        for found in (sharpe(shaken), sharpe([each + 0.001 * (-1) ** place for place, each in enumerate(calm)]))
    )
    assert wide > narrow


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    dice, held, rounds = Random(5), 0, 600
    truth = 0.08 * sqrt(365)
    for _ in range(rounds):
        found = sharpe([dice.gauss(0.0008, 0.01) for _ in range(120)])
        held += found.low <= truth <= found.high
    assert 0.92 < held / rounds < 0.98


@given(RETURNS)
@settings(max_examples=60, deadline=None)
def test_whatever_the_returns_the_value_lies_within_its_interval(returns):
    found = sharpe(returns)
    assert found is None or found.low <= found.value <= found.high
    middle = mean_of(returns)
    assert middle.low <= middle.value <= middle.high


@pytest.mark.parametrize("returns", [[], [0.01] * (ENOUGH - 1), [0.003] * 60, [0.0] * 60])
def test_too_few_days_or_days_that_never_vary_have_none(returns):
    assert sharpe(returns) is None


def test_a_mean_tells_where_nothing_lies_outside_of_it():
    assert mean_of([0.01, 0.011, 0.009] * 12).tells
    assert not mean_of([0.01, -0.011, 0.009] * 12).tells
    assert mean_of([0.01] * 5) is None


def test_a_return_is_net_of_transfers_and_of_models():
    days = [(EquityOfDay(1_000, 1_110, 1_000, 1_110, 100), 2.0), (EquityOfDay(1_110, 999, 999, 1_110, 0), 0.0)]
    returns = daily_returns(days)
    assert returns == pytest.approx([0.008, -0.1])
    assert compounded(returns) == pytest.approx(1.008 * 0.9 - 1)
    assert compounded([0.5, -1.4]) == -1


# -- of bots ----------------------------------------------------------------------------------------------


def day_of(bot, back, result, **sums):
    given = {"closed": 1, "won": 1, "fills": 2, "realised": result, "day": TODAY - timedelta(days=back)} | sums
    PerformanceDay.objects.create(account=bot.account, bot=bot, model=bot.model, **given)
    PerformanceDay.objects.create(
        account=bot.account, equity_first=1_000, equity_last=1_000 + result, equity_lowest=1_000,
        equity_highest=1_000 + result, **given,
    )  # fmt: skip


def scores_for(user, back=90):
    now = timezone.now().replace(year=2026, month=11, day=29)
    days = days_by_market([(key, now) for key in user.accounts.values_list("pk", flat=True)], timedelta(days=back))
    return scores_of(bots_of(user).order_by("pk"), equity_known(days))


def test_the_net_result_is_after_fees_funding_and_models():
    bot = bot_of(account_of(person()))
    day_of(bot, 0, D(50), fees=3, funding=D("-1.5"), cost=D("0.25"))
    day_of(bot, 1, D(-10), fees=1, closed=3, won=0)
    [score] = scores_for(bot.account.owner)
    assert score.net == D("35.25") - D("1")
    assert (score.cost, score.closed, score.won, score.days) == (D("0.25"), 4, 1, 2)
    assert score.hits.low < 0.25 < score.hits.high
    assert score.short
    assert score.sharpe is None


def test_days_before_the_time_that_is_looked_back_on_do_not_count():
    bot = bot_of(account_of(person()))
    day_of(bot, 3, D(10))
    day_of(bot, 91, D(500))
    [score] = scores_for(bot.account.owner)
    assert score.net == 10
    assert score.days == 1
    assert scores_for(bot.account.owner, back=100)[0].net == 510


def test_of_two_bots_on_one_account_neither_has_its_equity():
    account = account_of(person())
    one, two = bot_of(account, "one"), bot_of(account, "two")
    day_of(one, 0, D(10))
    PerformanceDay.objects.create(account=account, bot=two, model="m", day=TODAY, fills=2, realised=-4)
    PerformanceDay.objects.filter(bot=None).update(fills=4)
    first, second = scores_for(account.owner)
    assert (first.net, second.net) == (10, -4)
    assert not first.alone
    assert first.returned is None
    assert first.drawdown is None


def test_a_bot_without_any_day_has_no_figures():
    bot = bot_of(account_of(person()), status=Bot.Status.RUNNING)
    [score] = scores_for(bot.account.owner)
    assert (score.net, score.days, score.returned, score.sharpe) == (0, 0, None, None)
    assert score.hits.value is None


def test_with_enough_days_there_is_a_ratio_and_a_fall():
    bot = bot_of(account_of(person()))
    for back in range(40):
        day_of(bot, back, D((12, -7, 3)[back % 3]))
    [score] = scores_for(bot.account.owner)
    assert score.sharpe.days == 40
    assert score.sharpe.low < score.sharpe.value < score.sharpe.high
    assert 0 < score.drawdown < 0.02
    assert not score.short


def test_figures_are_those_of_the_books():
    history = History.begin(11)
    history.bots[1].delete()
    history.bots.pop()
    history.live(24 * 6, events=150)
    performance_rebuild(history.account)
    rows = PerformanceDay.objects.filter(bot=history.bots[0])
    [score] = scores_of(history.bots, equity_known({(None, date(2100, 1, 1)): [history.account.pk]}))
    assert score.net == sum(row.realised - row.fees + row.funding - row.cost for row in rows)
    assert score.closed == sum(row.closed for row in rows)


def test_days_and_hours_come_in_order_and_apart():
    account = account_of(person())
    bot = bot_of(account)
    for back in (0, 2, 1):
        day_of(bot, back, D(back))
    now = timezone.now()
    for hours in (1, 3, 2, 40):
        at = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours)
        EquityHour.objects.create(
            account=account, hour=at, first=1, lowest=1, highest=1, last=hours, lowest_at=at, highest_at=at, points=1
        )
    days = {(None, TODAY): [account.pk]}
    known = equity_known(days, hours_by_market([(account.pk, now)], timedelta(days=1)))
    assert [row.at for row in known.days[account.pk]] == ["2026-11-27", "2026-11-28", "2026-11-29"]
    assert [row.last for row in known.hours[account.pk]] == [3, 2, 1]
    assert equity_known({}).days == {}
