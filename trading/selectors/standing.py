"""Where an account stands now: money by the exchange's ledger, open positions at the present mark price.

Both come from what is booked: a position that was stopped out and the loss it made leave and arrive together. The last
equity point may be older than both, so it only stands in for a ledger of which nothing is copied yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.db.models import Max, Sum

from accounts.models import Account
from marketdata.models import Instrument, Ticker
from trading.domain.venue import MOVED, SETTLED_IN
from trading.models import EquityPoint, IncomeEntry, Position
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

    @property
    def margin(self) -> Decimal:
        """Margin that opened it: cost ÷ leverage."""
        return Decimal(self.position.cost / self.position.leverage)

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
    rows = Instrument.objects.filter(venue=venue).values_list("symbol", "tick_size", "step_size")
    return {symbol: Rules(tick, step) for symbol, tick, step in rows}


def standing_of(account: Account, *, now: datetime, rules: Mapping[str, Rules]) -> Standing:
    """Return where `account` stands at the market time `now`."""
    lines = _lines(account, rules)
    opening, moved = opening_of(account), _transfers(account)
    stated_at, wallet = _wallet(account, deposited=bool(moved))
    if wallet is None:
        return Standing(lines)
    unrealised = sum((line.unrealised or ZERO for line in lines), ZERO)
    equity = wallet + unrealised
    later, began = _later(opening, moved), day_start(now, account.time_zone)
    before = _equity_at(account, began, opening)
    day = equity - before - sum((amount for at, amount in later if at > began), ZERO)
    total = equity - opening.equity - sum((amount for _, amount in later), ZERO)
    return Standing(
        positions=lines,
        stated_at=stated_at,
        wallet=wallet,
        equity=equity,
        unrealised=unrealised,
        day=day,
        day_share=day / before if before else None,
        total=total,
        total_share=total / opening.equity if opening.equity > 0 else None,
    )


def day_start(now: datetime, zone: str) -> datetime:
    """Return the midnight (in `zone`) at which the trading day of `now` began."""
    midnight = now.astimezone(ZoneInfo(zone)).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight.astimezone(UTC)


def _equity_at(account: Account, at: datetime, opening: Opening) -> Decimal:
    """Return equity at a moment; what it began with for an account younger than that."""
    point = EquityPoint.objects.filter(account=account, at__lte=at).order_by("-at").first()
    equity: Decimal = point.equity if point else opening.equity
    return equity


def _wallet(account: Account, *, deposited: bool) -> tuple[datetime | None, Decimal | None]:
    """Return the wallet by the ledger, or as stated last where nothing of the ledger is copied, and of when that is.

    A ledger without any deposit began after the starting balance was there.
    """
    point = EquityPoint.objects.filter(account=account).order_by("-at").values_list("at", "wallet").first()
    ledger = IncomeEntry.objects.filter(account=account, asset=SETTLED_IN).aggregate(sum=Sum("amount"), at=Max("at"))
    if ledger["at"] is None:
        return point or (None, None)
    opening = ZERO if deposited else account.starting_balance
    return max(ledger["at"], point[0] if point else ledger["at"]), booked(opening + ledger["sum"])


def _transfers(account: Account) -> list[tuple[datetime, Decimal]]:
    """Return deposits and withdrawals, oldest first, and what lay there before the ledger begins."""
    kinds = [kind.value for kind in MOVED]
    lines = IncomeEntry.objects.filter(account=account, asset=SETTLED_IN, kind__in=kinds)
    return list(lines.order_by("at", "id").values_list("at", "amount"))


def _later(opening: Opening, moved: list[tuple[datetime, Decimal]]) -> list[tuple[datetime, Decimal]]:
    """Return the transfers without those that the account began with, which are no result."""
    if opening.at is not None:
        return [(at, amount) for at, amount in moved if at > opening.at]
    first = bool(moved) and moved[0][1] == opening.equity
    return moved[1:] if first else moved


def _lines(account: Account, rules: Mapping[str, Rules]) -> tuple[PositionLine, ...]:
    held = list(Position.objects.filter(account=account, closed__isnull=True).select_related("decision"))
    marks = _marks(account.market, [position.symbol for position in held])
    return tuple(_line(position, rules.get(position.symbol, Rules()), marks.get(position.symbol)) for position in held)


def _marks(venue: str, symbols: Sequence[str]) -> dict[str, Decimal]:
    if not symbols:
        return {}
    return dict(Ticker.objects.filter(venue=venue, symbol__in=symbols).values_list("symbol", "mark"))


def _line(position: Position, rules: Rules, mark: Decimal | None) -> PositionLine:
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
