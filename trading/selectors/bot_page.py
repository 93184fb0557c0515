"""What the page of a bot shows besides its row: when it decides, its newest cycles, and where its proposals ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db.models import Count, Exists, Min, OuterRef, Q, QuerySet

from accounts.models import Bot
from decisions.domain.proposal import Action, Verdict
from decisions.domain.question import Outcome
from decisions.models import Cycle, Decision, Interaction
from decisions.selectors.funnel import IN_EARNEST
from trading.domain.schedule import offset_for
from trading.models import Order
from trading.selectors.books import cycles_of

CYCLES: Final = 25
"""Cycles on a page."""
DEEPEST: Final = 100
"""Pages back: a table of 2,500 cycles is no page but an export."""
SPANS: Final = {"1": timedelta(days=1), "7": timedelta(days=7), "30": timedelta(days=30)}
"""How far the funnel looks back, by the number of days in the address."""
USUAL_SPAN: Final = "7"
SLACK: Final = timedelta(days=1)
"""So much earlier than their cycle at most, rows of it may be: what is older the index leaves out."""
RULES: Final = 6
"""Reasons that are named; the others are counted together."""
COUNTS: Final = ("proposed", "accepted", "reduced", "refused", "ordered", "filled")
ACTIONS: Final = (Action.BUY, Action.SELL, Action.CLOSE, Action.HOLD)


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a bot decides."""

    offset: timedelta
    """After the close of the candle: bots are spread, so that not all ask at once."""
    deadline: timedelta
    """From the first question to the last fallback."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of cycles, the newest first. How many there are is not counted."""

    cycles: Sequence[Cycle]
    number: int
    more: bool

    @property
    def before(self) -> int:
        return self.number - 1

    @property
    def after(self) -> int:
        return self.number + 1


@dataclass(frozen=True, slots=True)
class Stage:
    """How many came through a step. `share` is of the step before, from 0 to 100; None where there is none."""

    name: str
    count: int
    share: float | None = None
    ended: Sequence[tuple[str, int]] = ()
    """Why the others did not: reason or rule, and how often, the most frequent first."""


@dataclass(frozen=True, slots=True)
class OfAction:
    """What became of the proposals of one action."""

    action: str
    proposed: int
    accepted: int
    reduced: int
    refused: int
    ordered: int
    filled: int


@dataclass(frozen=True, slots=True)
class BotFunnel:
    """From the cycles of a bot to its fills, over the time since `since` (wall time)."""

    since: datetime
    cycles: int
    stages: tuple[Stage, ...]
    actions: tuple[OfAction, ...]
    asks: bool
    """Whether any model was asked at all: rules are not."""

    @property
    def empty(self) -> bool:
        return not self.cycles

    @property
    def total(self) -> OfAction:
        """All actions together."""
        counts = [sum(getattr(each, name) for each in self.actions) for name in COUNTS]
        return OfAction("all", *counts)


def schedule_of(bot: Bot) -> Schedule:
    """Return when a bot decides, as the scheduler counts it."""
    return Schedule(offset_for(f"bot:{bot.pk}", bot.interval), timedelta(seconds=bot.deadline_seconds))


def cycle_page(bot: Bot, wanted: str) -> Page:
    """Return a page of cycles; the first one for a number that is none. One query."""
    number = min(int(wanted), DEEPEST) if wanted.isascii() and wanted.isdigit() and len(wanted) < 6 else 1
    start = (max(number, 1) - 1) * CYCLES
    rows = list(cycles_of(bot)[start : start + CYCLES + 1])
    return Page(rows[:CYCLES], max(number, 1), len(rows) > CYCLES and number < DEEPEST)


def bot_funnel(bot: Bot, *, span: timedelta, now: datetime) -> BotFunnel:
    """Return where the questions and proposals of a bot ended in the `span` before `now`. Four queries, all of sums."""
    since = now - span
    status, first = _cycles_of(bot, since, now)
    when = Q(bot=bot, cycle__began__gte=since, cycle__began__lt=now)
    asked = Interaction.objects.filter(when, at__gte=since - SLACK, used=True, late_of=None, purpose__in=IN_EARNEST)
    live = Decision.objects.filter(when, at__gte=first - SLACK, kind=Decision.Kind.LIVE)
    return funnel_from(since, status, asked, live)


def funnel_from(
    since: datetime, status: Mapping[str, int], asked: QuerySet[Interaction], live: QuerySet[Decision]
) -> BotFunnel:
    """Return the funnel of cycles by status, of what was asked in them and of what was proposed. Three queries."""
    outcomes = dict(asked.order_by().values_list("outcome").annotate(n=Count("pk")))
    outcomes.pop(Outcome.NOT_ASKED.value, None)
    proposed = live.order_by()
    actions = _actions(proposed)
    questions, proposals = _asked_stages(outcomes), _proposal_stages(actions, _rules(proposed))
    return BotFunnel(
        since, sum(status.values()), (_cycles_stage(status), *questions, *proposals), tuple(actions), bool(outcomes)
    )


def _cycles_of(bot: Bot, since: datetime, until: datetime) -> tuple[dict[str, int], datetime]:
    """Return the cycles that began in that time by status, and the earliest candle (market time) of any of them."""
    cycles = Cycle.objects.filter(bot=bot, began__gte=since, began__lt=until).order_by()
    rows = list(cycles.values_list("status").annotate(n=Count("pk"), first=Min("scheduled_for")))
    return {name: count for name, count, _ in rows}, min((first for *_, first in rows), default=until)


def _actions(live: QuerySet[Decision]) -> list[OfAction]:
    """Return the proposals by action, in the order of ACTIONS, those that there are."""
    orders = Order.objects.filter(decision=OuterRef("pk"), role__in=[Order.Role.ENTRY, Order.Role.CLOSE])
    told = live.annotate(ordered=Exists(orders), filled=Exists(orders.filter(filled__gt=0)))
    found: dict[str, Counter[str]] = {}
    rows = told.values_list("action", "verdict", "ordered", "filled").annotate(n=Count("pk"))
    for action, verdict, ordered, filled, count in rows:
        sums = found.setdefault(action, Counter())
        sums.update({"proposed": count, verdict: count, "ordered": count * ordered, "filled": count * filled})
    return [_of_action(action.value, found[action.value]) for action in ACTIONS if action.value in found]


def _of_action(action: str, sums: Mapping[str, int]) -> OfAction:
    return OfAction(action, *(sums[name] for name in COUNTS))


def _rules(live: QuerySet[Decision]) -> dict[str, Counter[str]]:
    """Return which rules spoke, by verdict. Grouped by the list of rules as it is stored: there are few different ones."""
    spoke = live.filter(verdict__in=[Verdict.REDUCED.value, Verdict.REFUSED.value]).exclude(action=Action.HOLD.value)
    found: dict[str, Counter[str]] = {Verdict.REDUCED.value: Counter(), Verdict.REFUSED.value: Counter()}
    for verdict, rules, count in spoke.values_list("verdict", "rule_ids").annotate(n=Count("pk")):
        for rule in dict.fromkeys(rules) or ["unknown"]:
            found[verdict][rule] += count
    return found


def _cycles_stage(status: Mapping[str, int]) -> Stage:
    names = dict(Cycle.Status.choices)
    fine = (Cycle.Status.DONE.value, Cycle.Status.AWAITING.value)
    ended = Counter({str(names.get(name, name)): count for name, count in status.items() if name not in fine})
    return Stage("Cycles", sum(status.values()), ended=tuple(ended.most_common()))


def _asked_stages(outcomes: Mapping[str, int]) -> tuple[Stage, ...]:
    whole = sum(outcomes.values())
    if not whole:
        return ()
    answered = outcomes.get(Outcome.ANSWERED.value, 0)
    ended = Counter({name.replace("_", " "): n for name, n in outcomes.items() if name != Outcome.ANSWERED.value})
    return (Stage("Asked", whole), Stage("Answered", answered, 100 * answered / whole, tuple(ended.most_common())))


def _proposal_stages(actions: Sequence[OfAction], rules: Mapping[str, Counter[str]]) -> tuple[Stage, ...]:
    """Return the steps of the proposals: all, those that want to act, allowed, ordered, filled."""
    whole = sum(each.proposed for each in actions)
    if not whole:
        return ()
    acting = [each for each in actions if each.action != Action.HOLD.value]
    held = whole - sum(each.proposed for each in acting)
    reduced = sum(each.reduced for each in acting)
    steps = [
        ("Proposals", whole, ()),
        ("To act", whole - held, (("hold", held),) if held else ()),
        ("Allowed", sum(each.accepted + each.reduced for each in acting), _most(rules[Verdict.REFUSED.value])),
        ("Ordered", sum(each.ordered for each in acting), ()),
        ("Filled", sum(each.filled for each in acting), ()),
    ]
    stages, before = [], 0
    for name, count, ended in steps:
        stages.append(Stage(name, count, 100 * count / before if before else None, ended))
        before = count
    if reduced:  # said where it happened: they came through, smaller
        place = next(index for index, stage in enumerate(stages) if stage.name == "Allowed")
        share = 100 * reduced / stages[place].count
        told = Stage("of which reduced", reduced, share, _most(rules[Verdict.REDUCED.value]))
        stages.insert(place + 1, told)
    return tuple(stages)


def _most(rules: Counter[str]) -> tuple[tuple[str, int], ...]:
    named = rules.most_common(RULES)
    others = rules.total() - sum(count for _, count in named)
    return (*named, *((("others", others),) if others else ()))
