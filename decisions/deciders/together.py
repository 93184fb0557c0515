"""Several that are asked the same at once: to decide together, or only to be compared with the one that decides."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextvars import copy_context
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from threading import Event, Thread
from typing import Final

from django.db import DatabaseError, connections

from decisions.deciders.base import Answer, Decider, Outcome, Question, Reading, Usage
from decisions.deciders.precedence import Precedence
from decisions.domain.ensemble import merge, reading_of
from decisions.domain.question import Member
from vibex.lib.clock import Deadline

log = logging.getLogger(__name__)

MARGIN: Final = 0.5
"""Seconds that are left of the deadline for reading and comparing when the last of several is given up."""
SHARE: Final = 0.1
"""Of a short deadline no more than this."""


@dataclass(frozen=True, slots=True)
class Unasked:
    """Stands for one that cannot be asked, for example for want of a key: it counts as asked, and is silent."""

    name: str
    reason: str
    """A code followed by words."""
    wants_prompt: bool = False

    def ask(self, question: Question, deadline: Deadline) -> Answer:
        return Answer(Outcome.NO_ANSWER, model_requested=self.name, reason=self.reason)

    def read(self, question: Question, answer: Answer) -> Reading:
        return Reading(answer.outcome, reason=answer.reason)


@dataclass(frozen=True, slots=True)
class Asked:
    """One that was asked in a thread of its own."""

    name: str
    member: Future[Member]

    def said(self, until: Deadline) -> Member:
        """Return what it said, waiting until the deadline at most. One that hangs said nothing; the others are not held up."""
        try:
            return self.member.result(until.left())
        except TimeoutError:
            return replace(_silent(self.name, "timeout: no answer when the time was up"), overdue=self.when_back)

    def when_back(self, book: Callable[[Answer], None]) -> None:
        """Call `book` with the answer when it comes, from the thread that brings it. It is paid for, and never acted on."""
        self.member.add_done_callback(lambda member: book(member.result().answer))


@dataclass(frozen=True, slots=True)
class EnsembleDecider:
    """Asks all of `members` at once and proposes what they agree on. The first is the bot's own model."""

    members: tuple[Decider, ...]
    rule: str
    """What entries need: majority or unanimous, of all that were asked."""

    @property
    def name(self) -> str:
        return " + ".join(member.name for member in self.members)

    @property
    def wants_prompt(self) -> bool:
        return any(member.wants_prompt for member in self.members)

    def ask(self, question: Question, deadline: Deadline) -> Answer:
        """Return what they agree on when all have answered, or the time of those that have not is up."""
        began = time.monotonic()
        asked, until = ask_at_once(self.members, question, deadline), _shortly_before(deadline)
        members = tuple(each.said(until) for each in asked)
        merged = merge(members, rule=self.rule, snapshot=question.snapshot, symbols=question.bot.symbols)
        reading = reading_of(members, merged)
        answered = reading.outcome is Outcome.ANSWERED
        faults = "; ".join(f"{each.model}: {each.reading.reason}" for each in members if each.reading.reason)
        return Answer(
            reading.outcome,
            proposals=merged.proposals if answered else None,
            model_requested=question.bot.model,
            usage=_sum_of([each.answer.usage for each in members]),
            latency=time.monotonic() - began,
            reason=faults,
            notes=merged.told,
            members=members,
        )

    def read(self, question: Question, answer: Answer) -> Reading:
        """Return what they agree on: it was read member by member."""
        if answer.outcome is Outcome.ANSWERED:
            return Reading(answer.outcome, answer.proposals or ())
        return Reading(answer.outcome, reason=answer.reason)


@dataclass(frozen=True, slots=True)
class ShadowedDecider:
    """Decides as `live` does, while `shadows` are asked the same. What they say is for the record, and never waited for."""

    live: Decider
    shadows: tuple[Decider, ...]
    precedence: Precedence
    wants_prompt: bool = True

    @property
    def name(self) -> str:
        return self.live.name

    @property
    def needs_prompt(self) -> bool:
        """Whether nothing can be decided without a prompt: rules decide also when there is none for their shadows."""
        return self.live.wants_prompt

    def ask(self, question: Question, deadline: Deadline) -> Answer:
        """Return the answer of the one that decides, as soon as it is there."""
        self.precedence.begin()
        asked = ask_at_once(self.shadows, question, deadline, after=self.precedence.begun)
        try:
            answer = self.live.ask(question, deadline)
        finally:
            self.precedence.done()
        return replace(answer, shadows=partial(_said, asked, deadline))

    def read(self, question: Question, answer: Answer) -> Reading:
        return self.live.read(question, answer)


def ask_at_once(
    deciders: Sequence[Decider], question: Question, deadline: Deadline, *, after: Event | None = None
) -> list[Asked]:
    """Ask all at once, each in a thread of its own, so that all are done a moment before the deadline. Returns at once.

    They begin when `after` is set, where it is given.
    """
    left = deadline.left()
    sooner = Deadline(left - min(MARGIN, left * SHARE))
    return [_begun(decider, question, sooner, after) for decider in deciders]


def _begun(decider: Decider, question: Question, deadline: Deadline, after: Event | None) -> Asked:
    member: Future[Member] = Future()
    context = copy_context()  # a line of the log says which cycle it belongs to
    work = partial(_work, decider, question, deadline, member, after)
    try:
        Thread(target=context.run, args=(work,), name=f"ask {decider.name}"[:60], daemon=True).start()
    except RuntimeError as fault:  # no more threads: it is silent, and holds up nobody
        member.set_result(_silent(decider.name, f"client.{type(fault).__name__}: it could not be asked"))
    return Asked(decider.name, member)


def _work(
    decider: Decider, question: Question, deadline: Deadline, member: Future[Member], after: Event | None
) -> None:
    """Ask and read. Whatever goes wrong stays with this one."""
    if after is not None:
        after.wait(deadline.left())
    try:
        answer = decider.ask(question, deadline)
        said = Member(decider.name, answer, decider.read(question, answer))
    except Exception as fault:  # noqa: BLE001
        # Its text may hold what a server said; the kind has to do.
        log.error("asking %s broke off: %s", decider.name, type(fault).__name__)  # noqa: TRY400
        said = _silent(decider.name, f"client.{type(fault).__name__}: asking it broke off")
    finally:
        _let_go()
    member.set_result(said)


def _let_go() -> None:
    """Close what this thread opened of the database: nobody will use it again."""
    try:
        connections.close_all()
    except DatabaseError as fault:
        log.warning("a connection could not be closed: %s", type(fault).__name__)


def _said(asked: Sequence[Asked], deadline: Deadline) -> tuple[Member, ...]:
    return tuple(each.said(deadline) for each in asked)


def _shortly_before(deadline: Deadline) -> Deadline:
    """Return half of the margin before the deadline: who is not back by then is given up, and the rest still counts."""
    left = deadline.left()
    return Deadline(left - min(MARGIN, left * SHARE) / 2)


def _silent(name: str, reason: str) -> Member:
    answer = Answer(Outcome.NO_ANSWER, model_requested=name, reason=reason)
    return Member(name, answer, Reading(Outcome.NO_ANSWER, reason=reason))


def _sum_of(used: Sequence[Usage]) -> Usage:
    """Return tokens and money of all; a cost that nobody said is left out, and unknown when none was said."""
    costs = [each.cost for each in used if each.cost is not None]
    return Usage(
        prompt_tokens=sum(each.prompt_tokens for each in used),
        completion_tokens=sum(each.completion_tokens for each in used),
        cost=sum(costs, Decimal(0)) if costs else None,
        reasoning_tokens=sum(each.reasoning_tokens for each in used),
        cached_tokens=sum(each.cached_tokens for each in used),
    )
