"""Cycles and the diary of a bot."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import Count, Min, Q, QuerySet

from accounts.models import Bot
from decisions.models import Cycle, DiaryEntry


def diary_of(bot: Bot, *, kind: str = "", symbol: str = "") -> QuerySet[DiaryEntry]:
    """Return the diary of a bot, newest first, of one kind or symbol where given."""
    wanted: dict[str, Any] = {name: value for name, value in (("kind", kind), ("symbol", symbol)) if value}
    return DiaryEntry.objects.filter(bot=bot, **wanted).order_by("-at", "-id")


def invocations_of(bot: Bot) -> tuple[datetime | None, int]:
    """Return since when (market time) the bot has been trading, None before its first cycle, and how often it has decided."""
    found = Cycle.objects.filter(bot=bot).aggregate(
        first=Min("scheduled_for"), done=Count("pk", filter=Q(status=Cycle.Status.DONE))
    )
    return found["first"], found["done"]
