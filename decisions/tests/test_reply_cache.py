"""Kept replies: only for development, only for the very same question, and never taken for something that was paid."""

from dataclasses import replace
from decimal import Decimal

import openai  # noqa: F401 - it takes a while, which is not to count against the deadlines below
import pytest

from decisions.domain.question import Asking, Outcome, Prompt
from decisions.llm import client
from decisions.llm.formats import formats_forget
from decisions.tests.asking_kit import Ledger, decider_at
from decisions.tests.builders import envelope, question, reply
from decisions.tests.llm_server import model_server, sends
from vibex.lib.clock import Deadline


@pytest.fixture(autouse=True)
def _kept(settings, tmp_path):
    settings.LLM_REPLY_CACHE, settings.VIBEX_DATA_DIR = True, tmp_path
    yield
    client.close()
    formats_forget()


def the_same(decision_id: str, state: str = "state"):
    prompt = Prompt("rules", f"{state} of {decision_id}", "arena#0", decision_id * 4)
    return replace(question(), decision_id=decision_id, prompt=prompt)


def answers(connection, request):
    decision_id = request["messages"][1]["content"].split()[2]
    sends(envelope(reply(decision_id=decision_id)))(connection, request)


def asked(url, decision_id, state="state", purse=None, **asking):
    decider, asks = decider_at(url, asking=Asking(**asking), purse=purse), the_same(decision_id, state)
    answer = decider.ask(asks, Deadline(10.0))
    return answer, decider.read(asks, answer)


def test_the_same_prompt_is_answered_from_the_folder_under_its_own_id():
    purse = Ledger()
    with model_server(answers) as server:
        asked(server.url, "aaaa1111")
        answer, reading = asked(server.url, "bbbb2222", purse=purse)
        assert len(server.requests) == 1
    assert (reading.outcome, len(reading.proposals)) == (Outcome.ANSWERED, 2)
    (attempt,) = answer.attempts
    assert attempt.parameters["cached"] is True
    assert (attempt.usage.cost, attempt.usage.prompt_tokens, attempt.estimate) == (Decimal(0), 0, None)
    assert purse.booked == {}


def test_another_prompt_or_another_parameter_is_another_question():
    with model_server(answers) as server:
        asked(server.url, "aaaa1111")
        asked(server.url, "aaaa1111", state="another")
        asked(server.url, "aaaa1111", temperature=Decimal("0.5"))
        asked(server.url, "aaaa1111", effort="high")
        assert len(server.requests) == 4


def test_a_reply_that_cannot_be_used_is_not_kept(tmp_path):
    with model_server(sends(envelope("no idea"))) as server:
        asked(server.url, "aaaa1111")
    assert not list(tmp_path.rglob("*.json"))


@pytest.mark.parametrize(("switch", "value"), [("LLM_REPLY_CACHE", False), ("VIBEX_ENV", "prod")])
def test_without_the_switch_and_in_production_nothing_is_kept_or_read(settings, switch, value, tmp_path):
    with model_server(answers) as server:
        asked(server.url, "aaaa1111")
        setattr(settings, switch, value)
        asked(server.url, "aaaa1111")
        asked(server.url, "aaaa1111", state="another")
        assert len(server.requests) == 3
    assert len(list(tmp_path.rglob("*.json"))) == 1
