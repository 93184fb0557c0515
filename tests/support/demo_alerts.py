"""Alerts and a channel for the pages that show them."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from accounts.domain.alerts import EventType, Severity
from accounts.models import Account, Alert, AlertDelivery, User
from accounts.services import alert_raise, incident_open
from accounts.services.alerts.channels import channel_save

TOLD = [
    (EventType.FILL, Severity.INFO, "BTCUSDT vx1", "Bought 0.012 BTCUSDT at 70544.8."),
    (EventType.STOP_HIT, Severity.WARNING, "ETHUSDT position 2", "ETHUSDT long was closed at 2041.3 (stop): -18.40 USDT after fees and funding."),
    (EventType.DATA_STALE, Severity.WARNING, "XRPUSDT", "trend opens nothing on XRPUSDT until its data is good again: the price is 41 s old."),
    (EventType.LIMIT_REACHED, Severity.CRITICAL, "loss.day", "paper opens nothing any more until you lift the lock: 3.1 % of the day's equity is lost, 3 % may be."),
]  # fmt: skip


def alerts(account: Account) -> None:
    """Tell the owner of an account of some things; two repeat, one is acknowledged, one did not get through."""
    owner = User.objects.get(pk=account.owner_id)
    url = "tgram://123456789:AAbbCCdd-EEffGGhhIIjjKKllMMnnOOpp/12315544/"
    phone = channel_save(user=owner, actor=owner, name="phone", url=url, min_severity=Severity.ERROR)
    hook = channel_save(user=owner, actor=owner, name="desk", url="json://127.0.0.1:9/alerts", per_hour=10)
    for kind, severity, subject, message in TOLD:
        for _ in range(3 if kind is EventType.DATA_STALE else 1):
            alert = alert_raise(account=account, type=kind, severity=severity, subject=subject, message=message)
        AlertDelivery.objects.filter(alert=alert, channel=phone).update(state="sent", sent=timezone.now())
    incident_open(
        account=account, kind="no-stop", subject="SOLUSDT", severity="critical",
        text="SOLUSDT has no stop on the exchange: one is placed.",
    )  # fmt: skip
    AlertDelivery.objects.filter(channel=phone, state="waiting").update(state="sent", sent=timezone.now())
    AlertDelivery.objects.filter(channel=hook).update(
        due=timezone.now() + timedelta(days=1), attempts=1,
        error="A Connection error occurred sending JSON notification to 127.0.0.1.",
    )  # fmt: skip
    Alert.objects.filter(type="fill").update(acknowledged=timezone.now(), acknowledged_by=owner)
