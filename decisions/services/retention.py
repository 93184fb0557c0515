"""What goes of what models were told: the texts of old prompts, and the counters of asking that nobody needs any more.

The row of a call stays for good, with digest, reply, tokens, cost and outcome.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any, Final

from django.db.models import Q, QuerySet
from django.utils import timezone

from decisions.models import AskBucket, AskPlace, Interaction, OutsideText, SpendDay
from decisions.services.tills_database import KEPT as TILLS_KEPT
from vibex.lib.retention import Rule, days_before, deleting, each_batch

DAY: Final = timedelta(days=1)
SLACK: Final = 2 * DAY
"""A day in the time zone of an account ends up to a day later than in UTC."""


def _prompts() -> QuerySet[Any]:
    told = ~Q(user_prompt="") | ~Q(system_prompt="")
    return Interaction.objects.filter(told, at__lt=days_before("PROMPT_RETENTION_DAYS"))


def _blank(rows: QuerySet[Any]) -> int:
    return rows.update(system_prompt="", user_prompt="")


def _outside_texts() -> QuerySet[Any]:
    before, over = days_before("PROMPT_RETENTION_DAYS"), Q(until__lt=timezone.now()) | Q(until__isnull=True)
    return OutsideText.objects.filter(over, at__lt=before)


def _places() -> QuerySet[Any]:
    return AskPlace.objects.filter(until__lt=time.time() - DAY.total_seconds())


def _buckets() -> QuerySet[Any]:
    return AskBucket.objects.filter(at__lt=time.time() - DAY.total_seconds())


def _spend_days() -> QuerySet[Any]:
    return SpendDay.objects.filter(day__lt=(timezone.now() - TILLS_KEPT - SLACK).date())


RULES: Final = (
    Rule(
        "decisions.Interaction",
        "texts of prompts; the call itself stays",
        "PROMPT_RETENTION_DAYS",
        lambda: _prompts().count(),
        lambda: each_batch(_prompts, _blank),
    ),
    deleting("decisions.OutsideText", "texts from outside", "PROMPT_RETENTION_DAYS", _outside_texts),
    deleting("decisions.AskPlace", "places of requests that are over", "a day", _places),
    deleting("decisions.AskBucket", "turns that have long been full again", "a day", _buckets),
    deleting("decisions.SpendDay", "counters of days that are over", "9 days", _spend_days),
)
"""Of each table what goes, in the order in which it goes."""
