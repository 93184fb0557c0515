"""What metrics tell of markets: how old their prices are, and what may still be asked of their servers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from marketdata.models import Feed, VenueBudget

MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class FeedNow:
    """A market whose clock moves."""

    venue: str
    kind: str
    age: float | None
    """Seconds since it wrote prices; None when it never did."""
    clock_offset: float | None
    """Seconds by which the venue's clock is ahead of ours."""
    well: bool
    """Whether its feed has no complaint."""


@dataclass(frozen=True, slots=True)
class WeightNow:
    """What this address has asked of a host in the running minute."""

    host: str
    used: float
    """Share of what the venue allows."""
    blocked: bool
    """Whether nobody asks it now, or only to close."""


def feeds_now(*, now: datetime) -> list[FeedNow]:
    """Return the markets that are switched on, at the wall time `now`. One query."""
    return [
        FeedNow(
            venue=feed.venue,
            kind=feed.kind,
            age=None if feed.heartbeat is None else max(0.0, (now - feed.heartbeat).total_seconds()),
            clock_offset=feed.clock_offset,
            well=not feed.problem,
        )
        for feed in Feed.objects.filter(running=True).order_by("venue")
    ]


def weights_now(*, now: datetime) -> list[WeightNow]:
    """Return what was asked of each host in the minute of the wall time `now`. One query."""
    return [
        WeightNow(
            host=row.host,
            used=row.used / row.limit if row.limit and now - row.minute < MINUTE else 0.0,
            blocked=any(until is not None and until > now for until in (row.blocked_until, row.told_until)),
        )
        for row in VenueBudget.objects.order_by("host")
    ]
