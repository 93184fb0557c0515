"""Every code that AsterDEX documents, and every one seen live, has one action for every call, and nothing is forgotten."""

import json
from collections import Counter
from pathlib import Path

import pytest

from trading.exchange.aster.failures import acted
from trading.exchange.aster_codes import (
    FAMILIES,
    UNKNOWN,
    Action,
    Call,
    action_of,
    as_code_table,
    as_table,
    error_of,
    family_of,
)
from trading.exchange.base import Ambiguous, Held, Refusal, Refused, Unavailable
from vibex.lib.errors import NeedsOperator

PAGE = Path(__file__).parents[2] / "docs" / "aster-errors.md"
SEEN_LIVE = {-1021, -2030, -4116, -4168, -4225, -5022, -5050, -5060, -5076}
"""Not in the V3 documents: from the V1 documents, from other people's clients and from the live exchange."""
THAT_MATTER = [
    -1000, -1001, -1003, -1006, -1007, -1015, -1021, -1022, -1102, -1106, -1111, -1115, -1116, -1117, -1121, -1130,
    -2010, -2011, -2013, -2014, -2015, -2018, -2019, -2021, -2022, -2023, -2025, -2026, -2027, -2028, -2030, -4001,
    -4002, -4003, -4004, -4005, -4013, -4014, -4015, -4016, -4023, -4024, -4028, -4045, -4046, -4047, -4048, -4050,
    -4051, -4059, -4060, -4061, -4062, -4067, -4068, -4087, -4088, -4116, -4118, -4131, -4135, -4137, -4138, -4139,
    -4141, -4142, -4161, -4164, -4168, -4183, -4184, -4225, -5022, -5050, -5060, -5076,
]  # fmt: skip
"""All that research/aster.md speaks of, also where the venue's documents do not."""
CODES = sorted(code for family in FAMILIES for code in family.codes)
CHANGES = [call for call in Call if not call.question]


@pytest.fixture(scope="module")
def documented(shared_data):
    rows = json.loads((shared_data / "exchange" / "aster" / "error_codes_docs_v3.json").read_text())
    return {row["code"]: row["name"] for row in rows}


def test_every_documented_code_is_known_by_its_documented_name(documented):
    ours = {code: name for family in FAMILIES for code, name in family.codes.items()}
    assert len(documented) == 157
    assert ours.items() >= documented.items()
    assert ours.keys() - documented.keys() == SEEN_LIVE


def test_every_code_that_was_ever_observed_is_known(shared_data):
    rows = json.loads((shared_data / "exchange" / "observed_errors.json").read_text())
    observed = {row["code"] for row in rows if "code" in row}
    assert observed <= set(CODES)


@pytest.mark.parametrize("code", THAT_MATTER)
def test_every_code_that_was_found_to_matter_has_an_action_of_its_own_for_each_call(code):
    family = family_of(code)
    assert family is not None
    assert {call: action_of(code, call) for call in Call} == family.actions


def test_no_code_stands_twice_and_no_family_either():
    assert Counter(CODES).most_common(1)[0][1] == 1
    assert Counter(family.name for family in FAMILIES).most_common(1)[0][1] == 1


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_call_has_an_action_in_every_family(family):
    assert list(family.actions) == list(Call)
    assert family.codes
    assert family.meaning.endswith(".")


@pytest.mark.parametrize("code", [-9999, "-9999", 40001, "words", "", "-"])
@pytest.mark.parametrize("call", Call)
def test_a_code_that_nobody_knows_lets_the_account_only_reduce(code, call):
    assert family_of(code) is None
    assert action_of(code, call) is UNKNOWN is Action.REDUCING


def test_a_stop_that_was_refused_is_tried_again_or_the_position_closed_or_a_person_told():
    given_up = {Action.OK, Action.BUG, Action.SHRINK}
    assert [code for code in CODES if action_of(code, Call.PROTECTIVE) in given_up] == []


def test_a_close_that_was_refused_is_never_just_given_up():
    given_up = {Action.OK, Action.BUG, Action.CLOSE}
    assert [code for code in CODES if action_of(code, Call.CLOSE) in given_up] == []


def test_only_what_is_so_already_counts_as_done():
    done = {(code, call) for code in CODES for call in CHANGES if action_of(code, call) is Action.OK}
    assert done == {(-4046, Call.MARGIN_MODE), (-4059, Call.POSITION_MODE)}


@pytest.mark.parametrize(
    ("code", "call", "action"),
    [
        (-1007, Call.ENTRY, Action.ASK),
        (-1006, Call.CANCEL, Action.ASK),
        (-1000, Call.ENTRY, Action.ASK),
        (-1001, Call.READ, Action.RETRY),
        (-1003, Call.ENTRY, Action.RETRY),
        (-4225, Call.PROTECTIVE, Action.RETRY),
        (-1021, Call.CLOSE, Action.RETRY),
        (-2015, Call.READ, Action.REDUCING),
        (-2019, Call.ENTRY, Action.SHRINK),
        (-4164, Call.ENTRY, Action.SHRINK),
        (-2021, Call.PROTECTIVE, Action.CLOSE),
        (-2022, Call.CLOSE, Action.REREAD),
        (-2022, Call.ENTRY, Action.BUG),
        (-2023, Call.ENTRY, Action.HALT),
        (-2011, Call.CANCEL, Action.REREAD),
        (-2013, Call.QUERY, Action.OK),
        (-4045, Call.PROTECTIVE, Action.REREAD),
        (-4005, Call.CLOSE, Action.SHRINK),
        (-4061, Call.ENTRY, Action.REDUCING),
        (-1102, Call.ENTRY, Action.BUG),
        (-1102, Call.PROTECTIVE, Action.CLOSE),
        (-4046, Call.MARGIN_MODE, Action.OK),
        (-4048, Call.MARGIN_MODE, Action.REDUCING),
        (-4161, Call.LEVERAGE, Action.REREAD),
        (-1125, Call.LISTEN_KEY, Action.RETRY),
        ("-4116", Call.ENTRY, Action.ASK),
    ],
)
def test_what_matters_most_stands_here_a_second_time(code, call, action):
    assert action_of(code, call) is action


@pytest.mark.parametrize("text", ["No agent found", "Signature check failed", "SIGNATURE CHECK FAILED for 0x…"])
def test_credentials_that_the_venue_has_no_code_for_are_known_by_its_words(text):
    assert action_of(-1000, Call.ENTRY, text) is Action.REDUCING
    assert isinstance(error_of("-1000", Call.READ, text), NeedsOperator)
    assert action_of(-1000, Call.ENTRY, "An unknown error occured") is Action.ASK


@pytest.mark.parametrize("call", CHANGES)
def test_a_change_is_refused_unavailable_or_ambiguous_and_nothing_else(call):
    for code in (*CODES, -9999):
        error, action = error_of(code, call, "told"), action_of(code, call)
        if action is Action.OK:
            assert error is None
            continue
        assert type(error) in (Refused, Held, Unavailable, Ambiguous), code
        assert isinstance(error, NeedsOperator) == (action in (Action.REDUCING, Action.HALT)), code
        assert isinstance(error, Unavailable) == (action is Action.RETRY), code
        assert isinstance(error, Ambiguous) <= (action is Action.ASK), code
        assert str(error) == "told"


@pytest.mark.parametrize("call", CHANGES)
@pytest.mark.parametrize("code", [408, "403", "40001", "words", 0])
def test_a_code_that_is_not_the_exchanges_own_makes_nothing_certain(call, code):
    assert type(error_of(code, call, "told")) is Ambiguous


@pytest.mark.parametrize("call", [call for call in Call if call.question])
def test_a_question_is_never_ambiguous_and_an_error_never_proves_that_there_is_no_order(call):
    for code in (*CODES, -9999):
        error = error_of(code, call, "told")
        if (code, call) == (-2013, Call.QUERY):
            assert error is None
        else:
            assert type(error) in (Unavailable, NeedsOperator), code


@pytest.mark.parametrize(
    ("code", "call", "refusal"),
    [
        (-2021, Call.PROTECTIVE, Refusal.WOULD_TRIGGER),
        (-2022, Call.CLOSE, Refusal.REDUCE_ONLY),
        (-2019, Call.ENTRY, Refusal.MARGIN),
        (-4023, Call.ENTRY, Refusal.FILTER),
        (-4116, Call.ENTRY, Refusal.DUPLICATE_ID),
        (-2011, Call.CANCEL, Refusal.UNKNOWN_ORDER),
        (-1121, Call.ENTRY, Refusal.UNKNOWN_SYMBOL),
        (-4161, Call.LEVERAGE, Refusal.LEVERAGE),
        (-1102, Call.ENTRY, Refusal.OTHER),
        (-9999, Call.ENTRY, Refusal.OTHER),
    ],
)
def test_a_refusal_says_why_as_far_as_somebody_acts_on_it(code, call, refusal):
    assert error_of(code, call, "told").refusal is refusal


def test_a_signer_without_a_nonce_is_a_certain_no_that_a_person_has_to_look_at():
    with pytest.raises(Held, match="put back"), acted(Call.ENTRY):
        raise NeedsOperator("the clock was put back")


def test_the_page_has_both_tables_as_they_are():
    page = PAGE.read_text()
    for table in (as_table(), as_code_table()):
        assert table in page, f"docs/aster-errors.md is out of step; its table has to be:\n\n{table}"
