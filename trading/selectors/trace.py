"""One decision from end to end: asked, answered, read, ruled, ordered, done."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from django.db.models import OuterRef, Subquery

from accounts.selectors import Person
from decisions.domain.proposal import Action
from decisions.models import Approval, Cycle, Decision, DiaryEntry
from decisions.selectors.texts import LONG_TEXTS
from trading.domain.way import Way
from trading.models import Order, Position
from trading.selectors.asked import Asking, Spent, askings_of, interactions_of, spent_on
from trading.selectors.moment import Moment, candles_kept, moment_of
from trading.selectors.standing import Rules, instruments_of, rules_among
from trading.selectors.way import life_of, way_of_cycle
from vibex.lib.together import read_together

STEPS: Final = ("snapshot", "portfolio", "prompt", "ask", "read", "rule", "execute", "record", "publish")
"""The nine steps of a cycle, in order."""


@dataclass(frozen=True, slots=True)
class Ruled:
    """A proposal, its ruling, the orders that followed and the later life of the position they opened or closed."""

    decision: Decision
    rules: Rules
    orders: tuple[Order, ...]
    position: Position | None = None
    later: tuple[Order, ...] = ()
    moment: Moment | None = None
    """Of an entry: its prices, for the picture beside it."""

    @property
    def pictured(self) -> bool:
        """Whether candles of the moment are still there."""
        return bool(getattr(self.decision, "candles", False))

    @property
    def net(self) -> Decimal:
        """Realised after fees, with funding, in quote units."""
        held = self.position
        return held.realised - held.fees + held.funding if held else Decimal(0)


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
    way: Way
    askings: tuple[Asking, ...]
    spent: Spent
    ruled: tuple[Ruled, ...]
    shadows: tuple[Decision, ...]
    other_orders: tuple[Others, ...]
    entries: tuple[DiaryEntry, ...]
    steps: tuple[Step, ...]

    @property
    def pictured(self) -> bool:
        """Whether there is any picture to draw."""
        return any(each.moment and each.pictured for each in self.ruled)

    @property
    def awaits(self) -> bool:
        """Whether an entry waits for a person."""
        answers = (getattr(each.decision, "approval", None) for each in self.ruled)
        return any(answer is not None and answer.state == Approval.State.AWAITING for answer in answers)

    @property
    def total_ms(self) -> float:
        return sum(step.ms or 0.0 for step in self.steps)


def cycle_to_show(person: Person, cycle_id: int) -> Cycle | None:
    """Return a cycle on an account of `person`, with the cycles of its bot before and after it; None for any other."""
    same = Cycle.objects.filter(bot=OuterRef("bot"))
    before = same.filter(scheduled_for__lt=OuterRef("scheduled_for")).order_by("-scheduled_for")
    after = same.filter(scheduled_for__gt=OuterRef("scheduled_for")).order_by("scheduled_for")
    own = Cycle.objects.filter(account__owner_id=person.pk).select_related("account", "bot").defer("kept")
    placed = own.annotate(before_id=Subquery(before.values("pk")[:1]), after_id=Subquery(after.values("pk")[:1]))
    return placed.filter(pk=cycle_id).first()


def steps_of(cycle: Cycle) -> tuple[Step, ...]:
    """Return the nine steps of a cycle with what each took; None for a step that was never reached."""
    known = {name: float(ms) for name, ms in cycle.timings.items()}
    whole = sum(known.values()) or 1.0
    return tuple(Step(name, known.get(name), round(100 * known.get(name, 0.0) / whole)) for name in STEPS)


def trace_of(cycle: Cycle) -> Trace:
    """Return everything that is on record of `cycle`. Three queries."""
    found = read_together(
        contracts=instruments_of(cycle.account.market),
        interactions=interactions_of(cycle),
        entries=DiaryEntry.objects.filter(cycle=cycle).order_by("id"),
    )
    rules, interactions, entries = rules_among(found["contracts"]), found["interactions"], tuple(found["entries"])
    orders = _orders_of(cycle)
    own = [order for order in orders if order.cycle_id == cycle.pk]
    decisions = _decisions_of(cycle)
    live = [row for row in decisions if row.kind == Decision.Kind.LIVE]
    votes = [row for row in decisions if row.kind == Decision.Kind.VOTE]
    ruled = tuple(_with_orders(live, own, orders, rules, cycle))
    return Trace(
        cycle=cycle,
        way=way_of_cycle(cycle, interactions, [(each.decision, each.orders) for each in ruled], entries, votes),
        askings=askings_of(interactions, decisions, deadline_seconds=float(cycle.bot.deadline_seconds)),
        spent=spent_on(interactions),
        ruled=ruled,
        shadows=tuple(row for row in decisions if row.kind == Decision.Kind.SHADOW),
        other_orders=tuple(_others(own, ruled, rules)),
        entries=entries,
        steps=steps_of(cycle),
    )


def _orders_of(cycle: Cycle) -> list[Order]:
    """Return the orders of a cycle, and the later ones of the positions that it opened or closed."""
    positions = Order.objects.filter(cycle=cycle, position__isnull=False).values("position")
    # A union, not an "or": each half is found by its own index, whatever the history.
    of_positions = Order.objects.filter(position__in=positions).order_by().values("pk")
    rows = Order.objects.filter(pk__in=Order.objects.filter(cycle=cycle).order_by().values("pk").union(of_positions))
    return list(rows.select_related("position").order_by("created", "id"))


def _decisions_of(cycle: Cycle) -> list[Decision]:
    rows = Decision.objects.filter(cycle=cycle).annotate(candles=candles_kept(cycle.account.market))
    rows = rows.order_by("kind", "interaction", "sequence")
    related = ("approval__by", "approved_from__by", "afterwards", "interaction")
    return list(rows.select_related(*related).defer(*(f"interaction__{name}" for name in LONG_TEXTS)))


def _with_orders(
    decisions: Iterable[Decision],
    own: Sequence[Order],
    all_orders: Sequence[Order],
    rules: Mapping[str, Rules],
    cycle: Cycle,
) -> Iterator[Ruled]:
    for row in decisions:
        mine = tuple(order for order in own if _follows(order, row))
        position = life_of(mine)
        later = tuple(_later(position, own, all_orders)) if position else ()
        moment = moment_of(row, cycle.seen) if Action(row.action).opens else None
        yield Ruled(row, rules.get(row.symbol, Rules()), mine, position, later, moment)


def _later(position: Position, own: Sequence[Order], orders: Iterable[Order]) -> Iterator[Order]:
    """Yield what was ordered for a position after the cycle: stops that were moved, and how it was closed."""
    known = {order.pk for order in own}
    yield from (
        order for order in orders if order.position_id == position.pk and order.pk not in known and _counts(order)
    )


def _counts(order: Order) -> bool:
    """Whether an order tells something of a position's life: an entry before it does not."""
    return order.role != Order.Role.ENTRY and order.state not in (Order.State.PLANNED, Order.State.DENIED)


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
