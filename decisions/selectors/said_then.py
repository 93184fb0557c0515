"""What a bot decided over a span of its history, as proposals by the moment it decided on."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

from accounts.models import Bot
from decisions.approvals import proposal_of
from decisions.domain.proposal import Proposal
from decisions.models import Cycle, Decision


def said_then(bot: Bot, *, start: datetime, end: datetime) -> dict[datetime, tuple[Proposal, ...]]:
    """Return what was proposed in [start, end), in its order, by close of the candle. Two queries.

    A cycle that went through and asked for nothing is there without proposals; one that failed, was skipped or is under
    way is not. What an approval was ruled into later is no part of it: the same had been proposed before.
    """
    went_through = (Cycle.Status.DONE, Cycle.Status.AWAITING)
    cycles = Cycle.objects.filter(bot=bot, status__in=went_through, scheduled_for__gte=start, scheduled_for__lt=end)
    moments = dict(cycles.values_list("pk", "scheduled_for"))
    rows = Decision.objects.filter(cycle__in=cycles, kind=Decision.Kind.LIVE, approved_from__isnull=True)
    said: defaultdict[int, list[Proposal]] = defaultdict(list)
    for row in rows.order_by("cycle_id", "sequence"):
        said[row.cycle_id].append(proposal_of(row))
    return {at: tuple(said[key]) for key, at in moments.items()}
