"""All figures together: each is what its own function says, and what is missing says why."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from math import isfinite, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading.domain import ratios
from trading.domain.bootstrap import Spread, bootstrap, paired_difference, return_of_rows, sharpe_of_rows
from trading.domain.drawdowns import falls_of
from trading.domain.measured import MOST_DRAWN, Drawn, Measured, Proof, measure
from trading.domain.measured_words import NOTHING, convention, number, percent, share, words
from trading.domain.significance import dsr, psr, still_needed
from trading.domain.trades import ClosedTrade, exposure, figures_of, time_in_market, turnover

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def walk(count, seed=1, drift=0.002):
    return 10_000 * np.cumprod(1 + np.random.default_rng(seed).normal(drift, 0.02, count))


def trade(realised, place=0, **more):
    opened = START + place * DAY
    return ClosedTrade("BTCUSDT", "long", opened, opened + DAY / 2, D(1000), D(1000), D(realised), fees=D(1), **more)


TRADES = [trade(20, confidence=0.7), trade(-5, 1, confidence=0.6), trade(9, 2)]


@pytest.fixture(scope="module")
def full():
    equity = walk(120)
    return measure(
        equity,
        trades=TRADES,
        baseline=walk(120, seed=2),
        notional=equity / 2,
        span=(START, START + 119 * DAY),
        trials=6,
        draws=200,
    )


def test_each_figure_is_what_its_own_function_says(full):
    equity = walk(120)
    returns = ratios.returns_of(equity)
    assert (full.periods, full.proof.trials) == (119, 6)
    alone = {
        "returned": ratios.total_return(returns),
        "baseline": ratios.total_return(ratios.returns_of(walk(120, seed=2))),
        "cagr": ratios.cagr(returns),
        "volatility": ratios.volatility(returns),
        "sharpe": ratios.sharpe_ratio(returns),
        "sortino": ratios.sortino_ratio(returns),
        "calmar": ratios.calmar_ratio(returns),
        "downside_risk": ratios.downside_risk(returns),
        "omega": ratios.omega_ratio(returns),
        "tail_ratio": ratios.tail_ratio(returns),
        "stability": ratios.stability(returns),
        "max_drawdown": falls_of(equity).depth,
        "under_water": falls_of(equity).under_water,
        "turnover": turnover(D(6000), equity),
        "exposure": exposure(equity / 2, equity),
        "time_in_market": time_in_market(TRADES, START, START + 119 * DAY),
    }
    assert {name: getattr(full, name) for name in alone} == pytest.approx(alone)
    assert (full.fall, full.longest_under_water) == (falls_of(equity).deepest, falls_of(equity).longest)
    assert full.trades == figures_of(TRADES)
    assert full.missing == {}
    sample = ratios.sample_of(returns)
    assert full.proof.sample == sample
    assert full.proof.error == pytest.approx(sample.error * sqrt(365))
    assert (full.proof.psr, full.proof.dsr, full.proof.needed) == (psr(sample), dsr(sample, 6), still_needed(sample))


def test_intervals_are_those_of_the_bootstrap(full):
    returns, other = (ratios.returns_of(walk(120, seed=seed)) for seed in (1, 2))
    sharpe = sharpe_of_rows()
    assert full.drawn == Drawn(
        bootstrap(returns, return_of_rows, draws=200),
        bootstrap(returns, sharpe, draws=200),
        paired_difference(returns, other, return_of_rows, draws=200),
        paired_difference(returns, other, sharpe, draws=200),
    )
    assert full.drawn.sharpe.value == pytest.approx(full.sharpe)


def test_the_variance_of_trials_counts_where_it_is_known():
    wide, narrow = (measure(walk(60), trials=6, spread_of_trials=spread, draws=0) for spread in (0.04, 0.0001))
    assert wide.proof.dsr < narrow.proof.dsr < narrow.proof.psr
    assert (
        "by the variance of their ratios"
        in {word.name: word for word in words(wide)}["Deflated Sharpe ratio"].convention
    )
    assert wide.proof.by_chance == pytest.approx(20 * narrow.proof.by_chance)


def test_other_conventions_are_carried_through():
    hourly = measure(walk(900), periods_per_year=8_760, ddof=0, draws=50)
    returns = ratios.returns_of(walk(900))
    assert hourly.sharpe == pytest.approx(ratios.sharpe_ratio(returns, periods_per_year=8_760, ddof=0))
    assert hourly.drawn.sharpe.value == pytest.approx(hourly.sharpe)
    assert hourly.sortino == pytest.approx(ratios.sortino_ratio(returns, periods_per_year=8_760))
    assert "899 periods, 8,760 to a year" in convention(hourly)
    assert "365 days" in convention(hourly)
    assert "n − 0" in convention(hourly)


# -- what is missing ---------------------------------------------------------------------------------------


def test_a_short_series_says_what_it_does_not_tell():
    short = measure(walk(20))
    assert short.returned is not None
    assert short.max_drawdown is not None
    for name in ("sharpe", "volatility", "omega", "proof", "drawn"):
        assert getattr(short, name) is None
        assert short.missing[name] == "fewer than 30 periods"
    assert "less than 30 days" in short.missing["cagr"]
    assert "baseline" in short.missing["baseline"]


def test_many_short_periods_make_a_ratio_but_no_year():
    hours = measure(walk(100), periods_per_year=8_760, draws=50)
    assert hours.sharpe is not None
    assert hours.cagr is None
    assert "less than 30 days" in hours.missing["calmar"]


@pytest.mark.parametrize(("periods", "year"), [(30, 365), (720, 8_760), (43_200, 525_600)])
def test_thirty_days_are_the_fewest_for_figures_of_a_year(periods, year):
    enough, short = (measure(walk(count, drift=0), periods_per_year=year, draws=0) for count in (periods + 1, periods))
    assert enough.cagr is not None
    assert (short.cagr, short.calmar) == (None, None)


def test_what_is_divided_by_nothing_is_missing():
    rising = measure(10_000 * 1.01 ** np.arange(60))
    assert (rising.sharpe, rising.calmar, rising.sortino, rising.omega, rising.proof) == (None,) * 5
    assert rising.missing["calmar"] == "equity never fell"
    assert rising.missing["sharpe"] == rising.missing["proof"] == "nothing moved"
    assert rising.missing["sortino"] == "no period lost anything"
    assert rising.drawn.sharpe is None
    assert rising.drawn.returned.low > 0
    told = {word.name: word for word in words(rising)}
    assert told["Interval of the Sharpe ratio"].convention == "nothing moved"


def test_a_return_can_be_set_beside_cash_but_a_ratio_cannot():
    found = measure(walk(60), baseline=[10_000.0] * 60, draws=50)
    assert found.baseline == 0
    assert found.drawn.returned_over.value == pytest.approx(found.returned)
    assert found.drawn.sharpe_over is None


def test_too_many_periods_are_measured_but_not_drawn_from():
    minutes = measure(walk(MOST_DRAWN + 2, drift=0), periods_per_year=525_600)
    assert minutes.drawn is None
    assert "hours or days" in minutes.missing["drawn"]
    assert measure(walk(100), draws=0).missing["drawn"] == "no draws were asked for"


@pytest.mark.parametrize(
    ("equity", "more", "told"),
    [
        ([0, 1], {}, "begins above 0"),
        ([1, float("nan")], {}, "no NaN"),
        ([1, 2], {"baseline": [1, 2, 3]}, "3 stand against 2"),
        ([1, 2], {"notional": [1]}, "have to be the same"),
    ],
)
def test_what_cannot_be_measured_is_refused(equity, more, told):
    with pytest.raises(ValueError, match=told):
        measure(equity, **more)


def _numbers(value):
    """Yield the numbers of a part, and of its parts."""
    for each in fields(value) if isinstance(value, (Drawn, Proof, Spread)) else ():
        inner = getattr(value, each.name)
        if isinstance(inner, float):
            yield inner
        yield from _numbers(inner)


@settings(max_examples=60)
@given(st.lists(st.integers(0, 50), max_size=70), st.integers(1, 50))
def test_nothing_infinite_comes_out_and_every_none_has_its_reason(rest, first):
    found = measure([first, *rest], draws=20)
    for name in (field.name for field in fields(Measured)):
        value = getattr(found, name)
        numbers = [value] if isinstance(value, float) else [*_numbers(value)]
        assert all(map(isfinite, numbers)), name
        assert (value is None) == (name in found.missing) or name == "fall", name
    assert all(word.text and word.convention for word in words(found))


# -- words -------------------------------------------------------------------------------------------------


def test_all_figures_are_in_words_once(full):
    told = words(full)
    by_name = {word.name: word for word in told}
    assert len(by_name) == len(told)
    assert all(word.known for word in told if word.name not in ("Periods still needed to tell",))
    assert by_name["Sharpe ratio"].text == number(full.sharpe)
    assert by_name["Sharpe ratio"].convention == "over cash at 0 %, of a year of 365 periods"
    assert by_name["Hit rate"].text == "66.67 %"
    assert "95 % interval" in by_name["Hit rate"].convention
    assert by_name["Profit factor"].text == number(27 / 6)
    assert by_name["Expectancy"].text == "+7.00"
    assert by_name["Average loss"].text == "−6.00"
    assert by_name["Holding time"].text == "12.0 h"
    deflated = by_name["Deflated Sharpe ratio"].convention
    assert (
        f"best of 6; by the variance that chance alone gives it would show {number(full.proof.by_chance)}" in deflated
    )
    assert "200 draws" in by_name["Sharpe ratio above the baseline"].convention


def test_what_is_missing_is_written_with_its_reason():
    told = {word.name: word for word in words(measure(walk(20)))}
    assert (told["Sharpe ratio"].text, told["Sharpe ratio"].convention) == (NOTHING, "fewer than 30 periods")
    assert told["Closed trades"].convention == "no trade was closed"
    assert told["Return"].known
    falling = measure(10_000 * (1 + np.sin(np.arange(60)) / 100) * 0.99 ** np.arange(60), draws=0)
    assert (
        "no length would prove it"
        in {word.name: word for word in words(falling)}["Periods still needed to tell"].convention
    )


@pytest.mark.parametrize(
    ("value", "text"), [(0.0164, "+1.64 %"), (-0.5, "−50.00 %"), (-0.00001, "0.00 %"), (0.0, "0.00 %"), (12.3, "+1,230.00 %")]
)  # fmt: skip
def test_a_result_has_its_sign_unless_it_is_nothing(value, text):
    assert percent(value) == text


def test_shares_and_ratios_have_a_real_minus():
    assert (share(-0.015), share(0.5), number(-1234.5)) == ("−1.50 %", "50.00 %", "−1,234.50")
