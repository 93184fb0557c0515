"""Which stop protects a position, which is one too many, and where a stop belongs. Pure: orders in, a verdict out."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Final

from decisions.domain.proposal import Side
from marketdata.domain.instruments import InstrumentSpec
from trading.domain.venue import NewOrder, VenuePosition
from vibex.lib.records import record

ADOPTED_DISTANCE: Final = Decimal("0.03")
"""Of the mark price: where the stop of an adopted position is put, unless half the way to liquidation is nearer."""
FOLLOWS_BY: Final = Decimal("0.1")
"""A trailing stop moves only by at least this share of its distance: each move costs four requests."""


class Foreign(StrEnum):
    """What becomes of a position that Vibex did not open."""

    ADOPT = "adopt"
    FLATTEN = "flatten"
    FLAG = "flag"


@record()
class Arrangement:
    """How the working stops (or targets) of a position stand to what is wanted."""

    keep: NewOrder | None
    """Covers all of it at the wanted trigger, in its final form."""
    cover: NewOrder | None
    """The one to rely on until `keep` stands: covers all of it, at the wanted trigger if there is one. May be `keep`."""
    spare: tuple[NewOrder, ...]
    """All others."""


def arranged(working: Sequence[NewOrder], *, wanted: Decimal | None, held: Decimal, by_position: bool) -> Arrangement:
    """Sort working stops of one position of size `held`, oldest first. Without a `wanted` trigger any is right.

    `by_position`: the venue knows orders that close whatever is there; elsewhere the final form has exactly its size.
    """

    keep = right = covering = None  # the newest of each
    for order in working:
        if order.close_position or (order.quantity or 0) >= held:
            covering = order
            if wanted is None or order.trigger == wanted:
                right = order
                if order.close_position or (not by_position and order.quantity == held):
                    keep = order
    cover = keep or right or covering
    return Arrangement(keep, cover, tuple([order for order in working if order is not cover]))


def adopted_stop(held: VenuePosition, spec: InstrumentSpec) -> Decimal:
    """Return where the stop of a foreign position belongs: 3 % away, or half the way to liquidation where that is nearer."""
    mark = held.mark_price
    distance = mark * ADOPTED_DISTANCE
    if held.liquidation_price is not None:
        distance = min(distance, abs(mark - held.liquidation_price) / 2)
    if held.side is Side.LONG:
        return spec.price_up(mark - distance)
    return spec.price_down(mark + distance)


def trailed(side: Side, *, mark: Decimal, stop: Decimal, distance: Decimal, spec: InstrumentSpec) -> Decimal | None:
    """Return where a stop follows to at `distance` (a fraction) from the mark, None while it stays. Never backwards."""
    least = max(mark * distance * FOLLOWS_BY, spec.tick_size)
    if side is Side.LONG:
        wanted = spec.price_down(mark * (1 - distance))
        return wanted if wanted >= stop + least else None
    wanted = spec.price_up(mark * (1 + distance))
    return wanted if wanted <= stop - least else None


def on_its_side(side: Side, *, stop: Decimal, mark: Decimal) -> bool:
    """Return whether a stop waits where the position loses: below the mark of a long, above that of a short."""
    return stop < mark if side is Side.LONG else stop > mark


def beyond_liquidation(side: Side, *, stop: Decimal, liquidation: Decimal | None) -> bool:
    """Return whether the venue would liquidate the position before its stop could fire."""
    if liquidation is None or liquidation <= 0:
        return False
    return stop <= liquidation if side is Side.LONG else stop >= liquidation
