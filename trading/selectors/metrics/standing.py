"""How accounts and what is open on them stand now, for metrics: a fixed number of statements for any number of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from django.db.models import Count, Exists, F, OuterRef, Q, Subquery, Sum
from django_celery_beat.models import PeriodicTask

from accounts.models import Account, AlertDelivery, Bot, Incident
from decisions.selectors.spending import local_day
from trading.domain.orders import FINAL
from trading.domain.schedule import HEARTBEAT_ROW
from trading.models import GuardState, Halt, Lock, LossWatch, Order, PerformanceDay, Position, Reconciliation
from trading.selectors.guard import guard_from
from trading.selectors.hearing import hearing_from
from trading.selectors.losses import Losses, losses_from, watch_from

PROTECTED: Final = (Position.Bracket.ARMED, Position.Bracket.ADJUSTING)
"""States of a bracket in which a stop stands at the exchange."""
DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Held:
    """Open positions of one account."""

    protected: int = 0
    unprotected: int = 0
    """Without a stop that stands at the exchange."""

    @property
    def count(self) -> int:
        return self.protected + self.unprotected


@dataclass(frozen=True, slots=True)
class Standing:
    """One account. Ages in seconds; None where there is nothing to tell."""

    account: Account
    losses: Losses | None
    held: Held
    in_play: bool
    guard_age: float | None
    """Since the guard looked last; where it never did, since there is something to look after. None when there is not."""
    read_age: float | None
    """Since its exchange was read last, in the same way."""
    hears: bool | None
    """Whether the events of a live account are heard; None for one on paper."""
    locked: bool
    differences: int | None
    """What its newest comparison with the exchange left for a person; None when there was none."""


@dataclass(frozen=True, slots=True)
class Spend:
    """What the models of a bot cost today, and may cost. US dollars."""

    bot: Bot
    spent: Decimal
    limit: Decimal


def standings(*, most: int, now: datetime) -> tuple[list[Standing], int]:
    """Return accounts and how many more there are. Wall time `now`. Four queries.

    First those in trouble, so that none of it is left out; then live ones, then those that are guarded.
    """
    naked = Position.objects.filter(account=OuterRef("pk"), closed__isnull=True).exclude(bracket__in=PROTECTED)
    compared = Reconciliation.objects.filter(account=OuterRef("pk")).order_by("-at", "-id")
    rows = Account.objects.select_related("limits", "loss_watch", "guard", "user_stream").annotate(
        trouble=Exists(naked) | ~Q(state=Account.State.ACTIVE), left=Subquery(compared.values("left")[:1])
    )
    found = list(rows.order_by("-trouble", "mode", F("guard__since").asc(nulls_last=True), "pk")[: most + 1])
    left_out = Account.objects.count() - most if len(found) > most else 0
    accounts = found[:most]
    keys = [account.pk for account in accounts]
    held, locked = _held(keys), _locked(keys, now)
    return [
        _standing(account, held[account.pk], account.pk in locked, _number(account.left), now) for account in accounts
    ], left_out


def _standing(account: Account, held: Held, locked: bool, differences: int | None, now: datetime) -> Standing:
    state: GuardState | None = getattr(account, "guard", None)
    watch: LossWatch | None = getattr(account, "loss_watch", None)
    limits = getattr(account, "limits", None)
    guard = guard_from(state, now=now)
    return Standing(
        account=account,
        losses=losses_from(watch_from(watch), limits) if watch and limits else None,
        held=held,
        in_play=guard.in_play,
        guard_age=_waits(state, guard.at, now),
        read_age=_waits(state, guard.full_at, now),
        hears=_hears(account, now),
        locked=locked,
        differences=differences,
    )


def _hears(account: Account, now: datetime) -> bool | None:
    if not account.live:
        return None
    heard = hearing_from(getattr(account, "user_stream", None), now=now)
    return heard.well or heard.untold


def _waits(state: GuardState | None, at: datetime | None, now: datetime) -> float | None:
    """Return how long an account in play waits for the look that was last at `at`: one that had none waits too."""
    if state is None or state.since is None:
        return None
    return max(0.0, (now - max(at or state.since, state.since)).total_seconds())


def _held(accounts: Collection[int]) -> Mapping[int, Held]:
    open_ones = Position.objects.filter(account_id__in=accounts, closed__isnull=True).order_by()
    counted = open_ones.values("account_id").annotate(
        protected=Count("pk", filter=Q(bracket__in=PROTECTED)),
        unprotected=Count("pk", filter=~Q(bracket__in=PROTECTED)),
    )
    found = {row["account_id"]: Held(row["protected"], row["unprotected"]) for row in counted}
    return defaultdict(Held, found)


def _locked(accounts: Collection[int], now: datetime) -> set[int]:
    """Return the accounts on which a lock bars entries on every symbol."""
    rows = Lock.objects.filter(account_id__in=accounts, symbol="", lifted__isnull=True)
    return set(rows.filter(Q(until__isnull=True) | Q(until__gt=now)).values_list("account_id", flat=True))


def _number(left: list[Any] | None) -> int | None:
    return None if left is None else len(left)


def orders_open() -> list[tuple[str, str, int]]:
    """Return (role, state, count) of orders that are not over, of all accounts. One query, by the index of those few."""
    rows = Order.objects.exclude(state__in=FINAL).order_by().values("role", "state")
    return [(row["role"], row["state"], row["count"]) for row in rows.annotate(count=Count("pk"))]


def incidents_open() -> list[tuple[str, str, int]]:
    """Return (kind, severity, count) of what is wrong and not resolved. One query."""
    rows = Incident.objects.filter(resolved__isnull=True).order_by().values("kind", "severity")
    return [(row["kind"], row["severity"], row["count"]) for row in rows.annotate(count=Count("pk"))]


def halts_in_force() -> tuple[int, int]:
    """Return how many accounts are halted, and how many of them are not proved to be flat. One query."""
    found = Halt.objects.filter(lifted__isnull=True).aggregate(
        all=Count("pk"), unproved=Count("pk", filter=Q(flat_at__isnull=True))
    )
    return found["all"], found["unproved"]


def bots_by_status() -> dict[str, int]:
    """Return how many bots are in each status, 0 included. One query."""
    rows = Bot.objects.order_by().values("status").annotate(count=Count("pk"))
    return dict.fromkeys(Bot.Status.values, 0) | {row["status"]: row["count"] for row in rows}


def spends(*, most: int, now: datetime) -> list[Spend]:
    """Return what running bots with a budget have used of it today, by the stored sums (a minute old). Two queries."""
    rows = Bot.objects.filter(status=Bot.Status.RUNNING, cost_per_day__gt=0).select_related("account")
    bots: Sequence[Bot] = list(rows.order_by("pk")[:most])
    days = PerformanceDay.objects.filter(bot__in=[bot.pk for bot in bots], day__gte=(now - DAY).date())
    costs = {
        (row["bot_id"], row["day"]): row["cost"]
        for row in days.order_by().values("bot_id", "day").annotate(cost=Sum("cost"))
    }
    return [_spend(bot, costs.get((bot.pk, local_day(now, bot.account.time_zone)))) for bot in bots]


def _spend(bot: Bot, cost: Decimal | None) -> Spend:
    assert bot.cost_per_day is not None, "only these were read"  # noqa: S101
    return Spend(bot, cost or Decimal(0), bot.cost_per_day)


def deliveries_by_state(*, now: datetime) -> dict[str, int]:
    """Return how many messages to people wait, were held back, or failed within the last day. One query."""
    state = AlertDelivery.State
    waiting = Q(state__in=(state.WAITING, state.SENDING, state.HELD)) | Q(state=state.FAILED, due__gt=now - DAY)
    rows = AlertDelivery.objects.filter(waiting).order_by().values("state").annotate(count=Count("pk"))
    wanted = (state.WAITING, state.SENDING, state.HELD, state.FAILED)
    return {each.value: 0 for each in wanted} | {row["state"]: row["count"] for row in rows}


def heartbeat_at() -> datetime | None:
    """Return when a worker last ran the task that beat sends every ten seconds. One query."""
    ran: datetime | None = PeriodicTask.objects.filter(name=HEARTBEAT_ROW).values_list("last_run_at", flat=True).first()
    return ran
