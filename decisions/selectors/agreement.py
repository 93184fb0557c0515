"""How far the models that are only compared agree with the one that decides, and what became of what they wanted."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.functions import Coalesce

from accounts.models import Bot
from decisions.domain.afterwards import OPEN
from decisions.domain.proposal import Action, Verdict
from decisions.domain.question import Outcome
from decisions.domain.shares import Share
from decisions.models import Decision, Interaction

PERIOD: Final = timedelta(days=7)
"""What is compared, as long as nobody says otherwise: as far as entries are followed."""
OPENS: Final = (Action.BUY.value, Action.SELL.value)
CENTS: Final = Decimal("1e-8")
MODEL: Final = ("interaction__provider", "interaction__model_requested")
RESULT: Final = ("afterwards__end", "afterwards__net", "afterwards__multiple", "quantity", "asked_quantity")

type Name = tuple[str, str]
"""Provider and model."""


@dataclass(frozen=True, slots=True)
class Fared:
    """What became of entries, each as if it had been opened alone: no account could have held them all at once."""

    count: int = 0
    """Entries that the rules would have allowed and that are followed."""
    ended: int = 0
    """Those among them that met stop or target."""
    net: Decimal = Decimal(0)
    """Sum after taker fees, of the quantity that was allowed, in the quote asset."""
    multiple: float | None = None
    """Mean result before fees ÷ what is lost at the stop."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One model that is only compared."""

    model: str
    """As <provider>/<model>."""
    answered: Share
    """Usable answers among the questions that were put to it."""
    skipped: int
    """Questions that were not put to it, for the money of the day was needed for the decision."""
    actions: Share
    """Equal actions, among all symbols of all cycles in which both gave a usable answer."""
    entries: Share
    """Equal entries, among the cases in which at least one of the two wanted to enter."""
    fared: Fared
    cost: Decimal
    """US dollars, estimates of calls that did not say theirs included."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """What was compared in a period of wall time."""

    since: datetime
    until: datetime
    live: Fared
    """Of the entries of the one that decides, counted in the same way."""
    shadows: tuple[Compared, ...] = field(default=())


def agreement(bot: Bot, *, now: datetime, period: timedelta = PERIOD) -> Agreement:
    """Return how the shadows of a bot compare with it in the period before `now` (wall time), those with most answers first.

    Five statements, however many shadows there are; one where there is none.
    """
    since = now - period
    calls = Interaction.objects.filter(bot=bot, purpose=Interaction.Purpose.SHADOW, at__gt=since, at__lte=now)
    asked = _asked(calls)
    if not asked:
        return Agreement(since, now, Fared())
    costs = _costs(calls)
    asked_in = {"interaction__at__gt": since, "interaction__at__lte": now}
    said = Decision.objects.filter(kind=Decision.Kind.SHADOW, bot=bot, **asked_in)
    live = Decision.objects.filter(kind=Decision.Kind.LIVE, bot=bot, cycle__began__gt=since, cycle__began__lte=now)
    entries = list(live.filter(action__in=OPENS).order_by().values_list("cycle_id", "symbol", "verdict", *RESULT))
    alike, fared = _alike(said, {(cycle, symbol) for cycle, symbol, *_ in entries}), _fared(said)
    shadows = [
        Compared(
            model="/".join(part for part in name if part),
            answered=answered,
            skipped=skipped,
            actions=alike[name][0],
            entries=alike[name][1],
            fared=fared.get(name, Fared()),
            cost=costs.get(name, Decimal(0)),
        )
        for name, (answered, skipped) in asked.items()
    ]
    return Agreement(since, now, _fared_together(entries), tuple(sorted(shadows, key=_order)))


def _order(shadow: Compared) -> tuple[int, str]:
    return -shadow.answered.part, shadow.model


def _asked(calls: QuerySet[Interaction]) -> dict[Name, tuple[Share, int]]:
    """Return by model how many of its questions were answered, and how many were not put to it."""
    rows = calls.filter(used=True, late_of=None).values_list("provider", "model_requested").order_by()
    counted = rows.annotate(
        answered=Count("pk", filter=Q(outcome=Outcome.ANSWERED.value)),
        skipped=Count("pk", filter=Q(outcome=Outcome.NOT_ASKED.value)),
        whole=Count("pk"),
    )
    return {
        (provider, model): (Share(answered, whole - skipped), skipped)
        for provider, model, answered, skipped, whole in counted
    }


def _costs(calls: QuerySet[Interaction]) -> dict[Name, Decimal]:
    """Return what each model cost: late replies take the place of the call that was given up."""
    paid = calls.filter(late=None).values_list("provider", "model_requested").order_by()
    rows = paid.annotate(total=Sum(Coalesce("cost", "estimate")))
    return {(provider, model): (total or Decimal(0)).quantize(CENTS) for provider, model, total in rows}


def _alike(said: QuerySet[Decision], entered: Set[tuple[int, str]]) -> defaultdict[Name, tuple[Share, Share]]:
    """Return by model the shares of equal actions and of equal entries, where both gave a usable answer.

    `entered` are cycle and symbol of the entries of the one that decides.
    """
    both, enters = said.filter(agrees__isnull=False).order_by(), Q(action__in=OPENS)
    counted = both.values_list(*MODEL).annotate(
        equal=Count("pk", filter=Q(agrees=True)),
        whole=Count("pk"),
        same=Count("pk", filter=enters & Q(agrees=True)),
        wanted=Count("pk", filter=enters),
    )
    missed = _missed(both.exclude(enters), entered)
    found: defaultdict[Name, tuple[Share, Share]] = defaultdict(lambda: (Share(0, 0), Share(0, 0)))
    for provider, model, equal, whole, same, wanted in counted:
        either = wanted + missed[provider, model]
        found[provider, model] = Share(equal, whole), Share(same, either)
    return found


def _missed(others: QuerySet[Decision], entered: Set[tuple[int, str]]) -> Counter[Name]:
    """Return by model how often the live decision entered and it did not. Entries are few: they are looked at one by one."""
    rows = others.filter(cycle__in={cycle for cycle, _ in entered}).values_list(*MODEL, "cycle_id", "symbol")
    return Counter((provider, model) for provider, model, *case in rows if tuple(case) in entered)


def _fared(said: QuerySet[Decision]) -> dict[Name, Fared]:
    by_model: dict[Name, list[Any]] = defaultdict(list)
    for provider, model, *row in _allowed(said).values_list(*MODEL, *RESULT):
        by_model[provider, model].append(row)
    return {name: _sum_of(rows) for name, rows in by_model.items()}


def _fared_together(entries: Iterable[tuple[Any, ...]]) -> Fared:
    """Return what became of the entries of the one that decides, of those that `_allowed` would leave."""
    rows = [(verdict, *result) for _, _, verdict, *result in entries]
    return _sum_of(result for verdict, *result in rows if verdict != Verdict.REFUSED.value and _followed(result))


def _followed(result: Sequence[Any]) -> bool:
    """Tell whether an entry is followed, and anything of it was allowed. `result` as in RESULT."""
    end, _, _, quantity, _ = result
    return end is not None and quantity is not None and quantity > 0


def _allowed(decisions: QuerySet[Decision]) -> QuerySet[Decision]:
    """Return the entries that the rules allowed, or would have, and that are followed."""
    allowed = decisions.exclude(verdict=Verdict.REFUSED.value).filter(action__in=OPENS, quantity__gt=0)
    return allowed.filter(afterwards__isnull=False)


def _sum_of(rows: Iterable[Any]) -> Fared:
    """Return the results together. What was reduced counts with what was allowed of it."""
    told = list(rows)
    if not told:
        return Fared()
    net = sum((net * quantity / asked for _, net, _, quantity, asked in told), Decimal(0))
    ended = sum(end != OPEN for end, *_ in told)
    return Fared(len(told), ended, net.quantize(CENTS), sum(multiple for _, _, multiple, *_ in told) / len(told))
