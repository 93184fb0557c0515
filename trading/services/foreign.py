"""Positions that Vibex did not open: adopted with a stop, closed, or left to a person, as the account says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from trading.domain.protection import Foreign, adopted_stop
from trading.domain.venue import OrderReport, OrderSide, OrderType, VenuePosition
from trading.services.closing import cancel_children, flatten
from trading.services.journal.base import TrackedPosition
from trading.services.orders import book
from trading.services.protection import Protection, protect
from trading.services.world import World
from vibex.lib.errors import Rejected, Retryable


@dataclass(slots=True)
class Attended:
    """What was done about a foreign position, and what is left for a person."""

    mended: list[str] = field(default_factory=list)
    left: str = ""


def attend_foreign(
    world: World, held: VenuePosition, ours: TrackedPosition | None, shown: Mapping[str, OrderReport]
) -> Attended:
    """Do with a foreign position what the account says. `ours` is None while none of its trades could be booked."""
    text = f"{held.side} {held.quantity.normalize():f} was not opened by Vibex"
    if ours is None and book(world, held.symbol) is None:
        return Attended(left=f"{text}, and its trades cannot be read")
    if ours is None:
        world.journal.book_stated(held, at=held.opened_at or world.clock.now())
    mine = {tracked.order.client_order_id for tracked in world.journal.orders() if tracked.ours}
    swept = cancel_children(world, held.symbol)  # left over from a position of ours: they would close this one
    others = [report for name, report in shown.items() if name not in mine]
    if any(_protects(report, held) for report in others):
        done = _told(world, held, f"{text}; somebody else's stop stands on it", critical=False)
    else:
        done = _DEEDS[world.care.foreign](world, held, text)
    done.mended = [*swept, *done.mended]
    return done


def _adopted(world: World, held: VenuePosition, text: str) -> Attended:
    try:
        stop = adopted_stop(held, world.market.instrument(held.symbol))
    except (Rejected, Retryable) as fault:
        return _told(world, held, f"{text}, and no stop can be computed for it: {fault}", critical=True)
    position = next((one for one in world.journal.positions() if one.symbol == held.symbol), None)
    if position is None:
        return _told(world, held, f"{text} and could not be booked", critical=True)
    world.journal.adopted(held.symbol, stop=stop)
    protection = protect(
        world, replace(position, quantity=held.quantity, foreign=False), stop=stop, target=None, leverage=held.leverage
    )
    world.journal.incident("foreign-position", f"{held.symbol}: {text}: adopted, {protection}", subject=held.symbol)
    done = Attended([f"{held.symbol}: {text}: adopted with a stop at {stop.normalize():f}, {protection}"])
    if protection is Protection.NAKED:
        done.left = "it has no stop and could not be closed"
    return done


def _flattened(world: World, held: VenuePosition, text: str) -> Attended:
    flat = flatten(world, held.symbol, purpose="flatten")
    world.journal.incident("foreign-position", f"{held.symbol}: {text}: closed", subject=held.symbol)
    return Attended([f"{held.symbol}: {text}: closed"], "" if flat else f"{text} and could not be closed")


def _flagged(world: World, held: VenuePosition, text: str) -> Attended:
    return _told(world, held, f"{text} and has no stop of ours", critical=True)


def _told(world: World, held: VenuePosition, text: str, *, critical: bool) -> Attended:
    world.journal.incident("foreign-position", f"{held.symbol}: {text}", critical=critical, subject=held.symbol)
    return Attended(left=text)


def _protects(report: OrderReport, held: VenuePosition) -> bool:
    """Tell whether a working order of somebody else stops all of the position."""
    whole = report.close_position or (report.reduce_only and report.quantity >= held.quantity)
    right = report.symbol == held.symbol and report.side is OrderSide.to_close(held.side)
    return report.status.open and report.type is OrderType.STOP_MARKET and right and whole


_DEEDS: Final[Mapping[Foreign, Callable[[World, VenuePosition, str], Attended]]] = {
    Foreign.ADOPT: _adopted,
    Foreign.FLATTEN: _flattened,
    Foreign.FLAG: _flagged,
}
