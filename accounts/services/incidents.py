"""The writer of incidents."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts.domain.alerts import told_as
from accounts.models import Account, Incident
from accounts.services.alerts import alert_raise, installation_alert, never_in_the_way
from accounts.services.audit import Actor, audit_write
from vibex.lib.events import publish_on_commit


def incident_open(
    *,
    account: Account | None,
    kind: str,
    text: str,
    severity: str = Incident.Severity.ERROR,
    subject: str = "",
    data: dict[str, Any] | None = None,
) -> Incident:
    """Open an incident, or return the one that is open with the same account, kind and text. People are told of a new one.

    With a `subject` (a symbol, a client id) the one about the same subject: its figures may change from look to look.
    """
    told = {**(data or {}), **({"subject": subject} if subject else {})}
    same = {"data__subject": subject} if subject else {"text": text}
    with transaction.atomic():
        _queue_behind_others(account)
        known = Incident.objects.filter(account=account, kind=kind, resolved__isnull=True, **same).first()
        if known:
            return known
        incident = Incident.objects.create(account=account, kind=kind, text=text, severity=severity, data=told)
        _announce(incident)
        _alert(incident, account, subject)
    return incident


def incidents_mended(*, account: Account | None, kind: str, subject: str = "") -> int:
    """Resolve the open incidents of a kind (about a subject), because it was proved that they are over."""
    found = Incident.objects.filter(account=account, kind=kind, resolved__isnull=True)
    if subject:
        found = found.filter(data__subject=subject)
    return sum(incident_resolve(incident=incident) for incident in found)


def incident_resolve(*, incident: Incident, actor: Actor = None, at: datetime | None = None, reason: str = "") -> bool:
    """Resolve an incident. Returns False when somebody else has done so already."""
    with transaction.atomic():
        open_one = Incident.objects.filter(pk=incident.pk, resolved__isnull=True)
        if open_one.update(resolved=at or timezone.now()) != 1:
            return False
        if actor is not None:
            why = {"reason": reason} if reason else {}
            audit_write(actor=actor, action="incident-resolve", obj=incident, after=why)
        _announce(incident)
    return True


def _announce(incident: Incident) -> None:
    if incident.account_id is not None:
        publish_on_commit(account_id=incident.account_id, kind="incident", data={"id": incident.pk})


@never_in_the_way
def _alert(incident: Incident, account: Account | None, subject: str) -> None:
    """Tell the owner of the account, or all staff where there is none. What is resolved is not told again."""
    event, severity = told_as(incident.kind, incident.severity)
    about = f"{incident.kind} {subject}" if subject else ""
    if account is None:
        installation_alert(type=event, severity=severity, message=incident.text, subject=about, incident=incident)
    else:
        alert_raise(
            account=account, type=event, severity=severity, message=incident.text, subject=about, incident=incident
        )


def _queue_behind_others(account: Account | None) -> None:
    """Let two openers of one account's incident go one after the other (SQLite does so by itself)."""
    if account is not None:
        Account.objects.select_for_update(no_key=True).filter(pk=account.pk).values_list("pk").first()
