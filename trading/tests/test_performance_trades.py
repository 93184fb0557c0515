"""Figures of closed trades against known answers, and where a result came from."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading.domain.attribution import UNKNOWN, By, attribution, attributions, held_bucket
from trading.domain.drawdowns import below_peak, falls_of
from trading.domain.ratios import cagr_over
from trading.domain.trades import ClosedTrade, exposure, figures_of, time_in_market, turnover

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def trade(realised="10", *, opened=NOON, held=HOUR, **more) -> ClosedTrade:
    told = {"symbol": "BTCUSDT", "side": "long", "entry_value": D(1000), "exit_value": D(1010)} | more
    return ClosedTrade(opened_at=opened, closed_at=opened + held, realised=D(realised), **told)


# -- every case of freqtrade that shares our convention ----------------------------------------------------


@pytest.fixture(scope="module")
def freqtrade(shared_data):
    return json.loads((shared_data / "metrics" / "freqtrade_trades_and_expected.json").read_text())


def test_expectancy_is_that_of_freqtrade(freqtrade):
    expected = freqtrade["expected"]
    trades = [
        trade(
            str(row["profit_abs"]),
            opened=datetime.fromisoformat(row["open_date"]),
            held=timedelta(minutes=row["trade_duration"]),
        )
        for row in freqtrade["trades"]
    ]
    found = figures_of(trades)
    assert found.count == 179
    assert float(found.expectancy) == pytest.approx(expected["expectancy"])
    assert found.expectancy_ratio == pytest.approx(expected["expectancy_ratio"])
    small = expected["expectancy_small"]
    found = figures_of(trade(str(profit)) for profit in small["profits"])
    assert (float(found.expectancy), found.expectancy_ratio) == pytest.approx((small["expectancy"], small["ratio"]))


def test_the_return_of_a_year_is_that_of_freqtrade(freqtrade):
    for case in freqtrade["expected"]["cagr"]:
        found = cagr_over(case["end"] / case["start"], case["days"] / 365)
        assert round(found, 4) == case["expected"], case


def test_the_drawdown_is_that_of_freqtrade(freqtrade):
    # There the deepest fall is the one of the most money, as a share of the profit at its peak. Of trades that ended at the
    # same moment the gains come first: the other way round the value is another one.
    rows = sorted(freqtrade["trades"], key=lambda row: (row["close_date"], -row["profit_abs"]))
    course = np.cumsum([row["profit_abs"] for row in rows])
    peaks = np.maximum.accumulate(course)
    trough = int((peaks - course).argmax())
    assert below_peak(course)[trough] == pytest.approx(freqtrade["expected"]["max_drawdown_relative_no_start_balance"])
    assert rows[trough]["close_date"] == "2018-01-16 22:25:00+00:00"
    assert falls_of(course[: trough + 1]).longest >= trough - int(np.argmax(course == peaks[trough]))


# -- figures -----------------------------------------------------------------------------------------------


def test_trades_are_summed_up():
    found = figures_of(
        [
            trade("30", fees=D(2), funding=D(1), confidence=0.8),
            trade("1", fees=D(2), opened=NOON + HOUR, held=3 * HOUR, confidence=0.6),
            trade("-9", fees=D(1), funding=D(-2), opened=NOON + 2 * HOUR, cost=D(5)),
            trade("2", fees=D(2), opened=NOON + 5 * HOUR),
        ]
    )
    assert (found.hits.part, found.hits.whole, found.lost) == (1, 4, 2)
    assert (found.gain, found.loss, found.net) == (D(29), D(-13), D(16))
    assert found.profit_factor == pytest.approx(29 / 13)
    assert (found.expectancy, found.average_win, found.average_loss) == (D(4), D(29), D("-6.5"))
    assert found.expectancy_ratio == pytest.approx(4 / 6.5)
    assert (found.gross_profit, found.traded) == (D(33), D(8040))
    assert found.fees_share == pytest.approx(7 / 33)
    assert found.funding_share == pytest.approx(1 / 33)
    # By their end: 30 at 13:00, −9 at 15:00, 1 at 16:00, 2 (nothing net) at 18:00.
    assert found.losing_streak == 2
    assert (found.held_mean, found.held_median) == (timedelta(minutes=90), HOUR)
    assert found.calibration.brier == pytest.approx((0.2**2 + 0.6**2) / 2)


def test_a_streak_goes_by_when_trades_ended():
    long = trade("5", held=9 * HOUR)
    losses = [trade("-1", opened=NOON - HOUR), trade("-1", opened=NOON + HOUR), trade("-1", opened=NOON + 2 * HOUR)]
    assert figures_of([losses[0], long, *losses[1:]]).losing_streak == 3


def test_nothing_is_divided_by_nothing():
    found = figures_of([])
    assert (found.count, found.net, found.losing_streak) == (0, 0, 0)
    nothing = (
        found.profit_factor, found.expectancy, found.average_win, found.average_loss, found.expectancy_ratio,
        found.fees_share, found.funding_share, found.held_mean, found.held_median, found.calibration.brier,
    )  # fmt: skip
    assert nothing == (None,) * 10


def test_money_is_turned_over_as_often_as_it_was_traded():
    assert turnover(D(30_000), [9_000, 11_000]) == 3
    assert turnover(D(1), []) != turnover(D(1), [])


def test_exposure_counts_both_sides_and_only_points_with_equity():
    assert exposure([500, -1500, 700], [1000, 1000, 0]) == 1
    assert exposure([1], [0]) != exposure([1], [0])
    with pytest.raises(ValueError, match="have to be the same"):
        exposure([1, 2], [1])


def test_time_in_market_counts_what_overlaps_once_and_what_is_outside_not_at_all():
    trades = [
        trade(opened=NOON - HOUR, held=2 * HOUR),  # half of it before
        trade(opened=NOON, held=2 * HOUR),
        trade(opened=NOON, held=HOUR),
        trade(opened=NOON + 9 * HOUR, held=2 * HOUR),  # half of it after
        trade(opened=NOON + 20 * HOUR),
    ]
    assert time_in_market(trades, NOON, NOON + 10 * HOUR) == pytest.approx(0.3)
    assert time_in_market([], NOON, NOON + HOUR) == 0
    with pytest.raises(ValueError, match="ends after"):
        time_in_market([], NOON, NOON)


# -- attribution -------------------------------------------------------------------------------------------


def test_hours_are_in_utc_and_in_order_and_buckets_begin_at_their_own_edge():
    east = (NOON - 11 * HOUR).astimezone(ZoneInfo("Asia/Kolkata"))
    found = attribution([trade(opened=NOON), trade(opened=east), trade(opened=NOON)], By.HOUR)
    assert [(line.key, line.count) for line in found.lines] == [("01", 1), ("12", 2)]
    names = {held_bucket(timedelta(minutes=minutes)) for minutes in (15, 30, 59)}
    assert names == {"15 min to 1 h"}
    assert (held_bucket(HOUR), held_bucket(timedelta(days=7))) == ("1 h to 4 h", "7 d and more")


def test_the_best_comes_first_and_what_is_not_stated_is_named():
    found = attribution(
        [trade("-4", symbol="B", exit_reason="stop"), trade("10", symbol="A", cost=D(9)), trade("3", symbol="C")],
        By.SYMBOL,
    )
    assert [line.key for line in found.lines] == ["C", "A", "B"], "by what is left after the cost of models"
    assert [line.share for line in found.lines] == [None] * 3, "of nothing"
    assert (found.total.net, found.total.net_after_cost) == (D(9), D(0))
    other = attribution(
        [trade("-4", symbol="B"), trade("10", symbol="A", cost=D(2)), trade("2", symbol="C")], By.SYMBOL
    )
    assert [line.share for line in other.lines] == pytest.approx([8 / 6, 2 / 6, -4 / 6])
    assert other.total.share == 1
    assert {line.key for line in attribution([trade(), trade(exit_reason="stop")], By.EXIT).lines} == {UNKNOWN, "stop"}


def test_without_trades_there_are_no_lines():
    assert attribution([], By.MODEL).lines == ()


MONEY = st.decimals(D(-(10**9)), D(10**9), places=8)
PAID = st.decimals(D(0), D(10**6), places=8)
TRADES = st.lists(
    st.builds(
        ClosedTrade,
        symbol=st.sampled_from(["A", "B", "C"]),
        side=st.sampled_from(["long", "short"]),
        opened_at=st.integers(0, 500).map(lambda hours: NOON + hours * HOUR),
        closed_at=st.integers(0, 500).map(lambda hours: NOON + (500 + hours) * HOUR),
        entry_value=PAID,
        exit_value=PAID,
        realised=MONEY,
        fees=PAID,
        funding=MONEY,
        cost=PAID,
        model=st.sampled_from(["", "m"]),
        exit_reason=st.sampled_from(["stop", "target", "close", "liquidation"]),
        signal=st.sampled_from(["", "cross"]),
    ),
    max_size=12,
)


@settings(max_examples=60)
@given(TRADES)
def test_every_grouping_adds_up_to_the_total_to_the_last_digit(trades):
    whole = figures_of(trades)
    for by, found in attributions(trades).items():
        assert found.by == by
        assert (found.total.net, found.total.count) == (whole.net, len(trades))
        for name in ("count", "gross", "fees", "funding", "cost", "net", "net_after_cost"):
            assert sum(getattr(line, name) for line in found.lines) == getattr(found.total, name), (by, name)
        assert sum(line.hits.part for line in found.lines) == found.total.hits.part == whole.hits.part
        assert len({line.key for line in found.lines}) == len(found.lines)


@settings(max_examples=60)
@given(TRADES)
def test_gains_and_losses_make_the_net(trades):
    found = figures_of(trades)
    assert found.gain + found.loss == found.net
    assert found.loss <= 0 <= found.gain
    assert 0 <= found.losing_streak <= found.lost <= found.count
    assert found.lost + found.hits.part <= found.count
    assert 0 <= time_in_market(trades, NOON, NOON + 1000 * HOUR) <= 1
