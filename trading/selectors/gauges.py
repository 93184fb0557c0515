"""How near an account is to its limits, as gauges for pages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from accounts.domain.limit_words import number, percent
from accounts.models import Account, RiskLimits
from trading.selectors.losses import Losses, losses_of
from trading.selectors.standing import Standing

NEAR = 75
"""Per cent of a limit from which it is near."""
WHOLE = 100
CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Gauge:
    """One limit and what is used of it. `used` is in per cent, from 0 to 100; None when it is not known."""

    name: str
    now: str
    limit: str
    used: int | None
    note: str = ""

    @property
    def level(self) -> str:
        """reached | near | far | unknown"""
        if self.used is None:
            return "unknown"
        return "reached" if self.used >= WHOLE else "near" if self.used >= NEAR else "far"


def gauges_of(account: Account, standing: Standing) -> tuple[Gauge, ...]:
    """Return the gauges of an account with its limits read already; none for one without limits."""
    limits: RiskLimits | None = getattr(account, "limits", None)
    return () if limits is None else gauges_from(losses_of(account), standing, limits)


def gauges_from(losses: Losses | None, standing: Standing, limits: RiskLimits) -> tuple[Gauge, ...]:
    """Return the gauges of an account whose losses are read already."""
    return (*_losses(losses, limits), *_sizes(standing, limits))


def day_gauge(losses: Losses | None, limits: RiskLimits) -> Gauge:
    """Return the gauge of the day's loss alone."""
    return next(_losses(losses, limits))


def _losses(losses: Losses | None, limits: RiskLimits) -> Iterator[Gauge]:
    if losses is None:
        yield Gauge("Day's loss", "not known yet", percent(limits.daily_loss), None)
        yield Gauge("From its peak", "not known yet", percent(limits.max_drawdown), None)
        return
    day = losses.day_loss
    now = f"{_share(day)} lost" if day > 0 else "none"
    yield Gauge("Day's loss", now, percent(losses.day_loss_limit), _used(day, losses.day_loss_limit), _left(losses))
    yield Gauge(
        "From its peak",
        f"{_share(losses.drawdown)} lost",
        percent(losses.drawdown_limit),
        _used(losses.drawdown, losses.drawdown_limit),
    )
    if losses.floor is not None:
        yield Gauge(
            "Equity",
            f"{losses.equity:,.2f}",
            f"floor {number(losses.floor, grouped=True)}",
            _used(losses.floor, losses.equity) if losses.equity > 0 else WHOLE,
        )


def _left(losses: Losses) -> str:
    """Return what may still be lost today, in quote units."""
    left = losses.day_lost_limit - losses.day_lost
    return f"{left:,.2f} left today" if left > 0 else "nothing left today"


def _sizes(standing: Standing, limits: RiskLimits) -> Iterator[Gauge]:
    margin, gross, count = standing.margin_share, standing.exposure_share, len(standing.positions)
    yield Gauge("Margin", _known(margin), percent(limits.max_margin_use), _used(margin, limits.max_margin_use))
    times = "not known yet" if gross is None else f"{number(gross.quantize(CENT))} × equity"
    yield Gauge("Gross exposure", times, f"{number(limits.max_gross)} ×", _used(gross, limits.max_gross))
    yield Gauge(
        "Positions", str(count), str(limits.max_positions), _used(Decimal(count), Decimal(limits.max_positions))
    )


def _known(share: Decimal | None) -> str:
    return "not known yet" if share is None else _share(share)


def _share(value: Decimal) -> str:
    return f"{number((value * 100).quantize(CENT))} %"


def _used(value: Decimal | None, limit: Decimal) -> int | None:
    """Return the share of a limit that is used in whole per cent, rounded down; a loss below nothing uses nothing."""
    if value is None or limit <= 0:
        return None
    return min(WHOLE, max(0, int(value / limit * 100)))
