"""After a database was restored from a backup: nothing is opened on any account until its books were found to agree.

What was done between the backup and the disaster is on the exchange, and nowhere else. Orders of ours carry the mark of
this installation, so they are known again; they are taken in as what they were before their trades are booked.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.db import transaction

from accounts.models import Account, Bot
from accounts.services import audit_write, incidents_mended
from trading.domain.found import made_by, role_of
from trading.domain.orders import OrderFacts, OrderState, observe
from trading.domain.venue import AccountState, OrderReport
from trading.exchange.base import Exchange, Unavailable
from trading.exchange.live import OrderHistory
from trading.models import Lock, Order, Position
from trading.services.journal.rows import event_of, next_sequence
from trading.services.orders import book
from trading.services.standing import RESTORED
from trading.services.world import World
from vibex.lib.events import publish_on_commit
from vibex.lib.installation import installation_tag

EARLIER: Final = timedelta(minutes=10)
"""So long before the backup orders are looked for too: an order may have been on its way."""
FOUND: Final = "found"
"""Stands in the data of a lock with the time at which the orders since the backup were found."""


def restored_bar(*, name: str, at: datetime, pause_bots: bool = False) -> int:
    """Let nothing be opened on any account of a restored database until it was reconciled; return how many they are.

    `at` is the moment of the backup `name`. With `pause_bots` every bot that ran is paused besides.
    """
    reason = f"Restored from {name}, the state of {at:%F %T} UTC: nothing is opened until books and exchange agree"
    with transaction.atomic():
        # A backup may hold the lock of an earlier restore, which reaches further back.
        held = list(Lock.objects.filter(kind=RESTORED, lifted__isnull=True))
        since = min([at.astimezone(UTC), *map(_since, held)])
        Lock.objects.filter(pk__in=[lock.pk for lock in held]).update(lifted=datetime.now(UTC))
        accounts = Account.objects.values_list("pk", flat=True)
        data = {"backup": name, "since": since.isoformat()}
        put = Lock.objects.bulk_create(Lock(account_id=pk, kind=RESTORED, reason=reason, data=data) for pk in accounts)
        if pause_bots:
            ran = Bot.objects.filter(status=Bot.Status.RUNNING)
            ran.update(status=Bot.Status.PAUSED, status_reason=f"Paused by the restore of {name}.")
    return len(put)


def accounts_restored() -> list[int]:
    """Return the accounts that wait for their first clean reconcile after a restore."""
    return sorted(Lock.objects.filter(kind=RESTORED, lifted__isnull=True).values_list("account_id", flat=True))


def orders_find_again(*, account: Account, world: World, thorough: bool = False) -> list[str]:
    """Take in what the exchange knows of our orders since the backup, and book their trades; return it in words.

    Whoever settles a restored account does this first: by books that do not know where a stop was moved to, it would be
    put back where it stood, or its position closed. Once it was done all orders are known, and only a `thorough` look does
    it again. Nothing where the account was not restored, and on paper, where the exchange was restored too.
    Raises Unavailable.
    """
    lock = _lock_of(account) if account.live else None
    if lock is None or (FOUND in lock.data and not thorough):
        return []
    since, told = _since(lock) - EARLIER, list[str]()
    state = world.exchange.account()
    for symbol in sorted(_symbols(account, world, state)):
        taken = _take_in(account, _orders_of_ours(world.exchange, state, symbol, since))
        if (taken or FOUND not in lock.data) and book(world, symbol) is None:
            # A position without its trades would be taken for somebody else's, and its stop for a leftover.
            raise Unavailable(f"the trades of {symbol} since the backup could not be read")
        told += [f"{symbol}: {role} {name} of the time after the backup was found again" for role, name in taken]
        held = state.position(symbol)
        _position_know(account, symbol, leverage=held.leverage if held else None)
    Lock.objects.filter(pk=lock.pk).update(data={**lock.data, FOUND: datetime.now(UTC).isoformat()})
    return told


def restored_lift(*, account: Account) -> bool:
    """Let an account open positions again, because its books have been found to agree. False when nothing barred it."""
    with transaction.atomic():
        Account.objects.select_for_update(no_key=True).filter(pk=account.pk).values_list("pk").first()
        lock = _lock_of(account)
        if lock is None:
            return False
        Lock.objects.filter(pk=lock.pk).update(lifted=datetime.now(UTC))
        audit_write(actor=None, action="restore-reconciled", obj=account, after=dict(lock.data))
        publish_on_commit(account_id=account.pk, kind="lock", data={"id": lock.pk})
    return True


def _lock_of(account: Account) -> Lock | None:
    return Lock.objects.filter(account=account, kind=RESTORED, lifted__isnull=True).first()


def _since(lock: Lock) -> datetime:
    return datetime.fromisoformat(lock.data["since"])


def _orders_of_ours(exchange: Exchange, state: AccountState, symbol: str, since: datetime) -> list[OrderReport]:
    """Return the orders of this installation on a symbol; where the venue has no list of past ones, those that are open
    and those that its trades name. Then only what ended without a fill is missing.
    """
    tag = installation_tag()
    if isinstance(exchange, OrderHistory):
        return [one for one in exchange.history(symbol=symbol, since=since) if made_by(one.client_order_id, tag)]
    found = {one.client_order_id: one for one in state.orders if one.symbol == symbol}
    for name in dict.fromkeys(trade.client_order_id for trade in exchange.trades(symbol=symbol, since=since)):
        if name not in found and made_by(name, tag) and (report := exchange.order(symbol=symbol, client_order_id=name)):
            found[name] = report
    return [one for name, one in found.items() if made_by(name, tag)]


def _symbols(account: Account, world: World, state: AccountState) -> set[str]:
    """Return every symbol on which something may have happened: of bots, of our books, and those the exchange names."""
    told = {line.symbol for line in world.exchange.income(since=world.journal.income_since())}
    told |= {one.symbol for one in state.positions} | {one.symbol for one in state.orders}
    told |= {symbol for bot in Bot.objects.filter(account=account) for symbol in bot.symbols}
    told |= set(Position.objects.filter(account=account, closed__isnull=True).values_list("symbol", flat=True))
    return told - {""}


def _take_in(account: Account, reports: Sequence[OrderReport]) -> list[tuple[str, str]]:
    """Keep orders that our books do not have, or have as somebody else's; return their roles and names."""
    taken = list[tuple[str, str]]()
    with transaction.atomic():
        Account.objects.select_for_update().get(pk=account.pk)  # one bookkeeper at a time
        names = [report.client_order_id for report in reports]
        rows = Order.objects.filter(account=account, client_order_id__in=names)
        known = {row.client_order_id: row for row in rows}
        bot = _only_bot(account)
        for report in reports:
            row = known.get(report.client_order_id)
            if row is None or row.origin != Order.Origin.OURS:
                taken.append((_kept(account, bot, report, row), report.client_order_id))
    return taken


def _kept(account: Account, bot: Bot | None, report: OrderReport, row: Order | None) -> str:
    role = role_of(report).value
    facts = observe(OrderFacts(OrderState.UNKNOWN), report).facts
    at = report.updated_at or datetime.now(UTC)
    values: dict[str, Any] = {
        "origin": Order.Origin.OURS,
        "bot": bot,
        "role": role,
        "symbol": report.symbol,
        "side": report.side.value,
        "type": report.type.value,
        "quantity": None if report.close_position else report.quantity,
        "price": report.price,
        "trigger": report.trigger,
        "reduce_only": report.reduce_only,
        "close_position": report.close_position,
        "state": facts.state.value,
        "reason": facts.reason,
        "filled": facts.filled,
        "average_price": facts.average_price,
        "exchange_id": facts.exchange_id,
        "sent_at": at,
    }
    if row is None:
        row = Order.objects.create(account=account, client_order_id=report.client_order_id, created=at, **values)
    else:
        Order.objects.filter(pk=row.pk).update(**values)
    event_of(row, facts, "found", sequence=next_sequence(row)).save()
    publish_on_commit(account_id=account.pk, kind="order", data={"id": row.pk})
    return role


def _only_bot(account: Account) -> Bot | None:
    """Return the bot that made the orders: known where the account has no other."""
    bots = list(Bot.objects.filter(account=account)[:2])
    return bots[0] if len(bots) == 1 else None


def _position_know(account: Account, symbol: str, *, leverage: int | None) -> None:
    """Let the open position of a symbol have the stop and target that stand for it: they were moved, or it is new."""
    held = Position.objects.filter(account=account, symbol=symbol, closed__isnull=True).first()
    if held is None:
        return
    working = Order.objects.filter(
        account=account, symbol=symbol, origin=Order.Origin.OURS, state=OrderState.LIVE.value
    ).order_by("-pk")
    stop, target = (working.filter(role=role).first() for role in (Order.Role.STOP, Order.Role.TARGET))
    changes: dict[str, Any] = {}
    if stop is not None:
        changes |= {"stop": stop.trigger, "bracket": Position.Bracket.ARMED}
    if target is not None:
        changes |= {"target": target.trigger}
    opened_by_us = Order.objects.filter(position=held, origin=Order.Origin.OURS, role=Order.Role.ENTRY).exists()
    if held.decision_id is None and held.adopted is None and opened_by_us and stop is not None:
        # Its decision is lost, its protection is not: Vibex looks after it as after any other.
        changes |= {"adopted": datetime.now(UTC), "leverage": leverage or held.leverage}
        incidents_mended(account=account, kind="foreign-position", subject=symbol)
    if changes:
        Position.objects.filter(pk=held.pk).update(**changes)
        publish_on_commit(account_id=account.pk, kind="position", data={"id": held.pk})
