"""Baselines of a backtest: by hand on small markets, and the same with the jump and without."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest

from accounts.domain.limits import DEFAULTS
from decisions.domain.baselines import Move
from decisions.domain.proposal import Side
from marketdata.recorded_market import RecordedMarket
from marketdata.tests.build import START as WALK_START
from marketdata.tests.build import rows_of, walk, write_csv
from trading.domain.matching import EngineSettings
from trading.services.backtest import Backtest, BacktestPlan, backtest_run
from trading.services.backtest.baselines import (
    KINDS,
    Baselines,
    baselines_run,
    leverage_of,
    moves_of,
    wide,
)
from trading.services.backtest.sampled import DAY, HOUR, daily_closes, equity_at, grid_of, traded
from trading.services.backtest.source import Source
from trading.tests.backtest_kit import ETH, START, after, market_of, recording
from trading.tests.venue_support import BTC

D = Decimal
FREE = EngineSettings(spread=D(0), stop_slippage_range=D(0))
NO_SPREAD = D(0)
WARM = 60


def market_of_closes(*closes: list[float]) -> RecordedMarket:
    """Return a market of these closes and no spread, after enough candles to know indicators: BTCUSDT, then ETHUSDT."""
    made = [
        recording(spec, np.array([values[0]] * WARM + values), wick=0.0)
        for spec, values in zip((BTC, ETH), closes, strict=False)
    ]
    return RecordedMarket(made, timeframes=("5m",), spread=NO_SPREAD)


def plan_of(count: int, **changes) -> BacktestPlan:
    symbols = changes.pop("symbols", ("BTCUSDT",))
    return BacktestPlan(
        symbols, after(WARM + 2), after(WARM + count), interval="5m", timeframes=("5m",), fee=D(0), fills=FREE, **changes
    )  # fmt: skip


@pytest.fixture(scope="module")
def market() -> RecordedMarket:
    return market_of(3, 700)


@pytest.fixture(scope="module")
def backtest(market: RecordedMarket) -> Backtest:
    limits = replace(
        DEFAULTS, max_positions=2, losing_streak=0, opens_per_day=1_000, daily_loss=D("0.9"), max_drawdown=D("0.9")
    )
    symbols = ("BTCUSDT", "ETHUSDT")
    return backtest_run(
        plan=BacktestPlan(
            symbols, after(60), after(695), interval="5m", timeframes=("5m",), model="rules/cross", limits=limits
        ),
        market=market,
    )


@pytest.fixture(scope="module")
def baselines(backtest: Backtest, market: RecordedMarket) -> Baselines:
    return baselines_run(backtest, market=market, seeds=4)


def test_buy_and_hold_is_the_move_of_the_first_symbol_on_what_was_bought():
    closes = [1_000.0] * 4 + [1_050.0, 1_100.0, 990.0, 1_200.0]
    market, plan = market_of_closes(closes, [50.0] * 8), plan_of(8, symbols=("BTCUSDT", "ETHUSDT"))
    ran = backtest_run(plan=replace(plan, model="rules/buy-and-hold", limits=wide(plan)), market=market)
    (held,) = ran.journal.open.values()
    assert (held.booked.symbol, held.booked.side, held.leverage) == ("BTCUSDT", Side.LONG, 1)
    # 9,900 ÷ 1,000.1, the price and one tick, rounded down to the step.
    assert (held.booked.bought, held.booked.entry_price) == (D("9.899"), D("1000.1"))
    assert [float(point.equity) for point in ran.journal.points][-4:] == pytest.approx([
        10_000 + 9.899 * (price - 1_000.1) for price in closes[-4:]
    ])  # fmt: skip
    assert held.stop == D("287.6")  # 0.95 × 75 % below the price, on the tick


def test_equal_weight_buys_each_once_and_lets_shares_drift():
    closes = [1_000.0] * 4 + [2_000.0] * 4, [50.0] * 4 + [40.0] * 4
    market, plan = market_of_closes(*closes), plan_of(8, symbols=("BTCUSDT", "ETHUSDT"))
    ran = backtest_run(plan=replace(plan, model="rules/equal-weight", limits=wide(plan)), market=market)
    bought = {symbol: kept.booked.bought for symbol, kept in ran.journal.open.items()}
    assert bought == {"BTCUSDT": D("4.949"), "ETHUSDT": D("98.980")}  # 4,950 each, at 1,000.1 and 50.01
    assert float(ran.journal.points[-1].equity) == pytest.approx(
        10_000 + 4.949 * (2_000 - 1_000.1) + 98.98 * (40 - 50.01)
    )
    assert not ran.journal.closed


def test_momentum_turns_from_long_to_short_when_the_past_return_changes_its_sign():
    closes = [1_000.0, 1_010.0, 1_020.0, 1_030.0, 1_040.0, 1_000.0, 980.0, 960.0, 940.0]
    market, plan = market_of_closes(closes), plan_of(9)
    ran = backtest_run(plan=replace(plan, model="rules/momentum:look_back=2", limits=wide(plan)), market=market)
    (closed,), (held,) = ran.journal.closed, ran.journal.open.values()
    assert (closed.booked.side, closed.exit_reason) == (Side.LONG, "close")
    # 1,010 above 1,000 of two candles before; then 1,000 below 1,030.
    assert (closed.booked.opened_at, closed.booked.closed_at) == (after(WARM + 2), after(WARM + 6))
    assert (held.booked.side, held.booked.opened_at) == (Side.SHORT, after(WARM + 6))


@pytest.mark.ci
@pytest.mark.parametrize(
    "model",
    [*dict.fromkeys(kind.model for kind in KINDS), "rules/momentum:look_back=3",
     "rules/timetable:leverage 2;BTCUSDT long 5 40 0.9;ETHUSDT short 30 31 0.8;BTCUSDT short 40 300 0.5"],
)  # fmt: skip
def test_each_baseline_ends_the_same_with_the_jump_and_without(backtest, market, model):
    leverage = 2 if "leverage" in model else 1
    plan = replace(backtest.plan, model=model, limits=wide(backtest.plan, leverage))
    quick, every = (backtest_run(plan=replace(plan, jump=jump), market=market) for jump in (True, False))
    assert quick.journal.points == every.journal.points
    assert list(quick.journal.ledger.values()) == list(every.journal.ledger.values())
    assert [kept.exit_reason for kept in quick.journal.closed] == [kept.exit_reason for kept in every.journal.closed]
    assert len(quick.milliseconds) < len(every.milliseconds) == every.steps
    assert not quick.journal.incidents
    assert not quick.journal.locks


def test_all_baselines_run_over_the_same_marks_with_the_same_costs(backtest, baselines):
    assert [each.kind.name for each in baselines.runs] == ["cash", "hold", "buy and hold", "equal weight", "momentum"]
    assert {len(each.ran.equity) for each in baselines.runs} == {len(baselines.grid.marks)}
    assert all(each.ran.equity[0] == 10_000 for each in baselines.runs)
    for name in ("cash", "hold"):
        assert set(baselines.of(name).equity) == {10_000.0}
        assert (baselines.of(name).sharpe, baselines.of(name).trades) == (None, 0)
    held = baselines.of("buy and hold")
    assert held.trades == 1
    assert held.fees > 0
    assert held.funding != 0
    assert held.returned == pytest.approx(held.equity[-1] / 10_000 - 1)


def test_entries_at_random_are_as_many_and_trade_as_much_as_the_bot(backtest, baselines):
    random, bot = baselines.random, moves_of(backtest)
    assert random.seeds == len(random.returned) == 4
    assert set(random.trades) == {len(bot)}
    mean = float(np.mean(equity_at(backtest, baselines.grid)))
    assert np.mean(random.turnover) == pytest.approx(float(traded(backtest)) / mean, rel=0.1)
    assert len(set(random.returned)) == 4
    at_end = [line[-1] for _, line in random.fan]
    assert at_end == sorted(at_end)
    assert random.quantiles(random.returned)[2] == (0.5, pytest.approx(np.median(random.returned)))


@pytest.mark.ci
def test_the_same_inputs_give_the_same_baselines_and_everything_is_told(backtest, market, baselines):
    told: list[tuple[int, int]] = []
    again = baselines_run(backtest, market=market, seeds=4, on_run=lambda done, of: told.append((done, of)))
    assert again == baselines
    assert told == [(number, 9) for number in range(1, 10)]


@pytest.mark.ci
def test_side_by_side_they_come_to_the_same(tmp_path):
    for symbol, price in (("BTCUSDT", 50_000.0), ("ETHUSDT", 2_000.0)):
        candles = walk(500, symbol=symbol, seed=int(price))
        write_csv(tmp_path / f"{symbol}-1h.csv.gz", rows_of(candles))
    symbols, start = ("BTCUSDT", "ETHUSDT"), WALK_START + timedelta(days=5)
    source = Source(symbols, ("1h",), start, start + timedelta(days=12), folder=tmp_path)
    market, _ = source.read()
    plan = BacktestPlan(symbols, source.start, source.end, timeframes=("1h",), model="rules/cross:fast=4,slow=10")
    backtest = backtest_run(plan=plan, market=market)
    assert backtest.journal.closed
    alone = baselines_run(backtest, market=market, seeds=3)
    assert baselines_run(backtest, market=market, seeds=3, source=source, jobs=2) == alone


def test_a_bot_that_opened_nothing_has_nothing_to_draw():
    market, plan = market_of_closes([1_000.0, 1_100.0] * 5), plan_of(10, model="rules/hold")
    baselines = baselines_run(backtest_run(plan=plan, market=market), market=market, seeds=50)
    assert (baselines.random.seeds, baselines.random.fan, baselines.random.quantiles(())) == (0, (), ())


def test_positions_are_told_by_decisions_and_shares_of_equity(backtest):
    moves = moves_of(backtest)
    assert len(moves) == len(backtest.journal.closed) + len(backtest.journal.open)
    first = min(backtest.journal.closed, key=lambda kept: (kept.booked.symbol, kept.booked.opened_at))
    move = next(move for move in moves if move.symbol == first.booked.symbol)
    opened = (first.booked.opened_at - backtest.plan.start) / timedelta(minutes=5)
    assert move.opens == int(opened)
    assert move.side is first.booked.side
    assert float(move.share) == pytest.approx(float(first.booked.bought_value) / 10_000, rel=0.05)


def test_leverage_is_the_least_that_carries_what_was_held_at_once(backtest):
    def at(opens: int, closes: int, share: str, symbol: str = "BTCUSDT") -> Move:
        return Move(symbol, opens, closes, Side.LONG, D(share))

    plan = backtest.plan
    assert leverage_of((), plan) == leverage_of((at(0, 5, "0.9"), at(5, 9, "0.9")), plan) == 1
    assert leverage_of((at(0, 5, "0.9"), at(4, 9, "0.9", "ETHUSDT")), plan) == 2
    assert leverage_of((at(0, 5, "40"),), plan) == plan.limits.max_leverage
    assert wide(plan, 4).max_stop_distance == D("0.15")


def test_marks_are_midnights_or_hours_with_both_ends(backtest):
    short = grid_of(backtest.plan)
    assert (short.period, short.per_year, short.named) == (HOUR, 8_760, "hours")
    assert (short.marks[0], short.marks[1], short.marks[-1]) == (after(60), after(72), after(695))
    month = replace(backtest.plan, start=START + timedelta(hours=7), end=START + timedelta(days=40))
    days = grid_of(month)
    assert (days.period, len(days.marks)) == (DAY, 41)
    assert days.marks[1] == START + DAY
    assert grid_of(replace(month, interval="4h", end=month.start + timedelta(days=3))).period == DAY


def test_daily_closes_end_before_the_window_does_and_have_no_gap():
    closes = np.arange(1_000.0, 1_000.0 + 288 * 3)
    market = RecordedMarket([recording(BTC, closes, wick=0.0, holes=tuple(range(288, 576)))], timeframes=("5m",))
    told = daily_closes(market, "BTCUSDT", START + timedelta(days=2, hours=1))
    assert [price for _, price in told] == [1_287.0, 1_287.0, 1_587.0]
    assert [day for day, _ in told] == [(START + number * DAY).date() for number in range(3)]
    assert daily_closes(market, "BTCUSDT", START) == ()
