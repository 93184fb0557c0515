"""No number, time or text that makes no sense breaks a ruling, opens anything by itself, or keeps a position open."""

from dataclasses import fields, replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from accounts.domain.limits import Limits
from decisions.domain.proposal import Action, Proposal, Verdict
from trading.domain.risk import RULES, Standing
from trading.tests.risk_cases import MadCases, passed
from trading.tests.risk_kit import ETH, LIMITS, LONG, D, rule

MANY = 300
SEEDS = st.integers(0, 2**40)
IDS = {rule.id for rule in RULES} | {"position.none"}


@settings(max_examples=MANY)
@given(SEEDS)
def test_whatever_makes_no_sense_a_ruling_comes_of_it_that_opens_no_more_than_was_asked(seed: int) -> None:
    for ruling in MadCases(seed).case().ruled():
        event(f"{ruling.proposal.action} {ruling.verdict} {ruling.rule_ids[-1:]}")
        if passed(ruling):
            assert ruling.quantity is not None
            assert ruling.proposal.quantity is not None
            assert 0 < ruling.quantity <= ruling.proposal.quantity
            assert ruling.leverage == ruling.proposal.leverage
        for hit in ruling.hits:
            assert hit.rule in IDS
            assert hit.text.endswith(".")
            assert all(isinstance(value, str) and "E" not in value for value in hit.numbers.values())


@given(SEEDS, st.sampled_from(["active", "reducing", "halted"]), st.dictionaries(st.just(""), st.text(), max_size=1))
def test_nothing_refuses_a_close(seed: int, state: str, blocked: dict[str, str]) -> None:
    case = MadCases(seed).case()
    case = replace(case, standing=Standing(state, blocked, "paused", case.history))
    for held in case.portfolio.positions:
        [ruling] = case.ruled(Proposal(held.symbol, Action.CLOSE))
        assert ruling.verdict is Verdict.ACCEPTED
        assert not ruling.hits


BARS = (
    Standing("reducing"),
    Standing("halted"),
    Standing(bot="paused"),
    Standing(blocked={"": "an order is unresolved"}),
    Standing(blocked={ETH: "an order is unresolved"}),
)


@given(SEEDS, st.sampled_from(BARS))
def test_nothing_opens_while_bot_account_or_symbol_is_barred(seed: int, standing: Standing) -> None:
    assert not any(map(passed, replace(MadCases(seed).case(), standing=standing).ruled()))
    assert not any(map(passed, rule(LONG, standing=standing)))


@example(quantity=D("9" * 5000))
@example(quantity=D("0.1").scaleb(-400))
@given(quantity=st.decimals(allow_nan=False))
def test_a_size_is_only_ever_lowered(quantity: Decimal) -> None:
    [ruling] = rule(replace(LONG, quantity=quantity))
    assert ruling.quantity is None or ruling.quantity <= quantity


@pytest.mark.parametrize("name", [limit.name for limit in fields(Limits)])
@pytest.mark.parametrize(
    "value", ["", "5", D("NaN"), D("sNaN"), D("-1"), D("Infinity"), float("nan"), -1, ()], ids=repr
)
def test_a_limit_that_is_no_usable_value_bars_entries_and_is_named(name: str, value: Any) -> None:
    [ruling] = rule(LONG, limits=replace(LIMITS, **{name: value}))
    assert ruling.rule_ids == ("limits.known",)
    assert name in ruling.hits[0].text
