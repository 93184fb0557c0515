"""What metrics tell of cycles, model calls and decisions: rows that are new, and how things stand."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from django.db.models import Count, Min, Q

from decisions.models import Approval, Cycle, Decision, Interaction
from vibex.lib.cursor import MOST, Cursor


class CycleRow(NamedTuple):
    pk: int
    status: str
    began: datetime
    ended: datetime | None
    timings: dict[str, Any]
    deadline_seconds: int
    """In which its bot has to answer."""

    @property
    def running(self) -> bool:
        return self.status == Cycle.Status.RUNNING

    @property
    def well(self) -> bool:
        """Whether it went through all nine steps."""
        return self.status in (Cycle.Status.DONE, Cycle.Status.AWAITING)


class CallRow(NamedTuple):
    pk: int
    provider: str
    model: str
    purpose: str
    outcome: str
    latency_ms: int
    prompt_tokens: int
    completion_tokens: int
    cost: Decimal | None
    estimate: Decimal | None
    late_of: int | None


class DecisionRow(NamedTuple):
    pk: int
    kind: str
    action: str
    verdict: str
    rule_ids: list[str]


class Running(NamedTuple):
    """Cycles that run now."""

    number: int
    overdue: int
    """Of which the lease has run out."""
    oldest: datetime | None


def cycles_after(cursor: Cursor) -> list[CycleRow]:
    """Return cycles that are new or were not over. One query."""
    columns = ("pk", "status", "began", "ended", "timings", "bot__deadline_seconds")
    return [CycleRow(*row) for row in cursor.after(Cycle.objects.all()).values_list(*columns)[:MOST]]


def calls_after(cursor: Cursor) -> list[CallRow]:
    """Return model calls that are new. One query."""
    columns = (
        *("pk", "provider", "model_requested", "purpose", "outcome", "latency_ms", "prompt_tokens"),
        *("completion_tokens", "cost", "estimate", "late_of_id"),
    )
    return [CallRow(*row) for row in cursor.after(Interaction.objects.all()).values_list(*columns)[:MOST]]


def decisions_after(cursor: Cursor) -> list[DecisionRow]:
    """Return decisions that are new, votes and shadows too. One query."""
    columns = ("pk", "kind", "action", "verdict", "rule_ids")
    return [DecisionRow(*row) for row in cursor.after(Decision.objects.all()).values_list(*columns)[:MOST]]


def cycles_running(*, now: datetime) -> Running:
    """Return what runs at the wall time `now`. One query."""
    found = Cycle.objects.filter(status=Cycle.Status.RUNNING).aggregate(
        count=Count("pk"), overdue=Count("pk", filter=Q(lease_until__lt=now)), oldest=Min("began")
    )
    return Running(found["count"], found["overdue"], found["oldest"])


def approvals_awaiting() -> int:
    """Return how many entries wait for a person. One query."""
    return Approval.objects.filter(state=Approval.State.AWAITING).count()
