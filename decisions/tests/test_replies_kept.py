"""The same question to the same model is asked once for ever; what the world did to a request is asked again."""

import gzip
import json
from dataclasses import replace
from decimal import Decimal
from threading import Event

import openai  # noqa: F401 - it takes a while, which is not to count against the deadlines below
import pytest

from decisions.deciders.allowance import Allowance, MoneyUsed, Pocket
from decisions.deciders.once import IN_A_ROW, NobodyAnswers, OnceDecider, Stopped, key_of
from decisions.domain.kept_answer import NotAnAnswer, answer_data, answer_from
from decisions.domain.question import Asking, Outcome, Prompt
from decisions.llm import client
from decisions.llm.formats import formats_forget
from decisions.services.replies_kept import RepliesKept
from decisions.tests.asking_kit import PRICE, decider_at
from decisions.tests.builders import envelope, question, reply
from decisions.tests.llm_server import hangs_up, model_server, sends
from vibex.lib.clock import Deadline
from vibex.lib.errors import Retryable

LONG = 3_600.0


@pytest.fixture(autouse=True)
def _clean():
    yield
    client.close()
    formats_forget()


def once(url, folder, *models, repeat=1, most=None, stop=None, **known):
    pocket = Pocket(Allowance(most))
    made = decider_at(url, *models, purse=pocket, price=PRICE, **known)
    return OnceDecider(made, RepliesKept(folder), pocket, repeat=repeat, seconds=10.0, stop=stop or Event())


def ask(decider, asked=None):
    asked = asked or question()
    answer = decider.ask(asked, Deadline(LONG))
    return answer, decider.read(asked, answer)


def at(moment: str):
    return replace(question(), prompt=Prompt("rules", moment, "arena#0", "0" * 64))


def good(connection, request):
    usage = {"prompt_tokens": 900, "completion_tokens": 70, "total_tokens": 970, "cost": 0.0021}
    body = json.loads(envelope(reply()))
    sends(json.dumps(body | {"usage": usage}).encode())(connection, request)


def files(folder):
    return sorted(folder.rglob("*.json.gz"))


def test_a_reply_is_found_again_as_it_came_and_nobody_is_asked_or_paid(tmp_path):
    with model_server(good) as server:
        first, read = ask(once(server.url, tmp_path))
        later = once(server.url, tmp_path)
        found, again = ask(later)
        assert len(server.requests) == 1
    assert read == again
    assert len(read.proposals) == 2
    assert (found.raw, found.text, found.usage, found.latency) == (first.raw, first.text, first.usage, first.latency)
    assert found.attempts == tuple(replace(each, prompt=found.attempts[0].prompt) for each in first.attempts)
    tally = later.tally
    assert (tally.asked, tally.found, tally.paid, tally.worth) == (0, 1, Decimal(0), Decimal("0.0021"))
    assert later.pocket.allowance.paid == 0


def test_everything_that_is_sent_and_the_repeat_make_another_question(tmp_path):
    asked = question()
    made = decider_at("http://127.0.0.1:1/v1")
    symbols = asked.bot.symbols

    def key(decider=made, prompt=asked.prompt, names=symbols, repeat=1):
        return key_of(decider, prompt, names, repeat=repeat)

    others = [
        key(prompt=replace(asked.prompt, system="other rules")),
        key(prompt=replace(asked.prompt, user="other state")),
        key(names=("BTCUSDT",)),
        key(repeat=2),
        key(decider_at("http://127.0.0.1:2/v1")),
        key(decider_at("http://127.0.0.1:1/v1", "x-ai/grok-4.7")),
        key(decider_at("http://127.0.0.1:1/v1", asking=Asking(effort="high"))),
        key(decider_at("http://127.0.0.1:1/v1", asking=Asking(temperature=Decimal("0.5")))),
        key(decider_at("http://127.0.0.1:1/v1", asking=Asking(max_tokens=100))),
        key(decider_at("http://127.0.0.1:1/v1", dialect="openai")),
    ]
    assert len({key(), *others}) == len(others) + 1
    assert key(prompt=replace(asked.prompt, template="renamed", digest="1" * 64)) == key()
    assert key(decider_at("http://127.0.0.1:1/v1", key="another key")) == key()


def test_a_reply_of_no_use_is_what_the_model_said_and_is_kept(tmp_path):
    with model_server(sends(envelope("no idea"))) as server:
        first, read = ask(once(server.url, tmp_path))
        asked = len(server.requests)
        _, again = ask(once(server.url, tmp_path))
        assert len(server.requests) == asked
    assert read.outcome is again.outcome is first.outcome is Outcome.REJECTED
    assert len(files(tmp_path)) == 1


@pytest.mark.parametrize(
    "behave", [hangs_up(), sends(b"{}", status=401), sends(b'{"error": {"message": "no", "code": 502}}')]
)
def test_what_the_world_did_to_a_request_is_not_kept(tmp_path, behave):
    with model_server(behave) as server:
        decider = once(server.url, tmp_path)
        answer, read = ask(decider)
    assert answer.outcome is not Outcome.ANSWERED
    assert read.proposals == ()
    assert files(tmp_path) == []
    assert decider.tally.unanswered == 1
    with model_server(good) as server:
        _, read = ask(once(server.url, tmp_path))
        assert len(read.proposals) == 2


def test_a_server_that_is_away_ends_the_run(tmp_path):
    with model_server(sends(b"{}", status=401)) as server:
        decider = once(server.url, tmp_path)
        for number in range(IN_A_ROW - 1):
            ask(decider, at(f"moment {number}"))
        with pytest.raises(NobodyAnswers, match="5 times in a row"):
            ask(decider, at("the last"))


def test_money_that_would_be_passed_ends_the_run_before_anything_is_sent(tmp_path):
    with model_server(good) as server:
        # One question may cost at most 0.0100 and something, and costs 0.0021.
        decider = once(server.url, tmp_path, most=Decimal("0.0125"))
        ask(decider, at("one"))
        ask(decider, at("two"))
        with pytest.raises(MoneyUsed, match=r"0\.0042 of 0\.0125 US dollars are paid"):
            ask(decider, at("three"))
        assert len(server.requests) == 2
        assert decider.pocket.allowance.paid == decider.tally.paid == Decimal("0.0042")
        found = once(server.url, tmp_path, most=Decimal("0.0001"))
        ask(found, at("two"))  # what is kept costs nothing
        assert len(server.requests) == 2


def test_a_run_that_is_ended_asks_nothing_more(tmp_path):
    stop = Event()
    with model_server(good) as server:
        decider = once(server.url, tmp_path, stop=stop)
        ask(decider, at("one"))
        stop.set()
        ask(decider, at("one"))
        with pytest.raises(Stopped):
            ask(decider, at("two"))
        assert len(server.requests) == 1


def test_an_answer_that_took_too_long_then_is_late_now_as_well(tmp_path):
    with model_server(good) as server:
        ask(once(server.url, tmp_path))
        hurried = once(server.url, tmp_path)
        hurried.seconds = 0.0
        answer, read = ask(hurried)
        assert len(server.requests) == 1
    assert (answer.outcome, read.proposals) == (Outcome.NO_ANSWER, ())
    assert read.reason.startswith("late:")


@pytest.mark.parametrize("what", ["torn", "empty", "foreign", "moved", "older"])
def test_a_file_that_cannot_be_used_is_a_miss_and_is_said(tmp_path, what):
    with model_server(good) as server:
        ask(once(server.url, tmp_path))
        (place,) = files(tmp_path)
        whole = place.read_bytes()
        data = json.loads(gzip.decompress(whole))
        answer = {**data["answer"], "version": 0}
        place.write_bytes(
            {
                "torn": whole[: len(whole) // 2],
                "empty": b"",
                "foreign": gzip.compress(b'{"hello": "world"}'),
                "moved": gzip.compress(json.dumps({**data, "key": "0" * 64}).encode()),
                "older": gzip.compress(json.dumps({**data, "answer": answer}).encode()),
            }[what]
        )
        decider = once(server.url, tmp_path)
        _, read = ask(decider)
        assert len(server.requests) == 2
    assert len(read.proposals) == 2
    (said,) = decider.replies.unusable
    assert said.startswith(str(place))
    assert RepliesKept(tmp_path).find(data["key"]) is not None  # what came took its place


def test_nothing_is_left_behind_of_a_file_that_could_not_be_written(tmp_path):
    folder = tmp_path / "replies"
    folder.write_text("in the way")
    with model_server(good) as server, pytest.raises(Retryable, match="could not be kept"):
        ask(once(server.url, folder))
    assert [each.name for each in tmp_path.iterdir()] == ["replies"]


@pytest.mark.parametrize("data", [None, [], {}, {"version": 1}, {"version": 2}, "text"])
def test_what_is_no_kept_answer_is_refused(data):
    with pytest.raises(NotAnAnswer):
        answer_from(data)


def test_an_answer_survives_the_way_through_json(tmp_path):
    with model_server(sends(envelope(reply(), cost=0.1))) as server:
        answer, _ = ask(once(server.url, tmp_path))
    there = json.loads(json.dumps(answer_data(answer, question().prompt)))
    assert answer_from(there) == answer
