"""The month around 10 October 2025 on six symbols, through the ordinary cycle: what it must show and what it must never."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from accounts.domain.limits import DEFAULTS
from decisions.deciders import rules
from decisions.deciders.base import Question
from decisions.domain import trend
from decisions.domain.portfolio import Role
from decisions.domain.proposal import Proposal, Verdict
from marketdata.domain.bars import Bar
from marketdata.recorded_market import RecordedMarket
from marketdata.venues.recorded import read_folder
from trading.domain.orders import OrderState
from trading.domain.venue import Trade
from trading.services.backtest import Backtest, BacktestPlan, backtest_run
from trading.services.backtest.report import report_of

pytestmark = pytest.mark.ci
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT", "BNBUSDT")
PLAN = BacktestPlan(SYMBOLS, datetime(2025, 9, 15, tzinfo=UTC), datetime(2025, 10, 15, tzinfo=UTC))
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def market(shared_data: Path) -> RecordedMarket:
    folder = read_folder(shared_data / "candles" / "binance_um_2025_1h", SYMBOLS)
    return RecordedMarket(folder.recordings.values(), timeframes=("1h", "4h"))


@pytest.fixture(scope="module")
def month(market: RecordedMarket) -> Backtest:
    return backtest_run(plan=PLAN, market=market)


@pytest.fixture(scope="module")
def reckless_month(market: RecordedMarket) -> Backtest:
    """The same entries at leverage 10 with stops up to 10 % away."""
    limits = replace(DEFAULTS, max_leverage=10, max_stop_distance=Decimal("0.10"), risk_per_trade=Decimal("0.05"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rules, "RULES", {**rules.RULES, "reckless": reckless})
        return backtest_run(plan=replace(PLAN, model="rules/reckless", limits=limits), market=market)


def reckless(question: Question) -> tuple[Proposal, ...]:
    return tuple(_farther(question, proposal) for proposal in trend.Trend().decide(question))


def _farther(question: Question, proposal: Proposal) -> Proposal:
    if not proposal.action.opens or proposal.stop_loss is None:
        return proposal
    view = question.snapshot.symbols[proposal.symbol]
    distance = (view.quote.last - proposal.stop_loss) * Decimal("2.5")
    stop = view.instrument.price_near(view.quote.last - distance)
    return replace(proposal, leverage=10, stop_loss=stop, profit_target=None, risk_usd=None)


def test_it_trades_often_enough_on_both_sides_and_leaves_by_stop_and_by_target(month):
    counts = report_of(month)["counts"]
    assert counts["trades"] >= 30
    assert len(counts["by_symbol"]) >= 4
    assert set(counts["by_side"]) == {"long", "short"}
    assert {"stop", "target"} <= set(counts["by_exit"])


def test_every_refusal_and_every_reduction_names_its_rule(month):
    ruled = [ruling for ruling in month.journal.rulings if ruling.verdict is not Verdict.ACCEPTED]
    assert ruled
    assert all(ruling.hits and all(hit.rule for hit in ruling.hits) for ruling in ruled)


def test_nothing_is_left_unexplained(month):
    assert month.journal.incidents == {}
    assert {order.facts.state for order in month.journal.kept.values()} <= {OrderState.DONE, OrderState.LIVE}


def test_equity_is_deposits_plus_results_less_fees_and_funding_exactly(month):
    totals = sum((line.amount for line in month.journal.ledger.values()), Decimal(0))
    last = month.journal.points[-1]
    assert last.wallet == totals
    closed = sum((position.booked.net for position in month.journal.closed), Decimal(0))
    still_open = sum((kept.booked.net for kept in month.journal.open.values()), Decimal(0))
    assert PLAN.capital + closed + still_open == last.wallet


def test_no_entry_takes_exposure_beyond_the_caps(month: Backtest) -> None:
    trades = sorted(month.journal.fills.values(), key=lambda trade: (trade.at, int(trade.trade_id)))
    points = {point.at: point.equity for point in month.journal.points}
    held: dict[str, Decimal] = {}
    for trade in trades:
        held[trade.symbol] = held.get(trade.symbol, Decimal(0)) + trade.side.sign * trade.quantity * trade.price
        if month.journal.kept[trade.client_order_id].role is not Role.ENTRY:
            held.pop(trade.symbol)
            continue
        equity = points[trade.at]
        slack = (
            1 + DEFAULTS.max_slippage + Decimal("0.02")
        )  # filled within the slippage, equity after the fee and a bar
        assert abs(held[trade.symbol]) <= DEFAULTS.max_position * equity * slack
        assert len(held) <= DEFAULTS.max_positions


def test_stops_slip_by_the_spread_or_a_twentieth_of_the_bar_at_least(
    reckless_month: Backtest, market: RecordedMarket
) -> None:
    checked = 0
    for trade in reckless_month.journal.fills.values():
        order = reckless_month.journal.kept[trade.client_order_id]
        if order.role is not Role.STOP or order.order.trigger is None:
            continue
        bar = _bar_of(market, trade, order.order.trigger)
        wanted = max(trade.price * Decimal("0.0002"), (bar.high - bar.low) / 20)
        slip = (order.order.trigger - trade.price) * -trade.side.sign
        assert slip >= wanted * Decimal("0.99"), f"{trade.symbol} at {trade.at} slipped by {slip}, not {wanted}"
        checked += 1
    assert checked >= 5


def _bar_of(market: RecordedMarket, trade: Trade, trigger: Decimal) -> Bar:
    """Return the bar in which a stop fired: events of a bar carry its close; one at an open belongs to the bar after."""
    before, after = (market.base_bar(trade.symbol, at=trade.at - timedelta(hours=back)) for back in (1, 0))
    assert before is not None
    if before.low <= trigger <= before.high or after is None:
        return before
    return after


def test_a_liquidation_never_happens_while_a_stop_could_have_filled(reckless_month):
    exits = report_of(reckless_month)["counts"]["by_exit"]
    assert exits.get("stop", 0) > 0
    assert "liquidation" not in exits


def test_the_command_prints_the_same_bytes_twice(shared_data):
    command = [
        *(sys.executable, "manage.py", "backtest", "--data", str(shared_data / "candles" / "binance_um_2025_1h")),
        *("--symbols", "BTCUSDT,ETHUSDT,XRPUSDT", "--from", "2025-09-15", "--to", "2025-10-15", "--json"),
    ]
    first, second = (subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout for _ in range(2))
    assert first == second
    assert json.loads(first)["counts"]["cycles"] == 720
