"""Every shape in which an error or an empty answer comes inside HTTP 200, and what a body states of itself."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decisions.domain.envelope import Facts, facts_of, fault_of, open_envelope
from decisions.domain.question import Usage
from decisions.domain.strict_json import Unreadable
from decisions.tests.builders import MODEL, envelope, reply

NULLS = {"id": None, "object": None, "created": None, "model": None, "choices": None, "usage": None}
CHOICE = {"index": 0, "message": {"role": "assistant", "content": reply()}}

ERRORS = {
    "on top": ({"error": {"code": 429, "message": "slow"}}, 429, ()),
    "beside fields that are all null": (NULLS | {"error": {"code": 429, "message": "slow"}}, 429, ()),
    "beside a whole answer": (json.loads(envelope(reply())) | {"error": {"code": 502}}, 502, ()),
    "with its code as text": ({"error": {"code": "503"}}, 503, ()),
    "with a code in words": ({"error": {"code": "server_error", "message": "x"}}, None, ("server_error",)),
    "as text alone": ({"error": "overloaded"}, None, ()),
    "empty": ({"error": {}}, None, ()),
    "in the choice, with an answer that is whole": (
        {"model": MODEL, "choices": [CHOICE | {"finish_reason": "error", "error": {"code": 502}}]},
        502,
        (),
    ),
    "in the choice, that says stop": (
        {"model": MODEL, "choices": [CHOICE | {"finish_reason": "stop", "error": {"code": 429}}]},
        429,
        (),
    ),
    "with its kind in the metadata": (
        {"error": {"code": 503, "metadata": {"error_type": "provider_overloaded"}}},
        503,
        ("provider_overloaded",),
    ),
    "of availability, without a number": (
        {"error": {"error_type": "not_found", "http_status": 404, "availability": {"code": "constraint_filtered"}}},
        404,
        ("constraint_filtered", "not_found"),
    ),
    "of the budget in flight": (
        {"error": {"code": 402, "metadata": {"limit_source": "openrouter_in_flight_budget"}}},
        402,
        ("openrouter_in_flight_budget",),
    ),
    "nested under the provider": ({"provider": {"error": {"code": 524, "raw": "x"}}}, 524, ()),
    "nested under the provider, bare": ({"provider": {"code": 524, "raw": "x"}}, 524, ()),
    "bare": ({"code": 524, "raw": "<html>"}, 524, ()),
    "in a list": ([{"error": {"code": 400, "status": "INVALID_ARGUMENT"}}], 400, ("INVALID_ARGUMENT",)),
}
OTHER = {
    "an answer nested under the provider": (
        json.dumps({"provider": json.loads(envelope(reply()))}).encode(),
        "envelope.choices",
    ),
    "null choices": (envelope("", choices=None), "envelope.choices"),
    "no choices": (envelope("", choices=[]), "envelope.choices"),
    "finish null": (envelope(reply(), choice={"finish_reason": None}), "envelope.finish"),
    "finish error": (envelope(reply(), choice={"finish_reason": "error"}), "envelope.finish"),
    "null content": (envelope(None), "envelope.content"),
    "blank content": (envelope("  \n"), "envelope.content"),
    "heartbeats and nothing": (b"\n\n \n", "envelope.empty"),
    "a null": (b"null", "envelope.not_object"),
    "HTML": (b"<!doctype html>", "envelope.not_json"),
    "cut": (envelope(reply())[:-20], "envelope.not_json"),
}


@pytest.mark.parametrize("shape", ERRORS)
def test_an_error_is_found_at_any_of_its_places(shape):
    body, status, kinds = ERRORS[shape]
    raw = json.dumps(body).encode()
    fault = fault_of(raw)
    assert (fault.status, fault.kinds) == (status, kinds)
    with pytest.raises(Unreadable) as unreadable:
        open_envelope(raw, model=MODEL)
    assert unreadable.value.code == "envelope.error"


@pytest.mark.parametrize("shape", OTHER)
def test_an_empty_or_unfinished_answer_is_no_answer(shape):
    raw, code = OTHER[shape]
    assert fault_of(raw) is None
    with pytest.raises(Unreadable) as unreadable:
        open_envelope(raw, model=MODEL)
    assert unreadable.value.code == code


def test_the_message_of_an_error_is_never_repeated():
    raw = b'{"error": {"code": 429, "message": "sk-or-v1-secret", "metadata": {"raw": "sk-or-v1-secret"}}}'
    with pytest.raises(Unreadable) as unreadable:
        open_envelope(raw, model=MODEL)
    assert "secret" not in f"{unreadable.value} {fault_of(raw)}"


def test_a_code_that_is_too_long_for_one_is_not_repeated():
    key = "sk-or-v1-" + "0123456789abcdef" * 4
    assert fault_of(json.dumps({"error": {"code": key, "type": "invalid"}}).encode()).kinds == ("invalid",)


def test_heartbeats_in_front_of_an_answer_do_no_harm():
    assert open_envelope(b"\n \n\n" + envelope(reply()), model=MODEL).text == reply()


def test_a_model_may_answer_under_a_name_that_was_allowed():
    raw = envelope(reply(), model="grok-4.3-eu")
    assert open_envelope(raw, model=MODEL, also=("grok-4.3-eu",)).model_served == "grok-4.3-eu"


def test_facts_of_a_whole_answer():
    usage = {
        "prompt_tokens": 4100,
        "completion_tokens": 210,
        "total_tokens": 4310,
        "cost": 0.00331,
        "prompt_tokens_details": {"cached_tokens": 3900},
        "completion_tokens_details": {"reasoning_tokens": 64},
    }
    raw = envelope(reply(), usage=usage, message={"reasoning": "the trend holds"})
    used = Usage(4100, 210, Decimal("0.0033100000"), reasoning_tokens=64, cached_tokens=3900)
    assert facts_of(raw) == Facts(MODEL, "stop", "gen-1", "the trend holds", used)


def test_thoughts_that_are_counted_beside_the_reply_belong_to_it():
    usage = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 170}
    raw = envelope(reply(), usage=usage | {"completion_tokens_details": {"reasoning_tokens": 20}})
    assert facts_of(raw).usage == Usage(100, 70, reasoning_tokens=20)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(max_size=8) | st.sampled_from(["429", "stop", 429]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["error", "code", "choices", "message", "metadata", "availability", "usage", "provider", "type",
                         "retry_after", "finish_reason", "content", "model", "id", "reasoning", "total_tokens",
                         "prompt_tokens", "completion_tokens_details", "reasoning_tokens", "status"]),
        inner,
        max_size=6,
    ),
    max_leaves=20,
)  # fmt: skip


@given(JSON)
def test_no_body_raises_anything_but_unreadable(body):
    raw = json.dumps(body).encode()
    fault_of(raw)
    facts_of(raw)
    try:
        open_envelope(raw, model=MODEL)
    except Unreadable:
        return
    assert body["choices"][0]["finish_reason"] == "stop"


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything(raw):
    assert facts_of(raw).usage.cost is None
    fault_of(raw)
