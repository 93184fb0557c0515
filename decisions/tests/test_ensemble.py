"""What several models agree on: agreement for entries, any close, and never a number that nobody wrote."""

from dataclasses import replace
from decimal import Decimal
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decisions.domain.ensemble import MAJORITY, UNANIMOUS, merge, needed, reading_of, risk_of, with_holds
from decisions.domain.proposal import Action, Proposal
from decisions.domain.question import Answer, Member, Outcome, Reading
from decisions.tests.builders import question

ASKED = question()
SYMBOLS = ASKED.bot.symbols
TOUCH = Decimal("4200.1")

BUY = Proposal("ETHUSDT", Action.BUY, Decimal(2), 5, Decimal(4100), Decimal(4400), Decimal(200), 0.7, "plan", "a trend")
SELL = replace(BUY, action=Action.SELL, stop_loss=Decimal(4300), profit_target=Decimal(4000))
HOLD = Proposal("ETHUSDT", Action.HOLD, justification="no edge")
CLOSE = Proposal("ETHUSDT", Action.CLOSE, justification="it is over")


def member(*proposals, name="m", outcome=Outcome.ANSWERED, reason="", held=None):
    return Member(name, Answer(outcome), Reading(outcome, proposals, reason, held or {}))


SILENT = member(name="silent", outcome=Outcome.NO_ANSWER, reason="timeout: nobody came")
GARBAGE = member(name="garbage", outcome=Outcome.REJECTED, reason="json.broken: {")


def merged(*members, rule=MAJORITY):
    return merge(members, rule=rule, snapshot=ASKED.snapshot, symbols=SYMBOLS)


def on_eth(*members, rule=MAJORITY):
    """Return what is proposed for ETHUSDT, None when nothing is."""
    return next((each for each in merged(*members, rule=rule).proposals if each.symbol == "ETHUSDT"), None)


@pytest.mark.parametrize(("asked", "most", "all_"), [(1, 1, 1), (2, 2, 2), (3, 2, 3), (4, 3, 4), (5, 3, 5), (7, 4, 7)])
def test_a_majority_is_more_than_half_of_all_that_were_asked(asked, most, all_):
    assert (needed(MAJORITY, asked), needed(UNANIMOUS, asked)) == (most, all_)
    assert needed("", asked) == asked, "a rule that nobody knows must be the stricter one"


TABLE = {
    "two of three buy": ((BUY, BUY, HOLD), Action.BUY, Action.HOLD),
    "all three buy": ((BUY, BUY, BUY), Action.BUY, Action.BUY),
    "one buys": ((BUY, HOLD, HOLD), Action.HOLD, Action.HOLD),
    "one buys, one sells": ((BUY, SELL, HOLD), Action.HOLD, Action.HOLD),
    "two sell, one buys": ((SELL, BUY, SELL), Action.SELL, Action.HOLD),
    "one closes": ((HOLD, HOLD, CLOSE), Action.CLOSE, Action.CLOSE),
    "one closes against two that buy": ((BUY, CLOSE, BUY), Action.CLOSE, Action.CLOSE),
    "one buys, two say nothing": ((BUY, None, None), Action.HOLD, Action.HOLD),
    "nobody wants anything": ((HOLD, HOLD, HOLD), Action.HOLD, Action.HOLD),
    "one of four that closes": ((None, None, None, CLOSE), Action.CLOSE, Action.CLOSE),
    "two of four buy": ((BUY, BUY, HOLD, HOLD), Action.HOLD, Action.HOLD),
    "three of four buy": ((BUY, BUY, BUY, HOLD), Action.BUY, Action.HOLD),
}


@pytest.mark.parametrize(("wishes", "most", "all_"), TABLE.values(), ids=TABLE)
def test_what_becomes_of_several_wishes(wishes, most, all_):
    members = [member(*([wish] if wish else [])) for wish in wishes]
    assert on_eth(*members).action is most
    assert on_eth(*members, rule=UNANIMOUS).action is all_


def test_those_that_gave_no_answer_were_asked_all_the_same():
    assert on_eth(member(BUY), member(BUY), SILENT).action is Action.BUY
    assert on_eth(member(BUY), SILENT).action is Action.HOLD
    assert on_eth(member(BUY), SILENT, GARBAGE).action is Action.HOLD
    assert on_eth(member(BUY), member(BUY), SILENT, GARBAGE).action is Action.HOLD
    assert on_eth(member(BUY), member(BUY), SILENT, rule=UNANIMOUS).action is Action.HOLD


def test_of_those_that_agree_the_smallest_risk_is_taken_as_it_is_written():
    near = replace(BUY, quantity=Decimal(3), stop_loss=Decimal(4180), justification="near")
    assert risk_of(near, ASKED.snapshot) == 3 * (TOUCH - 4180)
    assert on_eth(member(BUY), member(near), member(HOLD)) is near
    assert on_eth(member(near), member(BUY)) is near


def test_a_sell_is_measured_from_the_bid():
    assert risk_of(SELL, ASKED.snapshot) == 2 * (Decimal(4300) - Decimal("4199.9"))


def test_of_equal_risks_the_smaller_quantity_is_taken_then_the_first_model():
    wide = replace(BUY, quantity=Decimal(1), stop_loss=TOUCH - 200)
    tight = replace(BUY, quantity=Decimal(2), stop_loss=TOUCH - 100)
    assert on_eth(member(tight), member(wide)) is wide
    first, second = replace(wide, justification="first"), replace(wide, justification="second")
    assert on_eth(member(first), member(second)) is first
    assert on_eth(member(second), member(first)) is second


def test_a_risk_that_nobody_can_tell_goes_last():
    unknown = replace(BUY, stop_loss=None)
    assert on_eth(member(unknown), member(BUY)) is BUY
    assert on_eth(member(replace(BUY, quantity=Decimal("NaN"))), member(BUY)) is BUY


def test_a_hold_says_who_wanted_what():
    spoilt = member(name="c/spoilt", held={"ETHUSDT": "leverage.int_type"})
    said = on_eth(
        member(BUY, name="a/grok"), member(SELL, name="b/gpt"), spoilt, SILENT, member(name="d")
    ).justification
    assert said == (
        "An entry needs 3 of 5 models: a/grok wants to buy, b/gpt wants to sell, "
        "c/spoilt was not usable (leverage.int_type), silent gave no usable answer (timeout), d says nothing"
    )


def test_a_hold_of_all_is_told_in_the_words_of_the_first():
    assert on_eth(member(HOLD), member(replace(HOLD, justification="nor me"))) is HOLD


def test_closes_go_first_and_no_symbol_comes_twice():
    buy = replace(BUY, symbol="BTCUSDT")
    reversal = member(CLOSE, BUY, buy)
    proposals = merged(reversal, reversal).proposals
    assert [(each.symbol, each.action) for each in proposals] == [("ETHUSDT", Action.CLOSE), ("BTCUSDT", Action.BUY)]


def test_without_a_single_usable_answer_everything_holds_and_says_why():
    members = (SILENT, GARBAGE)
    reading = reading_of(members, merged(*members))
    assert (reading.outcome, reading.proposals) == (Outcome.REJECTED, ())
    assert reading.reason == "silent: timeout: nobody came; garbage: json.broken: {"
    assert reading_of((SILENT,), merged(SILENT)).outcome is Outcome.NO_ANSWER
    unpaid = member(outcome=Outcome.NOT_ASKED, reason="budget: used")
    assert reading_of((unpaid, unpaid), merged(unpaid, unpaid)).outcome is Outcome.NOT_ASKED
    assert reading_of((unpaid, SILENT), merged(unpaid, SILENT)).outcome is Outcome.NO_ANSWER
    assert reading_of((SILENT, member(HOLD)), merged(SILENT, member(HOLD))).outcome is Outcome.ANSWERED


def test_a_symbol_that_was_left_out_counts_as_a_hold():
    said = with_holds(Reading(Outcome.ANSWERED, (BUY,), held={"BTCUSDT": "leverage.int_type"}), SYMBOLS)
    assert said == (BUY, Proposal("BTCUSDT", Action.HOLD, justification="leverage.int_type"))


amounts = st.decimals("0.001", "50", places=3)
prices = st.decimals("3000", "5000", places=1)
entries = st.builds(
    Proposal,
    st.sampled_from(SYMBOLS),
    st.sampled_from([Action.BUY, Action.SELL]),
    st.one_of(st.none(), amounts),
    st.integers(1, 10),
    st.one_of(st.none(), prices),
    prices,
)
others = st.builds(Proposal, st.sampled_from(SYMBOLS), st.sampled_from([Action.HOLD, Action.CLOSE]))
replies = st.lists(st.one_of(entries, others), max_size=3, unique_by=lambda each: each.symbol)
usable = replies.map(lambda proposals: member(*proposals))
unusable = st.sampled_from([SILENT, GARBAGE])
councils = st.lists(st.one_of(usable, usable, unusable), min_size=1, max_size=5)
rules = st.sampled_from([MAJORITY, UNANIMOUS])


@given(councils, rules)
def test_nothing_opens_without_the_agreement_and_what_opens_is_what_a_member_wrote(members, rule):
    for opened in merged(*members, rule=rule).proposals:
        if opened.action.opens:
            agree = [each for each in members if (opened.symbol, opened.action) in wants(each)]
            assert len(agree) >= needed(rule, len(members))
            same = [p for each in members for p in each.reading.proposals if wants_same(p, opened)]
            assert any(opened is each for each in same)
            assert risk_of(opened, ASKED.snapshot) == min(risk_of(each, ASKED.snapshot) for each in same)


@given(councils, rules)
def test_every_close_is_kept_and_no_symbol_is_opened_and_closed(members, rule):
    proposals = merged(*members, rule=rule).proposals
    asked = {p.symbol for each in members for p in each.reading.proposals if p.action is Action.CLOSE}
    assert {each.symbol for each in proposals if each.action is Action.CLOSE} == asked
    assert len({each.symbol for each in proposals}) == len(proposals)


@given(councils, rules, unusable)
def test_one_more_that_is_silent_makes_no_opening(members, rule, silent):
    assert opened(merged(*members, silent, rule=rule)) <= opened(merged(*members, rule=rule))


@given(st.lists(st.one_of(usable, unusable), min_size=1, max_size=4), rules)
def test_the_order_of_the_models_changes_nothing_but_which_of_two_equals_is_taken(members, rule):
    first = measured(merged(*members, rule=rule))
    assert all(measured(merged(*other, rule=rule)) == first for other in permutations(members))


def wants(each):
    return {(proposal.symbol, proposal.action) for proposal in each.reading.proposals}


def wants_same(proposal, opened_):
    return (proposal.symbol, proposal.action) == (opened_.symbol, opened_.action)


def opened(result):
    return {(each.symbol, each.action) for each in result.proposals if each.action.opens}


def measured(result):
    return [(p.symbol, p.action, risk_of(p, ASKED.snapshot), p.quantity) for p in result.proposals]
