"""Any value at any place: what a wrong type takes down is its own item, never the cycle and never a valid close."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decisions.domain.gate import read_reply, read_text
from decisions.domain.proposal import Action
from decisions.domain.question import Outcome
from decisions.domain.schema import FIELDS
from decisions.tests.builders import CLOSE, HOLD, MODEL, OPEN, envelope, question, reply
from decisions.tests.test_gate_mutations import assert_consistent

ASKED = question()
GOOD = reply()
CLOSE_BTC = CLOSE | {"coin": "BTCUSDT"}
OPEN_BTC = OPEN | {
    "coin": "BTCUSDT", "quantity": 0.1, "stop_loss": 110000.0, "profit_target": 115000.0, "risk_usd": 200.0
}  # fmt: skip
HUGE = "x" * 20_000
VALUES = {"null": None, "number": 7, "fraction": 0.5, "bool": True, "list": [1], "object": {"a": 1}, "huge": HUGE}
NUMBERS = {"number", "fraction"}
NUMERIC = {"quantity", "profit_target", "stop_loss", "leverage", "confidence", "risk_usd"}
RIGHT = {("check", "null")}
"""What says nothing again is read as before there was anything to say again."""
WRONG = [
    (name, kind)
    for name in FIELDS
    for kind in VALUES
    if not (name in NUMERIC and kind in NUMBERS) and (name, kind) not in RIGHT
]
ELSEWHERE = [(name, kind) for name, kind in WRONG if name != "coin"]
IN_A_CLOSE = [(name, kind) for name, kind in WRONG if name not in ("coin", "signal")]


def read(*items: object):
    reading = read_reply(envelope(reply(*items)), ASKED, model=MODEL)
    assert reading.outcome is Outcome.ANSWERED
    return reading


def asks(reading) -> list[tuple[str, Action]]:
    return [(proposal.symbol, proposal.action) for proposal in reading.proposals]


@pytest.mark.parametrize(("name", "kind"), WRONG)
def test_a_wrong_type_in_an_entry_never_drops_the_close_beside_it(name, kind):
    reading = read(OPEN | {name: VALUES[kind]}, CLOSE_BTC)
    assert asks(reading) == [("BTCUSDT", Action.CLOSE)]
    assert len(reading.held) == 1


@pytest.mark.parametrize(("name", "kind"), ELSEWHERE)
def test_a_wrong_type_in_an_entry_holds_that_symbol_only(name, kind):
    reading = read(OPEN | {name: VALUES[kind]}, OPEN_BTC)
    assert asks(reading) == [("BTCUSDT", Action.BUY)]
    assert [(symbol, code.partition(".")[0]) for symbol, code in reading.held.items()] == [("ETHUSDT", name)]


@pytest.mark.parametrize("kind", VALUES)
def test_an_item_whose_symbol_is_of_a_wrong_type_holds_all_entries(kind):
    assert asks(read(OPEN | {"coin": VALUES[kind]}, OPEN_BTC)) == []


@pytest.mark.parametrize(("name", "kind"), IN_A_CLOSE)
def test_a_wrong_type_in_a_close_does_not_keep_it_from_closing(name, kind):
    assert asks(read(CLOSE | {name: VALUES[kind]}, OPEN_BTC)) == [("ETHUSDT", Action.CLOSE), ("BTCUSDT", Action.BUY)]


@pytest.mark.parametrize("kind", VALUES)
def test_what_is_no_item_holds_all_entries_and_no_close(kind):
    assert asks(read(VALUES[kind], VALUES[kind], OPEN, CLOSE_BTC)) == [("BTCUSDT", Action.CLOSE)]


def test_a_symbol_that_is_no_text_twice_is_no_symbol_decided_twice():
    assert asks(read(HOLD | {"coin": None}, HOLD | {"coin": None}, CLOSE_BTC)) == [("BTCUSDT", Action.CLOSE)]


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("name", ["decision_id", "decisions"])
def test_a_wrong_type_at_the_top_rejects_or_says_nothing(name, kind):
    reading = read_text(json.dumps(json.loads(GOOD) | {name: VALUES[kind]}), ASKED)
    assert reading.proposals == ()
    assert reading.outcome is (Outcome.ANSWERED if (name, kind) == ("decisions", "list") else Outcome.REJECTED)
    assert reading.reason.partition(":")[0] in ("", f"reply.{name}")


def changed(place: str, value: object) -> bytes:
    """The body of a good reply with one part replaced."""
    body = json.loads(envelope(GOOD))
    *path, last = place.split(".")
    parent = body
    for name in path:
        parent = parent[int(name) if name.isdigit() else name]
    parent[int(last) if last.isdigit() else last] = value
    return json.dumps(body).encode()


DECISIVE = (
    "model",
    "choices",
    "choices.0",
    "choices.0.finish_reason",
    "choices.0.message",
    "choices.0.message.content",
)
BETRAYING = (
    "error", "choices.0.error", "choices.0.message.refusal", "choices.0.message.tool_calls",
    "choices.0.message.function_call",
)  # fmt: skip
ASIDE = (
    "id", "object", "created", "provider", "usage", "usage.prompt_tokens", "usage.completion_tokens", "usage.cost",
    "choices.0.index", "choices.0.native_finish_reason", "choices.0.message.role", "choices.0.message.reasoning",
)  # fmt: skip


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("place", DECISIVE)
def test_a_wrong_type_at_a_place_that_matters_in_the_envelope_rejects(place, kind):
    reading = read_reply(changed(place, VALUES[kind]), ASKED, model=MODEL)
    assert (reading.outcome, reading.proposals) == (Outcome.REJECTED, ())
    assert reading.reason.startswith(("envelope.", "text.no_json"))


@pytest.mark.parametrize("kind", [kind for kind in VALUES if kind != "null"])
@pytest.mark.parametrize("place", BETRAYING)
def test_anything_where_an_error_or_a_refusal_stands_rejects(place, kind):
    reading = read_reply(changed(place, VALUES[kind]), ASKED, model=MODEL)
    assert (reading.outcome, reading.proposals) == (Outcome.REJECTED, ())
    assert reading.reason.startswith("envelope.")


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("place", ASIDE)
def test_any_type_at_a_place_that_does_not_matter_changes_nothing(place, kind):
    reading = read_reply(changed(place, VALUES[kind]), ASKED, model=MODEL)
    assert reading == read_reply(envelope(GOOD), ASKED, model=MODEL)


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None), max_size=20)
    | st.sampled_from(["ETHUSDT", "BTCUSDT", "buy_to_enter", "close_position", "d1f0c3", 4100.0, 4400.0, 2.5, 250.0])
)
KEYS = st.sampled_from([*FIELDS, "decision_id", "decisions", "choices", "message", "content", "error", "usage"])
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=5), inner, max_size=6)
)
UNREADABLE = ("json.", "reply.symbol_twice")
"""Why a value inside an item may still reject the whole: it is no number that could be meant, too deep, or a symbol."""


def assert_safe(reading) -> None:
    assert not reading.reason.startswith("gate_fault")
    for proposal in reading.proposals:
        assert proposal.symbol in ASKED.bot.symbols
        if proposal.action.opens:
            assert_consistent(proposal)


@given(ANYTHING)
def test_any_value_as_a_body_a_message_or_a_text_opens_nothing(value):
    text = json.dumps(value)
    for reading in (
        read_reply(text.encode(), ASKED, model=MODEL),
        read_reply(envelope(value), ASKED, model=MODEL),
        read_reply(envelope(text), ASKED, model=MODEL),
        read_text(text, ASKED),
    ):
        assert (reading.outcome, reading.proposals) == (Outcome.REJECTED, ())
        assert_safe(reading)


@given(st.sampled_from([*DECISIVE, *BETRAYING, *ASIDE]), ANYTHING)
def test_any_value_in_an_envelope_opens_nothing_else(place, value):
    reading = read_reply(changed(place, value), ASKED, model=MODEL)
    assert_safe(reading)
    assert reading.proposals in ((), read_text(GOOD, ASKED).proposals)


@given(ANYTHING)
def test_any_value_as_an_item_leaves_a_close_beside_it_and_opens_nothing_unsafe(value):
    assert_close_stands(read_text(reply(value, CLOSE_BTC), ASKED))


@given(st.sampled_from(FIELDS), st.sampled_from([OPEN, CLOSE, HOLD | {"coin": "ETHUSDT"}]), ANYTHING)
def test_any_value_as_a_field_leaves_a_close_beside_it_and_opens_nothing_unsafe(name, item, value):
    assert_close_stands(read_text(reply(item | {name: value}, CLOSE_BTC), ASKED))


def assert_close_stands(reading) -> None:
    assert_safe(reading)
    if reading.outcome is Outcome.REJECTED:
        assert reading.reason.startswith(UNREADABLE)
    else:
        assert ("BTCUSDT", Action.CLOSE) in asks(reading)
