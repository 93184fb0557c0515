"""What backtests are put together from: windows, limits by name, fills on candles, several runs side by side."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from accounts.domain.limits import DEFAULTS
from accounts.models import RiskLimits
from decisions.deciders import rules
from decisions.domain.proposal import Side
from marketdata.recorded_market import RecordedMarket
from trading.services.backtest import Backtest, BacktestPlan, backtest_run
from trading.services.backtest.limits import limits_named
from trading.services.backtest.many import backtests_run
from trading.services.backtest.report import report_of
from trading.services.backtest.source import Source
from trading.services.backtest.windows import folds_of, parts_of
from trading.tests.backtest_kit import BTC_AND_ETH, START, Script, Wish, after, market_of, recording
from trading.tests.builders import make_account
from trading.tests.test_backtest_jump import WIDE
from trading.tests.venue_support import BTC
from vibex.lib.clock import to_ms
from vibex.lib.errors import Rejected

D = Decimal
PLAN = BacktestPlan(
    ("BTCUSDT",), after(30), after(330), interval="5m", timeframes=("5m",), model="rules/script", limits=WIDE
)


# -- windows ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 7, 30])
def test_parts_follow_one_another_and_make_up_the_whole(count):
    parts = parts_of(PLAN, count)
    assert (parts[0].start, parts[-1].end) == (PLAN.start, PLAN.end)
    assert all(one.end == other.start for one, other in pairwise(parts))
    assert sum(part.steps for part in parts) == PLAN.steps == 300


@pytest.mark.parametrize("count", [0, 31, 1_000])
def test_parts_that_are_too_short_are_refused_with_what_to_do(count):
    with pytest.raises(Rejected, match="Choose fewer"):
        parts_of(PLAN, count) if count else parts_of(replace(PLAN, interval="4h"), 5)


def test_nothing_is_judged_on_what_it_was_learned_from():
    folds = folds_of(PLAN, 3)
    assert len(folds) == 3
    assert all(fold.learn.end == fold.judge.start for fold in folds)
    assert folds[-1].judge.end == PLAN.end


# -- limits -----------------------------------------------------------------------------------------------


def test_limits_are_those_of_a_preset_or_a_file(tmp_path: Path):
    assert limits_named("usual") == DEFAULTS
    file = tmp_path / "mine.yaml"
    file.write_text("max_leverage: 2\nmax_stop_distance: 0.04\nequity_floor: 9000\n")
    assert limits_named(str(file)) == replace(
        DEFAULTS, max_leverage=2, max_stop_distance=D("0.04"), equity_floor=D(9_000)
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("max_lever: 2", "max_lever"),
        ("max_leverage: many", "max_leverage"),
        ("max_position: [1", "is not YAML at line 1"),
        ("risk_per_trade: 0.9", "would break the limit of the day"),
    ],
)
def test_a_file_of_limits_that_cannot_be_meant_is_refused(tmp_path: Path, text: str, why: str):
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(Rejected, match=why):
        limits_named(str(file))


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(Rejected, match=r"there is no such file"):
        limits_named("nowhere.yaml")


@pytest.mark.django_db
def test_limits_are_those_of_an_account_by_its_name():
    account = make_account("calm")
    RiskLimits.objects.filter(account=account).update(max_leverage=1)
    assert limits_named("calm").max_leverage == 1
    with pytest.raises(Rejected, match="There is no account named 'wild'"):
        limits_named("wild")


# -- fills ------------------------------------------------------------------------------------------------


def rising(*, step: float = 0.0005, count: int = 400) -> RecordedMarket:
    """Return a market that rises a little with each candle, each opening 0.03 % above the close before it."""
    closes = 100_000 * (1 + step) ** np.arange(count)
    made = recording(BTC, closes, wick=0.001)
    opens = np.round(made.candles.open * 1.0003, 1)
    high = np.maximum(made.candles.high, np.round(opens * 1.0005, 1))
    return RecordedMarket([replace(made, candles=replace(made.candles, open=opens, high=high))], timeframes=("5m",))


def bought(monkeypatch: pytest.MonkeyPatch, market: RecordedMarket, wish: Wish, **changes: object) -> Backtest:
    """Buy at one moment and see the window through."""
    monkeypatch.setitem(rules.RULES, "script", Script({to_ms(after(40)): (wish,)}))
    return backtest_run(plan=replace(PLAN, **changes), market=market)


LONG = Wish("BTCUSDT", Side.LONG, D("0.5"), stop=D("0.05"), target=None, leverage=1)


def first_price(backtest: Backtest) -> Decimal:
    return next(iter(backtest.journal.fills.values())).price


def test_the_later_an_order_arrives_the_worse_it_is_filled(monkeypatch):
    market = rising()
    bar, quote = market.base_bar("BTCUSDT", at=after(40)), market.quote("BTCUSDT", at=after(40))
    assert bar is not None
    at_once = first_price(bought(monkeypatch, market, LONG, latency=timedelta(0)))
    at_open = first_price(bought(monkeypatch, market, LONG))
    late = first_price(bought(monkeypatch, market, LONG, latency=timedelta(minutes=2)))
    half = (quote.ask - quote.bid) / 2
    assert at_once == quote.ask
    assert abs(at_open - (bar.open + half)) <= BTC.tick_size
    assert abs(late - (bar.open + half + (bar.high - bar.low) * D("0.4"))) <= BTC.tick_size
    assert at_once < at_open < late


def test_an_entry_takes_no_more_than_its_share_of_the_volume(monkeypatch):
    market = rising()
    wanted = bought(monkeypatch, market, LONG)
    bounded = bought(monkeypatch, market, LONG, volume_share=D("0.0003"))
    (whole,), (part,) = wanted.journal.open.values(), bounded.journal.open.values()
    assert whole.booked.quantity == D("0.049")
    assert part.booked.quantity == D("0.015"), "50 of volume × 0.0003"
    assert part.stop == whole.stop, "what was filled is protected"
    nothing = bought(monkeypatch, market, LONG, volume_share=D("0.00001"))
    assert not nothing.journal.fills
    assert not nothing.journal.incidents


def test_fees_and_slippage_are_those_of_the_plan(monkeypatch):
    from trading.domain.matching import EngineSettings

    free = bought(monkeypatch, rising(), LONG, fee=D(0), fills=EngineSettings(spread=D(0)))
    dear = bought(monkeypatch, rising(), LONG, fee=D("0.01"), fills=EngineSettings(slippage=D("0.0005")))
    (none,), (paid,) = free.journal.fills.values(), dear.journal.fills.values()
    assert none.fee == 0
    assert paid.fee == (paid.price * paid.quantity * D("0.01")).quantize(D("1e-8"))
    assert paid.price > none.price


def test_funding_can_be_left_out():
    source = Source(("BTCUSDT",), ("5m",), PLAN.start, PLAN.end, funding=False)
    funded = market_of(1, 400, symbols=1)
    assert funded.funding("BTCUSDT", since=START, until=after(400))
    found = replace(source, folder=Path("unused"))
    assert not found.funding


# -- several runs -----------------------------------------------------------------------------------------


@pytest.mark.ci
def test_side_by_side_comes_to_the_same_as_one_after_the_other(shared_data: Path):
    folder = shared_data / "candles" / "binance_um_2025_1h"
    plan = BacktestPlan(BTC_AND_ETH, after(0) - timedelta(days=60), after(0), interval="1h", timeframes=("1h", "4h"))
    source = Source(plan.symbols, plan.timeframes, plan.start, plan.end, folder=folder)
    told: list[tuple[int, float]] = []
    together = backtests_run(source, parts_of(plan, 3), jobs=2, tell=lambda place, share: told.append((place, share)))
    alone = backtests_run(source, parts_of(plan, 3))
    assert [report_of(one) for one in together] == [report_of(one) for one in alone]
    assert [one.journal.points for one in together] == [one.journal.points for one in alone]
    assert {place for place, _ in told} == {0, 1, 2}
    assert max(share for _, share in told) == 1.0


@pytest.mark.ci
def test_the_error_of_one_run_ends_all_and_is_told(shared_data: Path):
    folder = shared_data / "candles" / "binance_um_2025_1h"
    plan = BacktestPlan(("BTCUSDT",), after(0), after(200), interval="1h", timeframes=("1h",))
    source = Source(plan.symbols, plan.timeframes, plan.start, plan.end, folder=folder)
    with pytest.raises(Rejected, match="There are no rules named 'nothing'"):
        backtests_run(source, [plan, replace(plan, model="rules/nothing")], jobs=2)
