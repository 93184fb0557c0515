"""What is written down of models that were asked beside the one that decides: votes of several, and shadows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from django.db import transaction

from decisions.domain.ensemble import actions_on, with_holds
from decisions.domain.proposal import Proposal, Ruling, Verdict
from decisions.domain.question import Member, Outcome, Question, Reading
from decisions.models import Cycle, Decision, Interaction
from decisions.services.recording import decision_row, interactions_record, overdue_record

type Compared = tuple[Member, Sequence[Ruling]]
"""One that was asked the same, and what risk would have made of its proposals."""


def votes_record(*, cycle: Cycle, question: Question, members: Sequence[Member], reading: Reading) -> list[Interaction]:
    """Keep what each of several models said, and whether it wanted what they agreed on, which is `reading`.

    Returns the call of each that was read. Only what is decided is ruled: a vote has no verdict.
    """
    with transaction.atomic():
        asked = [_interaction(cycle, question, member, Interaction.Purpose.ENSEMBLE) for member in members]
        votes = []
        for member, call in zip(members, asked, strict=True):
            said = [Ruling(proposal, Verdict.ACCEPTED) for proposal in _said(member, question)]
            votes += _rows(cycle, call, said, reading, question.snapshot.at)
        for vote in votes:
            vote.kind, vote.verdict = Decision.Kind.VOTE, ""
        Decision.objects.bulk_create(votes)
    return asked


def shadows_record(
    *, cycle: Cycle, question: Question, reading: Reading, compared: Sequence[Compared], at: datetime
) -> None:
    """Keep what models said that are only compared, with what risk would have made of it. `reading` is the live one.

    These rows are the last that becomes of it: no order is ever made for a decision of this kind.
    """
    with transaction.atomic():
        shadows = []
        for member, rulings in compared:
            call = _interaction(cycle, question, member, Interaction.Purpose.SHADOW)
            shadows += _rows(cycle, call, rulings, reading, at)
        for shadow in shadows:
            shadow.kind = Decision.Kind.SHADOW
        Decision.objects.bulk_create(shadows)


def _said(member: Member, question: Question) -> tuple[Proposal, ...]:
    """Return what a member proposes, holds included; nothing where it gave no usable answer."""
    if member.reading.outcome is not Outcome.ANSWERED:
        return ()
    return with_holds(member.reading, question.bot.symbols)


def _rows(
    cycle: Cycle, asked: Interaction, rulings: Sequence[Ruling], reading: Reading, at: datetime
) -> list[Decision]:
    rows = [decision_row(cycle, asked, sequence, ruling, at) for sequence, ruling in enumerate(rulings)]
    for row, ruling in zip(rows, rulings, strict=True):
        row.agrees = _agrees(ruling.proposal, reading)
    return rows


def _agrees(proposal: Proposal, reading: Reading) -> bool | None:
    """Whether it asks for what the live decision asks for. None where that was no decision, but the want of an answer."""
    if reading.outcome is not Outcome.ANSWERED:
        return None
    return proposal.action in actions_on(reading, proposal.symbol)


def _interaction(cycle: Cycle, question: Question, member: Member, purpose: str) -> Interaction:
    """Keep the requests that were made of a member, and return the one that was read; one that says why none was made."""
    if member.answer.attempts:
        asked = interactions_record(
            bot_id=cycle.bot_id,
            cycle=cycle,
            question=question,
            answer=member.answer,
            reading=member.reading,
            purpose=purpose,
        )
        if asked is not None:
            return asked
    provider, _, model = member.model.partition("/")
    silent = Interaction.objects.create(
        bot_id=cycle.bot_id,
        cycle=cycle,
        purpose=purpose,
        provider=provider[:40],
        model_requested=model[:120],
        latency_ms=round(member.answer.latency * 1000),
        outcome=member.reading.outcome.value,
        reason=member.reading.reason[:300],
    )
    if member.overdue is not None:
        transaction.on_commit(partial(member.overdue, partial(overdue_record, silent)))
    return silent
