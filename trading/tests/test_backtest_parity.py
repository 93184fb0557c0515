"""The same day lived through by a paper bot and by a backtest: the same orders, fills and equity, to the last digit."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from accounts.models import Bot, RiskLimits
from marketdata.recorded_market import RecordedMarket
from marketdata.venues.recorded import read_folder
from trading.exchange.paper import open_paper_account
from trading.models import EquityPoint, Fill, IncomeEntry, Order
from trading.services import live
from trading.services.backtest import BacktestPlan, backtest_run
from trading.tests.builders import make_bot
from vibex.lib.clock import SimulatedClock

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.ci]

SYMBOLS = ("BTCUSDT", "ETHUSDT", "XRPUSDT")
START, STEP = datetime(2025, 10, 10, tzinfo=UTC), timedelta(minutes=15)
"""The day on which the market fell most of all in the recordings."""
PLAN = BacktestPlan(
    SYMBOLS, START, START + timedelta(days=1), interval="15m", timeframes=("15m", "1h"), latency=timedelta(0)
)
STEPS = 96
LAST = START + (STEPS - 1) * STEP
FEWEST = 10
"""Fills below which a day shows little."""
MODELS = ("rules/trend", "rules/cross:fast=3,slow=8,level=50,stop=0.01,target=0.02")


@pytest.fixture(scope="module")
def market(shared_data: Path) -> RecordedMarket:
    folder = read_folder(shared_data / "candles" / "binance_um_2025_15m", SYMBOLS)
    return RecordedMarket(folder.recordings.values(), timeframes=PLAN.timeframes)


def lived_on_paper(monkeypatch: pytest.MonkeyPatch, market: RecordedMarket, model: str) -> Bot:
    """Live through the day as a paper bot does: database, paper venue, lease, journal and all."""
    clock = SimulatedClock(START)
    monkeypatch.setattr(live, "market_for", lambda venue: market)
    monkeypatch.setattr(live, "market_clock", lambda venue: clock)
    bot = make_bot(model=model, symbols=list(SYMBOLS), interval=PLAN.interval, timeframes=list(PLAN.timeframes))
    open_paper_account(bot.account, at=START)
    for number in range(STEPS):
        at = START + number * STEP
        clock.move_to(at)
        run = live.cycle_run(bot_id=bot.pk, scheduled_for=at)
        assert run.status == "done", run.text
    return bot


@pytest.mark.parametrize("model", MODELS)
def test_a_paper_day_and_its_backtest_are_the_same_to_the_last_digit(monkeypatch, market, model):
    bot = lived_on_paper(monkeypatch, market, model)
    account = bot.account
    plan = replace(PLAN, model=model, limits=live.limits_of(RiskLimits.objects.get(account=account)))
    journal = backtest_run(plan=plan, market=market).journal

    fills = Fill.objects.filter(account=account).order_by("at", "pk")
    columns = ("symbol", "side", "quantity", "price", "fee", "realised", "at")
    ours = [(t.symbol, t.side.value, t.quantity, t.price, t.fee, t.realised, t.at) for t in journal.fills.values()]
    assert len(ours) >= FEWEST
    assert list(fills.values_list(*columns)) == [row for row in ours if row[-1] <= LAST]

    orders = Order.objects.filter(account=account).order_by("pk")
    written = list(orders.values_list("role", "symbol", "side", "type", "quantity", "price", "trigger"))
    intended = [(kept.role.value, kept.order) for kept in journal.kept.values()]
    assert (
        written
        == [(role, o.symbol, o.side.value, o.type.value, o.quantity, o.price, o.trigger) for role, o in intended][
            : len(written)
        ]
    )
    assert len(intended) - len(written) <= len(SYMBOLS), "only what came after the last look may be missing"

    ledger = [(line.kind.value, line.symbol, line.amount, line.at) for line in journal.ledger.values()]
    booked = IncomeEntry.objects.filter(account=account).values_list("kind", "symbol", "amount", "at")
    assert sorted(booked) == sorted(row for row in ledger if row[-1] <= LAST)

    equity = dict(EquityPoint.objects.filter(account=account).values_list("at", "equity"))
    points = {point.at: point.equity for point in journal.points if point.at <= LAST}
    assert len(points) == STEPS
    assert equity == points
