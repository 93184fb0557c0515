"""Whatever a model server does, the bot gets an answer in time, and only a valid reply is more than a hold."""

import json
import time
from dataclasses import replace
from decimal import Decimal

import openai  # noqa: F401 - it takes a while, which is not to count against the deadlines below
import pytest

from decisions.domain.question import Outcome
from decisions.llm import client
from decisions.llm.formats import formats_forget
from decisions.tests.asking_kit import decider_at
from decisions.tests.builders import HOLD, MODEL, OPEN, envelope, question, reply
from decisions.tests.llm_server import drips, hangs_up, model_server, sends, stays_silent
from vibex.lib.clock import Deadline

KEY = "sk-or-v1-0123456789abcdef-a-key-nobody-may-see"
GOOD = envelope(reply())
SECONDS = 1.0
SLACK = 0.5
OTHER = "deepseek/deepseek-v4-flash"

REJECTED = {
    "HTML": sends(b"<html>Bad gateway</html>", kind="text/html"),
    "empty body": sends(b""),
    "error inside 200": sends(b'{"error": {"code": 429, "message": "' + KEY.encode() + b'"}}'),
    "null choices": sends(envelope("", choices=None)),
    "two choices": sends(envelope("", choices=[{}, {}])),
    "length": sends(envelope(reply(), choice={"finish_reason": "length"})),
    "other model": sends(envelope(reply(), model=OTHER)),
    "bad JSON in the message": sends(envelope("I would buy ETH.")),
    "bad JSON around it": sends(b'{"choices": [{'),
    "old decision": sends(envelope(reply(decision_id="another"))),
}
SILENT = {
    "http.401": sends(json.dumps({"error": {"code": 401, "message": f"wrong key {KEY}"}}).encode(), 401),
    "http.402": sends(b'{"error": {"code": 402}}', 402),
    "http.404": sends(b'{"error": {"code": 404}}', 404),
    "http.429": sends(b'{"error": {"code": 429}}', 429, headers="Retry-After: 3\r\n"),
    "http.500": sends(b"Internal Server Error", 500, "text/plain"),
    "http.503": sends(b"", 503),
    "unreachable": hangs_up(),
    "unreachable, cut": hangs_up(b'HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{"choices"'),
    "timeout": stays_silent(),
    "timeout, dripping": drips(GOOD),
}


@pytest.fixture(autouse=True)
def _closed():
    yield
    client.close()
    formats_forget()


def asked(url: str, *models: str, seconds: float = SECONDS, **more):
    """Ask, see that it took no longer than allowed, and return answer and reading."""
    asking, began = decider_at(url, *models, key=KEY, **more), time.monotonic()
    answer = asking.ask(question(), Deadline(seconds))
    assert time.monotonic() - began < seconds + SLACK
    return answer, asking.read(question(), answer)


def test_a_valid_reply_comes_through_with_its_facts():
    with model_server(sends(GOOD)) as server:
        answer, reading = asked(server.url)
    assert (reading.outcome, len(reading.proposals), reading.held) == (Outcome.ANSWERED, 2, {})
    assert (answer.raw, answer.text, answer.finish_reason) == (GOOD, reply(), "stop")
    assert (answer.model_requested, answer.model_served) == (MODEL, MODEL)
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (4100, 210)
    assert answer.usage.cost == Decimal("0.00331")
    assert 0 < answer.latency < SECONDS


@pytest.mark.parametrize("behave", REJECTED.values(), ids=REJECTED)
def test_a_body_that_is_no_valid_reply_holds_and_is_kept(behave):
    with model_server(behave) as server:
        answer, reading = asked(server.url)
    assert (reading.outcome, reading.proposals) == (Outcome.REJECTED, ())
    assert reading.reason
    assert reading.reason == answer.reason
    assert KEY not in reading.reason


@pytest.mark.parametrize("code", SILENT)
def test_no_answer_holds_in_time_and_says_why(code):
    with model_server(SILENT[code]) as server:
        answer, reading = asked(server.url)
    assert (reading.outcome, reading.proposals) == (Outcome.NO_ANSWER, ())
    assert reading.reason.startswith(code.partition(",")[0])
    assert "127.0.0.1" in reading.reason
    assert KEY not in repr(answer.reason)


def test_an_unreachable_server_is_named():
    _, reading = asked("http://127.0.0.1:9/v1")
    assert reading.outcome is Outcome.NO_ANSWER
    assert reading.reason.startswith("unreachable: no connection to 127.0.0.1:9")


def test_a_slow_but_timely_reply_counts():
    with model_server(lambda link, request: (time.sleep(0.3), sends(GOOD)(link, request))) as server:
        _, reading = asked(server.url)
    assert reading.outcome is Outcome.ANSWERED


def test_nothing_is_retried_by_the_package():
    with model_server(sends(b"{}", 503, headers="Retry-After: 0\r\n")) as server:
        asked(server.url)
        assert len(server.requests) == 1


def test_the_next_model_is_asked_when_one_fails_and_its_cost_is_not_forgotten():
    gone = {"finish_reason": "length"}
    with model_server(sends(envelope(reply(), choice=gone)), sends(envelope(reply(), model=OTHER))) as server:
        answer, reading = asked(server.url, MODEL, OTHER)
        models = [request["model"] for request in server.requests]
    assert models == [MODEL, OTHER]
    assert reading.outcome is Outcome.ANSWERED
    assert (answer.model_requested, answer.usage.cost) == (OTHER, Decimal("0.00662"))
    assert answer.reason.startswith(f"{MODEL}: envelope.finish")


def test_a_model_that_uses_up_the_time_leaves_none_for_the_next():
    with model_server(stays_silent()) as server:
        answer, reading = asked(server.url, MODEL, OTHER, seconds=0.5)
        assert len(server.requests) == 1
    assert reading.outcome is Outcome.NO_ANSWER
    assert answer.reason.startswith("timeout")


def test_without_a_prompt_nothing_is_asked():
    with model_server(sends(GOOD)) as server:
        answer = decider_at(server.url).ask(replace(question(), prompt=None), Deadline(SECONDS))
        assert server.requests == []
    assert answer.outcome is Outcome.NO_ANSWER


def test_the_request_says_everything_that_matters():
    with model_server(sends(GOOD)) as server:
        asked(server.url)
        (request,), (head,) = server.requests, server.headers
    assert [message["content"] for message in request["messages"]] == ["rules", "state"]
    assert request["max_tokens"] > 0
    assert request["response_format"]["json_schema"]["strict"] is True
    assert f"Bearer {KEY}" in head
    assert "reasoning" not in request


def test_a_key_shows_in_no_representation():
    assert KEY not in repr(decider_at("http://127.0.0.1/v1", key=KEY))


def test_many_bots_ask_at_once():
    from concurrent.futures import ThreadPoolExecutor

    slow = lambda link, request: (time.sleep(0.3), sends(GOOD)(link, request))  # noqa: E731
    with model_server(slow) as server, ThreadPoolExecutor(16) as pool:
        readings = [reading for _, reading in pool.map(lambda _: asked(server.url, seconds=5.0), range(16))]
    assert {reading.outcome for reading in readings} == {Outcome.ANSWERED}


def test_one_bad_item_in_a_good_reply_holds_alone():
    with model_server(sends(envelope(reply(HOLD, OPEN | {"leverage": "5x"})))) as server:
        _, reading = asked(server.url)
    assert reading.held == {"ETHUSDT": "leverage.int_type"}
    assert [proposal.symbol for proposal in reading.proposals] == ["BTCUSDT"]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_what_is_asked_goes_to_the_named_server_and_nowhere_else(status):
    with model_server(sends(GOOD)) as elsewhere:
        where = f"Location: {elsewhere.url}/chat/completions\r\n"
        with model_server(sends(b"", status, headers=where)) as server:
            answer, reading = asked(server.url)
    assert (reading.outcome, answer.attempts[0].http_status) == (Outcome.NO_ANSWER, status)
    assert elsewhere.requests == []
