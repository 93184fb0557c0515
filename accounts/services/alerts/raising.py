"""The writer of alerts: whom they concern, what is the same as before, and what has to leave for it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import wraps
from typing import Final

from celery import current_app
from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from accounts.domain.alerts import WINDOW, EventType, Severity, cut
from accounts.models import Account, Alert, AlertChannel, AlertDelivery, Bot, Incident, User
from vibex.lib.events import publish_to_person_on_commit
from vibex.lib.masking import mask_text

log = logging.getLogger(__name__)
SEND: Final = "accounts.tasks.alerts_send"
LONGEST_SUBJECT: Final = 120
_asking = threading.Lock()


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
    """Tell the owner of an account of something. Works inside a transaction; what is sent leaves after its commit.

    The same again (type, subject, bot) within ten minutes, not acknowledged, is counted on the first and not sent again,
    unless it is graver now. Takes hold of the account's row, as everybody does first.
    """
    with transaction.atomic():
        Account.objects.select_for_update(no_key=True).filter(pk=account.pk).values_list("pk").first()
        alert = Alert(user_id=account.owner_id, account=account, bot=bot, incident=incident)
        told = _tell(alert, type, severity, message, subject)
        publish_to_person_on_commit(user_id=account.owner_id, kind="alert", data={"id": told.pk})
    return told


def installation_alert(
    *,
    type: EventType,
    severity: Severity,
    message: str,
    subject: str = "",
    incident: Incident | None = None,
) -> list[Alert]:
    """Tell all active staff of something that belongs to no account."""
    with transaction.atomic():
        staff = User.objects.select_for_update(no_key=True).filter(is_staff=True, is_active=True).order_by("pk")
        return [_tell(Alert(user=person, incident=incident), type, severity, message, subject) for person in staff]


def person_alert(*, user: User, type: EventType, severity: Severity, message: str, subject: str = "") -> Alert:
    """Tell one person of something that belongs to no account, as who signs in as them."""
    with transaction.atomic():
        person = User.objects.select_for_update(no_key=True).get(pk=user.pk)
        told = _tell(Alert(user=person), type, severity, message, subject)
        publish_to_person_on_commit(user_id=person.pk, kind="alert", data={"id": told.pk})
    return told


def alert_acknowledge(*, alert: Alert, actor: User) -> bool:
    """Note that a person has seen an alert. Returns False when somebody has done so already."""
    return alerts_acknowledge(alerts=Alert.objects.filter(pk=alert.pk), actor=actor) == 1


def alerts_acknowledge(*, alerts: QuerySet[Alert], actor: User) -> int:
    """Note that a person has seen all of them; return how many nobody had seen before."""
    unseen = Alert.objects.filter(pk__in=alerts.order_by().values("pk"), acknowledged__isnull=True)
    return unseen.update(acknowledged=timezone.now(), acknowledged_by=actor)


def never_in_the_way[**P](tell: Callable[P, None]) -> Callable[P, None]:
    """Make a function that tells of something never undo, nor fail, what it tells of."""

    @wraps(tell)
    def told(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            with transaction.atomic():
                tell(*args, **kwargs)
        except Exception:
            log.exception("something could not be told: %s", tell.__name__)

    return told


def _tell(alert: Alert, type: EventType, severity: Severity, message: str, subject: str) -> Alert:
    """Store a new alert, or count it on the one that it repeats. The caller holds whom it concerns."""
    alert.type, alert.severity = type.value, severity.value
    alert.message, alert.subject = mask_text(message), cut(mask_text(subject), LONGEST_SUBJECT)
    known = _repeated(alert)
    if known is None:
        alert.last = alert.created
        alert.save(force_insert=True)
        _send(alert)
        return alert
    graver = severity.rank > Severity(known.severity).rank
    news = {"severity": alert.severity, "incident": alert.incident or known.incident} if graver else {}
    counted = {"count": F("count") + 1, "last": timezone.now(), "message": alert.message}
    Alert.objects.filter(pk=known.pk).update(**counted, **news)
    known.refresh_from_db()
    if graver:
        _send(known)
    return known


def _repeated(alert: Alert) -> Alert | None:
    """Return the alert that this one repeats. Incidents that are about nothing in particular differ by their words."""
    same = {"account": alert.account, "bot": alert.bot, "type": alert.type, "subject": alert.subject}
    if alert.incident is not None and not alert.subject:
        same["message"] = alert.message
    recent = Alert.objects.filter(user_id=alert.user_id, acknowledged__isnull=True, created__gt=alert.created - WINDOW)
    return recent.filter(**same).order_by("-created", "-pk").first()


def _send(alert: Alert) -> None:
    """Write what has to leave for an alert, and have it sent once this is committed."""
    # Held until the commit: a channel that is removed meanwhile would fail what the alert is about, there and then.
    channels = AlertChannel.objects.select_for_update(no_key=True).filter(user_id=alert.user_id, enabled=True)
    wanted = [
        channel
        for channel in channels.order_by("pk")
        if Severity(alert.severity).rank >= Severity(channel.min_severity).rank
        and (not channel.types or alert.type in channel.types)
    ]
    if wanted:
        AlertDelivery.objects.bulk_create(AlertDelivery(channel=channel, alert=alert) for channel in wanted)
        transaction.on_commit(send_soon, robust=True)


def send_soon() -> None:
    """Have a worker send what is waiting. Who raised the alert waits for no broker: the asking has a thread of its own.

    Where no worker can be reached, or one is being asked already, the schedule finds what was left.
    """
    if _asking.acquire(blocking=False):
        try:
            threading.Thread(target=_ask, name="alerts-ask", daemon=True).start()
        except RuntimeError:  # no thread can be had
            _asking.release()
            raise


def _ask() -> None:
    try:
        current_app.send_task(SEND, retry=False)
    except Exception:
        log.exception("alerts wait for the schedule: no worker could be asked to send them")
    finally:
        _asking.release()
