"""One of several that is not back when the time is up is counted silent; what it asked and paid is on record all the same."""

import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import openai  # noqa: F401 - it takes a while, which is not to count against the deadlines below
import pytest

from decisions.deciders.ports import NoPurse
from decisions.deciders.precedence import Precedence
from decisions.deciders.rules import rules_decider
from decisions.deciders.together import EnsembleDecider, ShadowedDecider
from decisions.domain.question import Outcome, Reading
from decisions.llm import client
from decisions.models import Cycle, Decision, Interaction
from decisions.selectors import cost_between
from decisions.services.votes import shadows_record, votes_record
from decisions.tests.asking_kit import decider_at
from decisions.tests.builders import envelope, question, reply
from decisions.tests.llm_server import model_server, sends
from trading.tests.builders import make_bot
from vibex.lib.clock import Deadline

pytestmark = [pytest.mark.ci, pytest.mark.postgres, pytest.mark.django_db(transaction=True)]
COST = Decimal("0.00331")


@pytest.fixture(autouse=True)
def _closed():
    yield
    client.close()


def answers(link, request):
    sends(envelope(reply(), model=request["model"]))(link, request)


@pytest.fixture
def cycle():
    bot, at = make_bot(model="openrouter/a/one"), datetime(2026, 3, 1, tzinfo=UTC)
    return Cycle.objects.create(bot=bot, account=bot.account, scheduled_for=at, status="done", lease_until=at)


class Hangs:
    """A turn that is given back only when it is let: as a counter does that does not answer."""

    def __init__(self):
        self.let = threading.Event()

    @contextmanager
    def __call__(self, endpoint, model, deadline):
        yield
        self.let.wait(20)


def on_record(count):
    until = time.monotonic() + 10
    while Interaction.objects.count() < count and time.monotonic() < until:
        time.sleep(0.05)
    return list(Interaction.objects.order_by("pk"))


def test_a_vote_that_is_not_back_in_time_is_kept_when_it_comes(cycle):
    hangs = Hangs()
    with model_server(answers) as server:
        slow = replace(decider_at(server.url, "b/two"), turn=hangs)
        decider, asks = EnsembleDecider((decider_at(server.url, "a/one"), slow), "majority"), question()
        answer = decider.ask(asks, Deadline(3.0))
        reading = decider.read(asks, answer)
        assert [member.reading.outcome for member in answer.members] == [Outcome.ANSWERED, Outcome.NO_ANSWER]
        votes_record(cycle=cycle, question=asks, members=answer.members, reading=reading)
        assert Interaction.objects.count() == 2
        hangs.let.set()
        first, silent, late = on_record(3)
    assert (silent.outcome, silent.cost, silent.used) == ("no_answer", None, True)
    assert (late.outcome, late.cost, late.used, late.purpose) == ("late", COST, False, "ensemble")
    assert (late.model_requested, late.cycle_id, late.late_of) == ("b/two", cycle.pk, silent)
    assert cost_between(cycle.bot).total == first.cost + COST
    assert not Decision.objects.filter(interaction=late).exists()


def test_a_shadow_that_is_not_back_in_time_is_kept_when_it_comes(cycle):
    hangs = Hangs()
    with model_server(answers) as server:
        slow = replace(decider_at(server.url, "b/two"), turn=hangs)
        precedence = Precedence(NoPurse(), deciding=0, calls=0)
        decider, asks = ShadowedDecider(rules_decider("hold"), (slow,), precedence), question()
        answer = decider.ask(asks, Deadline(3.0))
        compared = [(member, ()) for member in answer.shadows()]
        shadows_record(
            cycle=cycle, question=asks, reading=Reading(Outcome.ANSWERED), compared=compared, at=cycle.scheduled_for
        )
        hangs.let.set()
        _, late = on_record(2)
    assert (late.outcome, late.cost, late.used, late.purpose) == ("late", COST, False, "shadow")
