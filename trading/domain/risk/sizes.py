"""Rules of size: each allows a quantity, and the smallest one stands. None of them can raise what was asked.

Exposure is counted at the price crossed, margin at the worst price the order allows, open positions at mark.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from trading.domain.risk.case import Entry, Finding, Number, Rule, plain, reduces, refuses
from trading.domain.risk.market import beyond, side_crossed
from trading.domain.sizing import largest_notional, loss_at_stop
from trading.domain.venue import ZERO


def _at_most(entry: Entry, quantity: Decimal, why: str, numbers: Mapping[str, Number]) -> Finding:
    """Say that only `quantity`, rounded down to the step, is allowed. Called when more than that is left.

    What is left lies on the step: `size.step` comes first. Words and numbers are made only when they are needed.
    """
    return _reduced(entry, max(ZERO, entry.instrument.quantity_down(quantity)), why, numbers)


def _reduced(entry: Entry, allowed: Decimal, why: str, numbers: Mapping[str, Number]) -> Finding:
    text = f"Reduced from {plain(entry.quantity)} to {plain(allowed)}: {why}."
    return Finding(text, {"from": entry.quantity, "allowed": allowed, **numbers}, allowed)


@reduces("size.step")
def size_step(entry: Entry) -> Finding | None:
    """The quantity is a multiple of the instrument's step; it is rounded down."""
    step, allowed = entry.instrument.step_size, entry.instrument.quantity_down(entry.quantity)
    if allowed == entry.quantity:
        return None
    return _reduced(entry, allowed, f"quantities are multiples of {plain(step)}", {"step": step})


@reduces("book.depth", "min_depth", "max_slippage")
def book_depth(entry: Entry) -> Finding | None:
    """What rests in the order book within `max_slippage` of the touch is worth `min_depth` times the order."""
    view, factor = entry.ask.view, entry.limits.min_depth
    if not factor or view is None or view.depth is None:
        return None
    carried = ZERO
    for price, quantity in side_crossed(view.depth, entry.side):
        if beyond(price, entry.limit, entry.side):
            break
        carried += price * quantity
    allowed = carried / (factor * entry.touch)
    if allowed >= entry.quantity:
        return None
    return _at_most(
        entry,
        allowed,
        f"within reach the order book carries {plain(carried)}, and {plain(factor)} times the order is asked",
        {"carried": carried, "times": factor, "price": entry.touch},
    )


@reduces("size.risk", "risk_per_trade", "max_slippage")
def size_risk(entry: Entry) -> Finding | None:
    """A hit stop loses at most `risk_per_trade` of equity, fees, slippage (`max_slippage`) and what is open counted."""
    share, loss, open_ = entry.limits.risk_per_trade, entry.loss_per_unit, _open_risk(entry)
    allowed = (entry.base * share - open_) / loss
    if allowed >= entry.quantity:
        return None
    return _at_most(
        entry,
        allowed,
        f"the stop may lose {share:.2%} of equity, fees and slippage included",
        {"equity": entry.base, "share": share, "loss per unit": loss, **({"open": open_} if entry.held else {})},
    )


def _open_risk(entry: Entry) -> Decimal:
    """Return what the position that is added to would lose at its working stop; what it would gain there is not lent."""
    held = entry.held
    if held is None or held.stop is None:
        return ZERO
    each = loss_at_stop(
        entered=held.entry_price,
        stop=held.stop,
        side=held.side,
        taker_fee=entry.instrument.taker_fee,
        slippage=entry.limits.max_slippage,
    )
    return max(ZERO, each * held.quantity)


@reduces("cap.position", "max_position")
def cap_position(entry: Entry) -> Finding | None:
    """The position's notional, with what is open of it already, is at most `max_position` × equity."""
    return _capped(entry, entry.limits.max_position, entry.held_notional, "one position")


@reduces("cap.group", "max_group")
def cap_group(entry: Entry) -> Finding | None:
    """All notional in the symbol's group, both sides added up, is at most `max_group` × equity."""
    return _capped(entry, entry.limits.max_group, entry.exposure.group, "the group {}")


@reduces("cap.net", "max_net")
def cap_net(entry: Entry) -> Finding | None:
    """Long minus short notional lies within ± `max_net` × equity."""
    return _capped(entry, entry.limits.max_net, entry.exposure.net * entry.side.factor, "the net exposure")


@reduces("cap.gross", "max_gross")
def cap_gross(entry: Entry) -> Finding | None:
    """Long plus short notional is at most `max_gross` × equity."""
    return _capped(entry, entry.limits.max_gross, entry.exposure.gross, "the gross exposure")


def _capped(entry: Entry, share: Decimal, used: Decimal, what: str) -> Finding | None:
    limit = share * entry.base
    allowed = (limit - used) / entry.touch
    if allowed >= entry.quantity:
        return None
    return _at_most(
        entry,
        allowed,
        f"{what.format(entry.instrument.group)} may have a notional of {plain(share)} × equity",
        {"used": used, "limit": limit, "price": entry.touch},
    )


@reduces("margin.use", "max_margin_use")
def margin_use(entry: Entry) -> Finding | None:
    """All margin in use is at most `max_margin_use` × equity."""
    limit, used = entry.limits.max_margin_use * entry.base, entry.portfolio.margin
    allowed = (limit - used) * entry.leverage / entry.dearest
    if allowed >= entry.quantity:
        return None
    return _at_most(
        entry,
        allowed,
        f"margin may take {entry.limits.max_margin_use:.0%} of equity",
        {"used": used, "limit": limit, "price": entry.dearest, "leverage": entry.leverage},
    )


@reduces("margin.available", "margin_buffer", "max_slippage")
def margin_available(entry: Entry) -> Finding | None:
    """Margin, fee and what is lost against mark at once come out of what is available less `margin_buffer` × equity."""
    spare = entry.portfolio.available - entry.limits.margin_buffer * entry.portfolio.equity
    each = entry.free_margin_per_unit
    allowed = spare / each
    if allowed >= entry.quantity:
        return None
    return _at_most(
        entry,
        allowed,
        "there is no more margin available",
        {"available": entry.portfolio.available, "spare": spare, "margin per unit": each},
    )


@reduces("size.bracket")
def size_bracket(entry: Entry) -> Finding | None:
    """The venue carries the notional at this leverage, what is open already counted."""
    most, used = largest_notional(entry.instrument, entry.leverage), entry.held_notional
    allowed = (most - used) / entry.dearest
    if allowed >= entry.quantity:
        return None
    return _at_most(
        entry,
        allowed,
        f"at leverage {entry.leverage} the venue carries a notional of {plain(most)}",
        {"used": used, "limit": most, "price": entry.dearest},
    )


@reduces("size.maximum")
def size_maximum(entry: Entry) -> Finding | None:
    """The quantity is at most the instrument's largest per order."""
    most = entry.instrument.max_quantity
    if most >= entry.quantity:
        return None
    return _at_most(entry, most, f"one order may hold {plain(most)}", {"limit": most})


@refuses("size.minimum")
def size_minimum(entry: Entry) -> Finding | None:
    """What the reductions leave still reaches the instrument's smallest quantity and notional."""
    spec, notional = entry.instrument, entry.quantity * entry.cheapest
    if ZERO < entry.quantity >= spec.min_quantity and notional >= spec.min_notional:
        return None
    return Finding(
        f"{plain(entry.quantity)} is below what the venue takes: "
        f"at least {plain(spec.min_quantity)}, worth {plain(spec.min_notional)}.",
        {
            "quantity": entry.quantity,
            "least quantity": spec.min_quantity,
            "notional": notional,
            "least notional": spec.min_notional,
        },
    )


SIZES: Final[tuple[Rule[Entry], ...]] = (
    size_step,
    book_depth,
    size_risk,
    cap_position,
    cap_group,
    cap_net,
    cap_gross,
    margin_use,
    margin_available,
    size_bracket,
    size_maximum,
    size_minimum,
)
