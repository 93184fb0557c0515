"""What is written down of asking and deciding. Rows are added, never edited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Context, Decimal
from typing import Any, Final

from django.db import transaction

from accounts.models import Bot
from decisions.domain.proposal import RuleHit, Ruling
from decisions.domain.question import Answer, Outcome, Question, Reading
from decisions.models import Approval, Cycle, Decision, DiaryEntry, Interaction

KEPT: Final = Context(prec=15)
"""Digits of a number that SQLite keeps."""
LARGEST_POWER: Final = 18
"""A column of amounts holds no number from 1e18 on."""
LARGEST_LEVERAGE: Final = 32_767
"""What its column holds."""


def interactions_record(
    *,
    bot_id: int,
    cycle: Cycle | None,
    question: Question,
    answer: Answer,
    reading: Reading,
    purpose: str = Interaction.Purpose.CYCLE,
) -> Interaction | None:
    """Keep every request that was made for an answer, and return the row of the one that was read."""
    prompt = question.prompt
    return Interaction.objects.create(
        bot_id=bot_id,
        purpose=purpose,
        cycle=cycle,
        model_requested=_fitting(Interaction, "model_requested", answer.model_requested),
        model_served=_fitting(Interaction, "model_served", answer.model_served),
        template=_fitting(Interaction, "template", prompt.template if prompt else ""),
        prompt_digest=prompt.digest if prompt else "",
        system_prompt=_storable(prompt.system if prompt else ""),
        user_prompt=_storable(prompt.user if prompt else ""),
        reply=_storable(answer.raw.decode("utf-8", "backslashreplace")),
        finish_reason=_fitting(Interaction, "finish_reason", answer.finish_reason),
        prompt_tokens=answer.usage.prompt_tokens,
        completion_tokens=answer.usage.completion_tokens,
        cost=answer.usage.cost,
        latency_ms=round(answer.latency * 1000),
        outcome=reading.outcome.value,
        reason=_fitting(Interaction, "reason", _reason(answer, reading)),
    )


def decisions_record(
    *,
    cycle: Cycle,
    interaction: Interaction | None,
    rulings: Sequence[Ruling],
    at: datetime,
    approval: Approval | None = None,
) -> list[Decision]:
    """Keep every proposal with its ruling, in the order they were ruled, before anything is done about them.

    What an `approval` was ruled into follows those before it, and is what the approval points to.
    """
    first = 0 if approval is None else Decision.objects.filter(cycle=cycle, kind=Decision.Kind.LIVE).count()
    rows = [decision_row(cycle, interaction, sequence, ruling, at) for sequence, ruling in enumerate(rulings, first)]
    with transaction.atomic():
        kept = Decision.objects.bulk_create(rows)
        if approval is not None and kept:
            approval.ruled_again = kept[0]
            approval.save(update_fields=["ruled_again"])
    return kept


def diary_write(
    *,
    bot: Bot,
    cycle: Cycle | None,
    at: datetime,
    kind: str,
    symbol: str = "",
    text: str,
    data: Mapping[str, Any] | None = None,
) -> DiaryEntry:
    """Add a line to the diary of a bot. Raises ValueError for an unknown kind."""
    return DiaryEntry.objects.create(
        bot=bot,
        cycle=cycle,
        at=at,
        kind=DiaryEntry.Kind(kind),
        symbol=_fitting(DiaryEntry, "symbol", symbol),
        text=_storable(text),
        data=dict(data or {}),
    )


def _reason(answer: Answer, reading: Reading) -> str:
    """Return why the reply or parts of it could not be used; for a usable one, what failed before it."""
    if reading.outcome is not Outcome.ANSWERED:
        return reading.reason or answer.reason
    held = "; ".join(f"{symbol} held: {code}" for symbol, code in reading.held.items())
    return "; ".join(part for part in (held, answer.reason) if part)


def decision_row(
    cycle: Cycle, interaction: Interaction | None, sequence: int, ruling: Ruling, at: datetime
) -> Decision:
    """Return a proposal and its ruling as the row that keeps them, not stored yet."""
    proposal = ruling.proposal
    return Decision(
        cycle=cycle,
        interaction=interaction,
        bot_id=cycle.bot_id,
        sequence=sequence,
        symbol=proposal.symbol,
        action=proposal.action.value,
        asked_quantity=_amount(proposal.quantity),
        asked_leverage=_leverage(proposal.leverage),
        stop_loss=_amount(proposal.stop_loss),
        profit_target=_amount(proposal.profit_target),
        risk_usd=_amount(proposal.risk_usd),
        confidence=proposal.confidence,
        invalidation_condition=proposal.invalidation_condition,
        justification=proposal.justification,
        verdict=ruling.verdict.value,
        quantity=ruling.quantity,
        # What a position stands at is not ours to allow: one opened by hand, at any leverage, can be closed.
        leverage=ruling.leverage if proposal.action.opens else None,
        rule_ids=list(ruling.rule_ids),
        hits=[_hit(hit) for hit in ruling.hits],
        at=at,
    )


def _amount(stated: Decimal | None) -> Decimal | None:
    """Return a number that was asked for as a database keeps it; None for one that none does. The rule that refused tells."""
    if stated is None or not stated.is_finite() or stated.adjusted() >= LARGEST_POWER:
        return None
    return KEPT.plus(stated)


def _leverage(stated: int | None) -> int | None:
    return stated if stated is not None and 0 <= stated <= LARGEST_LEVERAGE else None


def _hit(hit: RuleHit) -> dict[str, Any]:
    return {"rule": hit.rule, "effect": hit.effect.value, "text": hit.text, "numbers": dict(hit.numbers)}


def _storable(text: str) -> str:
    """Return the text as a database can keep it: PostgreSQL refuses NUL, and no encoding has lone surrogates."""
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()


def _fitting(model: type[Interaction | DiaryEntry], field: str, text: str) -> str:
    """Return the text cut to the length of its column."""
    column = model._meta.get_field(field)
    return _storable(text)[: getattr(column, "max_length", None)]
