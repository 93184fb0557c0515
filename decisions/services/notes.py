"""Notes that people write into the diary of a bot. Like every line of it they stay: nobody edits or removes them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.db import transaction

from accounts.models import Bot, User
from accounts.services import audit_write
from decisions.models import DiaryEntry
from decisions.services.recording import diary_write
from marketdata.selectors import market_clock
from vibex.lib.clock import WallClock
from vibex.lib.errors import Rejected, VibexError

LONGEST: Final = 2_000
"""Characters of a note."""
LATELY: Final = timedelta(days=1)
"""So far back (market time) the note of a form that is sent again is looked for."""


def note_write(*, bot: Bot, author: User, text: str, symbol: str = "", form: str = "") -> DiaryEntry:
    """Write a note at the present market time; who wrote it is kept beside it and in the audit trail.

    The same `form` sent again, as by a double click, returns the note that there is. No model is told of notes.
    Raises Rejected for an empty or too long text, and for a symbol that the bot does not trade.
    """
    text = text.replace("\r\n", "\n").strip()
    if not text:
        raise Rejected("A note needs some words.", code="text")
    if len(text) > LONGEST:
        raise Rejected(f"The note has {len(text):,} characters: {LONGEST:,} are room for.", code="text")
    if symbol and symbol not in bot.symbols:
        raise Rejected(f"{bot.name} does not trade {symbol[:30]}.", code="symbol")
    at = _market_now(bot)
    with transaction.atomic():
        # One form at a time. No key: else every row that is written of the bot meanwhile would wait.
        Bot.objects.select_for_update(no_key=True).filter(pk=bot.pk).values_list("pk").first()
        return _written_before(bot, form, at) or _write(bot, author, text, symbol, form, at)


def _written_before(bot: Bot, form: str, at: datetime) -> DiaryEntry | None:
    if not form:
        return None
    notes = DiaryEntry.objects.filter(bot=bot, at__gte=at - LATELY, kind=DiaryEntry.Kind.NOTE)
    return notes.filter(data__form=form).first()


def _write(bot: Bot, author: User, text: str, symbol: str, form: str, at: datetime) -> DiaryEntry:
    data = {"author": author.pk} | ({"form": form} if form else {})
    kind = DiaryEntry.Kind.NOTE
    entry = diary_write(bot=bot, cycle=None, at=at, kind=kind, symbol=symbol, text=text, data=data)
    audit_write(actor=author, action="diary-note", obj=bot, after={"entry": entry.pk})
    return entry


def _market_now(bot: Bot) -> datetime:
    """Return the market's time, or that on the wall: a note can be written also when the market is gone."""
    try:
        return market_clock(bot.account.market).now()
    except VibexError:
        return WallClock().now()
