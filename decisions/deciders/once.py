"""A model that is asked the same question once for ever: what it said before is found, and nobody is asked or paid.

For tests on recorded markets. What a model said is kept, usable or not; what the world did to a request (no answer, a
refusal of the server, a time-out) is not, so that a run which is started again asks it again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from threading import Event
from typing import Any, Final, Protocol

from decisions.deciders.allowance import MoneyUsed, Pocket
from decisions.deciders.base import Answer, Outcome, Prompt, Question, Reading
from decisions.deciders.model import ModelDecider
from decisions.domain.dialects import RUNGS, body_of
from decisions.domain.kept_answer import cost_in, said
from decisions.domain.schema import response_schema
from vibex.lib.clock import Deadline
from vibex.lib.errors import Retryable

FORM: Final = 1
"""Of the key. A change of what it is made of makes all that was kept another question."""
IN_A_ROW: Final = 5
"""So many questions without any answer, one after another, end a run: nothing is learned from a server that is away."""
TURN: Final = ("rate:", "busy:")
"""How the reason begins when nothing was sent, because it was not this model's turn."""
TURNS: Final = 120
"""So often a question waits for its turn anew."""
PAUSE: Final = 1.0
"""Seconds between two looks for a turn."""


class Replies(Protocol):
    """Where replies are kept (`decisions/services/replies_kept.py`)."""

    def find(self, key: str) -> Answer | None:
        """Return the answer that was kept under a key, None where there is none."""
        ...

    def keep(self, key: str, answer: Answer, *, prompt: Prompt, about: Mapping[str, Any]) -> None:
        """Keep an answer durably."""
        ...


class NobodyAnswers(Retryable):
    """A model gave no answer several times in a row. What was answered before is kept."""


class Stopped(Retryable):
    """Somebody ended the run from outside, between two questions."""


@dataclass(slots=True)
class Tally:
    """What one run asked."""

    asked: int = 0
    """Questions that were put to the model now."""
    found: int = 0
    """Questions that had been answered before."""
    unanswered: int = 0
    """Questions that were put now and got no reply: the bot held. A run that is started again puts them again."""
    paid: Decimal = Decimal(0)
    """US dollars paid now."""
    worth: Decimal = Decimal(0)
    """US dollars that were once paid for what was found."""
    in_a_row: int = 0


@dataclass(slots=True)
class OnceDecider:
    """Answers as `model` does, or did. Its deadline is its own: what is found is as late as it was then.

    Unlike other deciders it ends a run: `ask` raises MoneyUsed, NobodyAnswers, Stopped, or Retryable when a reply that
    was paid for cannot be kept.
    """

    model: ModelDecider
    replies: Replies
    pocket: Pocket
    repeat: int = 1
    seconds: float = 30.0
    """Of wall time that each question has."""
    tally: Tally = field(default_factory=Tally)
    stop: Event = field(default_factory=Event)
    wants_prompt: bool = True

    @property
    def name(self) -> str:
        return self.model.name

    def ask(self, question: Question, deadline: Deadline) -> Answer:
        """Return what the model said to the same question before, else ask it and keep what it says."""
        if question.prompt is None:
            return self.model.ask(question, deadline)
        key = key_of(self.model, question.prompt, question.bot.symbols, repeat=self.repeat)
        if (kept := self.replies.find(key)) is not None:
            self.tally.found += 1
            self.tally.worth += cost_in(kept)
            return self._in_time(kept)
        return self._in_time(self._asked(key, question, question.prompt))

    def read(self, question: Question, answer: Answer) -> Reading:
        return self.model.read(question, answer)

    def _asked(self, key: str, question: Question, prompt: Prompt) -> Answer:
        answer = _settled(self._when_it_is_its_turn(question))
        self.tally.asked += 1
        self.tally.paid += cost_in(answer)
        if self.pocket.refused:
            raise MoneyUsed(f"{self.name}: {self.pocket.refused}. What was paid for is kept.", code="max-cost")
        if said(answer):
            self.tally.in_a_row = 0
            about = {"model": self.name, "repeat": self.repeat, "asked_at": datetime.now(UTC).isoformat()}
            self.replies.keep(key, answer, prompt=prompt, about=about)
            return answer
        self.tally.unanswered += 1
        self.tally.in_a_row += 1
        if self.tally.in_a_row >= IN_A_ROW:
            text = f"{self.name} gave no answer {IN_A_ROW} times in a row, last because of {answer.reason}."
            raise NobodyAnswers(f"{text} What it said before is kept: start again when it can be asked.")
        return answer

    def _when_it_is_its_turn(self, question: Question) -> Answer:
        """Ask, as soon as it is this model's turn: a test has time. Raises Stopped."""
        for left in reversed(range(TURNS)):
            if self.stop.is_set():
                break
            answer = self.model.ask(question, Deadline(self.seconds))
            if answer.attempts or not answer.reason.startswith(TURN) or not left:
                return answer
            self.stop.wait(PAUSE)
        raise Stopped(f"{self.name}: the run was ended. What was paid for is kept.")

    def _in_time(self, answer: Answer) -> Answer:
        """Return an answer, without any use where it took longer than a question has."""
        if answer.outcome is not Outcome.ANSWERED or answer.latency <= self.seconds:
            return answer
        return replace(answer, outcome=Outcome.NO_ANSWER, reason="late: it came after the deadline and is not used")


def _settled(answer: Answer) -> Answer:
    """Return an answer that nothing is waited for any more: what comes too late counts as it was estimated."""
    return replace(answer, attempts=tuple(replace(attempt, late=None) for attempt in answer.attempts))


def key_of(model: ModelDecider, prompt: Prompt, symbols: tuple[str, ...], *, repeat: int) -> str:
    """Return the key of a question to a chain of models: SHA-256, hex, of all that is sent to whom, and of the repeat.

    That is server, model, both texts, effort, temperature, limit of tokens and the schema in the strictest form that the
    server has: which form it takes in the end is found out anew by each process, and is no part of the question.
    """
    schema = response_schema(symbols)
    bodies = [
        (
            link.endpoint.base_url,
            body_of(
                link.endpoint.dialect,
                model=link.model,
                prompt=prompt,
                asking=model.asking,
                schema=schema,
                rung=RUNGS[link.endpoint.dialect][0],
            ),
        )
        for link in model.chain
        if link.endpoint is not None
    ]
    told = json.dumps([FORM, repeat, bodies], sort_keys=True, default=str)
    return sha256(told.encode()).hexdigest()
