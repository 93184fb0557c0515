"""Cycles and the diary of a bot."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import Min, QuerySet

from accounts.models import Bot
from decisions.models import Cycle, DiaryEntry


def diary_of(bot: Bot, *, kind: str = "", symbol: str = "") -> QuerySet[DiaryEntry]:
    """Return the diary of a bot, newest first, of one kind or symbol where given."""
    wanted: dict[str, Any] = {name: value for name, value in (("kind", kind), ("symbol", symbol)) if value}
    return DiaryEntry.objects.filter(bot=bot, **wanted).order_by("-at", "-id")


def first_cycle_at(bot: Bot) -> datetime | None:
    """Return the candle close of the bot's first cycle, in market time: since when it has been trading."""
    first: datetime | None = Cycle.objects.filter(bot=bot).aggregate(at=Min("scheduled_for"))["at"]
    return first


def last_invocation_count(bot: Bot) -> int:
    """Return how many times the bot has decided."""
    return Cycle.objects.filter(bot=bot, status=Cycle.Status.DONE).count()
