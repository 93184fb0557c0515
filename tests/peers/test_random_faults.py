"""A thousand decisions at a server that goes wrong at random: each ends in time, is on record, and the money adds up.

What the server handed over whole is booked with the tokens and the cost that it says, also when it came too late to be
used. What it could not hand over (cut off, never sent) counts with an estimate; what it refused counts nothing.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from decimal import Decimal
from random import Random

import pytest

from decisions.deciders.base import Answer, Prompt, Reading
from decisions.domain.question import Question
from decisions.llm import client
from decisions.llm.formats import formats_forget
from decisions.models import Interaction
from decisions.services import interactions_record
from decisions.tests.asking_kit import PRICE, Ledger, decider_at
from decisions.tests.builders import question
from tests.peers.random_faults import KINDS, OPENING, Told, faulty_server
from trading.tests.builders import make_bot
from vibex.lib.clock import Deadline

pytestmark = [pytest.mark.ci, pytest.mark.django_db(transaction=True)]
SEED = 20251128
DECISIONS, AT_ONCE = 1_000, 32
DEADLINE, GRACE = 1.0, 0.5
MODELS = ("peer/a", "peer/b", "peer/c")


@dataclass(frozen=True, slots=True)
class Ended:
    """One decision as it was made."""

    question: Question
    answer: Answer
    reading: Reading
    seconds: float
    ledger: Ledger


def asked(number: int) -> Question:
    decision_id = f"{number:016x}"
    prompt = Prompt("rules", f'state\ndecision_id: "{decision_id}"', "arena#0", "0" * 64)
    return replace(question(), decision_id=decision_id, prompt=prompt)


def decide(url: str, number: int) -> Ended:
    chance, ledger = Random(f"{SEED} {number}"), Ledger()
    models = chance.sample(MODELS, chance.randint(1, 3))
    decider = decider_at(url, *models, dialect="openrouter", purse=ledger, price=PRICE, usual_seconds=0.05)
    one, began = asked(number), time.monotonic()
    answer = decider.ask(one, Deadline(DEADLINE))
    reading = decider.read(one, answer)
    return Ended(one, answer, reading, time.monotonic() - began, ledger)


@dataclass
class Lag:
    """How much later than it wanted a thread of this process was woken, at the worst: what a busy machine adds."""

    worst: float = 0.0
    _over: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        while not self._over.is_set():
            began = time.monotonic()
            time.sleep(0.01)
            self.worst = max(self.worst, time.monotonic() - began - 0.01)

    def __enter__(self) -> Lag:
        threading.Thread(target=self.watch, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()


@dataclass(frozen=True, slots=True)
class Thousand:
    """The decisions, made by many threads at once, and the server that has nothing more to say."""

    ended: list[Ended]
    server: Told
    lag: Lag


@pytest.fixture(scope="module")
def thousand() -> Thousand:
    with faulty_server(SEED) as server, Lag() as lag:
        decide(server.url, DECISIONS)  # the first one imports the client
        with ThreadPoolExecutor(AT_ONCE) as pool:
            made = list(pool.map(lambda number: decide(server.url, number), range(DECISIONS)))
    return Thousand(made, server, lag)


@pytest.fixture
def stored(thousand: Thousand) -> list[Interaction]:
    """The row that was read of each decision, stored after all were made: SQLite in memory has one writer."""
    bot, rows = make_bot(), []
    for one in thousand.ended:
        row = interactions_record(
            bot_id=bot.pk, cycle=None, question=one.question, answer=one.answer, reading=one.reading
        )
        for thread in threading.enumerate():
            if thread.name == "late-reply":
                thread.join()
        rows.append(row)
    client.close()
    formats_forget()
    return rows


def test_a_thousand_decisions_end_in_time_are_on_record_and_add_up(thousand: Thousand, stored: list[Interaction]):
    assert_in_time(thousand)
    assert_on_record(thousand.ended, stored)
    assert_money(thousand)
    assert_opened(thousand)
    assert set(thousand.server.kinds) == set(KINDS), "every kind of answer came up"


def assert_in_time(thousand: Thousand) -> None:
    assert len(thousand.ended) == DECISIONS
    allowed = DEADLINE + GRACE + thousand.lag.worst
    assert [one.seconds for one in thousand.ended if one.seconds > allowed] == []


def assert_on_record(ended: list[Ended], stored: list[Interaction]) -> None:
    assert Interaction.objects.filter(used=True).count() == DECISIONS
    for one, row in zip(ended, stored, strict=True):
        assert row.outcome == one.reading.outcome.value
        assert row.outcome in ("answered", "no_answer", "rejected")
        assert row.outcome == "answered" or row.reason
        assert not row.reason.startswith(("gate_fault", "client."))
        assert one.question.decision_id in row.user_prompt


def assert_money(thousand: Thousand) -> None:
    """Tokens and cost are to the last digit those that the server sent; nothing is booked twice, nothing is lost."""
    said = {one.generation: (one.prompt_tokens, one.reply_tokens, one.cost) for one in thousand.server.sent}
    said = {name: figures for name, figures in said.items() if not name.startswith(f"gen-{DECISIONS:016x}-")}
    told = Interaction.objects.exclude(prompt_tokens=0)
    kept = {row.generation_id: (row.prompt_tokens, row.completion_tokens, row.cost) for row in told}
    assert len(kept) == told.count()
    assert kept == said
    assert Interaction.objects.filter(late_of__isnull=False).exists(), "some came late"
    silent = Interaction.objects.filter(prompt_tokens=0, http_status=None, late=None).exclude(
        reason__startswith="unreachable"
    )
    # On a busy machine the deadline may pass before anything has left: that costs nothing, and nobody waited for it.
    left = [row for row in silent if (row.cost, row.estimate) != (0, None)]
    asked = [row for row in left if (row.cost, row.estimate) != (None, None)]
    assert all(row.estimate is not None and row.cost is None for row in asked)
    assert all(row.latency_ms < 100 for row in left if row not in asked)
    refused = Interaction.objects.filter(http_status__in=(400, 402, 403, 404, 429, 500, 503, 529), late=None)
    assert refused.exists()
    assert not refused.exclude(reason__startswith="timeout").exclude(cost=None, estimate=None).exists()
    booked = sum((one.ledger.total for one in thousand.ended), Decimal(0))
    superseded = Interaction.objects.filter(late__isnull=False).values_list("pk", flat=True)
    counted = [
        row.cost if row.cost is not None else row.estimate or Decimal(0)
        for row in Interaction.objects.exclude(pk__in=superseded)
    ]
    assert booked == sum(counted, Decimal(0))


def assert_opened(thousand: Thousand) -> None:
    """What opens is what a valid reply says, and only where one came in time."""
    valid = {one.generation for one in thousand.server.sent if one.kind in ("valid", "slow")}
    opened = 0
    for one in thousand.ended:
        for proposal in one.reading.proposals:
            if proposal.action.opens:
                assert one.answer.attempts[-1].generation_id in valid
                assert (proposal.quantity, proposal.leverage) == (
                    Decimal(str(OPENING["quantity"])),
                    OPENING["leverage"],
                )
                opened += 1
    assert opened > DECISIONS / 10, "a busy machine turns many into timeouts, but not all"
