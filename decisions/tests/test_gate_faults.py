"""A fault in the gate itself holds the bot, is put on record, and gives nothing away."""

import time
from dataclasses import dataclass, replace

import pytest

from decisions.deciders import climb
from decisions.domain.gate import read_reply, read_text
from decisions.domain.question import Answer, Outcome, Reading
from decisions.domain.strict_json import MAX_CHARS
from decisions.llm import client
from decisions.tests.asking_kit import decider_at
from decisions.tests.builders import MODEL, OPEN, envelope, question, reply
from decisions.tests.llm_server import model_server, sends
from vibex.lib.clock import Deadline

SECRET = "sk-or-v1-0123456789abcdef-nobody-may-see"
TEXT = reply(OPEN | {"justification": SECRET})
RAW = envelope(TEXT)
FAULT = Reading(Outcome.REJECTED, reason="gate_fault: ArithmeticError")


@dataclass(frozen=True)
class Broken:
    """A market whose look-up fails in a way that nobody foresaw, and whose error repeats what was read."""

    said: str

    def get(self, symbol: str) -> None:
        raise ArithmeticError(f"{symbol}: {self.said}")


@pytest.fixture
def broken():
    asked = question()
    return replace(asked, snapshot=replace(asked.snapshot, symbols=Broken(TEXT)))


READERS = {
    "a body": lambda asked: read_reply(RAW, asked, model=MODEL),
    "a text": lambda asked: read_text(TEXT, asked),
    "a decider": lambda asked: decider_at("http://127.0.0.1:9/v1", key=SECRET).read(
        asked, Answer(Outcome.ANSWERED, raw=RAW, model_requested=MODEL)
    ),
}


@pytest.mark.parametrize("reads", READERS.values(), ids=READERS)
def test_an_exception_nobody_foresaw_is_a_rejected_reading(broken, reads):
    assert reads(broken) == FAULT


def test_its_traceback_is_logged_without_a_word_of_the_reply(broken, caplog):
    read_reply(RAW, broken, model=MODEL)
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert "in get" in caplog.text
    assert SECRET not in caplog.text
    assert OPEN["invalidation_condition"] not in caplog.text


def test_a_reply_that_is_merely_wrong_is_not_logged_as_a_fault(caplog):
    read_reply(b"no JSON", question(), model=MODEL)
    assert caplog.records == []


def test_a_fault_while_asking_is_an_answer_that_holds_and_keeps_the_body(monkeypatch):
    def fails(raw: bytes) -> None:
        raise ArithmeticError(raw)

    monkeypatch.setattr(climb, "facts_of", fails)
    with model_server(sends(RAW)) as server:
        decider = decider_at(server.url, key=SECRET)
        answer = decider.ask(question(), Deadline(5.0))
    client.close()
    assert (answer.outcome, answer.raw, answer.reason) == (Outcome.REJECTED, RAW, FAULT.reason)
    assert decider.read(question(), answer) == FAULT


@pytest.mark.parametrize(
    "piece",
    [
        "a```\n",
        "a```json\n",
        "```\n",
        "```json\n{",
        "\n ```",
        "<think>",
        "</think>",
        "{",
        "[",
        '{"a":',
        "\n\t",
        " ",
        '"',
        "\\u0000",
    ],
)
@pytest.mark.parametrize("begin", ["", "<think>", "```json\n", "Well. ```\n", "{", '{"decision_id": "'])
def test_the_longest_reply_of_any_one_piece_is_read_in_no_time(begin, piece):
    """What reads a reply holds up the whole process while it does: a search that begins anew at each mark took ten seconds."""
    text = begin + piece * ((MAX_CHARS - len(begin)) // len(piece))
    began = time.process_time()
    assert read_text(text, question()).outcome is Outcome.REJECTED
    assert time.process_time() - began < 0.5
