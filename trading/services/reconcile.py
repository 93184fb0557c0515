"""Reconcile: compare our books with the exchange, mend what evidence allows, and keep on record what was left."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from django.utils import timezone

from accounts.models import Account
from trading.domain.orders import OrderState
from trading.domain.reconcile import BookedOrder, Books, Difference, OpenPosition, Statement, compare
from trading.domain.tie_out import MoneyDifference
from trading.domain.venue import SETTLED_IN, AccountState, Income, OrderReport
from trading.models import Fill, IncomeEntry, Reconciliation
from trading.services.guard import incidents_clear, looked_at
from trading.services.live import world_for
from trading.services.ready import account_ready
from trading.services.restored import orders_find_again, restored_lift
from trading.services.settle import settle
from trading.services.tie_out import money_check
from trading.services.user_events import takeovers_note
from trading.services.world import World
from vibex.lib.events import publish_on_commit
from vibex.lib.logging import bound


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What a reconcile found. A dry run mends nothing and is kept nowhere."""

    account: Account
    differences: Sequence[Difference]
    """As it was found."""
    money: Sequence[MoneyDifference] = ()
    mended: Sequence[str] = ()
    left: Sequence[str] = ()
    seconds: float = 0.0
    record: Reconciliation | None = field(default=None, compare=False)

    @property
    def agreed(self) -> bool:
        """Whether nothing is left for a person (of a dry run: whether nothing differs)."""
        return not self.left


def account_reconcile(*, account_id: int, trigger: str) -> Reconciliation:
    """Compare books and exchange, mend what evidence allows and put the result on record.

    Raises Retryable when the exchange does not answer, NeedsOperator when only a person can make it answer.
    """
    record = reconcile(Account.objects.select_related("limits").get(pk=account_id), trigger=trigger).record
    assert record is not None, "only a dry run keeps no record"  # noqa: S101
    return record


def reconcile(account: Account, *, trigger: str) -> Reconciled:
    """Compare, settle, and check what is left. Errors as `account_reconcile`."""
    with bound(account=account.pk), looked_at(account):
        began, clock = timezone.now(), time.monotonic()
        world = world_for(account)
        account_ready(account)
        # An account that is new to the books has nothing to compare yet, and all of its past to be read once.
        new = world.journal.ledger_total() is None
        again = orders_find_again(account=account, world=world, thorough=True)
        found = [] if new else compare(*_both_sides(world, account))
        settled = settle(world, thorough=True)
        takeovers_note(account=account)
        money = money_check(account, now=world.clock.now())
        world.journal.equity(settled.state)
        incidents_clear(account, world, before=began, shown=settled.state)
        left = [*settled.left, *(str(one) for one in money)]
        mended, seconds = [*again, *settled.mended], time.monotonic() - clock
        record = Reconciliation.objects.create(
            account=account,
            trigger=trigger,
            agreed=not left,
            mended=mended,
            left=left,
            seconds=round(seconds, 3),
        )
        publish_on_commit(account_id=account.pk, kind="reconcile", data={"id": record.pk})
    if not left and not settled.blocked:
        restored_lift(account=account)
    return Reconciled(account, found, money, mended, left, seconds, record)


def reconcile_dry(account: Account) -> Reconciled:
    """Compare and touch nothing: neither the exchange nor our books. Errors as `account_reconcile`."""
    with bound(account=account.pk):
        clock = time.monotonic()
        world = world_for(account)
        found = compare(*_both_sides(world, account))
        money = money_check(account, now=world.clock.now(), telling=False)
        left = [*(str(one) for one in found), *(str(one) for one in money)]
        return Reconciled(account, found, money, (), left, time.monotonic() - clock)


def _both_sides(world: World, account: Account) -> tuple[Books, Statement]:
    state = world.exchange.account()
    orders, positions = world.journal.orders(), world.journal.positions()
    symbols = {one.order.symbol for one in orders} | {one.symbol for one in positions}
    symbols |= {one.symbol for one in state.positions}
    trades = [
        trade
        for symbol in sorted(symbols)
        for trade in world.exchange.trades(symbol=symbol, since=world.journal.trades_since(symbol))
    ]
    income = world.exchange.income(since=world.journal.income_since())
    shown = {report.client_order_id for report in state.orders}
    asked = [one for one in orders if one.facts.state is not OrderState.PLANNED]
    looked_up: dict[str, OrderReport | None] = {}
    for one in asked:
        if one.order.client_order_id not in shown:
            key, symbol = one.order.client_order_id, one.order.symbol
            looked_up[key] = world.exchange.order(symbol=symbol, client_order_id=key)
    fills = Fill.objects.filter(account=account, exchange_trade_id__in=[trade.trade_id for trade in trades])
    lines = IncomeEntry.objects.filter(account=account, transaction_id__in=[line.transaction_id for line in income])
    books = Books(
        [BookedOrder(one.order, one.role, one.facts.state, one.ours) for one in orders],
        [OpenPosition(one.symbol, one.side, one.quantity, one.stop, not one.foreign) for one in positions],
        _ledger(world, state, income),
        frozenset(fills.values_list("symbol", "exchange_trade_id")),
        frozenset(lines.values_list("kind", "transaction_id", "symbol", "asset")),
    )
    by_position = world.exchange.supports_close_position
    return books, Statement(state, trades, income, looked_up, by_position)


def _ledger(world: World, state: AccountState, income: Sequence[Income]) -> Decimal:
    """Return the sum of our ledger; before its first line was copied, what lay there before the oldest one told."""
    total = world.journal.ledger_total()
    if total is not None:
        return total
    return state.wallet - sum((line.amount for line in income if line.asset == SETTLED_IN), Decimal(0))
