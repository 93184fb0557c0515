"""Each provider is asked in its own words: the same suite against a server that refuses what that provider refuses."""

from dataclasses import replace
from decimal import Decimal

import openai  # noqa: F401 - it takes a while, which is not to count against the deadlines below
import pytest

from decisions.domain.ladder import needs_person
from decisions.domain.proposal import Action
from decisions.domain.question import Asking, Outcome, Prompt
from decisions.llm import client
from decisions.llm.formats import formats_forget
from decisions.tests.asking_kit import PRICE, decider_at
from decisions.tests.builders import HOLD, OPEN, question, reply
from decisions.tests.dialect_servers import DIALECTS, Dialect
from decisions.tests.llm_server import model_server
from vibex.lib.clock import Deadline

ASKED = replace(question(), prompt=Prompt("Answer with one JSON object.", "state", "arena#0", "0" * 64))
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
FORMATS = {"deepseek": "json", "plain": "json"}
"""What the ladder ends at where a provider does not take a strict schema."""

pytestmark = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)


@pytest.fixture(autouse=True)
def _closed():
    yield
    client.close()
    formats_forget()


def asked(dialect: Dialect, url: str, *others: str, **asking: object):
    decider = decider_at(url, dialect.model, *others, dialect=dialect.name, asking=Asking(**asking), price=PRICE)
    answer = decider.ask(ASKED, Deadline(5.0))
    return answer, decider.read(ASKED, answer)


def test_an_entry_comes_through_to_the_last_digit(dialect):
    with model_server(dialect.answers(reply(HOLD, OPEN))) as server:
        answer, reading = asked(dialect, server.url, temperature=Decimal("0.2"), max_tokens=3_000)
    assert (reading.outcome, reading.held) == (Outcome.ANSWERED, {})
    opening = reading.proposals[1]
    assert (opening.action, opening.quantity, opening.leverage) == (Action.BUY, Decimal("2.5"), 5)
    assert (opening.stop_loss, opening.profit_target) == (Decimal("4100.0"), Decimal("4400.0"))
    used = answer.attempts[-1]
    assert used.parameters["format"] == FORMATS.get(dialect.name, "strict")
    assert (used.model, used.model_served) == (dialect.model, dialect.served)
    assert server.requests[-1].get("temperature") == 0.2
    assert 3_000 in (server.requests[-1].get("max_tokens"), server.requests[-1].get("max_completion_tokens"))


@pytest.mark.parametrize("effort", EFFORTS)
def test_no_effort_of_reasoning_is_refused(dialect, effort):
    with model_server(dialect.answers(reply(HOLD))) as server:
        answer, reading = asked(dialect, server.url, effort=effort)
    assert [proposal.action for proposal in reading.proposals] == [Action.HOLD], answer.reason
    refused = [attempt for attempt in answer.attempts if attempt.http_status == 400]
    assert len(refused) == (2 if dialect.name == "plain" else 0), answer.reason


def test_tokens_count_alike_and_a_cost_that_nobody_said_is_an_estimate(dialect):
    with model_server(dialect.answers(reply(HOLD))) as server:
        answer, _ = asked(dialect, server.url)
    used = answer.attempts[-1]
    assert (used.usage.prompt_tokens, used.usage.completion_tokens) == (4100, 210)
    if dialect.says_cost:
        assert (used.usage.cost, used.estimate) == (Decimal("0.00331"), None)
    else:
        assert used.usage.cost is None
        assert used.estimate == Decimal("0.00565")  # 4,100 tokens at 1.25 and 210 at 2.50 dollars a million


def test_a_reply_that_is_no_decision_is_asked_again_once_and_holds(dialect):
    with model_server(dialect.answers("I would rather wait for a clearer picture.")) as server:
        answer, reading = asked(dialect, server.url)
        told = [request["messages"][1]["content"] for request in server.requests]
    assert (reading.outcome, reading.proposals) == (Outcome.REJECTED, ())
    assert reading.reason.startswith("text.no_json")
    assert sum("text.no_json" in text for text in told) == 1
    assert answer.attempts[-1].outcome is Outcome.REJECTED


def test_a_server_that_is_busy_is_not_pressed(dialect):
    with model_server(dialect.is_busy()) as server:
        answer, reading = asked(dialect, server.url)
        assert len(server.requests) == 1
    assert reading.outcome is Outcome.NO_ANSWER
    assert reading.reason.startswith("http.429")
    assert answer.attempts[0].estimate is None


def test_a_key_that_is_not_taken_ends_it_and_calls_a_person(dialect):
    with model_server(dialect.knows_no_key()) as server:
        answer, reading = asked(dialect, server.url, "another-model")
        assert len(server.requests) == 1
    assert reading.reason.startswith("http.401")
    assert needs_person(answer.attempts[0]) == "key"
