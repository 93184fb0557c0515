"""rules/trend: what it asks for, and that every hold says why."""

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.domain.limits import DEFAULTS
from decisions.deciders.rules import rules_decider
from decisions.domain.proposal import Action, Side
from decisions.domain.question import Outcome
from decisions.domain.trend import Trend
from decisions.tests.builders import BTC, DOWNTREND, ETH, NO_TREND, UPTREND, position, question, view
from vibex.lib.clock import Deadline


def only(values, *, positions=(), **changes):
    """What is asked for ETH alone in a market of these values."""
    return Trend().decide(question(view(ETH, values), positions=positions, **changes))


def test_an_uptrend_with_momentum_is_bought_with_stop_and_target():
    (entry,) = only(UPTREND)
    assert (entry.action, entry.leverage) == (Action.BUY, 3)
    assert entry.stop_loss == Decimal("4120.1")
    assert entry.profit_target == Decimal("4360.1")
    assert entry.quantity == Decimal("1.092")  # 100 ÷ (80 + fees of 3.328 + slippage of 8.240)
    assert entry.risk_usd == entry.quantity * (Decimal("4200.1") - entry.stop_loss)
    assert 0.5 <= entry.confidence <= 0.9
    assert "4h EMA20 4150 above EMA50 4100" in entry.justification


def test_a_downtrend_with_momentum_is_sold_the_other_way_round():
    (entry,) = only(DOWNTREND)
    assert entry.action is Action.SELL
    assert entry.profit_target < Decimal(4200) < entry.stop_loss


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (NO_TREND, "No trend"),
        (UPTREND | {"macd_hist": -2.0}, "Waiting for momentum to the long side"),
        (UPTREND | {"rsi14": 71.0}, "Too late for a long"),
        (DOWNTREND | {"rsi14": 29.0}, "Too late for a short"),
        (UPTREND | {"ema50": float("nan")}, "Not enough candles"),
    ],
)
def test_without_trend_momentum_room_or_candles_it_holds_and_says_so(values, why):
    (proposal,) = only(values)
    assert proposal.action is Action.HOLD
    assert proposal.justification.startswith(why)


def test_a_symbol_with_a_problem_is_held_with_the_reason():
    (proposal,) = Trend().decide(question(view(ETH, UPTREND, problem="the candle of 19:00 is missing")))
    assert (proposal.action, proposal.justification) == (
        Action.HOLD,
        "No usable data: the candle of 19:00 is missing",
    )


def test_a_symbol_that_the_market_lacks_is_held():
    asked = question(view(ETH))
    (proposal,) = Trend().decide(replace(asked, snapshot=replace(asked.snapshot, symbols={})))
    assert proposal.action is Action.HOLD


def test_a_position_with_the_trend_is_held_and_not_enlarged():
    (proposal,) = only(UPTREND, positions=(position(),))
    assert proposal.action is Action.HOLD


def test_a_position_is_closed_when_the_trend_turns_and_reversed_when_momentum_agrees():
    asked = only(DOWNTREND, positions=(position(side=Side.LONG),))
    assert [proposal.action for proposal in asked] == [Action.CLOSE, Action.SELL]


def test_a_position_is_only_closed_when_the_other_side_has_no_momentum():
    asked = only(DOWNTREND | {"macd_hist": 2.0}, positions=(position(side=Side.LONG),))
    assert [proposal.action for proposal in asked] == [Action.CLOSE]


def test_the_strongest_trend_takes_the_last_place():
    views = (view(BTC, UPTREND | {"ema20": 115000.0, "ema50": 110000.0}), view(ETH, UPTREND | {"adx14": 45.0}))
    asked = Trend().decide(question(*views, limits=replace(DEFAULTS, max_positions=1)))
    assert [(proposal.symbol, proposal.action) for proposal in asked] == [
        ("ETHUSDT", Action.BUY),
        ("BTCUSDT", Action.HOLD),
    ]
    assert asked[1].justification.startswith("All 1 places are taken")


def test_one_timeframe_is_enough():
    asked = question(view(ETH))
    (entry,) = Trend().decide(replace(asked, bot=replace(asked.bot, timeframes=("1h",))))
    assert "1h EMA20" in entry.justification


def test_capital_bounds_the_size():
    asked = question(view(ETH))
    (entry,) = Trend().decide(replace(asked, bot=replace(asked.bot, capital=Decimal(1_000))))
    assert entry.quantity == Decimal("0.109")


def test_an_account_too_small_for_the_minimum_holds():
    asked = question(view(ETH))
    (proposal,) = Trend().decide(replace(asked, portfolio=replace(asked.portfolio, wallet=Decimal(3))))
    assert proposal.action is Action.HOLD
    assert "minimum" in proposal.justification


def test_a_stop_never_lies_nearer_than_five_times_the_costs():
    (entry,) = only(UPTREND | {"atr14": 0.1})
    costs = Decimal("4200.1") * 2 * ETH.taker_fee
    assert Decimal("4200.1") - entry.stop_loss >= 5 * costs


@given(
    atr=st.floats(1e-9, 1e6),
    rsi=st.floats(0, 100),
    histogram=st.floats(-1e4, 1e4),
    averages=st.tuples(st.floats(1, 1e6), st.floats(1, 1e6)),
    adx=st.floats(0, 100),
    equity=st.decimals(0, 10**7, places=2),
)
def test_every_entry_is_sound_in_any_market(atr, rsi, histogram, averages, adx, equity):
    values = {"atr14": atr, "rsi14": rsi, "macd_hist": histogram, "adx14": adx}
    asked = question(view(ETH, values | {"ema20": averages[0], "ema50": averages[1]}))
    (proposal,) = Trend().decide(replace(asked, portfolio=replace(asked.portfolio, wallet=equity)))
    assert proposal.justification
    if not proposal.action.opens:
        return
    limits, quote = asked.limits, asked.snapshot.symbols["ETHUSDT"].quote
    touch = quote.ask if proposal.side is Side.LONG else quote.bid
    distance = abs(touch - proposal.stop_loss)
    assert limits.min_stop_distance < distance / touch < limits.max_stop_distance
    assert proposal.side.sign * (quote.mark - proposal.stop_loss) > 0
    assert proposal.side.sign * (proposal.profit_target - touch) >= 2 * distance - 3 * ETH.tick_size
    assert proposal.quantity % ETH.step_size == proposal.stop_loss % ETH.tick_size == 0
    assert proposal.profit_target % ETH.tick_size == 0
    assert proposal.quantity * distance <= equity * limits.risk_per_trade
    assert proposal.quantity * touch <= equity * limits.max_position
    assert abs(proposal.risk_usd - proposal.quantity * distance) < Decimal("0.001")
    assert 1 <= proposal.leverage <= limits.max_leverage
    assert 0 <= proposal.confidence <= 1


def test_nothing_after_the_last_closed_candle_is_needed():
    """The newest value of each array is all that is read: the past may be anything."""
    asked = question(view(ETH))
    frames = asked.snapshot.symbols["ETHUSDT"].timeframes
    expected = Trend().decide(asked)
    for frame in frames.values():
        for values in frame.indicators.values():
            values[:-2] = np.nan
    assert Trend().decide(asked) == expected


def test_the_decider_answers_without_prompt_and_says_what_it_thinks():
    decider, asked = rules_decider("trend"), question(view(ETH))
    answer = decider.ask(asked, Deadline(30))
    reading = decider.read(asked, answer)
    assert not decider.wants_prompt
    assert reading.outcome is Outcome.ANSWERED
    assert reading.proposals == Trend().decide(asked)
    assert answer.notes["ETHUSDT"] == reading.proposals[0].justification


def test_rules_hold_asks_for_nothing():
    decider, asked = rules_decider("hold"), question()
    assert decider.read(asked, decider.ask(asked, Deadline(30))).proposals == ()
