"""What has happened: each look reads the rows that came since the last one and adds them up.

So a look costs what is new, not what is old, and every process that goes on from the same totals comes to the same.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, NamedTuple, Protocol

from django.db.models import Max, Model

from accounts.models import Incident
from decisions.models import Cycle, Decision, Interaction
from decisions.selectors import metrics as decided
from decisions.selectors.spending import model_name
from trading.models import Fill, OrderEvent, Reconciliation
from trading.models.books import Order
from trading.selectors.metrics import grown
from vibex.lib.cursor import Cursor
from vibex.metrics import families
from vibex.metrics.totals import Totals

log = logging.getLogger(__name__)

CYCLE_PATIENCE: Final = 900.0
"""Seconds for which a running cycle is asked for again; its lease is over long before."""
SLACK: Final = timedelta(minutes=1)
"""What a cycle may take besides its ask, and still be in time."""


class Row(Protocol):
    @property
    def pk(self) -> int: ...


@dataclass(slots=True)
class Growth:
    """What was counted, and how far the rows of each table have been read."""

    totals: Totals = field(default_factory=Totals.fresh)
    cursors: dict[str, Cursor] = field(default_factory=dict)


class Source(NamedTuple):
    """One table: how its new rows are read, and what each of them adds."""

    model: type[Model]
    read: Callable[[Cursor], Sequence[Any]]
    add: Callable[[Totals, Any], None]
    unfinished: Callable[[Any], bool] = lambda _: False


def grow(growth: Growth, source: Source, *, now: float) -> int:
    """Add what is new in one table. The first look only notes where it ends: counters begin at 0. `now`: since 1970.

    Returns how many rows could not be counted by a fault of ours. They are passed over: tried again, they would have the
    rows before them counted once more at each look.
    """
    cursor = growth.cursors.get(source.model.__name__)
    rows = source.read(cursor) if cursor else []
    if cursor is None or not _same_table(cursor, rows):
        newest = source.model._default_manager.aggregate(newest=Max("pk"))["newest"] or 0
        growth.cursors[source.model.__name__] = Cursor(newest)
        return 0
    fresh = [row for row in rows if row.pk > cursor.upto or row.pk in cursor.late]
    unfinished = [row.pk for row in fresh if source.unfinished(row)]
    faults = sum(not _added(growth.totals, source, row) for row in fresh if not source.unfinished(row))
    growth.cursors[source.model.__name__] = cursor.advanced(
        (row.pk for row in fresh), unfinished, now=now, patience=CYCLE_PATIENCE
    )
    return faults


def _added(totals: Totals, source: Source, row: Row) -> bool:
    try:
        source.add(totals, row)
    except Exception:
        log.exception("metrics: %s %s could not be counted by a fault of ours", source.model._meta.verbose_name, row.pk)
        return False
    return True


def _same_table(cursor: Cursor, rows: Sequence[Row]) -> bool:
    """Tell whether the row up to which was read is still there. A backup that was restored has other rows."""
    return cursor.upto == 0 or any(row.pk == cursor.upto for row in rows)


def _cycle(totals: Totals, row: decided.CycleRow) -> None:
    totals.add(families.CYCLES, row.status)
    if row.ended is None or row.status == Cycle.Status.SKIPPED:
        return
    took = row.ended - row.began
    totals.observe(families.CYCLE_SECONDS, value=took.total_seconds())
    if row.well and took <= timedelta(seconds=row.deadline_seconds) + SLACK:
        totals.add(families.CYCLES_GOOD)
    for stage, milliseconds in row.timings.items():
        totals.observe(families.STAGE_SECONDS, stage, value=float(milliseconds) / 1000)


def _call(totals: Totals, row: decided.CallRow) -> None:
    model = model_name(row.provider, row.model)
    totals.add(families.CALLS, model, row.purpose, row.outcome)
    if row.latency_ms and row.late_of is None:
        totals.observe(families.CALL_SECONDS, model, value=row.latency_ms / 1000)
    for kind, tokens in (("prompt", row.prompt_tokens), ("completion", row.completion_tokens)):
        if tokens:
            totals.add(families.TOKENS, model, kind, by=tokens)
    cost = row.estimate if row.cost is None else row.cost
    if cost:
        totals.add(families.COST, model, by=float(cost))


def _decision(totals: Totals, row: decided.DecisionRow) -> None:
    if row.kind != Decision.Kind.LIVE:
        return
    totals.add(families.DECISIONS, row.action, row.verdict or "none")
    for rule in row.rule_ids:
        totals.add(families.RULES, str(rule))


def _order(totals: Totals, row: grown.OrderRow) -> None:
    if not row.ours:
        return
    if row.state == Order.State.PLANNED:
        totals.add(families.ORDERS, row.role)
    elif row.state == Order.State.UNKNOWN:
        totals.add(families.UNKNOWNS, row.role)
    elif row.refused_by:
        totals.add(families.REJECTIONS, row.role, row.refused_by)


def _fill(totals: Totals, row: grown.FillRow) -> None:
    totals.add(families.FILLS, row.badge, row.role)
    totals.add(families.TURNOVER, row.badge, by=float(row.quantity * row.price))
    if row.fee > 0:
        totals.add(families.FEES, row.badge, by=float(row.fee))
    if (worse := row.worse_by) is not None:
        totals.observe(families.SLIPPAGE, row.badge, row.role, value=float(worse))


def _comparison(totals: Totals, row: grown.ComparedRow) -> None:
    totals.add(families.COMPARISONS, "agreed" if row.agreed else "left")
    totals.add(families.MENDED, by=len(row.mended))
    totals.add(families.LEFT, by=len(row.left))


def _incident(totals: Totals, row: grown.IncidentRow) -> None:
    totals.add(families.INCIDENTS, row.kind, row.severity)


SOURCES: Final = (
    Source(Cycle, decided.cycles_after, _cycle, unfinished=lambda row: row.running),
    Source(Interaction, decided.calls_after, _call),
    Source(Decision, decided.decisions_after, _decision),
    Source(OrderEvent, grown.order_events_after, _order),
    Source(Fill, grown.fills_after, _fill),
    Source(Reconciliation, grown.comparisons_after, _comparison),
    Source(Incident, grown.incidents_after, _incident),
)
