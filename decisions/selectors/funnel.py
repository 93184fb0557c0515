"""Where the questions and proposals of bots ended, for a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.models import Q

from accounts.models import Bot, User
from decisions.domain.funnel import Asked, Funnel, Said, funnel_of, held_in
from decisions.domain.proposal import Verdict
from decisions.models import Approval, Decision, Interaction

IN_EARNEST = (Interaction.Purpose.CYCLE, Interaction.Purpose.ENSEMBLE)
"""Questions on which something may be traded: no shadow, dry run or replay."""


def funnel_for_bot(bot: Bot, *, since: datetime, until: datetime) -> Funnel:
    """Return the funnel of one bot over its cycles that began from `since` to before `until` (wall time)."""
    return _funnel(Q(bot=bot), since, until)


def funnel_for_owner(owner: User, *, since: datetime, until: datetime) -> Funnel:
    """Return the funnel of all bots of a person, for the same time. Four queries, however many bots there are."""
    return _funnel(Q(bot__account__owner=owner), since, until)


def _funnel(whose: Q, since: datetime, until: datetime) -> Funnel:
    when = Q(cycle__began__gte=since, cycle__began__lt=until)
    return funnel_of(_asked(whose & when), _said(whose & when))


def _asked(where: Q) -> Iterator[Asked]:
    rows = Interaction.objects.filter(where, used=True, late_of=None, purpose__in=IN_EARNEST).order_by()
    for outcome, reason, held in rows.values_list("outcome", "reason", "parameters__held"):
        yield Asked(outcome, reason, held if isinstance(held, dict) else held_in(reason))


def _said(where: Q) -> list[Said]:
    rows = Decision.objects.filter(where, kind=Decision.Kind.LIVE).order_by()
    values = list(rows.values_list("pk", "action", "verdict", "hits"))
    ordered = set(rows.filter(orders__isnull=False).values_list("pk", flat=True))
    answers = dict(Approval.objects.filter(decision__in=rows.values("pk")).values_list("decision_id", "state"))
    return [
        Said(action, verdict, _refused_by(hits), pk in ordered, _waited(answers.get(pk)))
        for pk, action, verdict, hits in values
    ]


def _waited(state: str | None) -> str:
    return f"approval.{state}" if state else ""


def _refused_by(hits: Sequence[Mapping[str, Any]]) -> str:
    """Return the first rule that refused."""
    return next((hit["rule"] for hit in hits if hit["effect"] == Verdict.REFUSED.value), "")
