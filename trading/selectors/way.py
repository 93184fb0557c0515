"""The stored rows of a cycle as the plain facts of its way."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Sequence
from typing import Final

from decisions.domain.funnel import held_in
from decisions.domain.proposal import Action
from decisions.domain.question import Outcome
from decisions.models import Approval, Cycle, Decision, DiaryEntry, Interaction
from trading.domain.way import Kind, Request, Way, way_of
from trading.domain.way_rows import After, Item, Life, Run, Sent
from trading.models import Order, Position

DECIDES: Final = (Interaction.Purpose.CYCLE, Interaction.Purpose.ENSEMBLE)
"""Purposes of the requests that a cycle was decided by."""
HELD_LINE: Final = re.compile(r"could not be used \(([^)\s]+)\)")
UNASKED_LINE: Final = re.compile(r"Nobody was asked: (.*)\.$", re.DOTALL)
FAILED_LINE: Final = re.compile(r"Held everything: (.*)", re.DOTALL)


def way_of_cycle(
    cycle: Cycle,
    interactions: Sequence[Interaction],
    ruled: Sequence[tuple[Decision, Sequence[Order]]],
    entries: Sequence[DiaryEntry],
    votes: Iterable[Decision] = (),
) -> Way:
    """Return the way of a cycle; `ruled` holds what was decided with the orders that followed."""
    wanted = {vote.symbol for vote in votes if Action(vote.action).opens}
    deciding = [row for row in interactions if row.purpose in DECIDES and row.late_of_id is None]
    requests = [_request(row) for row in deciding]
    items = [_item(decision, orders, wanted) for decision, orders in ruled]
    held = _held(deciding, entries)
    return way_of(_run(cycle, entries, asked=bool(requests)), requests, items, held)


def life_of(orders: Iterable[Order]) -> Position | None:
    """Return the position that the orders of a decision opened or closed."""
    return next((order.position for order in orders if order.position is not None and order.filled), None)


def _run(cycle: Cycle, entries: Sequence[DiaryEntry], *, asked: bool) -> Run:
    timings = {name: float(ms) for name, ms in cycle.timings.items()}
    unasked = "" if asked else _unasked(entries)
    return Run(cycle.status, cycle.stage, cycle.error, timings, tuple(cycle.seen), unasked)


def _unasked(entries: Sequence[DiaryEntry]) -> str:
    """Return why nobody was asked where somebody should have been: only the diary keeps it, as no request was made."""
    for entry in entries:
        pattern = UNASKED_LINE if entry.data.get("outcome") == "not_asked" else FAILED_LINE
        if not entry.symbol and (found := pattern.match(entry.text)):
            return found[1]
    return ""


def _request(row: Interaction) -> Request:
    kind = Kind.TOGETHER if row.purpose == Interaction.Purpose.ENSEMBLE else Kind.ALONE
    tokens = row.prompt_tokens + row.completion_tokens
    sent = bool(row.provider or row.http_status or row.outcome == Outcome.ANSWERED)
    return Request(row.model_requested, row.outcome, row.reason, row.used, kind, tokens, sent)


def _held(deciding: Sequence[Interaction], entries: Sequence[DiaryEntry]) -> dict[str, str]:
    """Return the symbols whose part of the reply was not used. The diary has them all; a long reason may be cut."""
    used = next((row for row in reversed(deciding) if row.used and row.purpose == Interaction.Purpose.CYCLE), None)
    kept = used.parameters.get("held") if used is not None else None
    held = dict(kept) if isinstance(kept, dict) else held_in(used.reason) if used is not None else {}
    for entry in entries:
        if entry.kind == DiaryEntry.Kind.HOLD and (found := HELD_LINE.search(entry.text)):
            held[entry.symbol] = found[1]
    return held


def _item(decision: Decision, orders: Sequence[Order], wanted: Container[str]) -> Item:
    approval: Approval | None = getattr(decision, "approval", None)
    after = getattr(decision, "afterwards", None)
    position = life_of(orders)
    mine = [
        order for order in orders if order.role in (Order.Role.ENTRY, Order.Role.CLOSE) and _begun_by(order, decision)
    ]
    return Item(
        symbol=decision.symbol,
        action=decision.action,
        verdict=decision.verdict,
        rule=_rule(decision),
        approval=approval.state if approval else "",
        approval_reason=approval.reason if approval else "",
        ruled_again=bool(approval and approval.ruled_again_id),
        orders=tuple(Sent(order.state, order.reason, order.filled, order.quantity) for order in mine),
        life=_life(position) if position else None,
        after=After(after.get_end_display(), after.multiple) if after else None,
        split=decision.action == Action.HOLD and decision.symbol in wanted,
        decision_id=decision.pk,
    )


def _begun_by(order: Order, decision: Decision) -> bool:
    """Whether an order carries out a decision itself: a position that its own stop closed later is no order of it."""
    return order.cycle_id == decision.cycle_id and (order.role == Order.Role.ENTRY) == decision.action.endswith(
        "_enter"
    )


def _rule(decision: Decision) -> str:
    """Return the rule by which a ruling is what it is: the first of those with its effect."""
    return next((hit["rule"] for hit in decision.hits if hit.get("effect") == decision.verdict), "")


def _life(position: Position) -> Life:
    net = position.realised - position.fees + position.funding
    return Life(position.closed is not None, position.get_exit_reason_display() or "close", net)
