"""What models that are only compared would have done. Asked for after the orders are out; nothing of it is traded."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import Thread
from typing import Final

from django.db import connections

from decisions.deciders.base import Answer, Outcome, Question, Reading
from decisions.domain.ensemble import with_holds
from decisions.domain.proposal import Proposal, Ruling
from decisions.domain.question import Member
from trading.services.journal.base import Journal

log = logging.getLogger(__name__)

type Rule = Callable[[Sequence[Proposal]], tuple[Ruling, ...]]

NOBODY: Final = nullcontext()
"""Around what is done while there is nobody to compare with."""


def shadows_compared(
    journal: Journal, question: Question, answer: Answer, reading: Reading, rule: Rule
) -> AbstractContextManager[None]:
    """Do what is inside first; then wait for the shadows of the answer, at most until its deadline, and keep what they said.

    What they want is ruled as if it counted: `rule` is that of the live decision, with market and portfolio as they were
    before its orders. When what is inside breaks off, whoever looks after the account does not wait: they are kept from a
    thread of their own. Whatever goes wrong with them leaves the cycle as it is.
    """
    return NOBODY if answer.shadows is None else _compared(journal, question, answer, reading, rule)


def shadows_unruled(journal: Journal, question: Question, answer: Answer) -> AbstractContextManager[None]:
    """Keep the shadows of a cycle that breaks off before anything is ruled, unruled: they were paid for. Nobody waits."""
    return NOBODY if answer.shadows is None else _unruled(journal, question, answer)


@contextmanager
def _compared(journal: Journal, question: Question, answer: Answer, reading: Reading, rule: Rule) -> Iterator[None]:
    try:
        yield
    except BaseException:
        _begin_keeping(journal, question, answer, reading, rule)
        raise
    _keep(journal, question, answer, reading, rule)


@contextmanager
def _unruled(journal: Journal, question: Question, answer: Answer) -> Iterator[None]:
    try:
        yield
    except BaseException:
        nothing = Reading(Outcome.NO_ANSWER, reason="nothing was decided")
        _begin_keeping(journal, question, answer, nothing, lambda _: ())
        raise


def _begin_keeping(journal: Journal, question: Question, answer: Answer, reading: Reading, rule: Rule) -> None:
    def work() -> None:
        try:
            _keep(journal, question, answer, reading, rule)
        finally:
            connections.close_all()

    try:
        Thread(target=work, name="shadows", daemon=True).start()
    except RuntimeError as fault:  # no more threads
        log.error("what the shadows said is not kept: %s", fault)  # noqa: TRY400


def _keep(journal: Journal, question: Question, answer: Answer, reading: Reading, rule: Rule) -> None:
    try:
        members = answer.shadows() if answer.shadows else ()
        compared = [(member, _ruled(member, question, rule)) for member in members]
        journal.shadowed(question, reading, compared, at=question.snapshot.at)
    except Exception:
        log.exception("what the shadows said could not be kept")


def _ruled(member: Member, question: Question, rule: Rule) -> tuple[Ruling, ...]:
    """Return what risk would make of a shadow's wishes. A symbol that it left out is a hold."""
    if member.reading.outcome is not Outcome.ANSWERED:
        return ()
    return rule(with_holds(member.reading, question.bot.symbols))
