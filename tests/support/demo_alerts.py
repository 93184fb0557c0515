"""Alerts and channels for the pages that show them. Written as rows, so that nothing is sent and no messenger is loaded."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from accounts.domain.alerts import EventType, Severity
from accounts.models import Account, Alert, AlertChannel, AlertDelivery
from accounts.services.sealing import sealed

TOLD = [
    (EventType.FILL, Severity.INFO, "BTCUSDT vx1", "Bought 0.012 BTCUSDT at 70544.8.", 1),
    (EventType.STOP_HIT, Severity.WARNING, "ETHUSDT position 2", "ETHUSDT long was closed at 2041.3 (stop): -18.40 USDT after fees and funding.", 1),
    (EventType.DATA_STALE, Severity.WARNING, "XRPUSDT", "trend opens nothing on XRPUSDT until its data is good again: the price is 41 s old.", 3),
    (EventType.MISSING_PROTECTION, Severity.CRITICAL, "", "SOLUSDT has no stop on the exchange: one is placed.", 1),
    (EventType.LIMIT_REACHED, Severity.CRITICAL, "loss.day", "The account opens nothing any more until you lift the lock: 3.1 % of the day's equity is lost, 3 % may be.", 1),
]  # fmt: skip


def alerts(account: Account) -> None:
    """Tell the owner of an account of some things: one repeats, one is acknowledged, and the desk did not answer."""
    owner, now = account.owner, timezone.now()
    desk = _channel(account, "desk", "json", "json://127.0.0.1:9/…", per_hour=10)
    phone = _channel(account, "phone", "tgram", "tgram://1...p/12315544/", min_severity=Severity.ERROR.value)
    for number, (kind, severity, subject, message, count) in enumerate(TOLD):
        alert = Alert.objects.create(
            user=owner, account=account, type=kind.value, severity=severity.value, subject=subject, message=message,
            count=count, created=now - timedelta(minutes=50 - 9 * number), last=now - timedelta(minutes=48 - 9 * number),
        )  # fmt: skip
        if severity is Severity.INFO:
            Alert.objects.filter(pk=alert.pk).update(acknowledged=now, acknowledged_by=owner)
            continue
        AlertDelivery.objects.create(
            channel=desk, alert=alert, attempts=1, due=now + timedelta(days=1),
            error="A Connection error occurred sending JSON notification to 127.0.0.1.",
        )  # fmt: skip
        if severity is Severity.CRITICAL:
            AlertDelivery.objects.create(channel=phone, alert=alert, attempts=1, state="sent", sent=alert.last)


def _channel(account: Account, name: str, kind: str, shown: str, **fields: object) -> AlertChannel:
    url = (
        "json://127.0.0.1:9/alerts"
        if kind == "json"
        else "tgram://123456789:AAbbCCdd-EEffGGhhIIjjKKllMMnnOOpp/12315544/"
    )
    secret = sealed({"user": account.owner_id, "url": url})
    return AlertChannel.objects.create(user=account.owner, name=name, kind=kind, shown=shown, sealed=secret, **fields)
