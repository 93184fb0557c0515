"""A subject beside baselines, and where its result came from, against direct computation on small books."""

from datetime import timedelta
from decimal import Decimal as D

import numpy as np
import pytest

from decisions.models import Cycle
from marketdata.models import Candle
from trading.domain.attribution import By
from trading.domain.bootstrap import paired_difference, return_of_rows
from trading.domain.regimes import Regime
from trading.selectors.judged import drawn
from trading.selectors.judged.beside import beside_of, curves_of, market_of
from trading.selectors.judged.closed import Books, kept_in, opened_in
from trading.selectors.judged.funnel import decided_by
from trading.selectors.judged.parts import parts_of
from trading.tests import judged_kit as kit

pytestmark = pytest.mark.django_db
MODEL = "openrouter/x-ai/grok-4.3"
FEE = 0.0004


@pytest.fixture
def bot():
    kit.a_market()
    return kit.a_bot(model=MODEL)


def besides(bot):
    subject, lived, _ = kit.judged(bot.account.owner, bot=bot.pk)
    found = beside_of(subject, lived)
    return {row.name: row for row in found.rows}, found, lived


def test_baselines_are_those_of_the_closes_at_the_ends_of_days(bot):
    kit.lives(bot, [0.01, -0.01])
    kit.closes("BTCUSDT", [70, 100, 110, 121])
    kit.closes("ETHUSDT", [10, 10, 10, 5])
    rows, found, _ = besides(bot)
    assert rows["cash"].returned == 0
    assert rows["buy and hold"].returned == pytest.approx(0.99 * (0.21 - FEE))
    assert rows["equal weight"].returned == pytest.approx(0.99 / 2 * (0.21 - FEE) + 0.99 / 2 * (-0.5 - FEE))
    assert rows["hold"].returned == 0
    assert rows["buy and hold"].verdict == "too few days"
    assert len(found.fan) >= 100


def test_days_begin_in_the_zone_of_the_account(bot):
    bot.account.time_zone = "Asia/Tokyo"
    bot.account.save()
    kit.lives(bot, [0.01])
    at = kit.midnight(1) - timedelta(hours=9)  # midnight in Tokyo
    for moment, price in ((at, 50.0), (at + kit.A_DAY, 60.0)):
        Candle.objects.create(
            venue="sim", symbol="BTCUSDT", interval="1m", open_time=moment - kit.MINUTE, open=1, high=99, low=1, close=price,
            volume=1, closed=True,
        )  # fmt: skip
    rows, _, _ = besides(bot)
    assert rows["buy and hold"].returned == pytest.approx(0.99 * (0.2 - FEE))


def test_the_same_bot_that_holds_keeps_what_was_open_when_the_days_began(bot):
    kit.lives(bot, [0.0, 0.0])
    kit.closes("BTCUSDT", [100, 110, 130])
    kit.traded(bot, "BTCUSDT", kit.midnight(3), kit.midnight(1), entry="100")  # of one unit
    kit.traded(bot, "BTCUSDT", kit.midnight(1), None, entry="100")  # later: it would not have been opened
    rows, _, _ = besides(bot)
    assert rows["hold"].returned == pytest.approx(30 / 1_000)


def test_the_difference_is_paired_by_day_and_told_apart_where_it_is(bot):
    ours = [0.011, -0.009] * 20
    kit.lives(bot, ours)
    prices = [100.0]
    for returned in ours:
        prices.append(prices[-1] * (1 + returned - 0.01))
    kit.closes("BTCUSDT", prices)
    rows, _, lived = besides(bot)
    held = rows["buy and hold"]
    theirs = held.curve[1:] / held.curve[:-1] - 1
    assert held.over == paired_difference(lived.returns, theirs, return_of_rows)
    assert held.verdict == "more than it"
    assert rows["cash"].verdict == "not told apart"


def test_without_candles_there_is_nothing_to_hold_it_against(bot):
    kit.lives(bot, [0.01])
    subject, lived, _ = kit.judged(bot.account.owner, bot=bot.pk)
    assert beside_of(subject, lived) is None


def test_a_symbol_that_is_not_known_at_first_is_said(bot):
    kit.lives(bot, [0.01, 0.01])
    kit.closes("BTCUSDT", [100, 110, 120])
    kit.closes("ETHUSDT", [10, 12])
    rows, found, _ = besides(bot)
    assert found.market.absent == ("ETHUSDT",)
    assert rows["equal weight"].returned == pytest.approx(0.99 / 2 * (0.2 - FEE) + 0.99 / 2 * (0.2 - FEE))


def test_random_draws_are_the_positions_of_the_days(bot):
    kit.lives(bot, [0.0] * 3)
    kit.closes("BTCUSDT", [100] * 4)
    kit.traded(bot, "BTCUSDT", kit.midnight(2), kit.midnight(1), entry="500", result="10")
    kit.traded(bot, "BTCUSDT", kit.midnight(20), kit.midnight(19), entry="900")
    _, found, _ = besides(bot)
    assert found.fan[:, -1] == pytest.approx(1 - FEE * (500 + 510) / 1_000)


def test_positions_of_a_day_stand_together_and_long_ones_by_themselves(bot):
    kit.lives(bot, [0.0, 1.0, 0.0])
    hour = timedelta(hours=1)
    kit.traded(bot, "BTCUSDT", kit.midnight(3), kit.midnight(3) + 6 * hour, entry="300")
    kit.traded(bot, "BTCUSDT", kit.midnight(3) + 6 * hour, kit.midnight(3) + 18 * hour, entry="400", side="short")
    kit.traded(bot, "BTCUSDT", kit.midnight(2) + 12 * hour, kit.midnight(0) + hour, entry="200")  # over the end
    kit.traded(bot, "BTCUSDT", kit.midnight(0) + 2 * hour, None, entry="900")  # after it
    subject, lived, _ = kit.judged(bot.account.owner, bot=bot.pk)
    together, alone = sorted(opened_in(subject, lived), key=lambda each: each.place)
    day = 86_400e6
    assert (together.place, together.own, together.many, together.longs) == (0, 0, 2, 1)
    assert together.squares == pytest.approx((300**2 * 0.25 + 400**2 * 0.5) * day)
    assert together.drift == pytest.approx((300 * 0.25 - 400 * 0.5) * day)
    assert together.traded == pytest.approx(2 * 700)
    assert (alone.place, alone.many, alone.longs) == (1, 1, 1)
    assert alone.own > 0
    assert alone.lasted == pytest.approx(1.5 * day)
    assert kept_in(subject, lived) == {}


# -- where it came from -----------------------------------------------------------------------------------------------


def parts(bot, **asked):
    subject, lived, _ = kit.judged(bot.account.owner, **(asked or {"bot": bot.pk}))
    return parts_of(subject, lived, Books(subject, lived))


def test_trades_are_named_by_what_decided_them_and_share_what_their_call_cost(bot):
    kit.lives(bot, [0.0] * 3)
    asked = kit.decided(bot, kit.midnight(2), model=MODEL, cost="0.6", confidence=0.8)
    kit.traded(bot, "BTCUSDT", kit.midnight(2), kit.midnight(1), result="9", fees="2", why="target", decision=asked)
    kit.traded(
        bot,
        "ETHUSDT",
        kit.midnight(2),
        kit.midnight(1),
        result="-3",
        funding="1",
        why="stop",
        decision=asked,
        side="short",
    )
    found = parts(bot)
    lines = {by: {line.key: line.net_after_cost for line in table.lines} for by, table in found.by.items()}
    assert lines[By.SYMBOL] == {"BTCUSDT": D("6.7"), "ETHUSDT": D("-2.3")}
    assert lines[By.SIDE] == {"long": D("6.7"), "short": D("-2.3")}
    assert lines[By.MODEL] == {MODEL: D("4.4")}
    assert lines[By.EXIT] == {"target": D("6.7"), "stop": D("-2.3")}
    assert lines[By.SIGNAL] == {"buy to enter": D("4.4")}
    assert lines[By.HELD] == {"1 d to 3 d": D("4.4")}
    assert found.by[By.SYMBOL].total.net_after_cost == D("4.4")
    assert found.calibration.brier == pytest.approx((0.2**2 + 0.8**2) / 2)


def test_a_model_has_the_trades_that_it_decided(bot):
    other = kit.a_bot(bot.account.owner, "two", model=MODEL)
    kit.lives(bot, [0.0] * 3)
    kit.lives(other, [0.0] * 3)
    mine = kit.decided(bot, kit.midnight(2), model=MODEL)
    theirs = kit.decided(other, kit.midnight(2), model="openrouter/openai/gpt-5")  # a fallback answered
    kit.traded(bot, "BTCUSDT", kit.midnight(2), kit.midnight(1), decision=mine)
    kit.traded(other, "BTCUSDT", kit.midnight(2), kit.midnight(1), decision=theirs)
    kit.traded(other, "ETHUSDT", kit.midnight(2), kit.midnight(1))  # nobody was asked: its bot's own
    found = parts(bot, model=MODEL)
    assert sorted(trade.symbol for trade in found.closed.trades) == ["BTCUSDT", "ETHUSDT"]


def test_kinds_of_market_are_told_by_the_days_before(bot):
    kit.lives(bot, [0.01, 0.02])
    kit.closes("BTCUSDT", [100 * 1.01**place * (1.001 if place % 2 else 1) for place in range(30)])
    kit.traded(bot, "BTCUSDT", kit.midnight(2), kit.midnight(1), result="5")
    (row,) = parts(bot).regimes
    assert (row.regime, row.days, row.hits.part, row.hits.whole) == (Regime.UP, 2, 1, 1)
    assert row.returned == pytest.approx(1.01 * 1.02 - 1)


def test_without_closes_no_kind_is_told(bot):
    kit.lives(bot, [0.01])
    (row,) = parts(bot).regimes
    assert row.regime == Regime.UNKNOWN


# -- decisions --------------------------------------------------------------------------------------------------------


def test_the_funnel_is_of_the_candles_of_the_days(bot):
    kit.lives(bot, [0.0] * 3)
    kit.decided(bot, kit.midnight(1), model=MODEL)
    kit.decided(bot, kit.midnight(2), action="hold", model=MODEL)
    kit.decided(bot, kit.midnight(2) + kit.MINUTE, model=MODEL, verdict="refused")
    kit.decided(bot, kit.midnight(9), model=MODEL)  # before them
    subject, lived, _ = kit.judged(bot.account.owner, bot=bot.pk)
    found = decided_by(subject, lived)
    assert {stage.name: stage.count for stage in found.funnel.stages} == {
        "Cycles": 3, "Asked": 3, "Answered": 3, "Proposals": 3, "To act": 2, "Allowed": 1, "Ordered": 0, "Filled": 0,
    }  # fmt: skip
    assert [each.at for each in found.newest] == [kit.midnight(1), kit.midnight(2) + kit.MINUTE]
    assert Cycle.objects.filter(pk=found.newest[0].cycle_id).exists()
    assert not found.cut


# -- charts -----------------------------------------------------------------------------------------------------------


def figure(bot, *prices):
    kit.closes("BTCUSDT", prices)
    subject, lived, _ = kit.judged(bot.account.owner, bot=bot.pk)
    market = market_of(subject, lived)
    return drawn.equity_figure(lived, curves_of(lived, market, kept_in(subject, lived)))


def test_equity_is_drawn_in_per_cent_with_its_fall(bot):
    kit.lives(bot, [0.10, -0.05])
    told = figure(bot, 100, 100, 101)
    result, fall = told["data"][0], told["data"][-1]
    assert result["y"] == pytest.approx([0, 10, 4.5])
    assert fall["y"] == pytest.approx([0, 0, -5])
    assert result["x"] == ["2026-11-26", "2026-11-27", "2026-11-28"]
    assert told["layout"]["yaxis"]["ticksuffix"] == " %"


def test_what_became_many_times_as_much_is_drawn_by_logarithm(bot):
    kit.lives(bot, [0.10, -0.05])
    told = figure(bot, 100, 200, 400)
    assert told["layout"]["yaxis"]["type"] == "log"
    assert told["data"][0]["y"] == pytest.approx([1, 1.1, 1.045])


def test_months_are_compounded(bot):
    kit.lives(bot, [0.01] * 40)
    _, lived, _ = kit.judged(bot.account.owner, bot=bot.pk)
    assert drawn.months_of(lived) == [
        ("2026-10", pytest.approx(1.01**12 - 1)),
        ("2026-11", pytest.approx(1.01**28 - 1)),
    ]
    assert np.nansum([value for bar in drawn.returns_figure(lived)["data"] for value in bar["y"] if value]) > 0
