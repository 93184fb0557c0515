"""The versions of the prompt templates, and the texts from outside that a bot is shown."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts.models import Bot
from decisions.domain.question import Outside
from decisions.models import OutsideText, PromptTemplate

OUTSIDE_TEXTS: Final = 5
"""How many texts from outside a prompt holds, the newest."""
SHOWN_FOR: Final = timedelta(days=1)
"""How long a text is shown that says nothing else."""


def prompt_template_text(name: str, version: int | None = None) -> str | None:
    """Return this version of a template, the newest without one; None when there is none: no other takes its place."""
    rows = PromptTemplate.objects.filter(name=name)
    if version is not None:
        rows = rows.filter(version=version)
    return rows.order_by("-version").values_list("text", flat=True).first()


def outside_of(bot: Bot, *, now: datetime | None = None) -> tuple[Outside, ...]:
    """Return the texts from outside that a bot is shown at the wall time `now`, oldest first: none unless it may be."""
    if not (settings.FEATURE_EXTERNAL_TEXT and bot.outside_text):
        return ()
    newest = outside_current(bot, now=now).order_by("-at", "-pk")[:OUTSIDE_TEXTS]
    return tuple(Outside(row.source, row.text, row.at) for row in reversed(newest))


def outside_current(bot: Bot, *, now: datetime | None = None) -> QuerySet[OutsideText]:
    """Return the texts of a bot that are not over yet."""
    now = now or timezone.now()
    unending = Q(until__isnull=True, at__gt=now - SHOWN_FOR)
    return OutsideText.objects.filter(Q(until__gt=now) | unending, bot=bot, at__lte=now)


def prompt_templates() -> QuerySet[PromptTemplate]:
    """Return the versions of all templates with their authors, by name, the newest first."""
    return PromptTemplate.objects.select_related("author").order_by("name", "-version")
