"""Passing over what cannot matter changes how long a backtest takes, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.domain.limits import DEFAULTS, Limits
from decisions.deciders import rules
from decisions.domain.proposal import Action, Side
from marketdata.recorded_market import RecordedMarket
from trading.domain.losses import DAY, DRAWDOWN, FLOOR
from trading.domain.risk import rulebook
from trading.services.backtest import Backtest, BacktestPlan, backtest_run
from trading.services.backtest.report import report_of
from trading.tests.backtest_kit import START, Script, Wish, after, market_of
from vibex.lib.clock import to_ms

D = Decimal
COUNT = 360
WIDE = replace(
    DEFAULTS,
    risk_per_trade=D("0.5"),
    max_position=D(5),
    max_group=D(8),
    max_net=D(8),
    max_gross=D(8),
    max_stop_distance=D("0.5"),
    max_margin_use=D("0.95"),
    max_leverage=10,
    min_reward_risk=D(0),
    min_confidence=D(0),
    max_funding=D(1),
    opens_per_hour=100,
    opens_per_day=1_000,
    min_hold_minutes=0,
    cooldown_minutes=0,
    losing_streak=0,
    daily_loss=D("0.9"),
    max_drawdown=D("0.9"),
)
SYMBOLS = ("BTCUSDT", "ETHUSDT")
met: set[str] = set()
"""What fired in all runs together: a comparison in which nothing happens compares nothing."""


def plan_of(
    limits: Limits, *, symbols: tuple[str, ...] = SYMBOLS, interval: str = "5m", **changes: Any
) -> BacktestPlan:
    return BacktestPlan(
        symbols, after(30), after(COUNT - 5), interval=interval, timeframes=("5m",), model="rules/script", limits=limits,
        **changes,
    )  # fmt: skip


def alike(first: Backtest, second: Backtest) -> None:
    """Compare two runs in everything that is money, time or a reason."""
    one, other = first.journal, second.journal
    fills = [[replace(fill, client_order_id="") for fill in each.fills.values()] for each in (one, other)]
    assert fills[0] == fills[1]
    assert list(one.ledger.values()) == list(other.ledger.values())
    assert one.locks == other.locks
    assert one.points == other.points
    assert (one.watched, one.incidents) == (other.watched, other.incidents)
    assert [ruling for ruling in one.rulings if ruling.proposal.action is not Action.HOLD] == [
        ruling for ruling in other.rulings if ruling.proposal.action is not Action.HOLD
    ]
    assert report_of(first) == report_of(second)


@pytest.fixture(scope="module")
def everything_fired() -> Iterator[None]:
    met.clear()
    yield
    assert {"stop", "target", "liquidation", "FUNDING_FEE", DAY, DRAWDOWN, FLOOR} <= met, met


@pytest.fixture(scope="module")
def markets() -> list[RecordedMarket]:
    return [market_of(seed, COUNT) for seed in range(6)]


WISHES = st.builds(
    Wish,
    symbol=st.sampled_from(SYMBOLS),
    side=st.sampled_from((Side.LONG, Side.SHORT, Side.LONG, Side.SHORT, None)),
    share=st.sampled_from((D("0.2"), D("0.9"), D("2.5"))),
    stop=st.sampled_from((D("0.004"), D("0.01"), D("0.03"), D("0.15"), D("0.4"))),
    target=st.sampled_from((None, D("0.006"), D("0.02"), D("0.3"))),
    leverage=st.sampled_from((1, 3, 10)),
    turn=st.booleans(),
)
SCRIPTS = st.dictionaries(
    st.integers(30, COUNT - 6).map(lambda step: to_ms(after(step))), st.tuples(WISHES) | st.tuples(WISHES, WISHES),
    min_size=3, max_size=40,
)  # fmt: skip
LIMITS = st.builds(
    replace,
    st.just(WIDE),
    daily_loss=st.sampled_from((D("0.9"), D("0.02"), D("0.05"))),
    max_drawdown=st.sampled_from((D("0.9"), D("0.04"), D("0.10"))),
    equity_floor=st.sampled_from((None, None, D(9_800), D(9_500))),
    flatten_on_loss=st.booleans(),
)


@pytest.mark.ci
@settings(max_examples=220, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=SCRIPTS, limits=LIMITS, seed=st.integers(0, 5), interval=st.sampled_from(("5m", "5m", "15m")))
def test_any_script_ends_the_same_with_the_jump_and_without(markets, everything_fired, script, limits, seed, interval):
    market, plan = markets[seed], plan_of(limits, interval=interval)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(rules.RULES, "script", Script(script))  # type: ignore[arg-type]
        # Risk keeps every stop nearer than the liquidation: without that rule there are liquidations as well.
        patch.setattr(rulebook, "OF_ENTRIES", tuple(r for r in rulebook.OF_ENTRIES if r.id != "stop.liquidation"))
        quick = backtest_run(plan=plan, market=market)
        every = backtest_run(plan=replace(plan, jump=False), market=market)
    alike(quick, every)
    assert len(quick.milliseconds) <= len(every.milliseconds) == quick.steps == every.steps
    met.update(position.exit_reason for position in quick.journal.closed)
    met.update(lock.kind for lock in quick.journal.locks)
    met.update(line.kind.name for line in quick.journal.ledger.values())


@pytest.mark.parametrize("model", ["rules/trend", "rules/cross", "rules/cross:fast=5,slow=9,level=50", "rules/hold"])
@pytest.mark.parametrize("interval", ["5m", "15m", "1h"])
def test_written_rules_end_the_same_with_the_jump_and_without(markets, model, interval):
    for market in markets[:3]:
        plan = replace(plan_of(WIDE, interval=interval), model=model, timeframes=(interval, "1h"))
        quick = backtest_run(plan=plan, market=market)
        alike(quick, backtest_run(plan=replace(plan, jump=False), market=market))
        if model == "rules/cross" and interval == "5m":
            assert quick.journal.closed
            assert len(quick.milliseconds) < quick.steps / 3


def test_nothing_is_passed_over_where_stops_follow_the_price(markets):
    plan = replace(plan_of(replace(WIDE, trailing_stop=D("0.01"))), model="rules/cross")
    backtest = backtest_run(plan=plan, market=markets[0])
    assert len(backtest.milliseconds) == backtest.steps


def test_the_first_moment_is_the_start():
    assert START == after(0)
