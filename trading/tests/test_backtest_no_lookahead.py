"""At the moment of a decision nothing later than the last closed candle can be reached: a poisoned future changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decisions.deciders.rules import RULES, Foresighted
from decisions.domain.question import BotView
from marketdata.domain.candles import Candles
from marketdata.domain.recording import Recording
from marketdata.domain.whole import WholeMarket
from marketdata.recorded_market import RecordedMarket
from trading.services.backtest import Backtest, BacktestPlan, backtest_run
from trading.services.backtest.report import report_of
from trading.tests.backtest_kit import BTC_AND_ETH, after, recordings_of
from trading.tests.test_backtest_jump import WIDE
from vibex.lib.clock import to_ms

pytestmark = pytest.mark.ci

COUNT, CUT = 420, 300
"""Candles, and how many of them are left as they were."""
type Poison = Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]
POISONS: dict[str, Poison] = {
    "nothing is known": lambda values: np.full(len(values), np.nan),
    "huge": lambda values: np.full(len(values), 1e12),
    "near zero": lambda values: np.full(len(values), 1e-3),
    "upside down": lambda values: values[::-1].copy() * 3,
}


def poisoned(recording: Recording, poison: Poison, cut: int = CUT) -> Recording:
    """Return the recording with everything from the candle `cut` on made something else, marks and funding as well."""
    at = int(recording.candles.open_time[0]) + cut * 300_000
    funding = recording.funding
    later = funding.at > at
    return replace(
        recording,
        candles=_from(recording.candles, at, poison),
        mark=None if recording.mark is None else _from(recording.mark, at, poison),
        funding=replace(funding, rate=np.where(later, 0.5, funding.rate)),
    )


def _from(candles: Candles, at: int, poison: Poison) -> Candles:
    first = int(candles.open_time.searchsorted(at))

    def of(column: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return np.concatenate((column[:first], poison(column[first:])))

    columns = (candles.open, candles.high, candles.low, candles.close, candles.volume)
    return Candles(candles.symbol, candles.interval, candles.open_time, *map(of, columns))


def run(recordings: list[Recording], model: str, *, jump: bool, end: int = CUT) -> Backtest:
    market = RecordedMarket(recordings, timeframes=("5m", "15m"))
    plan = BacktestPlan(
        BTC_AND_ETH, after(60), after(end), interval="5m", timeframes=("5m", "15m"), model=model, limits=WIDE, jump=jump
    )
    return backtest_run(plan=plan, market=market)


@pytest.mark.parametrize("jump", [True, False], ids=["with the jump", "without"])
@pytest.mark.parametrize("model", ["rules/trend:adx=10", "rules/cross:fast=4,slow=9", "rules/momentum"])
@pytest.mark.parametrize("poison", POISONS.values(), ids=POISONS)
def test_a_poisoned_future_changes_nothing_that_was_done(poison, model, jump):
    whole = recordings_of(3, COUNT)
    expected = run(whole, model, jump=jump)
    assert expected.journal.fills
    found = run([poisoned(one, poison) for one in whole], model, jump=jump)
    assert report_of(found) == report_of(expected) | {"data": report_of(found).get("data")}
    assert found.journal.points == expected.journal.points


def test_what_is_seen_of_a_moment_is_the_same_whatever_comes_after_it():
    whole, at = recordings_of(5, COUNT), after(CUT)
    market = RecordedMarket(whole, timeframes=("5m", "15m"))
    seen = market.snapshot(symbols=BTC_AND_ETH, timeframes=("5m", "15m"), at=at)
    for poison in POISONS.values():
        other = RecordedMarket([poisoned(one, poison) for one in whole], timeframes=("5m", "15m"))
        again = other.snapshot(symbols=BTC_AND_ETH, timeframes=("5m", "15m"), at=at)
        assert again.digest == seen.digest
        for symbol in BTC_AND_ETH:
            newest = again.symbols[symbol].timeframes["15m"].candles.open_time[-1]
            assert newest + 900_000 <= to_ms(at)


@settings(max_examples=30)
@given(cut=st.integers(30, COUNT - 30), name=st.sampled_from(sorted(RULES)), place=st.sampled_from(sorted(POISONS)))
def test_what_rules_say_in_advance_of_a_moment_does_not_depend_on_what_comes_after_it(cut, name, place):
    strategy, whole = RULES[name], recordings_of(7, COUNT)
    if not isinstance(strategy, Foresighted):
        return
    moments = np.array([to_ms(after(step)) for step in range(20, cut + 1)], dtype=np.int64)
    bot = BotView("b", f"rules/{name}", BTC_AND_ETH, "5m", ("5m", "15m"), capital=Decimal(1_000))
    declared = []
    for recordings in (whole, [poisoned(one, POISONS[place], cut) for one in whole]):
        market = RecordedMarket(recordings, timeframes=("5m", "15m"))
        acts = strategy.acts(bot, "BTCUSDT", WholeMarket(market.frame, moments))
        declared.append((acts.flat.tolist(), acts.long.tolist(), acts.short.tolist()))
    assert declared[0] == declared[1]


def test_warming_up_nothing_is_asked_for_before_the_indicators_are_known():
    early = RecordedMarket(recordings_of(3, COUNT), timeframes=("5m", "15m"))
    plan = BacktestPlan(
        BTC_AND_ETH, after(1), after(60), interval="5m", timeframes=("5m", "15m"), model="rules/trend", limits=WIDE
    )
    backtest = backtest_run(plan=plan, market=early)
    assert not backtest.journal.fills, "EMA50 of 15m needs 50 candles: 150 of 5m"
    told = "up to the end of it not every indicator of 15m was known: 50 candles are needed before it"
    assert told in backtest.notes
