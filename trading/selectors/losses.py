"""How an account stands against its loss limits, for whoever asks."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal

from accounts.models import Account, RiskLimits
from trading.domain.losses import KINDS, Watch, day_loss, drawdown
from trading.models import Lock, LossWatch


@dataclass(frozen=True, slots=True)
class Losses:
    """Losses and their limits: shares as fractions, amounts in quote units."""

    at: datetime
    """Market time of the newest statement that is in it."""
    equity: Decimal
    day_loss: Decimal
    """Share of what the day began with; negative for a gain."""
    day_loss_limit: Decimal
    day_lost: Decimal
    """Amount; negative for a gain."""
    day_lost_limit: Decimal
    """Amount at which the limit is reached."""
    day_equity: Decimal
    """What the day began with."""
    day_moved: Decimal
    """Net transfers since."""
    day_ends: datetime
    zone: str
    drawdown: Decimal
    """Share by which a unit of the account is worth less than at its peak."""
    drawdown_limit: Decimal
    drawdown_lost: Decimal
    """Amount by which the equity of now would be more at the peak."""
    drawdown_lost_limit: Decimal
    floor: Decimal | None
    flattens: bool
    """Whether everything is closed when a limit is reached."""
    locks: tuple[Lock, ...] = ()
    """Those that loss limits have put and nobody has lifted, oldest first."""


def losses_of(account: Account) -> Losses | None:
    """Return losses and limits of an account (with its limits read already: two queries). None before its first point."""
    watch = watch_of(account)
    if watch is None:
        return None
    locks = Lock.objects.filter(account=account, kind__in=KINDS, lifted__isnull=True).order_by("since", "pk")
    return losses_from(watch, account.limits, tuple(locks))


def losses_from(watch: Watch, limits: RiskLimits, locks: tuple[Lock, ...] = ()) -> Losses:
    """Return losses and limits of an account whose watch is known already."""
    at_peak = watch.equity * watch.peak / watch.unit if watch.unit else watch.equity
    return Losses(
        at=watch.at,
        equity=watch.equity,
        day_loss=day_loss(watch),
        day_loss_limit=limits.daily_loss,
        day_lost=watch.day_lost,
        day_lost_limit=limits.daily_loss * watch.day_base,
        day_equity=watch.day_equity,
        day_moved=watch.day_moved,
        day_ends=watch.day_ends,
        zone=watch.zone,
        drawdown=drawdown(watch),
        drawdown_limit=limits.max_drawdown,
        drawdown_lost=at_peak - watch.equity,
        drawdown_lost_limit=limits.max_drawdown * at_peak,
        floor=limits.equity_floor,
        flattens=limits.flatten_on_loss,
        locks=locks,
    )


def watch_of(account: Account) -> Watch | None:
    """Return the watch of an account; None before its first point of equity."""
    row = LossWatch.objects.filter(account=account).first()
    return watch_from(row) if row else None


def watch_from(row: LossWatch) -> Watch:
    """Return a row as plain data."""
    return Watch(**{column.name: getattr(row, column.name) for column in fields(Watch) if column.name != "units"})
