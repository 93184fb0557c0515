"""One decision from end to end: asked, answered, read, ruled, ordered, done."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from decisions.domain.proposal import Action
from decisions.models import Cycle, Decision, DiaryEntry, Interaction
from trading.models import Order
from trading.selectors.standing import Rules, rules_of

STEPS: Final = ("snapshot", "portfolio", "prompt", "ask", "read", "rule", "execute", "record", "publish")
"""The nine steps of a cycle, in order."""


@dataclass(frozen=True, slots=True)
class Ruled:
    """A proposal, its ruling and the orders that followed."""

    decision: Decision
    rules: Rules
    orders: tuple[Order, ...]


@dataclass(frozen=True, slots=True)
class Others:
    """Orders of one symbol that no decision of the cycle asked for, such as a repaired stop."""

    symbol: str
    rules: Rules
    orders: tuple[Order, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One of the nine steps: how long it took in milliseconds, and its share of the whole."""

    name: str
    ms: float | None
    share: int


@dataclass(frozen=True, slots=True)
class Trace:
    cycle: Cycle
    interactions: tuple[Interaction, ...]
    ruled: tuple[Ruled, ...]
    other_orders: tuple[Others, ...]
    entries: tuple[DiaryEntry, ...]
    steps: tuple[Step, ...]

    @property
    def total_ms(self) -> float:
        return sum(step.ms or 0.0 for step in self.steps)


def steps_of(cycle: Cycle) -> tuple[Step, ...]:
    """Return the nine steps of a cycle with what each took; None for a step that was never reached."""
    known = {name: float(ms) for name, ms in cycle.timings.items()}
    whole = sum(known.values()) or 1.0
    return tuple(Step(name, known.get(name), round(100 * known.get(name, 0.0) / whole)) for name in STEPS)


def trace_of(cycle: Cycle) -> Trace:
    """Return everything that is on record of `cycle`."""
    rules = rules_of(cycle.account.market)
    orders = list(Order.objects.filter(cycle=cycle).order_by("created", "id"))
    decisions = Decision.objects.filter(cycle=cycle).order_by("kind", "sequence")
    decisions = decisions.select_related("approval__by", "approved_from__by")
    ruled = tuple(_with_orders(decisions, orders, rules))
    return Trace(
        cycle=cycle,
        interactions=tuple(Interaction.objects.filter(cycle=cycle).order_by("at", "id")),
        ruled=ruled,
        other_orders=tuple(_others(orders, ruled, rules)),
        entries=tuple(DiaryEntry.objects.filter(cycle=cycle).order_by("id")),
        steps=steps_of(cycle),
    )


def _with_orders(decisions: Iterable[Decision], orders: Iterable[Order], rules: Mapping[str, Rules]) -> Iterator[Ruled]:
    for row in decisions:
        mine = tuple(order for order in orders if _follows(order, row))
        yield Ruled(row, rules.get(row.symbol, Rules()), mine)


def _follows(order: Order, decision: Decision) -> bool:
    """Whether an order was sent because of a decision: stop and target follow the entry of their symbol."""
    if order.decision_id is not None:
        return order.decision_id == decision.pk
    return order.symbol == decision.symbol and Action(decision.action).opens


def _others(orders: Iterable[Order], ruled: Iterable[Ruled], rules: Mapping[str, Rules]) -> Iterator[Others]:
    told = {order.pk for each in ruled for order in each.orders}
    found: dict[str, list[Order]] = defaultdict(list)
    for order in orders:
        if order.pk not in told:
            found[order.symbol].append(order)
    yield from (Others(symbol, rules.get(symbol, Rules()), tuple(each)) for symbol, each in found.items())
