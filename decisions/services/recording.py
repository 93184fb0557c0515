"""What is written down of asking and deciding. Rows are added, never edited."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Context, Decimal
from functools import partial
from typing import Any, Final

from django.db import connection, transaction

from accounts.models import Bot
from decisions.domain.proposal import RuleHit, Ruling
from decisions.domain.question import Answer, Attempt, Outcome, Prompt, Question, Reading, Usage
from decisions.llm.formats import formats_write
from decisions.models import Approval, Cycle, Decision, DiaryEntry, Interaction
from vibex.lib.events import publish_on_commit

log = logging.getLogger(__name__)

LATE: Final = "late"
"""Outcome of a reply that came after its deadline: it was paid for, and is not acted on."""
KEPT: Final = Context(prec=15)
"""Digits of a number that SQLite keeps."""
LONGEST_WORD: Final = 60
"""A longer one is cut in its middle."""
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
    """Keep every request that was made for an answer, and return the row of the one that was read.

    None when nobody was asked. A reply that comes after its deadline gets a row of its own, later.
    """
    place = {"bot_id": bot_id, "cycle": cycle, "purpose": purpose}
    if not answer.attempts:
        if answer.outcome is Outcome.NOT_ASKED:
            return None
        return Interaction.objects.create(**place, **_without_attempts(question, answer, reading))
    attempts = enumerate(answer.attempts)
    *before, last = [Interaction(**place, **_columns(attempt), attempt=number) for number, attempt in attempts]
    for row in before:
        row.used = False
    last.outcome, last.reason = reading.outcome.value, _whole_words(_reason(answer, reading))
    if reading.held:
        last.parameters["held"] = dict(reading.held)
    rows = Interaction.objects.bulk_create([*before, last])
    for row, attempt in zip(rows, answer.attempts, strict=True):
        if attempt.late is not None:
            transaction.on_commit(partial(attempt.late.when_answered, partial(_late_record, row)))
    formats_write()
    return rows[-1]


def overdue_record(row: Interaction, answer: Answer) -> None:
    """Keep the requests of one that was not back when the time was up, and was put on record as silent in `row`.

    Called from the thread that brings them: nobody waits for it, nothing follows.
    """
    for number, attempt in enumerate(answer.attempts, 1):
        last = number == len(answer.attempts)
        kept = _late_row(row, attempt, attempt=row.attempt + number, late_of=row if last else None)
        if kept is not None and attempt.late is not None:
            attempt.late.when_answered(partial(_late_record, kept))


def _late_record(row: Interaction, late: Attempt) -> None:
    """Keep a reply that came after its deadline. Called from a thread of its own: nobody waits for it, nothing follows."""
    _late_row(row, late)


def _late_row(row: Interaction, late: Attempt, **changes: Any) -> Interaction | None:
    """Return what was kept of it; None when it could not be."""
    place = {"attempt": row.attempt, "late_of": row, **changes}
    try:
        return Interaction.objects.create(
            bot_id=row.bot_id,
            cycle_id=row.cycle_id,
            purpose=row.purpose,
            used=False,
            **place,
            **_columns(late) | {"outcome": LATE},
        )
    except Exception as fault:  # noqa: BLE001
        # The request stays on record with its estimate; the text of a fault may hold what the reply said.
        log.warning("a late reply of %s could not be kept: %s", late.model, type(fault).__name__)
        return None
    finally:
        connection.close()


def _columns(attempt: Attempt) -> dict[str, Any]:
    return {
        "provider": _fitting(Interaction, "provider", attempt.provider),
        "parameters": dict(attempt.parameters),
        "model_requested": _fitting(Interaction, "model_requested", attempt.model),
        "model_served": _fitting(Interaction, "model_served", attempt.model_served),
        **_asked_with(attempt.prompt),
        "reply": _storable(attempt.raw.decode("utf-8", "backslashreplace")),
        "reasoning": _storable(attempt.reasoning),
        "http_status": attempt.http_status,
        "generation_id": _fitting(Interaction, "generation_id", attempt.generation_id),
        "finish_reason": _fitting(Interaction, "finish_reason", attempt.finish_reason),
        **_used(attempt.usage, attempt.latency),
        "estimate": attempt.estimate,
        "outcome": attempt.outcome.value,
        "reason": _whole_words(attempt.reason),
    }


def _without_attempts(question: Question, answer: Answer, reading: Reading) -> dict[str, Any]:
    """Return the columns of an answer for which no request was made, or of one that nobody counted."""
    return {
        "model_requested": _fitting(Interaction, "model_requested", answer.model_requested),
        "model_served": _fitting(Interaction, "model_served", answer.model_served),
        **_asked_with(question.prompt),
        "reply": _storable(answer.raw.decode("utf-8", "backslashreplace")),
        "finish_reason": _fitting(Interaction, "finish_reason", answer.finish_reason),
        **_used(answer.usage, answer.latency),
        "cost": answer.usage.cost if answer.raw or answer.usage.cost is not None else Decimal(0),
        "outcome": reading.outcome.value,
        "reason": _whole_words(_reason(answer, reading)),
    }


def _asked_with(prompt: Prompt | None) -> dict[str, str]:
    return {
        "template": _fitting(Interaction, "template", prompt.template if prompt else ""),
        "prompt_digest": prompt.digest if prompt else "",
        "system_prompt": _storable(prompt.system if prompt else ""),
        "user_prompt": _storable(prompt.user if prompt else ""),
    }


def _used(usage: Usage, latency: float) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "cached_tokens": usage.cached_tokens,
        "cost": usage.cost,
        "latency_ms": round(latency * 1000),
    }


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
        if kept:
            publish_on_commit(account_id=cycle.account_id, kind="decision", data={"ids": [row.pk for row in kept]})
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
    entry = DiaryEntry.objects.create(
        bot=bot,
        cycle=cycle,
        at=at,
        kind=DiaryEntry.Kind(kind),
        symbol=_fitting(DiaryEntry, "symbol", symbol),
        text=_storable(text),
        data=dict(data or {}),
    )
    publish_on_commit(account_id=bot.account_id, kind="diary", data={"id": entry.pk})
    return entry


def _reason(answer: Answer, reading: Reading) -> str:
    """Return why the reply or parts of it could not be used. What failed before a usable one has rows of its own."""
    if reading.outcome is not Outcome.ANSWERED:
        return reading.reason or answer.reason
    held = "; ".join(f"{symbol} held: {code}" for symbol, code in reading.held.items())
    return held if answer.attempts else "; ".join(part for part in (held, answer.reason) if part)


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


def _whole_words(reason: str) -> str:
    """Return a reason that fits into its column; one that is too long ends after a whole word."""
    longest = Interaction._meta.get_field("reason").max_length or 0
    text = _storable(reason)
    if len(text) <= longest:
        return text
    head = text[: longest - 1]
    whole = head.rpartition(" ")[0]
    return f"{whole if len(whole) > longest - LONGEST_WORD else head}…"


def _fitting(model: type[Interaction | DiaryEntry], field: str, text: str) -> str:
    """Return the text cut to the length of its column."""
    column = model._meta.get_field(field)
    return _storable(text)[: getattr(column, "max_length", None)]
