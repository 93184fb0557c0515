"""What leaves over the channels: each message by one sender, tried again with growing waits, so many within an hour.

Who sends takes a message in hand by moving its `due` ahead, which only one can (compare-and-swap). One who dies in the
middle leaves it so; when the time is over another one takes it, and the person may then read it twice.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import transaction
from django.db.models import Count, QuerySet
from django.utils import timezone

from accounts.domain.alerts import (
    HOUR,
    LONGEST_ERROR,
    EventType,
    Severity,
    Telling,
    body_of,
    cut,
    hour_is_free,
    title_of,
    wait_after,
)
from accounts.models import Alert, AlertChannel, AlertDelivery, User
from accounts.services.alerts.channels import channel_address
from vibex.lib.errors import NeedsOperator, Rejected
from vibex.lib.masking import mask_text

log = logging.getLogger(__name__)
IN_HAND: Final = timedelta(minutes=10)
"""How long a sender has; longer than any messenger takes to answer or to give up."""
AT_ONCE: Final = 500
State = AlertDelivery.State
_one_sender = threading.Lock()
"""One thread of a process sends: however slow a messenger is, the others are there for trading."""


@dataclass(frozen=True, slots=True)
class Message:
    """What one sender has in hand: the delivery that is told, and others that are told along with it."""

    channel: AlertChannel
    lead: AlertDelivery
    others: tuple[AlertDelivery, ...] = ()

    @property
    def rows(self) -> QuerySet[AlertDelivery]:
        """Return what is still in hand of this sender."""
        keys = [self.lead.pk, *(other.pk for other in self.others)]
        return AlertDelivery.objects.filter(pk__in=keys, state=State.SENDING, due=self.lead.due)


def deliveries_send() -> int:
    """Send what is due, oldest first; return how many messages were accepted.

    A channel over which something failed is left alone for the rest of this round. In a process that sends already
    nothing is done: that one looks again before it ends.
    """
    if not _one_sender.acquire(blocking=False):
        return 0
    try:
        return _send_all()
    finally:
        _one_sender.release()


def channel_test(*, channel: AlertChannel, actor: User) -> AlertDelivery:
    """Send a message over a channel at once, and return how that went. Raises Rejected when the hour is used up."""
    now = timezone.now()
    with transaction.atomic():
        AlertChannel.objects.select_for_update(no_key=True).get(pk=channel.pk)
        if not hour_is_free(_told_within(channel, now), channel.per_hour, now):
            raise Rejected(
                f"{channel.per_hour} messages were sent within the hour: wait, or raise the number.", code="hour"
            )
        alert = Alert.objects.create(
            user=channel.user,
            type=EventType.TEST.value,
            severity=Severity.INFO.value,
            subject=channel.name,
            message=f"This is a test of the channel {channel.name}. Alerts of Vibex will look like this.",
            acknowledged=now,
            acknowledged_by=actor,
        )
        delivery = AlertDelivery.objects.create(
            channel=channel, alert=alert, state=State.SENDING, attempts=1, due=now + IN_HAND
        )
    error = _sent(Message(channel, delivery))
    AlertDelivery.objects.filter(pk=delivery.pk).update(
        state=State.FAILED if error else State.SENT, sent=None if error else timezone.now(), error=error
    )
    delivery.refresh_from_db()
    return delivery


def _send_all() -> int:
    accepted, failed = 0, set[int]()
    while (first := _first_due(failed)) is not None:
        message = _take(first)
        if message is None:
            continue
        error = _sent(message)
        _note(message, error)
        if error:
            failed.add(message.channel.pk)
        else:
            accepted += 1
    return accepted


def _first_due(without: set[int]) -> AlertDelivery | None:
    due = AlertDelivery.objects.filter(state__in=(State.WAITING, State.HELD, State.SENDING), due__lte=timezone.now())
    return due.exclude(channel_id__in=without).select_related("alert").order_by("due", "pk").first()


def _take(first: AlertDelivery) -> Message | None:
    """Take a message in hand. None when somebody else did, or when it may not leave yet."""
    now = timezone.now()
    with transaction.atomic():
        # One decision about the hour of a channel at a time.
        channels = AlertChannel.objects.select_for_update(no_key=True, of=("self",)).select_related("user")
        channel = channels.filter(pk=first.channel_id).first()
        if channel is None:
            return None  # removed, and what was on its way with it
        mine = AlertDelivery.objects.filter(pk=first.pk, state=first.state, due=first.due, attempts=first.attempts)
        if not channel.enabled or not channel.user.is_active:
            mine.update(state=State.FAILED, error="The channel is switched off.")
            return None
        told = _told_within(channel, now)
        passes = first.state != State.HELD and first.alert.severity == Severity.CRITICAL.value
        if not passes and not hour_is_free(told, channel.per_hour, now):
            why = f"{channel.per_hour} messages were sent within the hour: it is told with others."
            _ordinary(channel).update(state=State.HELD, due=told[0] + HOUR, error=why)
            return None
        until = now + IN_HAND
        if mine.update(state=State.SENDING, due=until, attempts=first.attempts + 1) != 1:
            return None
        others = _held(channel) if first.state == State.HELD else ()
        taken = AlertDelivery.objects.filter(pk__in=[other.pk for other in others], state=State.HELD)
        taken.update(state=State.SENDING, due=until, attempts=first.attempts + 1)
    rows = AlertDelivery.objects.select_related("alert__account", "alert__bot")
    named = rows.in_bulk([first.pk, *(other.pk for other in others)])
    gravest = sorted(named.values(), key=lambda each: (Severity(each.alert.severity).rank, each.pk), reverse=True)
    return Message(channel, gravest[0], tuple(gravest[1:]))


def _told_within(channel: AlertChannel, now: datetime) -> list[datetime]:
    """Return when the messages left that count for the hour, oldest first; those being sent count as now."""
    rows = AlertDelivery.objects.filter(channel=channel)
    sent = rows.filter(state=State.SENT, sent__gt=now - HOUR).order_by("sent").values_list("sent", flat=True)
    sending = rows.filter(state=State.SENDING, due__gt=now).aggregate(messages=Count("due", distinct=True))["messages"]
    return [at for at in sent if at is not None] + [now] * sending


def _ordinary(channel: AlertChannel) -> QuerySet[AlertDelivery]:
    """Return what waits for a channel and has to keep to its hour."""
    waiting = AlertDelivery.objects.filter(channel=channel, state__in=(State.WAITING, State.HELD))
    grave = waiting.filter(state=State.WAITING, alert__severity=Severity.CRITICAL.value)
    return waiting.exclude(pk__in=grave.values("pk"))


def _held(channel: AlertChannel) -> Sequence[AlertDelivery]:
    """Return what was held back: the rest of it leaves with the next one."""
    return list(AlertDelivery.objects.filter(channel=channel, state=State.HELD).order_by("pk")[:AT_ONCE])


def _sent(message: Message) -> str:
    """Send it. Returns nothing when it was accepted, else why not."""
    from accounts.services.alerts.outgoing import message_send

    alert = message.lead.alert
    told = telling_of(alert)
    try:
        return message_send(
            channel_address(message.channel),
            title=title_of(told),
            body=body_of(told, others=[telling_of(other.alert) for other in message.others], link=link_to(alert)),
            severity=told.severity,
            private=message.channel.user.is_staff,
        )
    except NeedsOperator as fault:
        return cut(mask_text(str(fault)), LONGEST_ERROR)


def _note(message: Message, error: str) -> None:
    """Store how it went, unless it took so long that another sender has it in hand by now."""
    now = timezone.now()
    with transaction.atomic():
        if not error:
            lead = message.rows.filter(pk=message.lead.pk)
            message.rows.exclude(pk=message.lead.pk).update(state=State.JOINED, sent=now, error="")
            lead.update(state=State.SENT, sent=now, error="")
            return
        wait = wait_after(message.lead.attempts)
        again = State.HELD if message.others else State.WAITING
        message.rows.update(state=again if wait else State.FAILED, due=now + (wait or timedelta()), error=error)
    log.warning("a message over the channel %s was not sent: %s", message.channel.pk, error)


def telling_of(alert: Alert) -> Telling:
    """Return an alert as it is put into words."""
    return Telling(
        type=EventType(alert.type),
        severity=Severity(alert.severity),
        message=alert.message,
        account=alert.account.name if alert.account else "",
        badge=alert.account.badge if alert.account else "",
        bot=alert.bot.name if alert.bot else "",
        count=alert.count,
        since=alert.created,
    )


def link_to(alert: Alert) -> str:
    """Return the address of an alert on the pages; nothing where nobody said how they are reached."""
    return f"{settings.PUBLIC_URL}/alerts/?seen=all#alert-{alert.pk}" if settings.PUBLIC_URL else ""
