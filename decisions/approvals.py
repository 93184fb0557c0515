"""Entries that wait, or waited, for a person: whose they are, and what the model is told of them."""

from __future__ import annotations

from collections.abc import Collection

from django.db.models import Q, QuerySet

from accounts.models import User
from accounts.selectors import Person
from decisions.domain.proposal import Action, Proposal, Verdict
from decisions.models import Approval, Decision

MAY_ANSWER = "accounts.resume_account"
"""Permission of staff to answer for another owner: like lifting a halt, it lets an account open positions."""


def approvals_of(person: Person) -> QuerySet[Approval]:
    """Return what waits or waited for `person`, the owner of the account, newest first."""
    rows = Approval.objects.filter(decision__bot__account__owner_id=person.pk)
    return rows.select_related("decision__cycle", "decision__bot__account", "by", "ruled_again").order_by("-pk")


def decisions_to_answer(person: Person) -> QuerySet[Decision]:
    """Return the decisions that `person` may answer: those of the own accounts; all to staff with the permission."""
    mine = Q(bot__account__owner_id=person.pk)
    rows = Decision.objects.filter(approval__isnull=False)
    return rows if may_answer_for_others(person) else rows.filter(mine)


def may_answer_for_others(person: Person) -> bool:
    """Whether `person` is staff with the permission to let another's account open positions."""
    return isinstance(person, User) and person.is_active and person.is_staff and person.has_perm(MAY_ANSWER)


def proposal_of(decision: Decision) -> Proposal:
    """Return what was proposed, as it was read from the reply."""
    return Proposal(
        symbol=decision.symbol,
        action=Action(decision.action),
        quantity=decision.asked_quantity,
        leverage=decision.asked_leverage,
        stop_loss=decision.stop_loss,
        profit_target=decision.profit_target,
        risk_usd=decision.risk_usd,
        confidence=decision.confidence,
        invalidation_condition=decision.invalidation_condition,
        justification=decision.justification,
    )


def answers_of(decisions: Collection[int]) -> dict[int, str]:
    """Return what became of those of these decisions that waited for a person, in words for the model."""
    rows = Approval.objects.filter(decision_id__in=decisions).select_related("ruled_again")
    return {row.decision_id: f"waited for approval: {_answer(row)}" for row in rows}


def _answer(row: Approval) -> str:
    match row.state:
        case Approval.State.AWAITING:
            return "not answered yet"
        case Approval.State.REJECTED:
            return f"rejected{f': {row.reason}' if row.reason else ''}"
        case Approval.State.APPROVED:
            return f"approved and {_ruled_again(row.ruled_again)}"
        case _:
            return f"{row.state}: {row.reason}"


def _ruled_again(again: Decision | None) -> str:
    if again is None:
        return "not carried out: it ended before it was ruled again"
    if again.verdict == Verdict.REFUSED.value:
        return "refused at the price of that moment: " + "; ".join(hit["text"] for hit in again.hits)
    return f"{again.verdict} at the price of that moment"
