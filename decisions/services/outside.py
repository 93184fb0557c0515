"""Texts from outside that a bot may be shown: notes of a person, news. Kept as they came; shown cut, quoted and fenced."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from django.db import transaction
from django.utils import timezone

from accounts.models import Bot, User
from accounts.services import audit_write
from decisions.models import OutsideText
from vibex.lib.errors import Rejected

LONGEST: Final = 4_000


def outside_text_add(
    *, bot: Bot, source: str, text: str, until: datetime | None = None, author: User | None = None
) -> OutsideText:
    """Keep a text for a bot, to be shown until then; without an end for a day.

    It is shown only where FEATURE_EXTERNAL_TEXT is on and the bot allows it. Raises Rejected for one that is over
    already, says nothing or is too long, ValidationError for a source that is.
    """
    if not text.strip() or not source.strip():
        raise Rejected("A text from outside needs words, and somebody who says them.", code="empty_text")
    if len(text) > LONGEST:
        raise Rejected(f"Keep it to {LONGEST} characters: a prompt shows the first 500.", code="too_long")
    if until is not None and until <= timezone.now():
        raise Rejected("It would be over before it is shown: choose a later end.", code="over_already")
    row = OutsideText(bot=bot, source=source.strip(), text=text.strip(), until=until, author=author)
    row.full_clean()
    with transaction.atomic():
        row.save(force_insert=True)
        if author is not None:
            audit_write(actor=author, action="outside-text-add", obj=row, after={"bot": bot.pk, "source": row.source})
    return row


def outside_text_end(*, text: OutsideText, actor: User) -> OutsideText:
    """Show a text no more from now on. One that is over stays as it is."""
    now = timezone.now()
    with transaction.atomic():
        unended = OutsideText.objects.filter(pk=text.pk).exclude(until__lte=now)
        if unended.update(until=now):
            audit_write(actor=actor, action="outside-text-end", obj=text, after={"until": now.isoformat()})
    text.refresh_from_db()
    return text
