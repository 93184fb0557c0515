"""Rules of price: do stop, target and the stated risk fit the live price, the size and the leverage, and does it pay?"""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Final

from decisions.domain.proposal import RISK_TOLERANCE
from trading.domain.known import known
from trading.domain.risk.case import Entry, Finding, Rule, plain, refuses
from trading.domain.sizing import gain_per_unit, liquidation_of_entry
from trading.domain.venue import ZERO

LIQUIDATION_MARGIN: Final = Decimal("0.2")
"""Share of the way to liquidation that must remain beyond the stop."""
WAY_TO_LIQUIDATION: Final = 1 - LIQUIDATION_MARGIN

SIX_DIGITS: Final = Context(prec=6)
"""What a person reads of an amount that nothing is compared with."""


@refuses("price.tick")
def price_tick(entry: Entry) -> Finding | None:
    """Stop and target lie on the instrument's tick: the venue takes no other trigger."""
    tick, lowest = entry.instrument.tick_size, entry.instrument.min_price
    stop, target = entry.stop, entry.ask.proposal.profit_target
    if not (stop - lowest) % tick and (target is None or not (target - lowest) % tick):
        return None
    stated = {"stop": stop, "target": target}
    off = {name: price for name, price in stated.items() if price is not None and (price - lowest) % tick}
    base = f" above {plain(lowest)}" if lowest else ""
    text = f"Prices must be multiples of {plain(tick)}{base}; not so: {', '.join(off)}."
    return Finding(text, {**off, "tick": tick})


@refuses("stop.side")
def stop_side(entry: Entry) -> Finding | None:
    """The stop lies on the losing side of the mark price, which triggers it."""
    if (entry.mark - entry.stop) * entry.side.factor > ZERO:
        return None
    where = "below" if entry.side.sign > 0 else "above"
    return Finding(
        f"The stop of a {entry.side} must lie {where} the mark price.", {"stop": entry.stop, "mark": entry.mark}
    )


@refuses("stop.distance", "min_stop_distance", "max_stop_distance")
def stop_distance(entry: Entry) -> Finding | None:
    """From the price crossed to the stop it is at least `min_stop_distance` and at most `max_stop_distance`."""
    share, limits = entry.distance / entry.touch, entry.limits
    if share > ZERO and limits.min_stop_distance <= share <= limits.max_stop_distance:
        return None
    return Finding(
        f"The stop is {share:.2%} away from the price; allowed are "
        f"{limits.min_stop_distance:.2%} to {limits.max_stop_distance:.2%}.",
        {
            "stop": entry.stop,
            "price": entry.touch,
            "distance": share,
            "least": limits.min_stop_distance,
            "most": limits.max_stop_distance,
        },
    )


@refuses("stop.loosened")
def stop_loosened(entry: Entry) -> Finding | None:
    """What adds to a position leaves its stop where it is or brings it nearer; a position without a stop takes nothing."""
    held = entry.held
    if held is None:
        return None
    if not known(held.stop) or held.stop is None:
        return Finding(f"The {held.side} in {held.symbol} has no working stop: nothing is added to it.")
    if (entry.stop - held.stop) * entry.side.sign >= 0:
        return None
    return Finding(
        f"The stop of the {held.side} stands at {plain(held.stop)}; one at {plain(entry.stop)} would loosen it.",
        {"stop": entry.stop, "working": held.stop},
    )


@refuses("target.side")
def target_side(entry: Entry) -> Finding | None:
    """A target, when stated, lies on the winning side of the mark price and of the price crossed."""
    target, sign = entry.ask.proposal.profit_target, entry.side.factor
    if target is None:
        return None
    if target > ZERO and (target - entry.mark) * sign > ZERO and (target - entry.touch) * sign > ZERO:
        return None
    where = "above" if sign > ZERO else "below"
    return Finding(
        f"The target of a {entry.side} must lie {where} the price.",
        {"target": target, "mark": entry.mark, "price": entry.touch},
    )


@refuses("risk.stated")
def risk_stated(entry: Entry) -> Finding | None:
    """A stated risk_usd agrees within 25 % with the asked quantity × the distance to the stop."""
    stated, meant = entry.ask.proposal.risk_usd, entry.asked * entry.distance
    if stated is None or abs(stated - meant) <= RISK_TOLERANCE * meant:
        return None
    return Finding(
        f"risk_usd says {plain(stated)}, quantity and stop say {plain(meant)}: one of them is wrong.",
        {"stated": stated, "quantity": entry.asked, "distance": entry.distance, "risk": meant},
    )


@refuses("stop.liquidation")
def stop_liquidation(entry: Entry) -> Finding | None:
    """The stop comes first: it takes at most 80 % of the way to the liquidation price at this leverage."""
    price = _liquidation(entry)
    if price is None or entry.distance <= WAY_TO_LIQUIDATION * (entry.touch - price) * entry.side.factor:
        return None
    return Finding(
        f"At leverage {entry.leverage} liquidation comes near {plain(price)}: the stop is too far away.",
        {"stop": entry.stop, "liquidation": price, "leverage": entry.leverage},
    )


def _liquidation(entry: Entry) -> Decimal | None:
    """Estimate the liquidation price for what the position cap would leave of the size; brackets depend on size.

    With what it adds to it is one position, at the average of both entry prices.
    """
    held, added = entry.held, min(entry.asked, entry.limits.max_position * entry.base / entry.touch)
    size = added if held is None else held.quantity + added
    price = entry.touch if held is None else (held.quantity * held.entry_price + added * entry.touch) / size
    return liquidation_of_entry(
        entry.instrument,
        entry.side,
        price=price,
        quantity=size,
        leverage=entry.leverage,
        at=entry.portfolio.at,
    )


@refuses("reward.ratio", "min_reward_risk", "max_slippage")
def reward_ratio(entry: Entry) -> Finding | None:
    """The way to the target is worth `min_reward_risk` times the way to the stop, after fees, funding and slippage."""
    least, target = entry.limits.min_reward_risk, entry.target
    if target is None or not least:
        return None
    fee = entry.instrument.taker_fee
    reward = gain_per_unit(touch=entry.touch, target=target, side=entry.side, taker_fee=fee) - entry.funding
    risk = entry.loss_per_unit + entry.funding
    if reward >= least * risk:
        return None
    return Finding(
        f"After costs a unit gains {plain(SIX_DIGITS.plus(reward))} at the target and loses {plain(SIX_DIGITS.plus(risk))} "
        f"at the stop: {reward / risk:.2f} to 1, where {plain(least)} is asked.",
        {"reward": reward, "risk": risk, "ratio": reward / risk, "limit": least, "funding": entry.funding},
    )


PRICES: Final[tuple[Rule[Entry], ...]] = (
    price_tick,
    stop_side,
    stop_distance,
    stop_loosened,
    target_side,
    risk_stated,
    stop_liquidation,
    reward_ratio,
)
