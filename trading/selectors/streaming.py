"""The rows that the streams tell of: by their ids for changes, by their accounts for snapshots."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from django.db.models import OuterRef, Q, QuerySet, Subquery

from accounts.models import Account, Alert, Bot, Incident, Job
from accounts.selectors import on_market
from decisions.models import Approval, Cycle, Decision, DiaryEntry
from marketdata.domain.intervals import interval_ms
from marketdata.models import Candle, Feed, Ticker
from marketdata.selectors import clock_of
from trading.domain.orders import FINAL
from trading.models import EquityPoint, Fill, Lock, Order, Position, Reconciliation
from vibex.lib.money import booked

type Rows = QuerySet[Any]

OF_KIND: Final[dict[str, Callable[[], Rows]]] = {
    "cycle": lambda: Cycle.objects.defer("seen", "kept", "timings"),
    "decision": lambda: Decision.objects.select_related("bot").defer("justification", "hits"),
    "order": Order.objects.all,
    "fill": lambda: Fill.objects.select_related("order"),
    "position": lambda: Position.objects.select_related("account"),
    "diary": lambda: DiaryEntry.objects.select_related("bot").defer("data"),
    "bot": Bot.objects.all,
    "lock": Lock.objects.all,
    "incident": lambda: Incident.objects.defer("data"),
    "alert": Alert.objects.all,
    "approval": lambda: Approval.objects.select_related("decision__bot"),
    "job": lambda: Job.objects.defer("request", "progress", "result", "problem"),
    "reconcile": lambda: Reconciliation.objects.defer("mended", "left"),
}
"""What can be told by the ids of its rows; of an approval by that of its decision."""
MOST: Final = 500
"""Rows of one kind that a snapshot holds."""
NEWEST: Final = 20
"""Rows of its past that the snapshot of a bot holds."""


def rows_of(kind: str, ids: Collection[int]) -> dict[int, Any]:
    """Return the rows of a kind by the ids that name them; those that are gone are missing."""
    rows = OF_KIND[kind]()
    if kind == "approval":
        return {row.decision_id: row for row in rows.filter(decision_id__in=ids)}
    return {row.pk: row for row in rows.filter(pk__in=ids)}


def held_in(pairs: Collection[tuple[int, str]]) -> dict[tuple[int, str], Position]:
    """Return the open positions of accounts and symbols."""
    accounts, symbols = {account for account, _ in pairs}, {symbol for _, symbol in pairs}
    rows = OF_KIND["position"]().filter(account_id__in=accounts, symbol__in=symbols, closed__isnull=True)
    return {(row.account_id, row.symbol): row for row in rows}


def accounts_at(account_ids: Collection[int]) -> list[Account]:
    """Return accounts in the order of their ids."""
    return list(Account.objects.filter(pk__in=account_ids).order_by("pk")[:MOST])


def newest_equity(account_ids: Collection[int]) -> dict[int, EquityPoint]:
    """Return the newest point of equity of each account that has one."""
    newest = EquityPoint.objects.filter(account=OuterRef("pk")).order_by("-at").values("pk")[:1]
    points = Account.objects.filter(pk__in=account_ids).annotate(newest=Subquery(newest)).values("newest")
    return {point.account_id: point for point in EquityPoint.objects.filter(pk__in=points)}


def open_on(kind: str, account_ids: Collection[int]) -> list[Any]:
    """Return what of a kind is open on accounts, oldest first: bots, positions, working orders, locks, incidents, approvals."""
    of = "decision__bot__account_id__in" if kind == "approval" else "account_id__in"
    narrowed: dict[str, Q] = {
        "bot": Q(),
        "position": Q(closed__isnull=True),
        "order": ~Q(state__in=FINAL),
        "lock": Q(lifted__isnull=True),
        "incident": Q(resolved__isnull=True),
        "approval": Q(state=Approval.State.AWAITING),
    }
    return list(OF_KIND[kind]().filter(narrowed[kind], **{of: account_ids}).order_by("pk")[:MOST])


def running_jobs(user_id: int) -> list[Job]:
    """Return the work that a person asked for and that is not done."""
    return list(OF_KIND["job"]().filter(owner_id=user_id, status=Job.Status.RUNNING).order_by("pk")[:MOST])


def newest_of_bot(kind: str, bot_id: int) -> list[Any]:
    """Return the newest cycles, decisions or lines of the diary of a bot, newest first."""
    order = {"cycle": ["-scheduled_for"], "decision": ["-at", "-pk"], "diary": ["-at", "-pk"]}
    rows = OF_KIND[kind]().filter(bot_id=bot_id)
    if kind == "decision":
        rows = rows.filter(kind=Decision.Kind.LIVE)
    return list(rows.order_by(*order[kind])[:NEWEST])


def marks_of(positions: Iterable[Position]) -> dict[tuple[str, str], Ticker]:
    """Return the newest prices for open positions, by market and symbol. The positions have their accounts."""
    wanted = {(row.account.market, row.symbol) for row in positions if row.closed is None}
    if not wanted:
        return {}
    markets, symbols = {market for market, _ in wanted}, {symbol for _, symbol in wanted}
    found = Ticker.objects.filter(venue__in=markets, symbol__in=symbols)
    return {(row.venue, row.symbol): row for row in found}


def unrealised_of(row: Position, mark: Decimal) -> Decimal:
    """Return what closing an open position at the mark would bring, in quote units, before fees."""
    worth = row.quantity * mark - row.cost
    return booked(worth if row.side == Position.Side.LONG else -worth)


def open_on_market(market: str, symbols: Collection[str], account_ids: Collection[int]) -> list[Position]:
    """Return the open positions of accounts in these symbols of a market."""
    rows = Position.objects.filter(on_market(market, of="account__"), account_id__in=account_ids, closed__isnull=True)
    return list(rows.filter(symbol__in=symbols).order_by("pk"))


def prices_of(market: str, symbols: Collection[str] | None) -> list[Ticker]:
    """Return the newest prices of symbols of a market, of all for None."""
    rows = Ticker.objects.filter(venue=market)
    return list((rows if symbols is None else rows.filter(symbol__in=symbols)).order_by("symbol")[:MOST])


def newest_candles(market: str, symbols: Collection[str] | None) -> list[Candle]:
    """Return the newest candle, closed or forming, of each symbol of a market that had one in the last two intervals."""
    feed = Feed.objects.filter(venue=market).first()
    if feed is None:
        return []
    since = clock_of(feed).now() - 2 * timedelta(milliseconds=interval_ms(feed.interval))
    rows = Candle.objects.filter(venue=market, interval=feed.interval, open_time__gte=since).order_by("open_time")
    if symbols is not None:
        rows = rows.filter(symbol__in=symbols)
    newest = {row.symbol: row for row in rows[: MOST * 3]}
    return [newest[symbol] for symbol in sorted(newest)]


def markets_of(accounts: Iterable[int]) -> set[str]:
    """Return the names of the markets that accounts trade on."""
    return {account.market for account in Account.objects.filter(pk__in=list(accounts)).only("venue", "network")}


def markets_here() -> set[str]:
    """Return the names of all markets of this installation."""
    return set(Feed.objects.values_list("venue", flat=True))
