"""The arithmetic behind the size rules: what a unit can lose, what is exposed already, where liquidation would come.

Prices and amounts in quote units, quantities in the base asset. No rule and no limit is known here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal

from decisions.domain.portfolio import PositionView
from decisions.domain.proposal import Side
from marketdata.domain.instruments import InstrumentSpec
from trading.domain.matching.margin import liquidation_price, notional_cap
from trading.domain.matching.types import PositionRecord
from trading.domain.venue import ZERO
from vibex.lib.records import record


@record()
class Exposure:
    """Notional of the open positions at mark. `net` is long minus short; `group` and `gross` add both sides up."""

    group: Decimal
    net: Decimal
    gross: Decimal


def exposure_of(positions: Iterable[PositionView], groups: Mapping[str, str], group: str) -> Exposure:
    """Return what is exposed. A position whose group nobody knows counts into every group."""
    in_group = net = gross = ZERO
    for position in positions:
        notional = position.notional
        gross += notional
        net += notional * position.side.factor
        if groups.get(position.symbol, group) == group:
            in_group += notional
    return Exposure(in_group, net, gross)


def loss_per_unit(*, touch: Decimal, stop: Decimal, taker_fee: Decimal, slippage: Decimal) -> Decimal:
    """Return what one unit loses when the stop is hit: distance + both fees + slippage of the stop (a fraction of it).

    DESIGN.md section 7: distance + round-trip fees + stop slippage.
    """
    return abs(touch - stop) + taker_fee * (touch + stop) + slippage * stop


def loss_at_stop(*, entered: Decimal, stop: Decimal, side: Side, taker_fee: Decimal, slippage: Decimal) -> Decimal:
    """Return what one unit of an open position loses at its stop, counted from its entry; below zero when it gains."""
    return (entered - stop) * side.factor + taker_fee * (entered + stop) + slippage * stop


def gain_per_unit(*, touch: Decimal, target: Decimal, side: Side, taker_fee: Decimal) -> Decimal:
    """Return what one unit gains when the target is hit: the way to it less both fees; below zero when they eat it up."""
    return (target - touch) * side.factor - taker_fee * (touch + target)


def margin_per_unit(*, price: Decimal, leverage: int, taker_fee: Decimal, lost_at_once: Decimal) -> Decimal:
    """Return what one unit takes from the free margin at entry: initial margin, fee and the loss at mark once filled."""
    return price / leverage + price * taker_fee + lost_at_once


def liquidation_of_entry(
    instrument: InstrumentSpec, side: Side, *, price: Decimal, quantity: Decimal, leverage: int, at: datetime
) -> Decimal | None:
    """Return the mark price that liquidates a fresh isolated position, None when none does.

    The formula is the one by which the matching engine liquidates; the margin is notional ÷ leverage.
    """
    cost = price * quantity
    margin, sign = cost / leverage, side.factor
    record = PositionRecord(instrument.symbol, quantity * sign, cost * sign, margin, leverage, at)
    return liquidation_price(instrument, record, margin)


def largest_notional(instrument: InstrumentSpec, leverage: int) -> Decimal:
    """Return the largest notional that the venue carries at this leverage, by its brackets."""
    return notional_cap(instrument, leverage)
