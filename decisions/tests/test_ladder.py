"""What comes next after a request that gave nothing usable: the tables row by row, and when there is room for a move."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decisions.domain.envelope import fault_of
from decisions.domain.ladder import CODES, KINDS, STATUSES, WORDS, Move, Room, Seen, Step, next_step, seen_fault

ROOM = Room(left=28.0, whole=30.0, outside=True)
NO_ROOM = Room(left=28.0, whole=30.0, rungs_below=False, again=False, reask=False, outside=False)
SAID = {"retry_after": 2.0}

BY_STATUS = {
    400: ("next rung", "next model"),
    401: ("next provider, with its own key", "next provider, with its own key"),
    402: ("next provider", "next provider"),
    403: ("without the texts from outside", "next model"),
    404: ("next rung", "next model"),
    408: ("wait, then again", "next model"),
    413: ("next model", "next model"),
    422: ("next rung", "next model"),
    429: ("wait, then again", "next model"),
    500: ("again", "next model"),
    502: ("next model", "next model"),
    503: ("next model", "next model"),
    504: ("next model", "next model"),
    524: ("next model", "next model"),
    529: ("next model", "next model"),
    None: ("next model", "next model"),
    418: ("next model", "next model"),
    599: ("next model", "next model"),
}
BY_KIND = {
    ("authentication", 403): "next provider, with its own key",
    ("invalid_api_key", 401): "next provider, with its own key",
    ("insufficient_quota", 429): "next provider",
    ("openrouter_key_limit", 403): "next provider",
    ("openrouter_in_flight_budget", 402): "wait, then again",
    ("weight_exceeds_budget", 402): "next model",
    ("context_length_exceeded", 400): "next model",
    ("model_not_found", 404): "next model",
    ("model_deprecated", 404): "next model",
    ("content_policy_violation", 400): "without the texts from outside",
    ("invalid_prompt", 400): "without the texts from outside",
    ("constraint_filtered", 404): "next rung",
    ("region_restricted", 403): "next model",
}
BY_CODE = {
    "envelope.empty": "again",
    "envelope.not_json": "again",
    "envelope.choices": "again",
    "envelope.content": "again",
    "envelope.other_model": "next model",
    "envelope.refusal": "without the texts from outside",
    "envelope.tool_call": "again, with the reason",
    "text.no_json": "again, with the reason",
    "json.duplicate_key": "again, with the reason",
    "reply.decision_id": "again, with the reason",
    "gate_fault": "next model",
}


@pytest.mark.parametrize("status", BY_STATUS)
def test_a_status_has_its_move_with_room_and_without(status):
    seen = Seen(status=status, **SAID)
    assert (next_step(seen, ROOM).move, next_step(seen, NO_ROOM).move) == BY_STATUS[status]


def test_every_row_of_the_table_is_tested():
    assert BY_STATUS.keys() >= STATUSES.keys()


@pytest.mark.parametrize("status", [status for status in BY_STATUS if status])
def test_an_error_inside_http_200_is_treated_by_its_own_status(status):
    raw = json.dumps({"error": {"code": status, "message": "no"}}).encode()
    seen = seen_fault(fault_of(raw), status=200, code="envelope.error", **SAID)
    assert next_step(seen, ROOM) == next_step(Seen(status=status, **SAID), ROOM)


@pytest.mark.parametrize("word", WORDS)
def test_an_error_in_words_alone_is_treated_by_what_they_stand_for(word):
    raw = json.dumps({"error": {"type": word}}).encode()
    seen = seen_fault(fault_of(raw), status=200, code="envelope.error", **SAID)
    assert next_step(seen, ROOM) == next_step(Seen(status=WORDS[word], **SAID), ROOM)


@pytest.mark.parametrize(("kind", "status"), BY_KIND)
def test_an_exact_word_goes_before_the_status(kind, status):
    seen = Seen(status=status, kinds=("invalid_request_error", kind), **SAID)
    assert next_step(seen, ROOM).move == BY_KIND[kind, status]


@pytest.mark.parametrize("kind", KINDS)
def test_every_exact_word_ends_somewhere_without_room(kind):
    assert next_step(Seen(status=400, kinds=(kind,)), NO_ROOM).move in (
        "next model",
        "next provider",
        "next provider, with its own key",
    )


@pytest.mark.parametrize("code", BY_CODE)
def test_a_reply_that_cannot_be_used_has_its_move(code):
    assert next_step(Seen(code, 200), ROOM).move == BY_CODE[code]
    assert next_step(Seen(code, 200), NO_ROOM).move == Move.NEXT_MODEL


def test_every_code_of_the_table_is_known():
    assert all(row[-1] is Move.NEXT_MODEL for row in CODES.values())


@pytest.mark.parametrize(
    ("finish", "move"), [("content_filter", Move.WITHOUT_OUTSIDE), ("length", Move.NEXT_MODEL), ("", Move.NEXT_MODEL)]
)
def test_an_answer_that_ended_early_is_not_asked_for_again(finish, move):
    assert next_step(Seen("envelope.finish", 200, finish_reason=finish), ROOM).move is move


def test_a_usable_reply_is_used():
    assert next_step(Seen(status=200), NO_ROOM) == Step(Move.USE)


@pytest.mark.parametrize(
    ("retry_after", "left", "usual", "step"),
    [
        (3.0, 28.0, 0.0, Step(Move.WAIT, 3.0)),
        (0.0, 28.0, 0.0, Step(Move.WAIT, 0.0)),
        (None, 28.0, 0.0, Step(Move.NEXT_MODEL)),
        (19.0, 28.0, 0.0, Step(Move.NEXT_MODEL)),  # 9 of 30 seconds would be left: less than a third
        (19.0, 28.0, 9.0, Step(Move.WAIT, 19.0)),
        (19.0, 28.0, 9.5, Step(Move.NEXT_MODEL)),
        (3600.0, 28.0, 1.0, Step(Move.NEXT_MODEL)),
    ],
)
def test_a_wait_must_leave_time_for_the_answer(retry_after, left, usual, step):
    room = replace(ROOM, left=left, usual=usual)
    assert next_step(Seen(status=429, retry_after=retry_after), room) == step


def test_the_server_s_word_on_trying_again_counts():
    assert next_step(Seen(status=500, should_retry=False), ROOM).move is Move.NEXT_MODEL
    assert next_step(Seen(status=503, should_retry=True), ROOM).move is Move.AGAIN


def test_a_wait_is_read_from_the_body_too():
    raw = b'{"error": {"error_type": "rate_limit_exceeded", "availability": {"code": "capacity_exhausted", "retry_after": 4}}}'
    seen = seen_fault(fault_of(raw), status=200, code="envelope.error", retry_after=None, should_retry=None)
    assert next_step(seen, ROOM) == Step(Move.WAIT, 4.0)


@given(
    st.sampled_from(["", *BY_CODE, "envelope.error", "something.new"]),
    st.one_of(st.none(), st.integers(100, 599)),
    st.lists(st.sampled_from([*KINDS, *WORDS, "new_word"])).map(tuple),
    st.one_of(st.none(), st.floats(0, 1e5)),
    st.floats(0, 30),
)
def test_the_way_down_always_ends(code, status, kinds, retry_after, left):
    """However a server behaves, each move that stays with a model can be made only so often."""
    room, seen = replace(ROOM, left=left), Seen(code, status, kinds, retry_after=retry_after)
    for _ in range(7):
        move = next_step(seen, room).move
        if move in (Move.USE, Move.NEXT_MODEL, Move.NEXT_PROVIDER, Move.NEXT_KEY):
            return
        spent = {
            Move.NEXT_RUNG: {"rungs_below": False},
            Move.AGAIN: {"again": False},
            Move.WAIT: {"again": False},
            Move.REASK: {"reask": False},
            Move.WITHOUT_OUTSIDE: {"outside": False},
        }
        room = replace(room, **spent[move])
    pytest.fail("the ladder has no end")
