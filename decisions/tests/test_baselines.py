"""Baselines: what they ask for, and that entries drawn at random are the same ones at other times."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.domain.limits import DEFAULTS
from decisions.deciders.rules import RULES, strategy_of
from decisions.domain.baselines import BuyAndHold, EqualWeight, Momentum, Move, Timetable, shuffled, timetable_of
from decisions.domain.proposal import Action, Side
from decisions.tests.builders import BTC, ETH, position, question, view
from vibex.lib.errors import Rejected

D = Decimal
MOVES = (
    Move("BTCUSDT", 3, 8, Side.LONG, D("0.5")),
    Move("BTCUSDT", 9, 10, Side.SHORT, D("0.25")),
    Move("ETHUSDT", 0, 20, Side.LONG, D("1.0")),
)


class Prices:
    """Closes at every moment, by symbol: what rules see of a whole market."""

    def __init__(self, **closes: list[float]) -> None:
        self.closes = {symbol: np.array(values) for symbol, values in closes.items()}

    def values(self, symbol, interval, indicator, *, back=1):
        known = self.closes[symbol]
        return np.concatenate((np.full(back - 1, np.nan), known[: len(known) - back + 1]))


def rising(asked, *, to: float):
    """The same question where the last ETH candle of the longest timeframe closed at another price."""
    seen = asked.snapshot.symbols["ETHUSDT"]
    frame = seen.timeframes["4h"]
    close = frame.candles.close.copy()
    close[-1] = to
    frames = {**seen.timeframes, "4h": replace(frame, candles=replace(frame.candles, close=close))}
    return replace(asked, snapshot=replace(asked.snapshot, symbols={"ETHUSDT": replace(seen, timeframes=frames)}))


def test_buy_and_hold_buys_the_first_symbol_once_without_leverage():
    (entry,) = BuyAndHold().decide(question(view(ETH), view(BTC)))
    assert (entry.symbol, entry.action, entry.leverage) == ("ETHUSDT", Action.BUY, 1)
    assert entry.quantity == D("2.357")  # 9,900 ÷ the ask of 4,200.1, rounded down to the step
    assert entry.stop_loss == D("3801.1")  # 0.95 × the farthest stop of 10 % below the ask, on the tick
    assert entry.profit_target is None
    assert BuyAndHold().decide(question(view(ETH), view(BTC), positions=(position(),))) == ()


def test_equal_weight_buys_what_it_does_not_hold():
    both = EqualWeight().decide(question(view(ETH), view(BTC)))
    assert [(entry.symbol, entry.quantity) for entry in both] == [("ETHUSDT", D("1.178")), ("BTCUSDT", D("0.044"))]
    (entry,) = EqualWeight().decide(question(view(ETH), view(BTC), positions=(position(),)))
    assert entry.symbol == "BTCUSDT"


@pytest.mark.parametrize("rules", [BuyAndHold(), EqualWeight(), Momentum(look_back=5)])
def test_nothing_is_opened_without_data_or_below_the_least_order(rules):
    assert rules.decide(rising(question(view(ETH, problem="the candle is missing")), to=4300.0)) == ()
    poor = question(view(ETH))
    assert rules.decide(rising(replace(poor, portfolio=replace(poor.portfolio, wallet=D(3))), to=4300.0)) == ()
    assert rules.decide(replace(poor, snapshot=replace(poor.snapshot, symbols={}))) == ()


def test_momentum_goes_with_the_sign_of_the_past_return_and_turns_with_it():
    rules, asked = Momentum(look_back=5), question(view(ETH))
    (long,) = rules.decide(rising(asked, to=4210.0))
    (short,) = rules.decide(rising(asked, to=4190.0))
    assert (long.action, short.action) == (Action.BUY, Action.SELL)
    assert long.stop_loss < 4200 < short.stop_loss
    assert long.justification == "+0.24% over 5 candles of 4h"
    assert rules.decide(asked) == ()  # nothing moved
    held = replace(asked, portfolio=replace(asked.portfolio, positions=(position(),)))
    assert rules.decide(rising(held, to=4210.0)) == ()
    assert [each.action for each in rules.decide(rising(held, to=4190.0))] == [Action.CLOSE, Action.SELL]


def test_momentum_holds_until_there_are_enough_candles():
    assert Momentum(look_back=29).decide(rising(question(view(ETH)), to=4300.0))
    assert Momentum(look_back=30).decide(rising(question(view(ETH)), to=4300.0)) == ()


def test_what_baselines_declare_is_when_they_could_act():
    whole = Prices(ETHUSDT=[10.0, 11.0, 11.0, 9.0, float("nan")], BTCUSDT=[1.0] * 5)
    bot = question(view(ETH), view(BTC)).bot
    momentum = Momentum(look_back=1).acts(bot, "ETHUSDT", whole)
    assert momentum.flat.tolist() == [False, True, False, True, False]
    assert momentum.long.tolist() == [False, False, False, True, False]
    assert momentum.short.tolist() == [False, True, False, False, False]
    assert BuyAndHold().acts(bot, "ETHUSDT", whole).flat.tolist() == [True] * 4 + [False]
    assert not BuyAndHold().acts(bot, "BTCUSDT", whole).flat.any()
    assert EqualWeight().acts(bot, "BTCUSDT", whole).flat.all()
    assert not EqualWeight().acts(bot, "BTCUSDT", whole).long.any()


def test_a_timetable_opens_and_closes_at_its_decisions_alone():
    table = Timetable((Move("ETHUSDT", 47, 50, Side.SHORT, D("0.5")), Move("ETHUSDT", 50, 51, Side.LONG, D("0.1"))))
    asked = question(view(ETH))
    (entry,) = table.decide(asked)  # it was asked 47 times before
    assert (entry.action, entry.quantity) == (Action.SELL, D("1.190"))
    assert table.decide(replace(asked, invocation=48)) == ()
    held = question(view(ETH), positions=(position(side=Side.SHORT),), invocation=50)
    assert [each.action for each in table.decide(held)] == [Action.CLOSE, Action.BUY]
    acts = table.acts(asked.bot, "ETHUSDT", Prices(ETHUSDT=[1.0] * 60))
    assert acts.flat.nonzero()[0].tolist() == [47, 50]
    assert acts.long.nonzero()[0].tolist() == [50, 51]


def test_a_timetable_is_read_as_it_is_written():
    for table in (Timetable(MOVES), Timetable(MOVES, leverage=3), Timetable()):
        assert timetable_of(str(table)) == table
        assert strategy_of(f"timetable:{table}") == table


@pytest.mark.parametrize(
    "text",
    ["BTCUSDT long 3 17", "BTCUSDT up 3 17 0.2", "BTCUSDT long 17 3 0.2", "BTCUSDT long -1 3 0.2", "BTCUSDT long 1 3 -1",
     "BTCUSDT long 1 3 NaN", "BTCUSDT long 1 x 0.2", "leverage x"],
)  # fmt: skip
def test_what_is_no_timetable_is_refused_with_an_example(text):
    with pytest.raises(Rejected, match="BTCUSDT long 3 17"):
        timetable_of(text)


def test_leverage_of_a_timetable_stays_within_the_limits():
    table = Timetable((Move("ETHUSDT", 47, 50, Side.LONG, D(1)),), leverage=8)
    (entry,) = table.decide(question(view(ETH), limits=replace(DEFAULTS, max_leverage=5)))
    assert entry.leverage == 5


@given(seed=st.integers(0, 10_000), steps=st.integers(21, 60))
def test_entries_drawn_at_random_are_the_same_ones_at_other_times(seed, steps):
    drawn = shuffled(MOVES, steps, seed).moves
    for symbol in ("BTCUSDT", "ETHUSDT"):
        was, now = ([move for move in moves if move.symbol == symbol] for moves in (MOVES, drawn))
        assert Counter((m.closes - m.opens, m.share) for m in was) == Counter(
            (m.closes - m.opens, m.share) for m in now
        )
        assert Counter(m.side for m in was) == Counter(m.side for m in now)
        ordered = sorted(now, key=lambda move: move.opens)
        assert all(one.closes <= other.opens for one, other in pairwise(ordered))
    assert all(0 <= move.opens < move.closes <= steps for move in drawn)


def test_the_same_seed_draws_the_same_and_another_seed_something_else():
    assert shuffled(MOVES, 50, 7) == shuffled(tuple(reversed(MOVES)), 50, 7)
    assert len({shuffled(MOVES, 50, seed) for seed in range(20)}) > 10


@given(lengths=st.lists(st.integers(1, 30), min_size=1, max_size=12), steps=st.integers(1, 40), seed=st.integers(0, 99))
def test_what_does_not_fit_into_the_window_is_cut_down(lengths, steps, seed):
    moves = tuple(
        Move("BTCUSDT", 100 * place, 100 * place + length, Side.LONG, D(1)) for place, length in enumerate(lengths)
    )
    drawn = shuffled(moves, steps, seed).moves
    assert len(drawn) == min(len(moves), steps)
    assert all(0 <= move.opens < move.closes <= steps for move in drawn)
    assert sum(move.closes - move.opens for move in drawn) <= steps


def test_a_bot_may_be_given_each_of_them():
    assert {"buy-and-hold", "equal-weight", "momentum", "timetable"} <= set(RULES)
    assert strategy_of("momentum:look_back=12") == Momentum(look_back=12)
