"""Several that are asked at once: they overlap, none holds up another, and shadows never cost the decision anything."""

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal

import openai  # noqa: F401 - it takes a while, which is not to count against the deadlines below
import pytest

from decisions.deciders.precedence import After, First, Precedence
from decisions.deciders.rules import rules_decider
from decisions.deciders.together import EnsembleDecider, ShadowedDecider, Unasked
from decisions.domain.proposal import Action
from decisions.domain.question import Answer, Outcome, Reading
from decisions.llm import client
from decisions.llm.endpoints import Endpoint
from decisions.tests.asking_kit import Ledger, decider_at
from decisions.tests.builders import CLOSE, HOLD, OPEN, envelope, question, reply
from decisions.tests.llm_server import model_server, sends, stays_silent
from vibex.lib.clock import Deadline

SECONDS = 2.0
SLACK = 0.5
NAMES = ("a/one", "b/two", "c/three")
SMALL = OPEN | {"quantity": 1.0, "risk_usd": 100.1, "justification": "small", "check": "1.0 4400.0 4100.0 5"}


@pytest.fixture(autouse=True)
def _closed():
    yield
    client.close()


@contextmanager
def served(**behaviours):
    """A server at which each model, by the last part of its name, behaves in its own way."""

    def behave(connection, request):
        behaviours[request["model"].rpartition("/")[2]](connection, request)

    with model_server(behave) as server:
        yield server
        server.hang_up()


def says(*items):
    """Answer the request with these items, under the name that was asked."""
    return lambda link, request: sends(envelope(reply(*items), model=request["model"]))(link, request)


def ensemble(url, *names, rule="majority"):
    return EnsembleDecider(tuple(decider_at(url, name) for name in names or NAMES), rule)


def asked(decider, seconds=SECONDS):
    """Ask, see that it took no longer than allowed, and return answer and what is proposed for ETHUSDT."""
    began = time.monotonic()
    deadline = Deadline(seconds)
    answer = decider.ask(question(), deadline)
    assert time.monotonic() - began < seconds + SLACK
    return answer, decider.read(question(), answer)


def on_eth(reading):
    return next((each for each in reading.proposals if each.symbol == "ETHUSDT"), None)


def test_all_are_asked_at_the_same_time():
    together = threading.Barrier(3)

    def meets(link, request):
        together.wait(5)  # nobody answers before all three are here
        says(OPEN)(link, request)

    with served(one=meets, two=meets, three=meets) as server:
        answer, reading = asked(ensemble(server.url), seconds=8.0)
        assert sorted(request["model"] for request in server.requests) == sorted(NAMES)
    assert on_eth(reading).action is Action.BUY
    assert [member.reading.outcome for member in answer.members] == [Outcome.ANSWERED] * 3


@pytest.mark.parametrize(
    ("third", "rule", "action"),
    [(OPEN, "unanimous", Action.BUY), (HOLD, "unanimous", Action.HOLD), (HOLD, "majority", Action.BUY)],
)
def test_the_rule_of_the_bot_counts(third, rule, action):
    with served(one=says(OPEN), two=says(SMALL), three=says(third | {"coin": "ETHUSDT"})) as server:
        answer, reading = asked(ensemble(server.url, rule=rule), seconds=8.0)
    assert on_eth(reading).action is action
    if action is Action.BUY:
        assert on_eth(reading).justification == "small", "the smallest risk is taken, as it was written"
    assert answer.usage.cost == Decimal("0.00331") * 3
    assert answer.usage.prompt_tokens == 3 * 4100


@pytest.mark.ci
def test_one_that_hangs_is_given_up_before_the_time_of_the_others_is_over():
    with served(one=says(OPEN), two=says(OPEN), three=stays_silent()) as server:
        deadline = Deadline(SECONDS)
        answer = ensemble(server.url).ask(question(), deadline)
        assert not deadline.passed(), "the answer of the others would be late"
    assert on_eth(ensemble(server.url).read(question(), answer)).action is Action.BUY
    assert answer.members[2].reading.outcome is Outcome.NO_ANSWER
    assert answer.reason.startswith("local/c/three: timeout")


def test_one_that_answers_garbage_agrees_to_nothing():
    garbage = sends(b"<html>Bad gateway</html>", kind="text/html")
    with served(one=says(OPEN), two=garbage, three=says(HOLD)) as server:
        answer, reading = asked(ensemble(server.url), seconds=8.0)
    assert on_eth(reading).action is Action.HOLD
    assert "local/a/one wants to buy, local/b/two gave no usable answer (" in on_eth(reading).justification
    assert answer.members[1].answer.raw == b"<html>Bad gateway</html>"


def test_a_single_close_counts_when_all_others_are_gone():
    broken = sends(b"{}", 500)
    with served(one=broken, two=broken, three=says(CLOSE)) as server:
        _, reading = asked(ensemble(server.url), seconds=8.0)
    assert [(each.symbol, each.action) for each in reading.proposals] == [("ETHUSDT", Action.CLOSE)]


def test_when_nobody_answers_everything_holds_and_each_is_named():
    broken = sends(b"{}", 500)
    with served(one=broken, two=broken, three=broken) as server:
        answer, reading = asked(ensemble(server.url), seconds=8.0)
    assert (reading.outcome, reading.proposals, answer.proposals) == (Outcome.NO_ANSWER, (), None)
    assert all(f"local/{name}: " in reading.reason for name in NAMES)


@dataclass
class Bomb:
    """A decider that breaks where the port says that none does."""

    name: str = "bomb"
    wants_prompt: bool = True

    def ask(self, question, deadline):
        raise RuntimeError("sk-a-secret-in-a-fault")

    def read(self, question, answer):
        raise AssertionError


@dataclass
class Sleeper:
    """A decider that ignores its deadline, until it is woken."""

    woken: threading.Event
    name: str = "sleeper"
    wants_prompt: bool = True

    def ask(self, question, deadline):
        self.woken.wait(20)
        return Answer(Outcome.ANSWERED, proposals=())

    def read(self, question, answer):
        return Reading(answer.outcome, answer.proposals or ())


def test_one_that_breaks_stays_alone_with_it():
    rules = rules_decider("trend")
    answer, reading = asked(EnsembleDecider((rules, rules, Bomb()), "majority"))
    assert on_eth(reading).action is Action.BUY
    assert answer.members[2].reading.reason == "client.RuntimeError: asking it broke off"
    assert "secret" not in repr(answer)


def test_one_that_cannot_be_asked_was_asked_all_the_same():
    rules = rules_decider("trend")
    keyless = Unasked("openrouter/x", "model_unconfigured: set OPENROUTER_API_KEY.")
    _, reading = asked(EnsembleDecider((rules, keyless), "majority"))
    assert on_eth(reading).action is Action.HOLD
    assert "openrouter/x gave no usable answer (model_unconfigured)" in on_eth(reading).justification


def test_one_that_ignores_its_deadline_is_left_behind():
    woken, rules = threading.Event(), rules_decider("trend")
    answer, reading = asked(EnsembleDecider((rules, rules, Sleeper(woken)), "majority"), seconds=1.0)
    woken.set()
    assert on_eth(reading).action is Action.BUY
    assert answer.members[2].reading.outcome is Outcome.NO_ANSWER


# -- shadows ----------------------------------------------------------------------------------------------------


def shadowed(live, *shadows, purse=None, deciding=1, calls=1):
    return ShadowedDecider(live, shadows, purse or Precedence(Ledger(), deciding=deciding, calls=calls))


@pytest.mark.ci
def test_a_shadow_that_hangs_holds_up_nothing_and_is_told_as_silent():
    with served(one=says(OPEN), two=stays_silent(30)) as server:
        decider = shadowed(decider_at(server.url, "a/one"), decider_at(server.url, "b/two"))
        deadline = Deadline(SECONDS)
        answer = decider.ask(question(), deadline)
        assert deadline.left() > SECONDS / 2, "the shadow held it up"
        assert on_eth(decider.read(question(), answer)).action is Action.BUY
        (member,) = answer.shadows()
        assert not deadline.passed()
    assert (member.model, member.reading.outcome) == ("local/b/two", Outcome.NO_ANSWER)
    assert member.reading.reason.startswith("timeout")
    assert len(member.answer.attempts) == 1, "what was sent is on record"


def test_shadows_are_waited_for_until_the_deadline_at_most():
    woken = threading.Event()
    decider = shadowed(rules_decider("trend"), Sleeper(woken), deciding=0)
    deadline = Deadline(0.5)
    answer = decider.ask(question(), deadline)
    (member,) = answer.shadows()
    assert deadline.passed()
    assert time.monotonic() - deadline.started < 0.5 + SLACK
    woken.set()
    assert member.reading.reason.startswith("timeout")


def test_what_a_shadow_says_is_read_and_changes_nothing():
    with served(one=says(HOLD | {"coin": "ETHUSDT"}), two=says(OPEN)) as server:
        live = decider_at(server.url, "a/one")
        decider = shadowed(live, decider_at(server.url, "b/two"), Bomb())
        answer, reading = asked(decider, seconds=8.0)
        good, bomb = answer.shadows()
    assert on_eth(reading).action is Action.HOLD
    assert answer.members == ()
    assert on_eth(good.reading).action is Action.BUY
    assert bomb.reading.outcome is Outcome.NO_ANSWER
    assert (decider.name, decider.needs_prompt) == (live.name, True)


def test_rules_decide_without_the_prompt_that_their_shadows_need():
    decider = shadowed(rules_decider("trend"), decider_at("http://127.0.0.1:9/v1", "b/two"), deciding=0)
    assert (decider.wants_prompt, decider.needs_prompt) == (True, False)
    answer = decider.ask(replace(question(), prompt=None), Deadline(5.0))
    assert on_eth(decider.read(question(), answer)).action is Action.BUY
    assert answer.shadows()[0].reading.reason.startswith("no_prompt")


def test_a_shadow_begins_when_the_one_that_decides_has_made_its_call():
    def slowly(link, request):
        time.sleep(0.2)
        says(OPEN)(link, request)

    with served(one=slowly, two=says(OPEN)) as server:
        precedence = Precedence(Ledger(), deciding=1, calls=1)
        live = decider_at(server.url, "a/one", purse=First(precedence))
        decider = shadowed(live, decider_at(server.url, "b/two", purse=After(precedence)), purse=precedence)
        answer, _ = asked(decider, seconds=8.0)
        assert len(answer.shadows()) == 1
        assert precedence.begun.is_set()
        assert precedence.reserved == 1
    assert {request["model"] for request in server.requests} == {"a/one", "b/two"}


def test_a_shadow_never_spends_what_the_decision_may_still_need():
    """A call of the live model costs 0.02 here (no price is known), and it has a fallback: 0.04 are kept for it."""
    with served(one=says(OPEN), two=says(OPEN)) as server:

        def ask(limit):
            ledger = Ledger(limit)
            precedence = Precedence(ledger, deciding=1, calls=2)
            live = decider_at(server.url, "a/one", purse=First(precedence))
            decider = shadowed(live, decider_at(server.url, "b/two", purse=After(precedence)), purse=precedence)
            answer, reading = asked(decider, seconds=8.0)
            return reading, answer.shadows()[0], ledger

        reading, shadow, _ = ask("0.05")
        assert on_eth(reading).action is Action.BUY
        assert (shadow.reading.outcome, shadow.reading.reason[:6]) == (Outcome.NOT_ASKED, "budget")
        assert [request["model"] for request in server.requests] == ["a/one"]
        _, shadow, ledger = ask("0.09")
        assert shadow.reading.outcome is Outcome.ANSWERED
        assert ledger.total == 2 * Decimal("0.00331"), "what was kept for the decision is given back"


@pytest.mark.parametrize(("at_once", "left"), [(4, 3), (2, 1)])
def test_the_last_place_at_a_provider_is_left_to_those_that_decide(monkeypatch, at_once, left):
    seen = []

    @contextmanager
    def turn(endpoint, model, deadline):
        seen.append(endpoint.at_once)
        yield

    monkeypatch.setattr("decisions.deciders.precedence.turn", turn)
    endpoint = Endpoint("http://127.0.0.1:9/v1", at_once=at_once)
    with Precedence(Ledger(), deciding=1, calls=1).turn_after(endpoint, "a", Deadline(5)):
        assert seen == [left]


def test_the_only_place_is_waited_for_until_the_decision_is_made(monkeypatch):
    @contextmanager
    def turn(endpoint, model, deadline):
        yield

    monkeypatch.setattr("decisions.deciders.precedence.turn", turn)
    precedence, had = Precedence(Ledger(), deciding=1, calls=1), threading.Event()
    precedence.begin()
    precedence.reserve_first(cost=Decimal(0), tokens=0)

    def shadow():
        with precedence.turn_after(Endpoint("http://127.0.0.1:9/v1", at_once=1), "a", Deadline(10)):
            had.set()

    thread = threading.Thread(target=shadow)
    thread.start()
    assert not had.wait(0.1)
    precedence.done()
    assert had.wait(5)
    thread.join(5)
