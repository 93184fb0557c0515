"""Baselines on closes, against what a hand computes."""

import numpy as np
import pytest

from trading.domain import baselines
from trading.domain.baselines import INVESTED, Blocks, Closes

NONE = float("nan")


def closes(prices, *, fees=0.0, start=0):
    table = np.array(prices, np.float64)
    return Closes(tuple("ABC"[: table.shape[1]]), table, np.full(table.shape[1], fees), start)


def positions(*rows):
    """Return single positions of rows: symbol, share, days, traded, long."""
    symbol, share, days, traded, long = (np.array(column, np.float64) for column in zip(*rows, strict=True))
    weight = share * np.sqrt(np.minimum(days, 1))
    length = np.maximum(days.round(), 1).astype(np.int64)
    drift = np.where(long > 0, 1, -1) * share * days
    return Blocks(symbol.astype(np.int64), length, weight, drift, traded, long)


def test_cash_stays_what_it_is():
    assert baselines.cash(3).tolist() == [1, 1, 1, 1]


def test_buy_and_hold_pays_one_fee_and_then_follows_its_symbol():
    curve = baselines.buy_and_hold(closes([[100, 50], [110, 50], [99, 50]], fees=0.001))
    assert curve == pytest.approx([1, 1 + INVESTED * (0.10 - 0.001), 1 + INVESTED * (-0.01 - 0.001)])


def test_equal_weight_drifts():
    curve = baselines.equal_weight(closes([[100, 100], [200, 100], [400, 100]]))
    assert curve == pytest.approx([1, 1 + INVESTED / 2, 1 + INVESTED / 2 * 3])


def test_a_symbol_is_bought_at_its_first_known_close_and_a_gap_keeps_the_last_one():
    curve = baselines.buy_and_hold(closes([[NONE], [100], [NONE], [120]], fees=0.001))
    assert curve == pytest.approx([1, 1, 1 - INVESTED * 0.001, 1 + INVESTED * (0.20 - 0.001)])


def test_momentum_takes_the_side_of_the_past_and_pays_for_both_legs_when_it_turns():
    # Two days before the span; it looks back two days: up, up, then down at the third point of the span.
    market = closes([[100], [105], [110], [121], [90], [81]], fees=0.01, start=2)
    curve = baselines.momentum(market, look_back=2)
    first = 1 - INVESTED * 0.01 + INVESTED * 0.10
    held = INVESTED * 1.10
    second = first + held * (90 / 121 - 1)
    left = held * 90 / 121
    third = second - (left + INVESTED * second) * 0.01 + INVESTED * second * 0.10
    assert curve == pytest.approx([1, first, second, third])


def test_momentum_holds_nothing_while_it_does_not_know_the_past():
    assert baselines.momentum(closes([[100], [110], [120]]), look_back=30).tolist() == [1, 1, 1]


def test_hold_keeps_what_was_open():
    market = closes([[100, 10], [110, 9], [90, 8]])
    assert baselines.held_on(market, [2, -5], 1_000) == pytest.approx([1, 1 + (20 + 5) / 1000, 1 + (-20 + 10) / 1000])


def test_a_curve_that_lost_everything_stays_above_nothing():
    assert baselines.held_on(closes([[100], [50]]), [100], 1_000)[-1] == baselines.EMPTY


def test_random_draws_have_the_fees_of_the_turnover_and_the_same_bytes_for_a_seed():
    market = closes([[100.0]] * 11, fees=0.001)  # nothing moves: only fees are left
    mine = positions((0, 0.5, 0.25, 1.0, True), (0, 0.5, 3.0, 1.0, False), (0, 0.2, 0.5, 0.4, True))
    fan = baselines.at_random(market, mine, seeds=100)
    assert fan.shape == (100, 11)
    # Fees of one day come off together: within a millionth of those one after the other.
    assert fan[:, -1] == pytest.approx(0.999 * 0.999 * 0.9996, abs=2e-6)
    assert fan.tobytes() == baselines.at_random(market, mine, seeds=100).tobytes()
    assert fan.tobytes() != baselines.at_random(market, mine, seeds=100, seed=2).tobytes()


def test_random_draws_vary_as_much_as_what_was_held():
    dice = np.random.default_rng(5)
    daily = dice.normal(0, 0.02, (400, 1))
    market = closes(np.vstack(([[100.0]], 100 * np.cumprod(1 + daily, axis=0))))
    # A thousand positions of a quarter of a day with a tenth of equity each, half of them short.
    fan = baselines.at_random(
        market, positions(*((0, 0.1, 0.25, 0.0, place % 2 == 0) for place in range(1_000))), seeds=400
    )
    spread = np.log(fan[:, -1]).std()
    assert spread == pytest.approx(0.1 * 0.02 * np.sqrt(0.25 * 1_000), rel=0.15)


def test_a_position_as_long_as_the_span_is_held_all_the_time():
    market = closes([[100], [110], [121]])
    fan = baselines.at_random(market, positions((0, 0.5, 2.0, 0.0, True)), seeds=100)
    assert fan[:, -1] == pytest.approx(1.05**2)


def test_what_is_held_for_hours_has_the_trend_of_hours():
    dice = np.random.default_rng(3)
    market = closes(np.vstack(([[100.0]], 100 * np.cumprod(1 + dice.normal(0.004, 0.01, (300, 1)), axis=0))))
    long = positions(*((0, 0.8, 0.125, 0.0, True) for _ in range(300)))
    fan = np.log(baselines.at_random(market, long, seeds=400)[:, -1])
    moved = market.within[1:] / market.within[:-1] - 1
    # As if an eighth of 80 % had been held all the time, but varying as 80 % over an eighth of each day does.
    expected = 300 * (0.8 * 0.125 * moved.mean() - 0.8**2 * 0.125 * moved.var() / 2)
    assert fan.mean() == pytest.approx(expected, abs=4 * fan.std() / np.sqrt(400))
    assert fan.std() == pytest.approx(0.8 * np.sqrt(0.125 * 300) * moved.std(), rel=0.15)


def test_as_many_are_long_as_there_were():
    market = closes([[100], [101]])
    fan = baselines.at_random(market, positions((0, 0.5, 2.0, 0.0, True), (0, 0.5, 2.0, 0.0, False)), seeds=100)
    assert fan[:, -1] == pytest.approx(1.0)  # one up, one down, whichever it is


def test_without_positions_nothing_is_drawn():
    empty = Blocks(*[np.empty(0, np.int64)] * 2, *[np.empty(0)] * 4)
    assert baselines.at_random(closes([[100], [101]]), empty, seeds=100).tolist() == [[1, 1]] * 100


def test_the_middle_curve_ends_in_the_middle():
    assert baselines.middle_of(np.array([[1, 3.0], [1, 1.0], [1, 2.0], [1, 4.0]])).tolist() == [1, 2]


@pytest.mark.parametrize(
    ("prices", "start"),
    [([[0.0], [1.0]], 0), ([[-1.0], [1.0]], 0), ([[1.0], [1.0]], 2)],
    ids=["zero", "below", "after"],
)
def test_closes_that_cannot_be_are_refused(prices, start):
    with pytest.raises(ValueError, match=r"close|span"):
        closes(prices, start=start)
