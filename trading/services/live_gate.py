"""The gate before real money: what it sees of an account, who opened it and when, and who closed it again.

What has to be so is in `trading/domain/live_gate.py`. A testnet has no gate: it never counts as live.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast

from django.conf import settings
from django.db import transaction
from django.db.models import Max, Min
from django.utils import timezone

from accounts.models import Account, AuditEntry, Incident, LiveApproval, RiskLimits, User
from accounts.services import audit_write
from accounts.services.credentials import keys_of, kind_of, public_part
from decisions.models import Cycle, Decision
from marketdata.models import Feed
from marketdata.services.venues import ASTER_TESTNET, TESTNET_IS_REAL, testnet_is_real
from trading.domain.live_gate import (
    Compared,
    Condition,
    GateFacts,
    Measure,
    PaperRecord,
    conditions_of,
    open_of,
)
from trading.models import Reconciliation
from vibex.lib.errors import NeedsOperator, Rejected
from vibex.lib.events import publish_on_commit

PERMISSION: Final = "accounts.trade_live"
LOOKED_AT: Final = ("limits-change", "limits-confirm")
"""Audit actions after which somebody has seen the limits of an account."""
SWITCHED_OFF: Final = "Live trading is switched off: set FEATURE_LIVE_TRADING=yes and restart."


@dataclass(frozen=True, slots=True)
class GateView:
    """The gate of an account as it is now. An account that needs none has no conditions."""

    account: Account
    conditions: tuple[Condition, ...]
    approval: LiveApproval | None
    """The one that nobody has taken back."""
    void: str = ""
    """Why the account may open nothing, approval or not; empty when it may."""

    @property
    def open(self) -> tuple[Condition, ...]:
        """The conditions that are not met."""
        return open_of(self.conditions)

    @property
    def evidence(self) -> dict[str, Any]:
        """What the gate sees, as an approval keeps it."""
        told = {one.name: {"met": one.met, "text": one.text} for one in self.conditions}
        measure = {"days": settings.LIVE_GATE_DAYS, "decisions": settings.LIVE_GATE_DECISIONS}
        return {"conditions": told, **measure, "signs": _signs(self.account)}


def live_allowed(account: Account) -> str:
    """Return why an account may not open positions now; empty when it may. Nothing ever asks it for a close.

    One query, of an account whose keys are in variables some more.
    """
    if account.market == ASTER_TESTNET and account.live and testnet_is_real():
        return TESTNET_IS_REAL
    if not account.real:
        return ""
    if not settings.FEATURES.live_trading:
        return SWITCHED_OFF
    approvals = LiveApproval.objects.filter(account_id=account.pk, revoked__isnull=True)
    found = approvals.values_list("at", "account__credentials__updated", "evidence__signs").first()
    if found is None:
        return (
            f"Nobody has let {account.name} trade with real money: the account's page in the admin is where to do so."
        )
    approved, keys_entered, signs = cast("tuple[datetime, datetime | None, Any]", found)
    # An account without a row of keys takes them from variables, which know no time: those it was let trade with count.
    changed = signs != _signs(account, stored=False) if keys_entered is None else keys_entered > approved
    if changed:
        return f"The keys of {account.name} were changed after somebody let it trade with real money: let it again."
    return ""


def live_gate_of(account: Account) -> GateView:
    """Return every condition for an account to trade with real money, and the approval that holds."""
    if not account.real:
        return GateView(account, (), None, live_allowed(account))
    measure = Measure(settings.LIVE_GATE_DAYS, settings.LIVE_GATE_DECISIONS)
    conditions = conditions_of(_facts_of(account), measure, now=timezone.now())
    return GateView(account, conditions, _approval_of(account), live_allowed(account))


def live_approve(*, account: Account, typed_name: str, actor: User) -> LiveApproval:
    """Let an account trade with real money, and keep who did it, when, and what the gate saw.

    Raises Rejected for a person without the permission, another name than the account's, an account that needs no
    approval or has one, and while any condition is open.
    """
    if not actor.has_perm(PERMISSION):
        raise Rejected(f"{actor} may not let an account trade with real money ({PERMISSION}).", code="permission")
    if not account.real:
        raise Rejected(f"{account.name} has no real money: it needs no approval.", code="not_real")
    if typed_name != account.name:
        raise Rejected(f"Type the name of the account exactly as it is: {account.name}.", code="name")
    with transaction.atomic():
        _queue_behind_others(account)
        gate = live_gate_of(account)
        if gate.approval and not gate.void:
            raise Rejected(f"{account.name} is approved already, by {gate.approval.actor}.", code="approved")
        if gate.open:
            raise Rejected(f"Not yet: {'; '.join(one.text for one in gate.open)}.", code="gate")
        if gate.approval:
            _end(gate.approval, actor)
        approval = LiveApproval.objects.create(account=account, actor=actor, evidence=gate.evidence)
        audit_write(actor=actor, action="live-approve", obj=account, after=gate.evidence)
        publish_on_commit(account_id=account.pk, kind="account")
    return approval


def live_revoke(*, account: Account, actor: User, reason: str) -> LiveApproval:
    """Let an account open nothing any more; what is open stays protected and may be closed.

    Raises Rejected without a reason, and for an account without an approval.
    """
    if not reason.strip():
        raise Rejected("Say why it shall stop.", code="reason")
    with transaction.atomic():
        _queue_behind_others(account)
        approval = _approval_of(account)
        if approval is None:
            raise Rejected(f"{account.name} has no approval that could be taken back.", code="not_approved")
        _end(approval, actor)
        audit_write(actor=actor, action="live-revoke", obj=account, after={"reason": reason.strip()})
        publish_on_commit(account_id=account.pk, kind="account")
    return approval


def _queue_behind_others(account: Account) -> None:
    """Let two persons' clicks go one after the other."""
    Account.objects.select_for_update(no_key=True).filter(pk=account.pk).values_list("pk").first()


def _end(approval: LiveApproval, actor: User) -> None:
    approval.revoked, approval.revoked_by = timezone.now(), actor
    approval.save(update_fields=["revoked", "revoked_by"])


def _approval_of(account: Account) -> LiveApproval | None:
    return LiveApproval.objects.filter(account=account, revoked__isnull=True).select_related("actor").first()


def _facts_of(account: Account) -> GateFacts:
    paper = account.promoted_from
    both = [account, paper] if paper else [account]
    return GateFacts(
        market=account.market,
        feature_on=settings.FEATURES.live_trading,
        paper=_record_of(paper) if paper else None,
        incidents=_incidents_of(both),
        limits_seen_by=_limits_seen_by(account),
        keys_missing=_keys_missing(account),
        compared=_compared(account),
    )


def _record_of(paper: Account) -> PaperRecord:
    whole = Cycle.objects.filter(account=paper, status=Cycle.Status.DONE).aggregate(
        first=Min("began"), last=Max("ended")
    )
    live_prices = Feed.objects.filter(venue=paper.market, kind=Feed.Kind.LIVE).exists()
    made = Decision.objects.filter(cycle__account=paper, kind=Decision.Kind.LIVE).count()
    return PaperRecord(paper.name, paper.market, live_prices, whole["first"], whole["last"], made)


def _incidents_of(accounts: list[Account]) -> tuple[str, ...]:
    found = Incident.objects.filter(account__in=accounts, resolved__isnull=True).order_by("-opened")
    return tuple(f"{name}: {text[:120]}" for name, text in found.values_list("account__name", "text"))


def _limits_seen_by(account: Account) -> str:
    """Return who looked at the limits as they are now: a program that changed them since makes that void."""
    limits = RiskLimits.objects.filter(account=account).values_list("pk", flat=True).first()
    looks = AuditEntry.objects.filter(
        object_type=RiskLimits._meta.label_lower, object_id=str(limits), action__in=LOOKED_AT
    ).select_related("actor")
    newest = looks.order_by("-at", "-pk").first()
    return str(newest.actor) if newest and newest.actor else ""


def _signs(account: Account, *, stored: bool = True) -> dict[str, Any] | None:
    """Return what may be shown of the keys that an account signs with; None where it has none."""
    try:
        keys = keys_of(account, stored=stored)
    except (NeedsOperator, Rejected):
        return None
    return {"kind": kind_of(keys), **public_part(keys)}


def _keys_missing(account: Account) -> str:
    try:
        keys_of(account)
    except (NeedsOperator, Rejected) as missing:
        return str(missing)
    return ""


def _compared(account: Account) -> Compared | None:
    newest = Reconciliation.objects.filter(account=account).order_by("-at", "-pk").first()
    return Compared(newest.at, newest.agreed, len(newest.left)) if newest else None
