"""From the exchange's ledger and statements to our rows: payments, positions as stated, orders of others, equity."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial

from django.db import transaction
from django.db.models import Exists, Max, Min, OuterRef, Q, QuerySet, Sum

from accounts.models import Account, Incident
from decisions.domain.portfolio import Role
from trading.domain.losses import Watch, carried, net_transfers, unknown_equity
from trading.domain.orders import FINAL, OrderState
from trading.domain.venue import (
    MOVED,
    SETTLED_IN,
    AccountState,
    Income,
    IncomeKind,
    OrderReport,
    OrderType,
    VenuePosition,
)
from trading.models import EquityPoint, Fill, IncomeEntry, LossWatch, Order, Position
from trading.selectors.losses import watch_from
from trading.services.fills import places
from vibex.lib.events import publish_on_commit
from vibex.lib.money import booked
from vibex.lib.records import record

DAWN = datetime(1970, 1, 1, tzinfo=UTC)
BACK = timedelta(days=8)
"""For so long an execution that the ledger speaks of is looked for."""
OVERLAP = timedelta(hours=1)
"""A line may carry an earlier time than one that was booked before it. Lines that come later still are found by a full
reading as soon as the sums or the positions differ."""


def income_book(*, account: Account, income: Sequence[Income]) -> set[str]:
    """Copy the ledger lines that are not copied yet, of every asset; funding is added to the position it belongs to.

    Returns the symbols of executions that it speaks of and that are not booked, however long ago their lines were copied.
    """
    if fresh := _not_copied(account, income):
        with transaction.atomic():
            Account.objects.select_for_update().get(pk=account.pk)
            fresh = _not_copied(account, fresh)  # somebody else may have copied them meanwhile
            IncomeEntry.objects.bulk_create(_entry(account, line) for line in fresh)
            for line in fresh:
                if line.kind is IncomeKind.FUNDING_FEE and line.asset == SETTLED_IN:
                    _book_funding(account, line)
    return set(_unbooked(account).values_list("symbol", flat=True))


def orders_take_in(*, account: Account, reports: Sequence[OrderReport]) -> list[OrderReport]:
    """Keep working orders that are not known here as those of somebody else; return those that are over in our books."""
    told = {report.client_order_id: report for report in reports if report.status.open}
    if not told:
        return []
    known = Order.objects.filter(account=account, client_order_id__in=told)
    over = []
    for name, state in known.values_list("client_order_id", "state"):
        report = told.pop(name)
        if state in FINAL:
            over.append(report)
    rows = [_taken_in(account, report) for report in told.values()]
    Order.objects.bulk_create(rows, ignore_conflicts=True)
    return over


def position_book_stated(*, account: Account, held: VenuePosition, at: datetime) -> None:
    """Book a position as the exchange states it. Its trades lie too far back to be read; what it made is not known."""
    value = booked(held.quantity * held.entry_price)
    row, new = Position.objects.get_or_create(
        account=account,
        symbol=held.symbol,
        closed=None,
        defaults={
            "side": held.side.value,
            "quantity": held.quantity,
            "peak_quantity": held.quantity,
            "cost": value,
            "bought": held.quantity,
            "bought_value": value,
            "entry_price": places(held.entry_price),
            "leverage": held.leverage,
            "opened": at,
        },
    )
    if new:
        publish_on_commit(account_id=account.pk, kind="position", data={"id": row.pk})


def trades_since(*, account: Account, symbol: str) -> datetime:
    """Return from when trades of a symbol are asked for: well before the newest fill, since some come late.

    And before the oldest execution that the ledger speaks of and that could not be read yet.
    """
    newest: datetime | None = Fill.objects.filter(account=account, symbol=symbol).aggregate(at=Max("at"))["at"]
    if newest is None:
        return DAWN
    missing: datetime | None = _unbooked(account).filter(symbol=symbol).aggregate(at=Min("at"))["at"]
    return min(newest, missing or newest) - OVERLAP


def income_since(*, account: Account) -> datetime:
    """Return from when ledger lines are asked for: before the newest one, since some come late."""
    newest = IncomeEntry.objects.filter(account=account).aggregate(at=Max("at"))["at"]
    return newest - OVERLAP if newest else DAWN


@record()
class LedgerSums:
    """What the ledger lines in USDT that were copied add up to."""

    total: Decimal | None
    """What the wallet should hold. None without any line."""
    moved: Decimal
    """What of it came from outside, or went there."""


def ledger_sums(*, account: Account) -> LedgerSums:
    """Return what the ledger of an account adds up to, in one look at all its lines.

    SQLite adds up in binary fractions, so the sum of hundreds of lines is put back on the decimals that money has.
    """
    moved = Sum("amount", filter=Q(kind__in=[kind.value for kind in MOVED]))
    lines = IncomeEntry.objects.filter(account=account, asset=SETTLED_IN)
    found = lines.aggregate(total=Sum("amount"), moved=moved)
    total: Decimal | None = found["total"]
    return LedgerSums(None if total is None else booked(total), booked(found["moved"] or Decimal(0)))


def equity_record(*, account: Account, state: AccountState, sums: LedgerSums | None = None) -> Watch | None:
    """Add a point to the equity series and carry the watch on; return it. None, and nothing, for an unknown equity.

    A second point of the same moment replaces the first; one that comes late does not move the watch back. `sums` are
    those that agree with this state, where the ledger was added up already.
    """
    if unknown_equity(state):
        return None
    with transaction.atomic():
        ledger = sums or ledger_sums(account=account)
        untold = booked(state.wallet) - (ledger.total or Decimal(0))
        if untold and untold == _traded_untold(account, since=state.at - OVERLAP):
            untold = Decimal(0)  # it was traded, and is no transfer
        point = EquityPoint(
            account=account,
            at=state.at,
            wallet=booked(state.wallet),
            unrealised=booked(state.unrealised),
            equity=booked(state.equity),
            transfers=net_transfers(ledger.moved, untold, overdue=untold < 0 and _ledger_doubted(account)),
        )
        EquityPoint.objects.bulk_create(
            [point],
            update_conflicts=True,
            unique_fields=["account", "at"],
            update_fields=["wallet", "unrealised", "equity", "transfers"],
        )
        publish_on_commit(account_id=account.pk, kind="equity")
        return _watch_carry(account, point)


def _watch_carry(account: Account, point: EquityPoint) -> Watch:
    told = partial(carried, equity=point.equity, transfers=point.transfers, at=point.at, zone=account.time_zone)
    row, new = LossWatch.objects.select_for_update().get_or_create(account=account, defaults=told(None).stored())
    before = watch_from(row)
    watch = before if new else told(before)
    if watch != before:
        LossWatch.objects.filter(pk=row.pk).update(**watch.stored())
    return watch


def _traded_untold(account: Account, *, since: datetime) -> Decimal:
    """Return what booked fills brought, less fees, beyond what the ledger tells of them yet."""
    fills = Fill.objects.filter(account=account, at__gte=since)
    fees = Sum("fee", filter=Q(fee_asset=SETTLED_IN))
    traded = fills.aggregate(realised=Sum("realised"), fees=fees)
    lines = IncomeEntry.objects.filter(
        account=account, asset=SETTLED_IN, trade_id__in=fills.values("exchange_trade_id")
    )
    told: Decimal | None = lines.aggregate(total=Sum("amount"))["total"]
    return booked((traded["realised"] or Decimal(0)) - (traded["fees"] or Decimal(0)) - (told or Decimal(0)))


def _ledger_doubted(account: Account) -> bool:
    """Tell whether a person was told that the ledger differs from the wallet, or cannot be read."""
    told = Incident.objects.filter(account=account, resolved__isnull=True)
    return told.filter(kind__in=("ledger-mismatch", "books-behind")).exists()


def _taken_in(account: Account, report: OrderReport) -> Order:
    """Return the row of a working order of somebody else."""
    lowers = report.reduce_only or report.close_position
    role = {OrderType.STOP_MARKET: Role.STOP, OrderType.TAKE_PROFIT_MARKET: Role.TARGET}.get(report.type)
    return Order(
        account=account,
        client_order_id=report.client_order_id,
        origin=Order.Origin.EXTERNAL,
        role=(role or (Role.CLOSE if lowers else Role.ENTRY)).value,
        symbol=report.symbol,
        side=report.side.value,
        type=report.type.value,
        quantity=None if report.close_position else report.quantity,
        price=report.price,
        trigger=report.trigger,
        reduce_only=report.reduce_only,
        close_position=report.close_position,
        state=OrderState.LIVE.value,
        reason="external",
        exchange_id=report.exchange_id,
        filled=report.filled,
        average_price=report.average_price,
    )


def _unbooked(account: Account) -> QuerySet[IncomeEntry]:
    """Return the lines of the last days that speak of an execution which is not booked.

    Of a live account those since it is ours: what was traded before is not ours to book.
    """
    lines = IncomeEntry.objects.filter(account=account).exclude(trade_id="")
    newest = lines.aggregate(at=Max("at"))["at"]
    if newest is None:
        return IncomeEntry.objects.none()
    since = max(newest - BACK, account.created) if account.live else newest - BACK
    same = Fill.objects.filter(account=account, symbol=OuterRef("symbol"), exchange_trade_id=OuterRef("trade_id"))
    return lines.filter(~Exists(same), at__gte=since)


def _not_copied(account: Account, income: Sequence[Income]) -> list[Income]:
    """Return the lines that are not copied yet, each once."""
    if not income:
        return []
    known = IncomeEntry.objects.filter(account=account, transaction_id__in=[line.transaction_id for line in income])
    seen = set(known.values_list("kind", "transaction_id", "symbol", "asset"))
    return list({_identity(line): line for line in income if _identity(line) not in seen}.values())


def _identity(line: Income) -> tuple[str, str, str, str]:
    return line.kind.value, line.transaction_id, line.symbol, line.asset


def _book_funding(account: Account, line: Income) -> None:
    """Add a payment to the position that was open when it was settled."""
    held = Position.objects.filter(account=account, symbol=line.symbol, opened__lte=line.at)
    row = held.filter(Q(closed=None) | Q(closed__gte=line.at)).order_by("-opened").first()
    if row is not None:
        Position.objects.filter(pk=row.pk).update(funding=row.funding + line.amount)
        publish_on_commit(account_id=account.pk, kind="position", data={"id": row.pk})


def _entry(account: Account, line: Income) -> IncomeEntry:
    return IncomeEntry(
        account=account,
        kind=line.kind.value,
        transaction_id=line.transaction_id,
        symbol=line.symbol,
        amount=line.amount,
        asset=line.asset,
        trade_id=line.trade_id,
        at=line.at,
    )
