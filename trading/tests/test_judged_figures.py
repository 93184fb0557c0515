"""What is measured of days that were lived, against direct computation on small books."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal as D
from math import sqrt
from statistics import NormalDist, fmean, stdev

import pytest

from accounts.models import AuditEntry
from accounts.services import bot_change
from decisions.models import CatalogueModel, PromptTemplate
from marketdata.models import Feed
from tests.support.demo import bot_of, person
from trading.models import PerformanceDay
from trading.selectors.judged.closed import Books
from trading.selectors.judged.figures import figures_of
from trading.selectors.judged.known import CLEAN, CONTAMINATED, UNKNOWN, stamp_of
from trading.selectors.judged.lived import BOOKED, WHOLE
from trading.selectors.judged.trials import trials_of
from trading.tests import judged_kit as kit

pytestmark = pytest.mark.django_db
MODEL = "openrouter/x-ai/grok-4.3"
SWAY = [0.01, -0.004, 0.007, -0.002] * 10


@pytest.fixture
def bot():
    kit.a_market()
    return kit.a_bot(model=MODEL)


def measured(bot, **asked):
    subject, lived, wanted = kit.judged(bot.account.owner, **{"bot": bot.pk, **asked})
    return figures_of(subject, lived, wanted, Books(subject, lived))


# -- days -------------------------------------------------------------------------------------------------------------


def test_days_are_net_of_deposits_and_of_the_cost_of_models(bot):
    kit.lives(bot, [0.01, 0.02], cost="1")
    PerformanceDay.objects.filter(bot=None, day=kit.TODAY - kit.A_DAY).update(transfers=5)
    _, lived, _ = kit.judged(bot.account.owner, account=bot.account_id)
    second = 1_010.0
    assert lived.returns == pytest.approx([0.01 - 1 / 1_000, (second * 1.02 - 5) / second - 1 - 1 / second])
    assert (lived.basis, lived.gaps) == (WHOLE, 0)
    assert lived.booked.cost == D(2)


def test_the_running_day_does_not_count(bot):
    kit.lives(bot, [0.01, 0.02])
    PerformanceDay.objects.create(account=bot.account, day=kit.TODAY, equity_first=1_000, equity_last=500)
    _, lived, _ = kit.judged(bot.account.owner, account=bot.account_id)
    assert lived.days == (kit.TODAY - 2 * kit.A_DAY, kit.TODAY - kit.A_DAY)
    assert lived.span == (kit.midnight(2), kit.midnight(0))


def test_since_and_until_bound_the_days(bot):
    kit.lives(bot, [0.01] * 6)
    _, lived, _ = kit.judged(
        bot.account.owner, account=bot.account_id, since=kit.TODAY - 4 * kit.A_DAY, until=kit.TODAY - 2 * kit.A_DAY
    )
    assert lived.days == (kit.TODAY - 4 * kit.A_DAY, kit.TODAY - 3 * kit.A_DAY)


def test_a_bot_whose_account_others_traded_on_has_booked_results(bot):
    kit.lives(bot, [0.01, 0.02])
    PerformanceDay.objects.filter(bot=None).update(fills=5)
    PerformanceDay.objects.filter(bot=bot).update(realised=7, fees=1, funding=D("0.5"), cost=D("0.5"))
    _, lived, _ = kit.judged(bot.account.owner, bot=bot.pk)
    assert lived.basis == BOOKED
    assert lived.returns == pytest.approx([6 / 1_000, 6 / 1_010])


def test_a_day_that_is_missing_is_said(bot):
    kit.lives(bot, [0.01, 0.02, 0.03])
    PerformanceDay.objects.filter(day=kit.TODAY - 2 * kit.A_DAY).delete()
    _, lived, _ = kit.judged(bot.account.owner, account=bot.account_id)
    assert (len(lived.days), lived.gaps) == (2, 1)


def test_a_model_is_judged_over_all_of_its_bots_on_one_market(bot):
    other = kit.a_bot(bot.account.owner, "two", model=MODEL)
    kit.lives(bot, [0.01], worth=1_000)
    kit.lives(other, [0.03], worth=3_000)
    subject, lived, _ = kit.judged(bot.account.owner, model=MODEL)
    assert [each.pk for each in subject.bots] == [bot.pk, other.pk]
    assert lived.returns == pytest.approx([(10 + 90) / 4_000])


# -- figures ----------------------------------------------------------------------------------------------------------


def test_sharpe_psr_and_dsr_agree_with_the_formulas(bot):
    kit.lives(bot, SWAY)
    found = measured(bot, trials=6)
    ratio = fmean(SWAY) / stdev(SWAY)
    deviation = sqrt(fmean([(each - fmean(SWAY)) ** 2 for each in SWAY]))
    skew, kurt = (fmean([((each - fmean(SWAY)) / deviation) ** power for each in SWAY]) for power in (3, 4))
    error = sqrt((1 - skew * ratio + (kurt - 1) / 4 * ratio**2) / 39)
    normal, gamma = NormalDist(), 0.5772156649015329
    best = sqrt(1 / 39) * (
        (1 - gamma) * normal.inv_cdf(1 - 1 / 6) + gamma * normal.inv_cdf(1 - 1 / (6 * 2.718281828459045))
    )
    proof = found.measured.proof
    assert found.measured.sharpe == pytest.approx(ratio * sqrt(365), rel=1e-6)
    assert proof.psr == pytest.approx(normal.cdf(ratio / error), rel=1e-6)
    assert proof.dsr == pytest.approx(normal.cdf((ratio - best) / error), rel=1e-6)
    assert found.measured.drawn.sharpe.low < found.measured.sharpe < found.measured.drawn.sharpe.high
    assert not found.few


def test_below_thirty_days_nothing_is_said_of_risk(bot):
    kit.lives(bot, [0.01] * 5)
    found = measured(bot)
    assert found.few
    assert (found.measured.sharpe, found.measured.proof) == (None, None)
    assert any(word.convention == "fewer than 30 periods" for word in found.others)


def test_trades_turnover_and_exposure_are_those_of_the_books(bot):
    kit.lives(bot, [0.0] * 4, turnover=50)
    kit.traded(bot, "BTCUSDT", kit.midnight(3), kit.midnight(1), entry="100", result="6", fees="1", funding="-1")
    kit.traded(bot, "BTCUSDT", kit.midnight(1), kit.midnight(0) - timedelta(hours=12), entry="100", result="-2")
    kit.traded(bot, "BTCUSDT", kit.midnight(9), kit.midnight(8), result="50")  # before the days
    figures = measured(bot).measured
    assert (figures.trades.count, figures.trades.net) == (2, D(2))
    assert figures.turnover == pytest.approx(200 / 1_000)
    assert figures.time_in_market == pytest.approx(2.5 / 4)
    # At the five ends of days 100 of 1,000 was held three times: when the first began, a day later, and when the second began.
    assert figures.exposure == pytest.approx(0.1 * 3 / 5)


def test_nothing_is_measured_where_no_day_is_over(bot):
    assert measured(bot) is None


# -- trials -----------------------------------------------------------------------------------------------------------


def test_trials_are_the_settings_on_record(bot):
    owner, mine = bot.account.owner, kit.a_bot(bot.account.owner, "rules", model="rules/trend")
    assert trials_of([bot, mine]).counted == 2
    bot_change(bot=bot, actor=owner, model="openrouter/openai/gpt-5")
    bot_change(bot=bot, actor=owner, symbols=["BTCUSDT"])
    bot_change(bot=bot, actor=owner, cost_per_day=D(3))  # no other trial
    bot.refresh_from_db()
    assert AuditEntry.objects.filter(action="bot-change").count() == 3
    assert trials_of([bot, mine]).counted == 4
    bot_change(bot=bot, actor=owner, model=MODEL)
    bot_change(bot=bot, actor=owner, symbols=["BTCUSDT", "ETHUSDT"])
    bot.refresh_from_db()
    assert trials_of([bot, mine]).counted == 5  # the first setting came back, the one before it is new


def test_a_newer_version_of_its_prompt_is_another_trial_and_rules_send_none(bot):
    rules = kit.a_bot(bot.account.owner, "rules", model="rules/trend")
    PromptTemplate.objects.filter(name="arena").delete()
    for version, age in ((1, 9), (2, 5), (3, -1)):
        at = bot.created - timedelta(days=age)
        PromptTemplate.objects.create(name="arena", version=version, text="x", created=at)
    assert trials_of([bot]).counted == 2  # it began with the second, and sends the third
    assert trials_of([rules]).counted == 1
    bot.prompt_version = 1
    assert trials_of([bot]).counted == 1


def test_a_person_may_raise_trials_and_not_lower_them(bot):
    assert (trials_of([bot], 40).number, trials_of([bot], 40).raised) == (40, True)
    two = [bot, kit.a_bot(bot.account.owner, "rules", model="rules/trend")]
    assert (trials_of(two, 1).number, trials_of(two, 1).raised) == (2, False)
    assert "2 different settings" in trials_of(two).words


def test_bots_of_another_owner_and_of_another_market_are_no_trials(bot):
    kit.a_bot(person("other@example.com"), "theirs", model="rules/ema")
    bot_of(kit.account_of(bot.account.owner, "there", "elsewhere"), model="rules/ema")
    kit.lives(bot, [0.01])
    assert measured(bot).trials.counted == 1


# -- repeats ----------------------------------------------------------------------------------------------------------


def test_repeats_have_the_same_settings_and_the_days_that_all_have(bot):
    again = kit.a_bot(bot.account.owner, "again", model=MODEL)
    kit.a_bot(bot.account.owner, "other", model=MODEL, temperature=D("0.5"))
    kit.lives(bot, [0.05, 0.01, 0.02])
    kit.lives(again, [0.03, -0.02])
    repeats = measured(bot).repeats
    assert [each.pk for each in repeats.bots] == [again.pk, bot.pk]
    returned = [1.03 * 0.98 - 1, 1.01 * 1.02 - 1]
    assert repeats.days == 2
    assert repeats.returned == pytest.approx(returned)
    assert repeats.error == pytest.approx(stdev(returned) / sqrt(2))
    assert repeats.few


# -- what was known beforehand ----------------------------------------------------------------------------------------


def stamp(bot, cutoff=None):
    CatalogueModel.objects.filter(slug="x-ai/grok-4.3").delete()
    if cutoff:
        CatalogueModel.objects.create(provider="openrouter", slug="x-ai/grok-4.3", cutoff=cutoff)
    return measured(bot).stamp


def test_recorded_days_before_the_cut_off_are_stamped(bot):
    kit.lives(bot, [0.01] * 3)
    first = kit.TODAY - 3 * kit.A_DAY
    assert stamp(bot).state == UNKNOWN
    assert stamp(bot, first).state == CONTAMINATED
    assert stamp(bot, first - kit.A_DAY).state == CLEAN
    assert "26 Nov 2026" in stamp(bot, date(2026, 12, 1)).words


@pytest.mark.parametrize(("kind", "word"), [("live", "lived"), ("simulated", "made up")])
def test_lived_days_and_made_up_prices_are_not(bot, kind, word):
    kit.lives(bot, [0.01] * 3)
    subject, lived, _ = kit.judged(bot.account.owner, bot=bot.pk)
    found = stamp_of(replace(subject, feed=Feed(venue="sim", kind=kind)), lived.days)
    assert found.state == CLEAN
    assert word in found.words


def test_rules_know_nothing():
    kit.a_market()
    bot = kit.a_bot()
    kit.lives(bot, [0.01])
    assert measured(bot).stamp.state == CLEAN
