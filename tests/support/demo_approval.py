"""An entry of the demo bot that waits for its owner."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from decisions.models import Approval, Cycle, Decision

WHY = (
    "EMA20 1.4168 crossed above EMA50 1.4131 on 15m with ADX 24.1 rising, and funding is paid to longs. Stop below the "
    "last swing low, target at the high of Tuesday."
)


def waiting(cycle: Cycle, *, now: datetime) -> Approval:
    """Let a cycle of the demo end with an entry that waits for two hours, longer than any real one."""
    Cycle.objects.filter(pk=cycle.pk).update(status=Cycle.Status.AWAITING)
    decision = Decision.objects.create(
        cycle=cycle, bot=cycle.bot, sequence=9, symbol="XRPUSDT", action="buy_to_enter", justification=WHY,
        asked_quantity=Decimal("2400"), asked_leverage=3, stop_loss=Decimal("1.3902"), profit_target=Decimal("1.4711"),
        risk_usd=Decimal("61.20"), confidence=0.71, verdict="reduced", quantity=Decimal("1870.2"), leverage=3,
        rule_ids=["size.risk"], at=cycle.scheduled_for,
        hits=[{
            "rule": "size.risk", "effect": "reduced", "numbers": {"from": "2400", "allowed": "1870.2"},
            "text": "Reduced from 2400 to 1870.2: the stop may lose 0.50% of equity, fees and slippage included.",
        }],
    )  # fmt: skip
    return Approval.objects.create(decision=decision, until=now + timedelta(hours=2))
