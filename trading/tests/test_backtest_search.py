"""Numbers are searched on one time and judged on the next; what was tried is kept and counted."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from decisions.domain.cross import Cross
from decisions.domain.parameters import ranges, with_numbers, written
from decisions.domain.trend import Trend
from trading.services.backtest import BacktestPlan
from trading.services.backtest.search import search
from trading.services.backtest.windows import folds_of
from trading.tests.backtest_kit import after, market_of
from trading.tests.test_backtest_jump import WIDE
from vibex.lib.errors import Rejected

COUNT = 2_400
PLAN = BacktestPlan(
    ("BTCUSDT",), after(60), after(COUNT - 5), interval="5m", timeframes=("5m",), model="rules/cross", limits=WIDE
)


# -- numbers in names -------------------------------------------------------------------------------------


def test_numbers_are_read_from_a_name_and_written_into_it():
    cross = with_numbers(Cross(), "fast=8,slow=21,stop=0.015")
    assert (cross.fast, cross.slow, cross.stop) == (8, 21, Decimal("0.015"))
    assert written(cross) == "fast=8,slow=21,stop=0.015"
    assert with_numbers(Cross(), written(cross)) == cross
    assert written(Trend()) == ""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("fats=8", "They have fast, slow"),
        ("fast", "is no number of these rules"),
        ("fast=8.5", "no whole number above zero"),
        ("stop=-1", "no number above zero"),
        ("stop=NaN", "no number above zero"),
        ("level=inf", "no number above zero"),
        ("fast=30,slow=20", "has to be shorter"),
    ],
)
def test_a_number_that_is_none_is_refused_by_name(text: str, why: str):
    with pytest.raises(Rejected, match=why):
        with_numbers(Cross(), text)


def test_every_default_lies_in_what_is_searched():
    for strategy in (Cross(), Trend()):
        for name, within in ranges(strategy).items():
            assert within.low <= getattr(strategy, name) <= within.high, name


# -- the search -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def market():
    return market_of(11, COUNT, symbols=1)


def test_what_is_found_is_judged_on_the_time_after_and_every_try_counts(market):
    folds = folds_of(PLAN, 2)
    told: list[tuple[int, int, int]] = []
    found = search(plan=PLAN, folds=folds, market=market, tries=6, seed=3, tell=lambda *how: told.append(how))
    assert found.tries == 12
    assert [fold.fold for fold in found.folds] == list(folds)
    assert told[-1] == (1, 6, 6)
    for fold in found.folds:
        assert fold.model.startswith("rules/cross:")
        assert len(fold.judged.equity) > 10
    psr, dsr = found.chances
    assert psr is not None
    assert dsr is not None
    assert dsr < psr, "twelve tries cost belief"


def test_the_same_seed_finds_the_same_and_another_one_tries_other_numbers(market):
    folds = folds_of(PLAN, 1)
    one, same, other = (search(plan=PLAN, folds=folds, market=market, tries=5, seed=seed) for seed in (1, 1, 2))
    assert one == same
    assert one.folds[0].worth != other.folds[0].worth


def test_a_search_goes_on_from_what_was_tried(market, tmp_path: Path):
    folds, kept = folds_of(PLAN, 1), tmp_path / "tries" / "kept.log"
    first = search(plan=PLAN, folds=folds, market=market, tries=3, seed=1, kept=kept)
    done: list[int] = []
    second = search(
        plan=PLAN, folds=folds, market=market, tries=5, seed=1, kept=kept, tell=lambda _, tried, __: done.append(tried)
    )
    assert done == [3, 4, 5]
    assert second.folds[0].worth[: len(first.folds[0].worth)] == first.folds[0].worth
    again = search(plan=PLAN, folds=folds, market=market, tries=5, seed=1, kept=kept)
    assert again == second
    other = search(plan=replace(PLAN, fee=Decimal("0.001")), folds=folds_of(replace(PLAN, fee=Decimal("0.001")), 1), market=market, tries=2, seed=1, kept=kept)  # fmt: skip
    assert other.tries == 2, "other costs are another search"


def test_rules_without_numbers_and_times_without_trades_are_refused(market):
    with pytest.raises(Rejected, match="no numbers to search"):
        search(plan=replace(PLAN, model="rules/hold"), folds=folds_of(PLAN, 1), market=market, tries=1)
    short = replace(PLAN, end=after(120))
    with pytest.raises(Rejected, match="choose a longer time"):
        search(plan=short, folds=folds_of(short, 1), market=market, tries=2)


# -- the command ------------------------------------------------------------------------------------------


@pytest.mark.ci
def test_the_command_says_what_was_learned_judged_and_worth(shared_data: Path, tmp_path: Path):
    told, data = StringIO(), StringIO()
    window = ["--data", str(shared_data / "candles" / "binance_um_2025_1h"), "--symbols", "BTCUSDT"]
    window += ["--from", "2025-03-01", "--to", "2025-10-01", "--keep", str(tmp_path / "tries.log")]
    window += ["--limits", "benchmarks/limits_open.yaml", "--tries", "4", "--folds", "2"]
    call_command("optimize", "cross", *window, stdout=told)
    call_command("optimize", "cross", *window, "--json", stdout=data)
    text, report = told.getvalue(), json.loads(data.getvalue())
    assert "8 tries" in text
    assert "deflated Sharpe ratio" in text
    assert report["tries"] == 8
    assert report["folds"][0]["model"] in text
    assert report["judged"]["deflated_sharpe"] <= report["judged"]["probabilistic_sharpe"]


def test_the_command_refuses_what_cannot_be_searched(shared_data: Path):
    window = ["--data", str(shared_data / "candles" / "binance_um_2025_1h"), "--symbols", "BTCUSDT"]
    with pytest.raises(CommandError, match="no numbers to search"):
        call_command("optimize", "hold", *window, "--from", "2025-03-01", "--to", "2025-04-01")
