"""What is known of many accounts without asking their exchanges, in a handful of queries for all of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from django.db.models import F, Max, OuterRef, QuerySet, Subquery, Sum

from accounts.models import Account, Incident
from decisions.domain.portfolio import Role
from decisions.domain.proposal import Side
from marketdata.domain.assess import quote_age_limit
from marketdata.domain.instruments import InstrumentSpec
from marketdata.models import Ticker
from marketdata.selectors import instrument_specs, market_clock
from trading.domain.losses import KINDS, Watch, advance
from trading.domain.orders import FINAL, OrderState
from trading.domain.screen import IN_WORK, Holding, Known, Mark, Working
from trading.domain.venue import ZERO, NewOrder, OrderSide, OrderType
from trading.exchange.paper_glance import Glance, glances
from trading.models import Claim, EquityPoint, Fill, GuardState, Halt, Lock, LossWatch, Order, Position, UserStreamState
from trading.selectors.hearing import NOBODY, SILENT_AFTER
from trading.selectors.losses import watch_from
from trading.services.live import limits_of
from vibex.lib.clock import Clock
from vibex.lib.errors import Rejected
from vibex.lib.money import booked

LOOKED_AFTER: Final = (
    "guard-blind",
    "books-behind",
    "cancel-unanswered",
    "target-failed",
    "stop-not-moved",
    "not-attended",
    "not-flat",
    "close-refused",
    "position-mismatch",
    "ledger-mismatch",
    "needs-operator",
    "liquidation-near",
    "data-stale",
    "halt",
)
"""Incidents that a look at the exchange may find to be over: while one is open, the account is looked at."""
LATELY: Final = timedelta(minutes=10)
"""Orders of a live account that are younger are compared with their fills; a look books what is older."""


@dataclass(frozen=True, slots=True)
class Equity:
    """What an account is worth at a moment of market time, from the wallet as it was stated or booked last."""

    at: datetime
    wallet: Decimal
    unrealised: Decimal
    transfers: Decimal

    @property
    def total(self) -> Decimal:
        return self.wallet + self.unrealised


@dataclass(frozen=True, slots=True)
class Reading:
    """An account as it was read: what the screen judges, and what is written down if it finds nothing."""

    account: Account
    known: Known
    equity: Equity | None = None


def readings(account_ids: Sequence[int], *, now: datetime) -> list[Reading]:
    """Read accounts, at the wall time `now`. What of one cannot be read is among its `unread`, and hides no other."""
    rows = _Rows.read(account_ids, now)
    return [_reading(rows, account, now) for account in rows.accounts]


@dataclass(slots=True)
class _Venue:
    """A market as it is at one moment of its own time; without a clock there is no such market here."""

    clock: Clock | None = None
    at: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    specs: Mapping[str, InstrumentSpec] = field(default_factory=dict)
    marks: Mapping[str, Mark] = field(default_factory=dict)


@dataclass(slots=True)
class _Rows:
    """Rows of all accounts, by account id."""

    accounts: list[Any]
    positions: Mapping[int, list[Any]]
    orders: Mapping[int, list[Order]]
    touched: Mapping[tuple[int, str], datetime]
    claims: Mapping[int, set[str]]
    locks: Mapping[int, set[str]]
    incidents: Mapping[int, list[str]]
    unbooked: Mapping[int, list[str]]
    traded: Mapping[int, datetime]
    not_flat: set[int]
    venues: Mapping[str, _Venue]
    glances: Mapping[int, Glance]

    @classmethod
    def read(cls, ids: Sequence[int], now: datetime) -> _Rows:
        # Our books before the venue: what happens between the two makes them differ, which is a doubt.
        accounts = list(_accounts(ids))
        positions = _by_account(_positions(ids))
        orders = _by_account(
            Order.objects.filter(account_id__in=ids).exclude(state__in=FINAL).order_by("created", "pk")
        )
        venues = _venues(accounts, positions)
        live = [account.pk for account in accounts if account.live]
        claims = Claim.objects.filter(account_id__in=ids, until__gt=now)
        locks = Lock.objects.filter(account_id__in=ids, kind__in=KINDS, lifted__isnull=True).exclude(until__lt=now)
        incidents = Incident.objects.filter(account_id__in=ids, kind__in=LOOKED_AFTER, resolved__isnull=True)
        return cls(
            accounts=accounts,
            positions=positions,
            orders=orders,
            touched=_touched(positions),
            claims=_sets(claims.values_list("account_id", "symbol")),
            locks=_sets(locks.values_list("account_id", "kind")),
            incidents=_lists(incidents.values_list("account_id", "kind")),
            unbooked=_lists(_unbooked(live, now)),
            traded=_traded(live, now),
            not_flat=_not_flat(accounts),
            venues=venues,
            glances=_glances(accounts, venues),
        )


def _reading(rows: _Rows, account: Any, now: datetime) -> Reading:
    venue, glance = rows.venues[account.market], rows.glances.get(account.pk)
    holdings = tuple(_holding(row, rows.touched) for row in rows.positions.get(account.pk, ()))
    equity = _equity(account, glance, holdings, venue)
    orders = rows.orders.get(account.pk, [])
    something = bool(holdings or orders or (glance and glance.state and glance.state.positions))
    known = Known(
        holdings=holdings,
        orders=tuple(_working(row) for row in orders),
        marks=venue.marks,
        specs=venue.specs,
        limits=limits_of(account.limits),
        claimed=frozenset(rows.claims.get(account.pk, ())),
        oldest_mark=quote_age_limit(venue.clock.speed) if venue.clock else timedelta(0),
        by_position=not account.live,  # a helper by quantity that stays is found by its bracket
        stated=glance.state if glance else None,
        unread=tuple(_unread(rows, account, venue, glance, now)),
        halted=account.pk in rows.not_flat or (_must_be_flat(account) and something),
        watch=_watch(account, equity),
        locked=frozenset(rows.locks.get(account.pk, ())),
        full_at=_guard(account).full_at,
    )
    return Reading(account, known, equity)


def _unread(rows: _Rows, account: Any, venue: _Venue, glance: Glance | None, now: datetime) -> Iterable[str]:
    """Yield what is not known of an account, or known and not in its books."""
    if venue.clock is None:
        yield f"there is no market {account.market}"
    if glance is not None:
        if glance.due:
            yield glance.due
        elif glance.version != _guard(account).venue_version:
            yield "the paper venue has written to it since the last look"
    if account.live and (deaf := _deaf(account, now)):
        yield f"its venue is not heard: {deaf}"
    if (traded := rows.traded.get(account.pk)) is not None and traded > (_guard(account).full_at or traded):
        yield "it has traded since the last look, and its wallet is not known"
    yield from (f"an incident is open: {kind}" for kind in sorted(set(rows.incidents.get(account.pk, ()))))
    for symbol in sorted(set(rows.unbooked.get(account.pk, ()))):
        yield f"{symbol} has an order with a fill that is not booked"


def _accounts(ids: Sequence[int]) -> QuerySet[Account]:
    newest = EquityPoint.objects.filter(account=OuterRef("pk")).order_by("-at")
    related = ("limits", "guard", "loss_watch", "user_stream")
    return (
        Account.objects.filter(pk__in=ids)
        .select_related(*related)
        .annotate(wallet=Subquery(newest.values("wallet")[:1]), moved=Subquery(newest.values("transfers")[:1]))
        .order_by("pk")
    )


def _positions(ids: Sequence[int]) -> QuerySet[Position]:
    held = Position.objects.filter(account_id__in=ids, closed__isnull=True)
    return held.annotate(wanted_target=F("decision__profit_target")).order_by("symbol")


def _holding(row: Any, touched: Mapping[tuple[int, str], datetime]) -> Holding:
    return Holding(
        symbol=row.symbol,
        side=Side(row.side),
        quantity=row.quantity,
        cost=row.cost,
        leverage=row.leverage,
        bracket=row.bracket,
        stop=row.stop,
        target=row.wanted_target if row.target is None else row.target,
        foreign=row.decision_id is None and row.adopted is None,
        touched=touched.get((row.account_id, row.symbol)),
    )


def _working(row: Order) -> Working:
    order = NewOrder(
        client_order_id=row.client_order_id,
        symbol=row.symbol,
        side=OrderSide(row.side),
        type=OrderType(row.type),
        quantity=row.quantity,
        price=row.price,
        trigger=row.trigger,
        reduce_only=row.reduce_only,
        close_position=row.close_position,
    )
    return Working(Role(row.role), order, OrderState(row.state), row.filled, row.origin == Order.Origin.OURS)


def _equity(account: Any, glance: Glance | None, holdings: Sequence[Holding], venue: _Venue) -> Equity | None:
    """Return what an account is worth; None where wallet or marks are not known."""
    if account.wallet is None or venue.clock is None:
        return None
    if glance is not None:
        if glance.state is None:
            return None
        state = glance.state
        return Equity(state.at, booked(state.wallet), booked(state.unrealised), account.moved)
    unrealised = ZERO
    for held in holdings:
        mark = venue.marks.get(held.symbol)
        if mark is None or not mark.price.is_finite():
            return None
        unrealised += held.side.sign * (mark.price * held.quantity - held.cost)
    return Equity(venue.at, account.wallet, booked(unrealised), account.moved)


def _watch(account: Any, equity: Equity | None) -> Watch | None:
    row: LossWatch | None = getattr(account, "loss_watch", None)
    if row is None or equity is None:
        return None
    return watch_on(row, equity, zone=account.time_zone)


def watch_on(row: LossWatch, equity: Equity, *, zone: str) -> Watch:
    """Return a stored watch carried on to an equity."""
    return advance(watch_from(row), equity=equity.total, transfers=equity.transfers, at=equity.at, zone=zone)


def _venues(accounts: Sequence[Account], positions: Mapping[int, Sequence[Any]]) -> dict[str, _Venue]:
    """Read the markets of all accounts: one clock and one set of rules each, all marks in one query."""
    symbols: dict[str, set[str]] = defaultdict(set)
    for account in accounts:
        symbols[account.market].update(row.symbol for row in positions.get(account.pk, ()))
    names = {symbol for held in symbols.values() for symbol in held}
    tickers = _by(Ticker.objects.filter(venue__in=symbols, symbol__in=names), "venue") if names else {}
    return {venue: _venue(venue, held, tickers.get(venue, ())) for venue, held in symbols.items()}


def _venue(venue: str, symbols: set[str], tickers: Iterable[Any]) -> _Venue:
    try:
        clock = market_clock(venue)
    except Rejected:
        return _Venue()
    at = clock.now()
    marks = {row.symbol: Mark(row.mark, at - (row.mark_at or row.at)) for row in tickers if row.symbol in symbols}
    return _Venue(clock, at, instrument_specs(venue, symbols) if symbols else {}, marks)


def _glances(accounts: Sequence[Account], venues: Mapping[str, _Venue]) -> dict[int, Glance]:
    found: dict[int, Glance] = {}
    for name, venue in venues.items():
        ids = [account.pk for account in accounts if account.market == name and not account.live]
        if ids and venue.clock is not None:
            found |= glances(ids, venue=name, clock=venue.clock, at=venue.at)
    return found


def _touched(positions: Mapping[int, Sequence[Any]]) -> dict[tuple[int, str], datetime]:
    """Return when something last happened to the orders of each position whose bracket is in work."""
    in_work = [row for rows in positions.values() for row in rows if row.bracket in IN_WORK]
    if not in_work:
        return {}
    orders = Order.objects.filter(
        account_id__in={row.account_id for row in in_work}, symbol__in={row.symbol for row in in_work}
    )
    newest = orders.values_list("account_id", "symbol").annotate(at=Max("updated"))
    return {(account_id, symbol): at for account_id, symbol, at in newest}


def _unbooked(live: Sequence[int], now: datetime) -> Iterable[tuple[int, str]]:
    """Yield account and symbol of young orders of live accounts that were filled further than their fills tell."""
    if not live:
        return
    young = Order.objects.filter(account_id__in=live, created__gt=now - LATELY, filled__gt=0)
    told = young.annotate(told=Sum("fills__quantity")).values_list("account_id", "symbol", "filled", "told")
    for account_id, symbol, filled, quantity in told:
        if booked(quantity or ZERO) != booked(filled):
            yield account_id, symbol


def _traded(live: Sequence[int], now: datetime) -> dict[int, datetime]:
    """Return when live accounts traded last. What that did to the wallet only a look at it tells, which began later."""
    if not live:
        return {}
    lately = Fill.objects.filter(account_id__in=live, at__gt=now - LATELY)
    return dict(lately.order_by().values_list("account_id").annotate(Max("at")))


def _not_flat(accounts: Sequence[Account]) -> set[int]:
    halted = [account.pk for account in accounts if account.state == Account.State.HALTED]
    if not halted:
        return set()
    at_work = Halt.objects.filter(account_id__in=halted, lifted__isnull=True, flat_at__isnull=True)
    return set(at_work.values_list("account_id", flat=True))


def _must_be_flat(account: Account) -> bool:
    return account.state == Account.State.HALTED and not account.halt_keeps_positions


def _deaf(account: Any, now: datetime) -> str:
    """Return why what the venue tells is not heard; "" when it is, and nothing was missed."""
    state: UserStreamState | None = getattr(account, "user_stream", None)
    if state is None or state.connected_at is None or state.heard_at is None:
        return NOBODY if state is None else state.problem or NOBODY
    if state.problem or now - state.heard_at > SILENT_AFTER:
        return state.problem or NOBODY
    if state.caught_up_at is None or state.caught_up_at < state.connected_at:
        return "it was not looked at since it is heard"
    return ""


def _guard(account: Any) -> GuardState:
    return getattr(account, "guard", None) or GuardState()


def _by(rows: Iterable[Any], name: str) -> dict[Any, list[Any]]:
    found: dict[Any, list[Any]] = defaultdict(list)
    for row in rows:
        found[getattr(row, name)].append(row)
    return found


def _by_account(rows: Iterable[Any]) -> dict[int, list[Any]]:
    return _by(rows, "account_id")


def _lists(pairs: Iterable[tuple[int, str]]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = defaultdict(list)
    for account_id, text in pairs:
        found[account_id].append(text)
    return found


def _sets(pairs: Iterable[tuple[int, str]]) -> dict[int, set[str]]:
    return {account_id: set(texts) for account_id, texts in _lists(pairs).items()}
