"""Thin and holed recordings through the ordinary cycle: the books tie out, and nothing is opened beside a hole."""

from collections import Counter
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from decisions.domain.portfolio import Role
from decisions.domain.prompt import build_prompt
from decisions.domain.question import Question
from decisions.domain.trend import Trend
from decisions.services import SEEDS
from decisions.tests.builders import question
from marketdata.domain.quality import gaps
from marketdata.domain.snapshot import MarketSnapshot, SymbolView
from marketdata.recorded_market import RecordedMarket
from marketdata.venues.recorded import read_folder
from tests.quirks.kit import ASTER, BINANCE, utc
from tests.quirks.test_flat import MEANINGLESS
from trading.services.backtest import Backtest, BacktestPlan, backtest_run
from trading.services.backtest.report import report_of
from vibex.lib.clock import from_ms

ARENA = (SEEDS / "arena.txt").read_text(encoding="utf-8")
THIN = ("DOTUSDT", "1000PEPEUSDT", "AAPLUSDT")


def market_of(folder: Path, *symbols: str, timeframes: tuple[str, ...] = ("1h", "4h")) -> RecordedMarket:
    return RecordedMarket(read_folder(folder, symbols).recordings.values(), timeframes=timeframes)


def entries(run: Backtest) -> list:
    kept = run.journal.kept
    return [trade for trade in run.journal.fills.values() if kept[trade.client_order_id].role is Role.ENTRY]


def asked_about(view: SymbolView, at: datetime) -> Question:
    asked = question(view)
    bot = replace(asked.bot, symbols=(view.symbol,))
    return replace(asked, bot=bot, snapshot=MarketSnapshot("recorded", at, {view.symbol: view}))


@pytest.mark.ci
def test_a_month_of_asterdexs_thin_contracts_ties_out_and_leaves_no_position_without_a_stop(shared_data):
    """After each cycle the backtest compares exchange, ledger and books, and ends at the first difference."""
    market = market_of(shared_data / ASTER, *THIN)
    run = backtest_run(plan=BacktestPlan(THIN, utc("2025-09-18 00:00"), utc("2025-10-15 04:00")), market=market)
    counts = report_of(run)["counts"]
    assert set(counts["by_symbol"]) == set(THIN)
    # Apple's bars jump over stops before they can be placed: then the position is closed, and that is on record.
    incidents = Counter(kind for kind, _ in run.journal.incidents)
    assert incidents == {"stop-failed": counts["by_exit"]["flatten"]}


@pytest.mark.ci
@pytest.mark.parametrize(
    ("symbol", "since", "until"),
    [
        ("UNITTEST_gappy", "2017-11-06 00:00", "2017-11-14 22:00"),
        ("XRPETH_gappy", "2019-10-12 00:00", "2019-10-13 11:00"),
    ],
)
def test_nothing_is_opened_while_a_hole_is_in_the_last_three_bars(shared_data, symbol, since, until):
    market = market_of(shared_data / "candles/messy", symbol, timeframes=("5m", "1h"))
    plan = BacktestPlan((symbol,), utc(since), utc(until), interval="5m", timeframes=("5m", "1h"))
    run = backtest_run(plan=plan, market=market)
    opened = entries(run)
    assert opened
    assert run.journal.incidents == {}
    for trade in opened:
        seen = market.snapshot(symbols=[symbol], timeframes=("5m", "1h"), at=trade.at).symbols[symbol]
        assert seen.problem is None
        assert gaps(seen.timeframes["5m"].candles.slice(-3, len(seen.timeframes["5m"].candles))) == []


@pytest.mark.parametrize(("folder", "hours"), [(ASTER, 25), (BINANCE, 145)])
def test_no_prompt_about_a_recorded_hour_has_a_value_that_means_nothing_in_it(shared_data, folder, hours):
    """Through every recording, its first hour and the cascade included."""
    market = RecordedMarket(read_folder(shared_data / folder).recordings.values(), timeframes=("1h", "4h"))
    asked = 0
    for symbol in market.symbols:
        begins, ends = market.span(symbol)
        moments = [
            from_ms(ms) for ms in range(*(int(at.timestamp()) * 1000 for at in (begins, ends)), hours * 3_600_000)
        ]
        for at in (*moments, utc("2025-10-10 22:00"), ends):
            view = market.snapshot(symbols=[symbol], timeframes=("1h", "4h"), at=at).symbols[symbol]
            one = asked_about(view, at)
            prompt = build_prompt(one, ARENA)
            assert not MEANINGLESS.search(prompt.system + prompt.user), (symbol, at)
            Trend().decide(one)
            asked += view.problem is None
    assert asked > 100
