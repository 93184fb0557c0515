"""Where an account stands now: money by the exchange's ledger, open positions at the present mark price.

Both come from what is booked: a position that was stopped out and the loss it made leave and arrive together. The last
equity point may be older than both, so it only stands in for a ledger of which nothing is copied yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Max, Model, OuterRef, QuerySet, Subquery, Sum

from accounts.models import Account
from marketdata.models import Instrument, Ticker
from marketdata.selectors import brackets_of
from trading.domain.matching.margin import liquidation_in
from trading.domain.matching.types import PositionRecord
from trading.domain.venue import MOVED, SETTLED_IN
from trading.models import AccountTerms, EquityPoint, IncomeEntry, Position
from trading.selectors.opening import Opening, opening_of
from vibex.lib.money import booked

ZERO = Decimal(0)
DEFAULT_TICK = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Rules:
    """How prices and quantities of one symbol are written."""

    tick: Decimal = DEFAULT_TICK
    step: Decimal = Decimal("0.001")


@dataclass(frozen=True, slots=True)
class PositionLine:
    """An open position at the present mark. Amounts in quote units, distances as fractions of the mark price."""

    position: Position
    rules: Rules
    mark: Decimal | None = None
    unrealised: Decimal | None = None
    share: Decimal | None = None
    """Unrealised result ÷ cost."""
    to_stop: Decimal | None = None
    to_target: Decimal | None = None
    liquidation: Decimal | None = None
    """Mark price that ends it, by the brackets of its contract and the margin that opened it; None when none does."""

    @property
    def margin(self) -> Decimal:
        """Margin that opened it: cost ÷ leverage."""
        return Decimal(self.position.cost / self.position.leverage)

    @property
    def to_liquidation(self) -> Decimal | None:
        """Way from the mark to the liquidation price, as a fraction of the mark."""
        if self.mark is None or self.liquidation is None:
            return None
        return (self.mark - self.liquidation) * self._sign / self.mark

    @property
    def at_stop(self) -> Decimal | None:
        """Result in quote units when the stop ends it at its price, before fees; None without a stop."""
        position = self.position
        if position.stop is None:
            return None
        return Decimal((position.stop - position.entry_price) * position.quantity * self._sign)

    @property
    def risk(self) -> Decimal | None:
        """Quote units that are lost from now on when the stop ends it, before fees; None without a stop or a mark."""
        if self.at_stop is None or self.unrealised is None:
            return None
        return self.unrealised - self.at_stop

    @property
    def _sign(self) -> int:
        return 1 if self.position.side == Position.Side.LONG else -1

    @property
    def notional(self) -> Decimal:
        return Decimal(self.position.quantity * (self.mark or self.position.entry_price))


@dataclass(frozen=True, slots=True)
class Standing:
    """Money of an account. Everything but the positions is None until the exchange has booked or stated something."""

    positions: tuple[PositionLine, ...]
    stated_at: datetime | None = None
    wallet: Decimal | None = None
    equity: Decimal | None = None
    unrealised: Decimal = ZERO
    day: Decimal | None = None
    day_share: Decimal | None = None
    total: Decimal | None = None
    total_share: Decimal | None = None

    @property
    def margin(self) -> Decimal:
        return sum((line.margin for line in self.positions), ZERO)

    @property
    def margin_share(self) -> Decimal | None:
        return self.margin / self.equity if self.equity else None

    @property
    def exposure(self) -> Decimal:
        """Gross notional of the open positions."""
        return sum((line.notional for line in self.positions), ZERO)

    @property
    def exposure_share(self) -> Decimal | None:
        return self.exposure / self.equity if self.equity else None


def rules_of(venue: str) -> dict[str, Rules]:
    """Return tick and step of every symbol of a venue."""
    return rules_among(instruments_of(venue))


def instruments_of(venue: str) -> QuerySet[Instrument]:
    """Return the contracts of a venue with what `rules_among` reads."""
    return Instrument.objects.filter(venue=venue).order_by("pk").only("symbol", "tick_size", "step_size")


def rules_among(rows: Iterable[Instrument]) -> dict[str, Rules]:
    """Return tick and step of each of these contracts, by symbol."""
    return {row.symbol: Rules(row.tick_size, row.step_size) for row in rows}


@dataclass(frozen=True, slots=True)
class Stored:
    """What is stored of the money of an account: by its ledger, and as the exchange stated it."""

    opening: Opening
    moved: Sequence[tuple[datetime, Decimal]]
    """Deposits and withdrawals, oldest first, and what lay there before the ledger begins."""
    newest: tuple[datetime, Decimal] | None
    """When the exchange stated the wallet last, and how much it was."""
    before: Decimal
    """Equity when the trading day began; what it began with for an account younger than that."""
    ledger_at: datetime | None
    ledger_sum: Decimal


def standing_of(account: Account, *, now: datetime, rules: Mapping[str, Rules]) -> Standing:
    """Return where `account` stands at the market time `now`."""
    return standing_from(account, _lines(account, rules), _stored(account, now), now=now)


def standing_from(account: Account, lines: tuple[PositionLine, ...], stored: Stored, *, now: datetime) -> Standing:
    """Return where an account stands whose positions and money are read already."""
    stated_at, wallet = _wallet(account, stored)
    if wallet is None:
        return Standing(lines)
    opening, unrealised = stored.opening, sum((line.unrealised or ZERO for line in lines), ZERO)
    equity = wallet + unrealised
    later, began = _later(opening, stored.moved), day_start(now, account.time_zone)
    day = equity - stored.before - sum((amount for at, amount in later if at > began), ZERO)
    total = equity - opening.equity - sum((amount for _, amount in later), ZERO)
    return Standing(
        positions=lines,
        stated_at=stated_at,
        wallet=wallet,
        equity=equity,
        unrealised=unrealised,
        day=day,
        day_share=day / stored.before if stored.before else None,
        total=total,
        total_share=total / opening.equity if opening.equity > 0 else None,
    )


def day_start(now: datetime, zone: str) -> datetime:
    """Return the midnight (in `zone`) at which the trading day of `now` began."""
    midnight = now.astimezone(ZoneInfo(zone)).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight.astimezone(UTC)


def _stored(account: Account, now: datetime) -> Stored:
    points = EquityPoint.objects.filter(account=account).order_by("-at")
    opening = opening_of(account)
    before = points.filter(at__lte=day_start(now, account.time_zone)).first()
    ledger = IncomeEntry.objects.filter(account=account, asset=SETTLED_IN)
    booked_so_far = ledger.aggregate(sum=Sum("amount"), at=Max("at"))
    return Stored(
        opening=opening,
        moved=list(transfers_of(account).values_list("at", "amount")),
        newest=points.values_list("at", "wallet").first(),
        before=before.equity if before else opening.equity,
        ledger_at=booked_so_far["at"],
        ledger_sum=booked_so_far["sum"] or ZERO,
    )


def _wallet(account: Account, stored: Stored) -> tuple[datetime | None, Decimal | None]:
    """Return the wallet by the ledger, or as stated last where nothing of the ledger is copied, and of when that is.

    A ledger without any deposit began after the starting balance was there.
    """
    if stored.ledger_at is None:
        return stored.newest or (None, None)
    began_with = ZERO if stored.moved else account.starting_balance
    stated_at = max(stored.ledger_at, stored.newest[0]) if stored.newest else stored.ledger_at
    return stated_at, booked(began_with + stored.ledger_sum)


def transfers_of(account: Account) -> QuerySet[IncomeEntry]:
    """Return deposits and withdrawals, oldest first, and what lay there before the ledger begins."""
    kinds = [kind.value for kind in MOVED]
    return IncomeEntry.objects.filter(account=account, asset=SETTLED_IN, kind__in=kinds).order_by("at", "id")


def _later(opening: Opening, moved: Sequence[tuple[datetime, Decimal]]) -> Sequence[tuple[datetime, Decimal]]:
    """Return the transfers without those that the account began with, which are no result."""
    if opening.at is not None:
        return [(at, amount) for at, amount in moved if at > opening.at]
    first = bool(moved) and moved[0][1] == opening.equity
    return moved[1:] if first else moved


def open_lines(account: Account) -> tuple[PositionLine, ...]:
    """Return the open positions at the present mark, with liquidation price and trading rules. One query."""
    held = Position.objects.filter(account=account, closed__isnull=True).order_by("symbol")
    return tuple(line_from(position) for position in with_market(held, account))


def with_market(positions: QuerySet[Position], account: Account) -> QuerySet[Position]:
    """Add to positions what `line_from` reads besides: mark, tick, step, and the steps of the maintenance margin."""
    here = {"venue": account.market, "symbol": OuterRef("symbol")}
    rules = Instrument.objects.filter(**here)
    terms = AccountTerms.objects.filter(account=account, symbol=OuterRef("symbol"))
    priced: QuerySet[Position] = with_rules(positions, account.market).annotate(
        mark=Subquery(Ticker.objects.filter(**here).values("mark")[:1]),
        steps=Subquery(rules.values("brackets")[:1]),
        own_steps=Subquery(terms.values("brackets")[:1]),
    )
    return priced


def with_rules(rows: QuerySet[Any], venue: str) -> QuerySet[Any]:
    """Add tick and step of their symbol to rows, for `rules_from`."""
    rules = Instrument.objects.filter(venue=venue, symbol=OuterRef("symbol"))
    ruled: QuerySet[Any] = rows.annotate(
        tick=Subquery(rules.values("tick_size")[:1]), step=Subquery(rules.values("step_size")[:1])
    )
    return ruled


def rules_from(row: Model) -> Rules:
    """Return how prices and quantities of a row that `with_rules` gave are written."""
    found = vars(row)
    return Rules(found["tick"] or DEFAULT_TICK, found["step"] or Rules().step)


def line_from(position: Position) -> PositionLine:
    """Return an open position that `with_market` gave."""
    found = vars(position)
    line = line_of(position, rules_from(position), found["mark"])
    return replace(line, liquidation=_liquidation(position, found["own_steps"] or found["steps"] or ()))


def _liquidation(position: Position, steps: Sequence[dict[str, Any]]) -> Decimal | None:
    """Return the mark price that liquidates a position: by the formula of the matching engine, with isolated margin."""
    if not position.quantity:
        return None
    sign = 1 if position.side == Position.Side.LONG else -1
    margin = position.cost / position.leverage
    record = PositionRecord(
        position.symbol, position.quantity * sign, position.cost * sign, margin, position.leverage, position.opened
    )
    return liquidation_in(brackets_of(steps), record, margin)


def _lines(account: Account, rules: Mapping[str, Rules]) -> tuple[PositionLine, ...]:
    held = Position.objects.filter(account=account, closed__isnull=True).order_by("symbol")
    lines = (line_from(position) for position in with_market(held, account))
    return tuple(replace(line, rules=rules.get(line.position.symbol, line.rules)) for line in lines)


def line_of(position: Position, rules: Rules, mark: Decimal | None) -> PositionLine:
    """Return an open position at a mark price; without one nothing is known of its result."""
    if mark is None:
        return PositionLine(position, rules)
    sign = 1 if position.side == Position.Side.LONG else -1
    unrealised = (mark - position.entry_price) * position.quantity * sign
    return PositionLine(
        position,
        rules,
        mark=mark,
        unrealised=unrealised,
        share=unrealised / position.cost if position.cost else None,
        to_stop=(mark - position.stop) * sign / mark if position.stop else None,
        to_target=(position.target - mark) * sign / mark if position.target else None,
    )
