"""What a backtest is worth: each figure against direct calculation, the stamp, and the same bytes for the same inputs."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from hashlib import sha256
from statistics import mean, stdev

import numpy as np
import pytest

from accounts.domain.limits import DEFAULTS
from decisions.domain.proposal import Action, Verdict
from decisions.domain.question import Answer, Attempt, Member, Outcome, Prompt, Reading, Usage
from marketdata.recorded_market import RecordedMarket
from trading.domain.attribution import By
from trading.domain.bootstrap import paired_difference, return_of_rows, sharpe_of_rows
from trading.domain.significance import dsr, psr
from trading.services.backtest import Backtest, BacktestPlan, backtest_run
from trading.services.backtest.baselines import Baselines, baselines_run
from trading.services.backtest.judged import Judged, judge
from trading.services.backtest.judged_words import as_data, conventions, lines_of_judged, needed
from trading.services.backtest.plain import plain
from trading.services.backtest.report import report_of
from trading.services.backtest.sampled import closed_trades, costs_of
from trading.services.backtest.stamp import Kind, stamp_of
from trading.services.journal.said import Said
from trading.tests.backtest_kit import after, market_of

D = Decimal
PROMPT = Prompt("rules", "state", "arena#0", "0" * 64)
LIMITS = replace(
    DEFAULTS, max_positions=2, losing_streak=0, opens_per_day=1_000, daily_loss=D("0.9"), max_drawdown=D("0.9")
)
PLAN = BacktestPlan(
    ("BTCUSDT", "ETHUSDT"), after(60), after(695), interval="5m", timeframes=("5m",), model="rules/cross", limits=LIMITS
)


@pytest.fixture(scope="module")
def market() -> RecordedMarket:
    return market_of(3, 700)


@pytest.fixture(scope="module")
def backtest(market: RecordedMarket) -> Backtest:
    return backtest_run(plan=PLAN, market=market)


@pytest.fixture(scope="module")
def baselines(backtest: Backtest, market: RecordedMarket) -> Baselines:
    return baselines_run(backtest, market=market, seeds=5)


@pytest.fixture(scope="module")
def judged(backtest: Backtest, baselines: Baselines) -> Judged:
    return judge(backtest, baselines=baselines, trials=20)


def returns(equity) -> np.ndarray:
    values = np.array(equity)
    return values[1:] / values[:-1] - 1


def test_return_sharpe_and_proof_are_those_of_the_equity(backtest, judged):
    ours = returns(judged.equity)
    assert judged.equity[0] == 10_000
    assert judged.equity[-1] == float(backtest.journal.points[-1].equity)
    assert judged.ran.returned == pytest.approx(judged.equity[-1] / 10_000 - 1)
    annual = ours.mean() / ours.std(ddof=1) * np.sqrt(8_760)  # the window is short: hours
    assert judged.ran.sharpe == pytest.approx(annual)
    assert judged.measured.sharpe == pytest.approx(annual)
    proof = judged.measured.proof
    assert proof.psr == psr(proof.sample)
    assert proof.dsr == dsr(proof.sample, 20) < proof.psr
    assert judged.days_needed is None if annual <= 0 else judged.days_needed == pytest.approx(proof.needed / 24)


def test_it_stands_beside_every_baseline_with_a_paired_interval(judged, baselines):
    assert [each.baseline for each in judged.against] == list(baselines.runs)
    for each in judged.against:
        theirs = returns(each.baseline.ran.equity)
        assert each.returned == paired_difference(returns(judged.equity), theirs, return_of_rows, seed=0)
        assert each.returned.value == pytest.approx(judged.ran.returned - each.baseline.ran.returned)
    ratios = {each.baseline.kind.name: each.sharpe for each in judged.against}
    assert ratios["cash"] is None
    held = returns(baselines.of("buy and hold").equity)
    assert ratios["buy and hold"] == paired_difference(returns(judged.equity), held, sharpe_of_rows(8_760), seed=0)


def test_luck_counts_the_seeds_that_it_beats(backtest, judged, baselines):
    beaten = sum(judged.ran.returned > each for each in baselines.random.returned)
    assert (judged.luck.returned.part, judged.luck.returned.whole) == (beaten, 5)
    assert judged.luck.chance == (1 + 5 - beaten) / 6
    ruined_or_rich = replace(baselines.random, returned=(-0.99, 9.0, -0.99, 9.0, 9.0))
    luck = judge(backtest, baselines=replace(baselines, random=ruined_or_rich)).luck
    assert (luck.returned.part, luck.returned.whole, luck.chance) == (2, 5, 4 / 6)


def test_drawdown_is_that_of_every_moment(backtest, judged):
    equity = np.array([10_000.0, *(float(point.equity) for point in backtest.journal.points)])
    lost = 1 - equity / np.maximum.accumulate(equity)
    times = [PLAN.start, *(point.at for point in backtest.journal.points)]
    assert judged.drawdown.depth == pytest.approx(lost.max()) == pytest.approx(judged.ran.drawdown)
    assert judged.drawdown.trough_at == times[int(lost.argmax())]
    assert judged.drawdown.peak_at < judged.drawdown.trough_at
    assert judged.drawdown.depth >= judged.measured.max_drawdown
    assert timedelta() < judged.drawdown.longest <= PLAN.end - PLAN.start


def test_each_attribution_adds_up_to_what_the_positions_brought(backtest, judged):
    net = sum(kept.booked.net for kept in backtest.journal.closed)
    for by in By:
        lines = judged.attribution[by].lines
        assert sum(line.net for line in lines) == judged.attribution[by].total.net == net
    exits = {line.key: line.count for line in judged.attribution[By.EXIT].lines}
    assert exits == Counter(kept.exit_reason for kept in backtest.journal.closed)
    assert {line.key for line in judged.attribution[By.SIGNAL].lines} <= {"buy_to_enter", "sell_to_enter"}


def test_the_funnel_goes_from_every_step_to_what_was_filled(backtest, judged):
    funnel, rulings = judged.decided.funnel, backtest.journal.rulings
    assert [(step.name, step.count) for step in funnel.replies] == [
        (name, 635) for name in ("asked", "answered", "parsed", "read")
    ]
    asked = [ruling for ruling in rulings if ruling.proposal.action is not Action.HOLD]
    refused = [ruling for ruling in asked if ruling.verdict is Verdict.REFUSED]
    steps = {step.name: step for step in funnel.symbols}
    assert list(steps) == ["said", "form", "meaning", "ruled", "ordered", "filled"]
    assert (steps["said"].count, steps["ruled"].count) == (len(asked), len(asked) - len(refused))
    assert steps["ruled"].ended == Counter(ruling.hits[-1].rule for ruling in refused)
    opened = len(backtest.journal.closed) + len(backtest.journal.open)
    closes = sum(kept.exit_reason == "close" for kept in backtest.journal.closed)
    assert steps["filled"].count == opened + closes


def test_what_models_cost_comes_off_the_equity_and_stands_at_the_trades(backtest, baselines, judged):
    first = backtest.journal.closed[0].booked.opened_at
    paid = [(first - timedelta(minutes=5), D("1.5")), (after(690), D("2.25"))]
    costly = judge(backtest, baselines=baselines, costs=paid)
    assert costly.cost == D("3.75")
    assert costly.equity[-1] == pytest.approx(judged.equity[-1] - 3.75)
    assert costly.ran.returned == pytest.approx(judged.ran.returned - 3.75 / 10_000)
    trades = closed_trades(backtest, paid)
    sharing = [trade for trade in trades if first <= trade.opened_at < after(690)]
    assert {trade.cost for trade in sharing} == {
        (D("1.5") / (len(sharing) + _still_open(backtest))).quantize(D("1e-8"))
    }
    assert costly.attribution[By.MODEL].total.cost == sum(trade.cost for trade in trades)


def _still_open(backtest: Backtest) -> int:
    return sum(kept.booked.opened_at < after(690) for kept in backtest.journal.open.values())


def test_every_request_to_a_model_is_paid_for_stated_or_estimated(backtest):
    def attempt(stated: str | None, estimate: str | None = None) -> Attempt:
        usage = Usage(cost=None if stated is None else D(stated))
        return Attempt(
            "openrouter", "a/b", PROMPT, Outcome.ANSWERED, usage=usage, estimate=None if estimate is None else D(estimate)
        )  # fmt: skip

    twice = Answer(Outcome.ANSWERED, attempts=(attempt("0.01"), attempt(None, "0.02"), attempt(None)))
    alone = Answer(Outcome.ANSWERED, usage=Usage(cost=D("0.5")))
    read = Reading(Outcome.ANSWERED)
    both = Answer(Outcome.ANSWERED, members=(Member("a", twice, read), Member("b", alone, read)))
    answers = (twice, alone, both, Answer(Outcome.NO_ANSWER))
    said = [Said(after(number), PROMPT, answer, read, 0) for number, answer in enumerate(answers)]
    asked = replace(backtest, journal=replace(backtest.journal, said=said))
    assert costs_of(asked) == [(after(0), D("0.03")), (after(1), D("0.5")), (after(2), D("0.53"))]
    assert costs_of(backtest) == []


def test_regimes_are_those_of_the_first_symbol_and_cover_all_days(judged, baselines):
    assert sum(row.days for row in judged.regimes) == 3
    grown = np.prod([1 + row.returned for row in judged.regimes])
    assert grown == pytest.approx(1 + judged.ran.returned)
    assert baselines.closes[-1][0] == date(2025, 10, 8)


def test_repeats_are_told_with_mean_and_standard_error(backtest, baselines, market):
    others = [backtest_run(plan=replace(PLAN, model=f"rules/cross:fast={fast}"), market=market) for fast in (8, 10)]
    told = judge(backtest, baselines=baselines, repeats=others).repeats
    ends = [float(each.journal.points[-1].equity) / 10_000 - 1 for each in (backtest, *others)]
    assert told.returned == pytest.approx(ends)
    assert told.spread.mean == pytest.approx(mean(ends))
    assert told.spread.error == pytest.approx(stdev(ends) / np.sqrt(3))


@pytest.mark.parametrize(
    ("model", "cutoff", "masked", "kind", "says"),
    [
        ("rules/trend", date(2030, 1, 1), False, Kind.RULES, "trials count"),
        ("openrouter/a/b", date(2025, 10, 5), False, Kind.CLEAN, "after the model's knowledge cut-off of 05 Oct 2025"),
        ("openrouter/a/b", date(2025, 10, 6), False, Kind.CONTAMINATED, "begins on 06 Oct 2025, not after"),
        ("openrouter/a/b", date(2025, 10, 6), True, Kind.MASKED, "prices scaled"),
        ("openrouter/a/b", None, True, Kind.MASKED, "nobody states"),
        ("openrouter/a/b", None, False, Kind.UNKNOWN, "may know what came"),
    ],
)
def test_the_stamp_says_whether_a_model_can_have_known_the_window(model, cutoff, masked, kind, says):
    stamp = stamp_of(replace(PLAN, model=model), cutoff, masked=masked)
    assert stamp.kind is kind
    assert says in stamp.text
    assert stamp.warns == (kind in (Kind.CONTAMINATED, Kind.UNKNOWN))


@pytest.mark.ci
def test_the_same_inputs_give_the_same_bytes_with_the_jump_and_without(backtest, baselines, market, judged):
    def written(run: Backtest, beside: Baselines) -> str:
        told = judge(run, baselines=beside, trials=20)
        return json.dumps(as_data(told), allow_nan=False) + "\n".join(lines_of_judged(told))

    slow = backtest_run(plan=replace(PLAN, jump=False), market=market)
    assert written(backtest, baselines) == written(slow, baselines_run(slow, market=market, seeds=5))
    first, second = (json.dumps(report_of(run, market=market)) for run in (backtest, slow))
    assert first == second


def test_as_data_names_everything_a_face_needs(judged, baselines):
    data = json.loads(json.dumps(as_data(judged), allow_nan=False))
    assert data["stamp"]["kind"] == "rules"
    assert (data["trials"], data["period"]) == (20, "hours")
    assert [each["name"] for each in data["baselines"]] == [each.kind.name for each in baselines.runs]
    assert data["baselines"][2]["return_over"]["value"] == pytest.approx(judged.against[2].returned.value)
    assert len(data["series"]) == len(data["baselines"][0]["series"]) == len(data["random"]["fan"]["0.5"])
    assert data["limits_of_baselines"]["max_leverage"] == "1"
    assert set(data["attribution"]) == {by.value for by in By}
    assert data["repeats"] is None


def test_lines_for_a_terminal_are_short_and_say_what_is_not_proven(judged):
    lines = list(lines_of_judged(judged))
    assert len(lines) <= 12
    assert any(line.startswith("proof") and "20 trials" in line for line in lines)
    assert any("no difference is shown" in line for line in lines)
    assert needed(judged) in lines[3]
    assert any("no other market" in text for text in conventions(judged))


def test_a_window_without_a_trade_or_of_a_moment_is_judged_all_the_same(market):
    for plan in (replace(PLAN, model="rules/hold"), replace(PLAN, end=after(61), model="rules/hold")):
        run = backtest_run(plan=plan, market=market)
        told = judge(run, baselines=baselines_run(run, market=market, seeds=5))
        assert (told.ran.returned, told.luck.chance, told.measured.trades.count) == (0.0, None, 0)
        json.dumps(as_data(told), allow_nan=False)
        assert any(line.startswith("proof         none") for line in lines_of_judged(told))


def test_a_report_names_the_data_the_code_and_every_setting_of_fills(backtest, market):
    report = report_of(backtest, market=market)
    assert set(report["data"]) == {"BTCUSDT", "ETHUSDT"}
    bitcoin = report["data"]["BTCUSDT"]
    assert (bitcoin["candles"], bitcoin["mark"], len(bitcoin["prices"])) == (699, "", 64)
    assert bitcoin["prices"] != report["data"]["ETHUSDT"]["prices"]
    assert {"spread", "slippage", "stop_slippage_range", "margin_mode"} <= set(report["plan"]["fills"])
    assert (report["plan"]["fee"], report["plan"]["latency"]) == ("of each contract", "the next open")
    assert len(report["code"]["sha256"]) == 64
    other = report_of(backtest, market=market_of(4, 700))
    assert other["data"]["BTCUSDT"]["prices"] != bitcoin["prices"]


def test_a_report_of_a_model_says_how_it_was_asked(backtest):
    asks = replace(PLAN.asks, template="You trade.", repeat=2)
    told = report_of(replace(backtest, plan=replace(PLAN, model="openrouter/a/b", asks=asks)))["plan"]["asks"]
    assert (told["repeat"], told["asking"]["effort"]) == (2, "low")
    assert told["template"] == sha256(b"You trade.").hexdigest()
    assert report_of(backtest)["plan"]["asks"] == {}


def test_json_knows_nothing_of_what_has_no_spelling():
    assert plain([float("nan"), float("inf"), D("1.50"), timedelta(hours=1), date(2025, 1, 2), Kind.CLEAN]) == [
        None, None, "1.50", 3_600.0, "2025-01-02", "clean",
    ]  # fmt: skip
    with pytest.raises(TypeError, match="object"):
        plain(object())
