"""What an account has lost, apart from money that came and went. Pure: a watch and a statement in, a watch out.

A *watch* is all that has to be remembered: what the day began with, and the value of a *unit* of the account, which
deposits and withdrawals do not change, with the highest value it had. Amounts are in quote units.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, fields, replace
from datetime import UTC, datetime, time, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from accounts.domain.limits import Limits
from trading.domain.venue import AccountState
from vibex.lib.records import record

EMPTY: Final = Decimal(1)
"""Below this many quote units an account is empty: there is nothing to lose, and nothing that a share can be taken of."""
UNIT_PLACES: Final = Decimal("1e-12")
UNIT_DIGITS: Final = Context(prec=15, rounding=ROUND_HALF_EVEN)
"""As many digits as every database keeps."""
ONE: Final = Decimal(1)
ZERO: Final = Decimal(0)

DAY: Final = "loss.day"
DRAWDOWN: Final = "loss.drawdown"
FLOOR: Final = "loss.floor"
KINDS: Final = (DAY, DRAWDOWN, FLOOR)
"""The kinds of loss limits, which are also the kinds of the locks that they put."""


@record()
class Watch:
    """How an account stands against its loss limits, at the newest statement that is in it."""

    at: datetime
    zone: str
    """Time zone of the day; a change of it counts from the next day."""
    day_ends: datetime
    day_equity: Decimal
    """Equity at the start of the day."""
    day_transfers: Decimal
    """Net transfers up to the start of the day."""
    equity: Decimal
    transfers: Decimal
    """Net transfers so far."""
    unit: Decimal
    """Value of a unit of the account: 1 when it began."""
    peak: Decimal
    """Highest value of a unit since it began, or since a lift."""
    units: Decimal | None = field(default=None, compare=False)
    """How many units the account has; None: as many as `equity` ÷ `unit`. It is kept between statements that no transfer
    parts, so that the value of a unit depends on the equity alone and not on how often somebody looked. It is not stored."""

    def stored(self) -> dict[str, Any]:
        """Return what is kept of it, by name."""
        return {each.name: getattr(self, each.name) for each in fields(self) if each.name != "units"}

    @property
    def day_moved(self) -> Decimal:
        """Net transfers since the day began."""
        return self.transfers - self.day_transfers

    @property
    def day_base(self) -> Decimal:
        """What the day's loss is a share of: the equity when it began, or what came into an account that was empty."""
        return self.day_equity if self.day_equity >= EMPTY else max(ZERO, self.day_equity + self.day_moved)

    @property
    def day_lost(self) -> Decimal:
        """Quote units lost since the day began; negative for a gain."""
        return self.day_equity + self.day_moved - self.equity


@record()
class Breach:
    """A loss limit that is reached: which, in words, and the numbers it was judged by."""

    kind: str
    text: str
    numbers: Mapping[str, Decimal] = field(default_factory=dict)


def begin(*, equity: Decimal, transfers: Decimal, at: datetime, zone: str) -> Watch:
    """Return the watch of an account that nothing is known of yet. Raises ValueError for numbers that are not finite."""
    if not (equity.is_finite() and transfers.is_finite()):
        raise ValueError(f"no watch can begin with an equity of {equity} and transfers of {transfers}")
    ends = next_midnight(at, zone)
    return Watch(at, zone, ends, equity, transfers, equity, transfers, unit=ONE, peak=ONE)


def advance(watch: Watch, *, equity: Decimal, transfers: Decimal, at: datetime, zone: str) -> Watch:
    """Carry a watch on to a newer statement. `transfers` are all net transfers so far, `zone` the account's time zone.

    One that is older than the watch, or not finite, changes nothing; one of the same moment replaces what was stated.
    A day begins with what was known last before it: what was lost while nobody looked counts for the day it is seen on.
    """
    if at < watch.at or not (equity.is_finite() and transfers.is_finite()):
        return watch
    zone_of_day, ends, began, moved = watch.zone, watch.day_ends, watch.day_equity, watch.day_transfers
    if at >= ends:
        zone_of_day, ends, began, moved = zone, next_midnight(at, zone), watch.equity, watch.transfers
    stays = transfers == watch.transfers
    if stays and equity == watch.equity:
        equity, transfers, unit, peak, units = watch.equity, watch.transfers, watch.unit, watch.peak, watch.units
        return Watch(at, zone_of_day, ends, began, moved, equity, transfers, unit, peak, units)
    units = _units(watch)
    if units is None or not stays:
        unit, units = _unit(watch.unit * _kept(watch.equity, transfers - watch.transfers, equity)), None
    else:
        unit = _unit(max(ZERO, equity / units))
    return Watch(at, zone_of_day, ends, began, moved, equity, transfers, unit, max(watch.peak, unit), units)


def carried(watch: Watch | None, *, equity: Decimal, transfers: Decimal, at: datetime, zone: str) -> Watch:
    """Return `watch` carried on, or one that begins. Errors as `begin`."""
    if watch is None:
        return begin(equity=equity, transfers=transfers, at=at, zone=zone)
    return advance(watch, equity=equity, transfers=transfers, at=at, zone=zone)


def day_loss(watch: Watch) -> Decimal:
    """Return 1 − (equity − net transfers since the day began) ÷ equity when it began; negative for a gain."""
    return ONE - _kept(watch.day_equity, watch.day_moved, watch.equity)


def drawdown(watch: Watch) -> Decimal:
    """Return by which share a unit is worth less than at its peak, from 0 to 1."""
    return ONE - watch.unit / watch.peak


def breaches(watch: Watch, limits: Limits) -> tuple[Breach, ...]:
    """Return the loss limits that are reached. A share is reached at its edge, the floor below it."""
    lost, fallen, floor = day_loss(watch), drawdown(watch), limits.equity_floor
    found = []
    if lost >= limits.daily_loss:
        text = (
            f"the day's loss of {share(lost)} reaches the limit of {share(limits.daily_loss)}: equity is "
            f"{amount(watch.equity)}, the day began with {amount(watch.day_equity)}, {amount(watch.day_moved)} was paid in since"
        )
        numbers = {"equity": watch.equity, "day_equity": watch.day_equity, "day_moved": watch.day_moved}
        found.append(Breach(DAY, text, {"loss": lost, "limit": limits.daily_loss, **numbers}))
    if fallen >= limits.max_drawdown:
        text = (
            f"the drawdown of {share(fallen)} reaches the limit of {share(limits.max_drawdown)}: a unit of the account "
            f"is worth {watch.unit:.4f}, at its peak it was {watch.peak:.4f}"
        )
        numbers = {"equity": watch.equity, "unit": watch.unit, "peak": watch.peak}
        found.append(Breach(DRAWDOWN, text, {"drawdown": fallen, "limit": limits.max_drawdown, **numbers}))
    if floor is not None and watch.equity < floor:
        text = f"equity of {amount(watch.equity)} is below the floor of {amount(floor)}"
        found.append(Breach(FLOOR, text, {"equity": watch.equity, "floor": floor}))
    return tuple(found)


def day_anew(watch: Watch) -> Watch:
    """Let the equity of now be what the day began with: a person lifted the lock of the day."""
    return replace(watch, day_equity=watch.equity, day_transfers=watch.transfers)


def peak_anew(watch: Watch) -> Watch:
    """Let the value of now be the highest: a person lifted the lock of the drawdown. A unit worth nothing begins anew."""
    return replace(watch, peak=watch.unit) if watch.unit else replace(watch, unit=ONE, peak=ONE, units=None)


def net_transfers(moved: Decimal, untold: Decimal, *, overdue: bool) -> Decimal:
    """Return the net transfers so far: what the ledger tells (`moved`), and what it does not tell yet.

    `untold` is what the wallet holds beyond the sum of its ledger: the line of a deposit or a withdrawal may come after
    the money. So a surplus is no profit before it is told, and a deficit no loss before it is `overdue`.
    """
    return moved if untold < 0 and overdue else moved + untold


def unknown_equity(state: AccountState) -> str:
    """Return in words why the equity of an account is not known; "" when it is.

    A position without a usable mark price makes it unknown, whatever was stated as its profit.
    """
    if not (state.wallet.is_finite() and state.unrealised.is_finite()):
        return f"the exchange states a wallet of {state.wallet} and an unrealised result of {state.unrealised}"
    for held in state.positions:
        known = held.mark_price.is_finite() and held.unrealised.is_finite() and held.quantity.is_finite()
        if not known or held.mark_price <= ZERO:
            return f"{held.symbol} has a mark price of {held.mark_price} and an unrealised result of {held.unrealised}"
    return ""


def next_midnight(at: datetime, zone: str) -> datetime:
    """Return when the day after that of `at` begins in a time zone, in UTC. Of a zone that is not known here: UTC's day.

    Where clocks skip midnight it begins with the hour they jump to; where they pass it twice, with the first that is
    still to come.
    """
    try:
        place = ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        place = ZoneInfo("UTC")
    tomorrow = at.astimezone(place).date() + timedelta(days=1)
    first, second = (datetime.combine(tomorrow, time(fold=fold), tzinfo=place).astimezone(UTC) for fold in (0, 1))
    return first if first > at else second


def share(value: Decimal) -> str:
    """Return a share as a percentage for reading."""
    return f"{value * 100:.2f} %"


def amount(value: Decimal) -> str:
    """Return an amount for reading."""
    return f"{value:,.2f}"


def _kept(before: Decimal, moved: Decimal, equity: Decimal) -> Decimal:
    """Return what is left of each quote unit of `before`, after `moved` came in: (equity − moved) ÷ before, at least 0.

    What comes into an empty account is what it begins with.
    """
    base, left = (before, equity - moved) if before >= EMPTY else (before + moved, equity)
    return max(ZERO, left / base) if base >= EMPTY else ONE


def _units(watch: Watch) -> Decimal | None:
    """Return how many units there are; None for an account that is empty, or whose units are worth nothing."""
    if watch.equity < EMPTY or not watch.unit:
        return None
    return watch.equity / watch.unit if watch.units is None else watch.units


def _unit(value: Decimal) -> Decimal:
    return UNIT_DIGITS.plus(value.quantize(UNIT_PLACES, rounding=ROUND_HALF_EVEN))
