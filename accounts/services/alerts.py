"""The writer of alerts: what the owner of an account is told of."""

from __future__ import annotations

from accounts.domain.alerts import EventType, Severity
from accounts.models import Account, Alert, Bot, Incident
from vibex.lib.events import publish_on_commit


def alert_raise(
    *,
    account: Account,
    type: EventType,
    severity: Severity,
    message: str,
    subject: str = "",
    bot: Bot | None = None,
    incident: Incident | None = None,
) -> Alert:
    """Tell the owner of an account of something. Works inside a transaction; what is sent leaves after its commit."""
    alert = Alert.objects.create(
        user_id=account.owner_id,
        account=account,
        bot=bot,
        incident=incident,
        type=type.value,
        severity=severity.value,
        subject=subject,
        message=message,
    )
    publish_on_commit(account_id=account.pk, kind="alert", data={"id": alert.pk})
    return alert
