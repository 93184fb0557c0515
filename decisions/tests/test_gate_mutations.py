"""Whatever happens to a valid reply on the way, no opening is changed or invented."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decisions.domain.gate import read_text
from decisions.domain.proposal import Proposal
from decisions.domain.question import Outcome
from decisions.tests.builders import HOLD, OPEN, question, reply
from decisions.tests.gate_kit import mutated, unsaid

ASKED = question()
LONG = reply()
SHORT = reply(
    HOLD,
    OPEN
    | {"signal": "sell_to_enter", "stop_loss": 4300.0, "profit_target": 4000.0, "justification": 'a "quoted" {brace}'},
)
ONE = reply(OPEN)
ONCE_FENCED = f"```json\n{LONG}\n```"
THOUGHT = f"<think>buy at 4200, {{stop}} 4100</think>{LONG}"
REPLIES = [LONG, SHORT, ONE, ONCE_FENCED, THOUGHT]
CHARACTERS = st.sampled_from('0123456789.-+eE"{}[],: \\n\\\u2212')


def openings(text: str) -> list[Proposal]:
    """What a text opens, without the words around it."""
    reading = read_text(text, ASKED)
    assert not reading.reason.startswith("gate_fault")
    found = [proposal for proposal in reading.proposals if proposal.action.opens]
    return [replace(proposal, justification="", invalidation_condition="", confidence=None) for proposal in found]


@pytest.mark.parametrize("text", REPLIES)
def test_the_replies_that_are_taken_apart_open_something(text):
    assert len(openings(text)) == 1


@pytest.mark.parametrize("text", REPLIES)
def test_no_truncation_opens_anything(text):
    assert [cut for cut in range(len(text)) if openings(text[:cut])] == []


@pytest.mark.parametrize("text", [LONG, SHORT, ONE])
def test_a_truncated_object_is_rejected_whole(text):
    outcomes = {read_text(text[:cut], ASKED).outcome for cut in range(len(text))}
    assert outcomes == {Outcome.REJECTED}


@pytest.mark.parametrize("text", REPLIES)
def test_no_deleted_character_changes_an_opening(text):
    meant = openings(text)
    changed = [spot for spot in range(len(text)) if openings(text[:spot] + text[spot + 1 :]) not in ([], meant)]
    assert changed == []


@pytest.mark.parametrize("text", REPLIES)
def test_no_two_neighbours_swapped_change_more_than_what_the_risk_figure_covers(text):
    """Swapped digits can be a valid number again; then size × distance still agrees with the stated risk."""
    for spot in range(len(text) - 1):
        for opening in openings(text[:spot] + text[spot + 1] + text[spot] + text[spot + 2 :]):
            assert_consistent(opening)


@given(st.sampled_from(REPLIES), st.integers(0, 10_000), CHARACTERS)
def test_an_inserted_character_never_opens_against_the_stated_risk(text, spot, char):
    spot %= len(text) + 1
    for opening in openings(text[:spot] + char + text[spot:]):
        assert_consistent(opening)


@given(st.text(max_size=300))
def test_no_text_raises_or_opens(text):
    assert openings(text) == []


@pytest.mark.parametrize("rounds", [5_000, pytest.param(200_000, marks=pytest.mark.soak)])
def test_random_mutations_raise_nothing_and_open_nothing_unsafe(rounds):
    chance = random.Random(20251010)
    opened = 0
    for _ in range(rounds):
        text = mutated(chance.choice(REPLIES), chance)
        for opening in read_text(text, ASKED).proposals:
            if opening.action.opens:
                assert unsaid(opening, text, ASKED) == []
                assert_consistent(opening)
                opened += 1
    assert opened > rounds / 100, "mutations that never open anything prove nothing"


def assert_consistent(opening: Proposal) -> None:
    """An opening is one of the bot's symbols, its stop on the losing side, its loss near the stated one."""
    quote = ASKED.snapshot.symbols[opening.symbol].quote
    touch = quote.ask if opening.side.sign > 0 else quote.bid
    assert opening.side.sign * (quote.mark - opening.stop_loss) > 0
    assert opening.side.sign * (opening.profit_target - quote.mark) > 0
    implied = opening.quantity * abs(touch - opening.stop_loss)
    assert abs(opening.risk_usd - implied) * 4 <= implied
    assert 0 < opening.leverage <= 1000
