"""Starting, pausing and stopping bots, and keeping each bot and its schedule in step."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from celery import current_app
from django.db import IntegrityError, transaction
from django.db.models import Exists, Max, OuterRef, Q, QuerySet
from django_celery_beat.models import PeriodicTask

from accounts.models import Account, AuditEntry, Bot, User
from accounts.selectors import market_name
from accounts.services import audit_write
from decisions.models import Cycle, DiaryEntry
from decisions.services import diary_write
from marketdata.models import Feed
from marketdata.selectors import base_interval, market_clock
from trading.domain.orders import FINAL
from trading.domain.schedule import due, is_fresh, length_of, offset_for, slot_at, timeframes_for
from trading.models import Halt, Order, Position, Reconciliation
from trading.services import periodic
from trading.services.live_gate import live_allowed
from trading.services.restored import accounts_restored
from trading.services.waiting import approvals_void
from vibex.lib.clock import Clock, ReplayClock, WallClock
from vibex.lib.commits import after_commit
from vibex.lib.errors import Rejected, VibexError
from vibex.lib.events import publish_on_commit

Status = Bot.Status
LEAST_PATIENCE = timedelta(seconds=60)
"""Wall time that every decision has: in a fast replay half an interval is over in moments."""
SAID = {
    "bot-running": "Started",
    "bot-paused": "Paused",
    "bot-stopped": "Stopped",
    "bot-interval": "Interval changed",
}
"""Audit actions in the words of the diary."""


def bot_start(*, bot: Bot, actor: User | None, reason: str = "") -> Bot:
    """Let a bot decide from now on; at once while its latest candle is fresh. Raises Rejected when it may not run."""
    _refuse_start(bot.account)
    clock = market_clock(bot.account.market)
    with transaction.atomic():
        if _move(bot, Status.RUNNING, actor=actor, reason=reason, clock=clock) and _undecided_and_fresh(bot, clock):
            after_commit(partial(tick_send, bot.pk, at_once=True))
    return bot


def bot_pause(*, bot: Bot, actor: User | None, reason: str = "") -> Bot:
    """Let a running bot decide no more; what is open stays protected. Raises Rejected for a stopped bot."""
    with transaction.atomic():
        _move(bot, Status.PAUSED, actor=actor, reason=reason, clock=_any_clock(bot.account.market))
    return bot


def bot_stop(*, bot: Bot, actor: User | None, reason: str = "") -> Bot:
    """End a bot's work; what is open stays protected. A cycle that has begun still ends."""
    with transaction.atomic():
        _move(bot, Status.STOPPED, actor=actor, reason=reason, clock=_any_clock(bot.account.market))
    return bot


def bot_interval_change(*, bot: Bot, interval: str, actor: User | None, reason: str = "") -> Bot:
    """Let a bot decide on candles of another length. Raises Rejected where the venue has no candles that short."""
    clock = market_clock(bot.account.market)
    before, timeframes = bot.interval, list(timeframes_for(interval))
    _refuse_shorter_than_candles(bot.account.market, interval)
    with transaction.atomic():
        if Bot.objects.filter(pk=bot.pk, interval=before).update(interval=interval, timeframes=timeframes) != 1:
            raise Rejected("The bot was changed by somebody else: load the page again.", code="conflict")
        bot.interval, bot.timeframes = interval, timeframes
        _note(bot, actor, "bot-interval", {"interval": before}, {"interval": interval}, reason, clock)
        periodic.bot_row_put(bot, clock)
    return bot


def schedules_sync(*, actor: User | None = None) -> list[str]:
    """Mend every schedule row, and let bots follow what a person did to theirs. Returns what was done or refused."""
    periodic.system_schedules_install()
    periodic.orphan_rows_delete()
    rows = {
        row.name: row
        for row in PeriodicTask.objects.filter(name__startswith=periodic.PREFIX).select_related("interval", "crontab")
    }
    notes: list[str] = []
    for bot, clock in _with_clocks(Bot.objects.select_related("account")):
        if periodic.bot_row_differs(rows.get(periodic.row_name(bot)), bot, clock):
            notes += _follow_row(bot.pk, actor, clock)
    return notes


def ticks_catch_up() -> int:
    """Send a tick to each running bot that should have decided on a fresh candle and has not; return how many.

    Messages are lost when a process is killed; this finds out from the database.
    """
    late = [bot.pk for bot, clock in _with_clocks(_running_bots()) if _is_late(bot, clock)]
    for bot_id in late:
        tick_send(bot_id)
    return len(late)


def tick_send(bot_id: int, *, at_once: bool = False, countdown: float = 0.0) -> None:
    """Queue one look at a bot: now, or after `countdown` seconds of wall time."""
    current_app.send_task(periodic.TICK, args=[bot_id], kwargs={"at_once": at_once}, countdown=countdown)


@dataclass(frozen=True, slots=True)
class Tick:
    """What a look at a bot found: a candle without a decision, and the wall seconds until the bot's turn."""

    slot: datetime
    wait_seconds: float


def tick_of(bot_id: int) -> Tick | None:
    """Return what the bot has to decide on; None when it does not run, its market stands or it has decided."""
    bot = _running_bots().filter(pk=bot_id).first()
    if bot is None:
        return None
    clock = market_clock(bot.account.market)
    now, slot = clock.now(), slot_at(clock.now(), bot.interval)
    if Cycle.objects.filter(bot=bot, scheduled_for=slot).exists():
        return None
    wait = _due(bot, slot) - now
    return Tick(slot, max(0.0, wait / timedelta(seconds=1) / clock.speed))


def decisions_late(*, since: datetime, now: datetime, told: Collection[int] = ()) -> list[tuple[Bot, datetime]]:
    """Return running bots that should have decided half an interval ago and have not, with the close of that candle.

    What was due before the bot was started, before its replay went on, or before `since`, is not late; of bots that were
    `told` as late, that only a decision ends, also what was due before `since`. Wall times.
    """
    overdue = {}
    for bot, clock in _with_clocks(_running_bots()):
        patience = offset_for(periodic.row_name(bot), bot.interval) + length_of(bot.interval) / 2
        patience = max(patience, LEAST_PATIENCE * clock.speed)
        slot, market = slot_at(clock.now() - patience, bot.interval), clock.now()
        began = now - (market - _due(bot, slot)) / clock.speed
        stood = isinstance(clock, ReplayClock) and _due(bot, slot) < clock.market_anchor
        if (began >= since or bot.pk in told) and not stood:
            overdue[bot.pk] = (bot, slot, began)
    newest = Cycle.objects.filter(bot__in=list(overdue)).values_list("bot").annotate(at=Max("scheduled_for"))
    for bot_id, decided in newest:
        if decided >= overdue[bot_id][1]:
            del overdue[bot_id]
    started = AuditEntry.objects.filter(action="bot-running", object_type="accounts.bot")
    started = started.filter(object_id__in=[str(bot_id) for bot_id in overdue])
    last = dict(started.values_list("object_id").annotate(at=Max("at")))
    return [(bot, slot) for bot, slot, began in overdue.values() if (at := last.get(str(bot.pk))) is None or at < began]


def accounts_in_play() -> list[int]:
    """Return the accounts that have something to guard: a position, an unfinished order, a running bot, a halt without proof."""
    positions = Position.objects.filter(account=OuterRef("pk"), closed__isnull=True)
    orders = Order.objects.filter(account=OuterRef("pk")).exclude(state__in=FINAL)
    running = Bot.objects.filter(account=OuterRef("pk"), status=Status.RUNNING)
    unproved = Halt.objects.filter(account=OuterRef("pk"), lifted__isnull=True, flat_at__isnull=True)
    # On a live account somebody else may trade, or the venue may act: it is looked after whatever our books say.
    begun = Exists(Reconciliation.objects.filter(account=OuterRef("pk"))) | Q(credentials__isnull=False)
    in_play = Account.objects.alias(priced_at=market_name()).filter(
        Exists(positions) | Exists(orders) | Exists(running) | Exists(unproved) | (Q(mode=Account.Mode.LIVE) & begun)
    )
    return list(in_play.exclude(_on_standing_market(), mode=Account.Mode.PAPER).values_list("pk", flat=True))


def accounts_to_reconcile() -> list[int]:
    """Return the accounts whose books may differ from the exchange after a start: in play, left in mid-cycle, restored."""
    broken = Cycle.objects.filter(status__in=[Cycle.Status.RUNNING, Cycle.Status.ABANDONED])
    return sorted({*accounts_in_play(), *accounts_restored(), *broken.values_list("account_id", flat=True).distinct()})


def _refuse_start(account: Account) -> None:
    if account.state == Account.State.HALTED:
        raise Rejected(f"The account {account.name} is halted: lift the halt before you start a bot.", code="halted")
    if reason := live_allowed(account):
        raise Rejected(reason, code="live_off")


def _refuse_shorter_than_candles(venue: str, interval: str) -> None:
    base = base_interval(venue)
    if length_of(interval) < length_of(base):
        raise Rejected(f"The market has candles of {base}: choose {base} or longer, not {interval}.", code="interval")


def _move(bot: Bot, to: str, *, actor: User | None, reason: str, clock: Clock) -> bool:
    """Compare and swap the status, with audit entry, diary line and schedule. False when it has it already."""
    before = Bot.objects.filter(pk=bot.pk).values_list("status", flat=True).first()
    if before is None:
        raise Rejected("The bot is gone: somebody has deleted it.", code="not-found")
    if before == to:
        bot.status = to
        return False
    if to == Status.PAUSED and before != Status.RUNNING:
        raise Rejected(f"Only a running bot can be paused; this one is {before}.", code="not_running")
    _swap_status(bot, before, to, reason)
    _note(bot, actor, f"bot-{to}", {"status": before}, {"status": to}, reason, clock)
    if to != Status.RUNNING:
        void = partial(approvals_void, bot=bot, reason=f"The bot was {to} after this was decided.")
        after_commit(void)
    periodic.bot_row_put(bot, clock)
    return True


def _swap_status(bot: Bot, before: str, to: str, reason: str) -> None:
    try:
        with transaction.atomic():
            same = Bot.objects.filter(pk=bot.pk, status=before)
            moved = same.update(status=to, status_reason=reason[:300])
    except IntegrityError as error:
        other = Bot.objects.filter(account=bot.account, status=Status.RUNNING).exclude(pk=bot.pk).first()
        name = other.name if other else "another bot"
        raise Rejected(f"{name} is running on {bot.account.name}: stop it first.", code="one_per_account") from error
    if moved != 1:
        raise Rejected("The bot was changed by somebody else: load the page again.", code="conflict")
    bot.status, bot.status_reason = to, reason[:300]


def _note(
    bot: Bot,
    actor: User | None,
    action: str,
    before: dict[str, str],
    after: dict[str, str],
    reason: str,
    clock: Clock,
) -> None:
    """Leave the change in the audit trail, the diary and on the pages."""
    text = f"{SAID.get(action, action)} by {actor or 'Vibex'}" + (f": {reason}" if reason else ".")
    audit_write(actor=actor, action=action, obj=bot, before=before, after={**after, "reason": reason})
    diary_write(bot=bot, cycle=None, at=clock.now(), kind=DiaryEntry.Kind.STATE, symbol="", text=text, data=after)
    publish_on_commit(account_id=bot.account_id, kind="bot", data={"id": bot.pk, **after})


def _undecided_and_fresh(bot: Bot, clock: Clock) -> bool:
    now = clock.now()
    slot = slot_at(now, bot.interval)
    return is_fresh(slot, now, bot.interval) and not Cycle.objects.filter(bot=bot, scheduled_for=slot).exists()


def _is_late(bot: Bot, clock: Clock) -> bool:
    now = clock.now()
    return now >= _due(bot, slot_at(now, bot.interval)) and _undecided_and_fresh(bot, clock)


def _due(bot: Bot, slot: datetime) -> datetime:
    return due(slot, offset_for(periodic.row_name(bot), bot.interval))


def _running_bots() -> QuerySet[Bot]:
    """Return the bots that decide: running ones on markets whose clock is moving."""
    running = Bot.objects.alias(priced_at=market_name(of="account__")).filter(status=Status.RUNNING)
    return running.select_related("account").exclude(_on_standing_market())


def _on_standing_market() -> Q:
    """Match rows that are `priced_at` a market which has been switched off, such as a replay while the simulated market is on."""
    return Q(Exists(Feed.objects.filter(venue=OuterRef("priced_at"), running=False)))


def _with_clocks(bots: Iterable[Bot]) -> Iterator[tuple[Bot, Clock]]:
    """Pair each bot with the clock of its market, leaving out markets that do not exist here."""
    clocks: dict[str, Clock | None] = {}
    for bot in bots:
        venue = bot.account.market
        if venue not in clocks:
            clocks[venue] = _clock_or_none(venue)
        if (clock := clocks[venue]) is not None:
            yield bot, clock


def _any_clock(venue: str) -> Clock:
    """Return the market's clock, or the one on the wall: a bot can be stopped also when its market is gone."""
    return _clock_or_none(venue) or WallClock()


def _clock_or_none(venue: str) -> Clock | None:
    try:
        return market_clock(venue)
    except VibexError:
        return None


def _follow_row(bot_id: int, actor: User | None, clock: Clock) -> list[str]:
    """Bring one bot and its row together again. The row is read anew under a lock: a click may have come between."""
    with transaction.atomic():
        bot = Bot.objects.select_for_update(of=("self",)).select_related("account").get(pk=bot_id)
        row = PeriodicTask.objects.select_related("interval", "crontab").filter(name=periodic.row_name(bot)).first()
        notes = [] if row is None else [*_follow_interval(bot, row, actor), *_follow_switch(bot, row, actor)]
        periodic.bot_row_put(bot, clock)
    return notes


def _follow_interval(bot: Bot, row: PeriodicTask, actor: User | None) -> list[str]:
    wanted = periodic.wanted_interval(row)
    if wanted is None or wanted == bot.interval:
        return []
    try:
        bot_interval_change(bot=bot, interval=wanted, actor=actor, reason="its schedule was edited")
    except Rejected as refusal:
        return [f"{bot}: {refusal}"]
    return [f"{bot}: decides every {wanted} from now on."]


def _follow_switch(bot: Bot, row: PeriodicTask, actor: User | None) -> list[str]:
    running = bot.status == Status.RUNNING
    if row.enabled == running:
        return []
    try:
        if running:
            bot_pause(bot=bot, actor=actor, reason="its schedule was switched off")
        else:
            bot_start(bot=bot, actor=actor, reason="its schedule was switched on")
    except Rejected as refusal:
        return [f"{bot}: {refusal}"]
    return [f"{bot}: {bot.status}, because its schedule was switched {'off' if running else 'on'}."]
