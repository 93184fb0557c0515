"""Loss limits in a backtest: a lock of the day ends with the day, one of the drawdown stays, and the report says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D

import numpy as np
import pytest

from accounts.domain.limits import DEFAULTS
from decisions.deciders import rules
from decisions.domain.portfolio import Role
from decisions.domain.proposal import Action, Proposal
from marketdata.domain.candles import Candles
from marketdata.domain.recording import Recording
from marketdata.recorded_market import RecordedMarket
from trading.services.backtest import Backtest, BacktestPlan, backtest_run
from trading.services.backtest.report import report_of
from trading.tests.venue_support import BTC
from vibex.lib.clock import to_ms

START = datetime(2025, 10, 6, tzinfo=UTC)
DAYS = 4
HOUR = timedelta(hours=1)
FREE = replace(
    DEFAULTS, risk_per_trade=D("0.01"), cooldown_minutes=0, losing_streak=0, min_confidence=D(0), min_reward_risk=D(0)
)


def falling() -> RecordedMarket:
    """One symbol whose price falls by one per cent an hour, for days."""
    hours = 24 * (DAYS + 1)
    opens = 100_000 * 0.99 ** np.arange(hours)
    closes = opens * 0.99
    times = np.array([to_ms(START - timedelta(days=1) + HOUR * n) for n in range(hours)], dtype=np.int64)
    candles = Candles("BTCUSDT", "1h", times, opens, opens, closes, closes, np.full(hours, 100.0))
    return RecordedMarket([Recording(replace(BTC, venue="recorded"), candles)], timeframes=("1h",))


def buys(question) -> Sequence[Proposal]:
    """Buy whenever nothing is open, with a stop that is hit within some hours."""
    if question.portfolio.positions:
        return ()
    price = question.snapshot.symbols["BTCUSDT"].quote.mark.quantize(D(1))
    return (Proposal("BTCUSDT", Action.BUY, D("0.05"), 2, price * D("0.97") // 1, price * D("1.2") // 1),)


def run(monkeypatch: pytest.MonkeyPatch, **limits: object) -> Backtest:
    monkeypatch.setitem(rules.RULES, "buys", buys)
    plan = BacktestPlan(
        ("BTCUSDT",),
        START,
        START + timedelta(days=DAYS),
        timeframes=("1h",),
        model="rules/buys",
        limits=replace(FREE, **limits),
    )
    return backtest_run(plan=plan, market=falling())


def entered(test: Backtest) -> list[datetime]:
    kept = test.journal.kept
    fills = test.journal.fills.values()
    return sorted(fill.at for fill in fills if kept[fill.client_order_id].role is Role.ENTRY)


def test_a_lock_of_the_day_ends_with_the_day(monkeypatch):
    test = run(monkeypatch, daily_loss=D("0.02"), max_drawdown=D("0.9"))
    assert len(test.journal.locks) == DAYS
    for lock in test.journal.locks:
        assert lock.kind == "loss.day"
        midnight = lock.since.replace(hour=0) + timedelta(days=1)
        assert lock.until == midnight
        assert not [at for at in entered(test) if lock.since <= at < midnight]
        assert [at for at in entered(test) if midnight <= at < midnight + 6 * HOUR] or midnight == test.plan.end
    (note,) = [note for note in report_of(test)["notes"] if "loss" in note]
    assert note.startswith(f"the limit of the day's loss was reached on {DAYS} days")


def test_a_lock_of_the_drawdown_stays_until_the_run_is_over(monkeypatch):
    test = run(monkeypatch, daily_loss=D("0.02"), max_drawdown=D("0.045"))
    drawdown = next(lock for lock in test.journal.locks if lock.kind == "loss.drawdown")
    assert drawdown.since < test.plan.end - timedelta(days=1)
    assert entered(test)[-1] < drawdown.since
    (note,) = [note for note in report_of(test)["notes"] if "any more" in note]
    assert f"{drawdown.since:%F %H:%M}" in note
    assert "4.50 %" in note


def test_where_the_limits_say_so_a_backtest_closes_everything(monkeypatch):
    test = run(monkeypatch, daily_loss=D("0.005"), max_drawdown=D("0.9"), flatten_on_loss=True)
    assert {kept.exit_reason for kept in test.journal.closed} >= {"loss"}
    assert not test.journal.open


def test_without_a_loss_nothing_is_said(monkeypatch):
    test = run(monkeypatch, daily_loss=D("0.9"), max_drawdown=D("0.95"))
    assert test.journal.locks == []
    assert len(entered(test)) > 4 * DAYS
    assert [note for note in test.notes if "loss" in note] == []
