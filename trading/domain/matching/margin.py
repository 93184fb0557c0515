"""Margin arithmetic of one position. Source: research aster.md 5.5 (the schema of Binance USD-M futures)."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from marketdata.domain.instruments import Bracket, InstrumentSpec
from trading.domain.matching.types import PositionRecord
from trading.domain.remembered import remembered
from trading.domain.venue import ZERO
from vibex.lib.money import booked


def initial_margin(notional: Decimal, leverage: int) -> Decimal:
    """Return notional ÷ leverage in quote units."""
    return booked(notional / leverage)


def maintenance_margin(spec: InstrumentSpec, notional: Decimal) -> Decimal:
    """Return notional × rate − cum of the bracket that holds `notional`, in quote units."""
    return booked(spec.maintenance_margin(notional))


def notional_cap(spec: InstrumentSpec, leverage: int) -> Decimal:
    """Return the largest notional the brackets allow at this leverage; zero when none does."""
    caps = _caps_by_leverage(spec)
    cap = caps.get(leverage)
    if cap is None:
        cap = max([bracket.cap for bracket in spec.brackets if bracket.max_leverage >= leverage], default=ZERO)
        caps[leverage] = cap
    return cap


def _none_yet(_: InstrumentSpec) -> dict[int, Decimal]:
    return {}


_caps_by_leverage: Final = remembered(_none_yet)
"""The caps of a contract by leverage, as far as somebody has asked for them."""


def liquidation_price(spec: InstrumentSpec, position: PositionRecord, balance: Decimal) -> Decimal | None:
    """Return the mark price at which balance + unrealised profit = maintenance margin, or None when there is none.

    LP = (balance + cum − s·q·EP) ÷ (q·MMR − s·q), with s·q·EP the signed cost. `balance` is the isolated margin, or
    with cross margin the wallet plus the other positions' unrealised profit minus their maintenance margin.
    The bracket is the one in which the notional at that very price lies.
    """
    return liquidation_in(spec.brackets, position, balance)


def liquidation_in(brackets: Sequence[Bracket], position: PositionRecord, balance: Decimal) -> Decimal | None:
    """Return the same from the brackets alone."""
    size, factor = position.size, position.side.factor
    for bracket in brackets:
        price = (balance + bracket.cum - position.cost) / (size * (bracket.maintenance_rate - factor))
        if bracket.floor <= size * price <= bracket.cap:
            return price if price > ZERO else None
    return None
