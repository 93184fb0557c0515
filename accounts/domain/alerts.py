"""Of what people are told: the kinds of events, and how grave they are. Pure."""

from __future__ import annotations

from enum import StrEnum


class Severity(StrEnum):
    """How grave an event is, from the least."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        return list(Severity).index(self)


class EventType(StrEnum):
    """What happened. A person chooses by these what reaches which channel."""

    FILL = "fill"
    STOP_HIT = "stop-hit"
    REFUSAL_STREAK = "refusal-streak"
    LIMIT_REACHED = "limit-reached"
    MISSING_PROTECTION = "missing-protection"
    RECONCILE_DIFFERENCE = "reconcile-difference"
    DATA_STALE = "data-stale"
    MODEL_FAILING = "model-failing"
    BUDGET_USED = "budget-used"
    LIQUIDATION_NEAR = "liquidation-near"
    HALT = "halt"
    SERVICE_LATE = "service-late"
    APPROVAL_WAITING = "approval-waiting"
    INCIDENT = "incident"
    TEST = "test"

    @property
    def label(self) -> str:
        return self.value.replace("-", " ")
