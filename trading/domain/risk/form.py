"""Rules of form: is everything there that an entry needs, and is it within what may be asked for at all?"""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from typing import Final

from accounts.domain.limits import LEVERAGE_CEILING
from trading.domain.known import known
from trading.domain.risk.case import MOST_DIGITS, Ask, Finding, Rule, plain, refuses
from trading.domain.venue import ONE, ZERO


@refuses("proposal.numbers")
def proposal_numbers(ask: Ask) -> Finding | None:
    """Every number stated is finite and of a size that a market can have."""
    wish = ask.proposal
    stated = wish.quantity, wish.stop_loss, wish.profit_target, wish.risk_usd
    for value in stated:
        if value is not None and not _usable(value):
            break
    else:
        return None
    names = ("quantity", "stop", "target", "risk_usd")
    bad = [name for name, value in zip(names, stated, strict=True) if value is not None and not _usable(value)]
    return Finding(f"No market has a number like the {' and the '.join(bad)} given.")


def _usable(value: Decimal) -> bool:
    if not known(value):
        return False
    # Written out it is never shorter than its digits, and hardly ever longer than what is allowed.
    return len(str(value)) <= MOST_DIGITS or len(value.as_tuple().digits) <= MOST_DIGITS


@refuses("size.missing")
def size_missing(ask: Ask) -> Finding | None:
    """A quantity above zero is stated."""
    quantity = ask.proposal.quantity
    return None if quantity is not None and quantity > ZERO else Finding("An entry needs a quantity above zero.")


@refuses("leverage.whole")
def leverage_whole(ask: Ask) -> Finding | None:
    """The leverage is stated as a whole number of at least 1."""
    leverage = ask.proposal.leverage
    if type(leverage) is int and leverage >= 1:  # a bool is an int as well
        return None
    return Finding("An entry needs a leverage that is a whole number of at least 1.")


@refuses("leverage.cap", "max_leverage")
def leverage_cap(ask: Ask) -> Finding | None:
    """The leverage is at most `max_leverage`, the instrument's, and 10."""
    asked = ask.proposal.leverage or 0
    own = min(ask.limits.max_leverage, LEVERAGE_CEILING)
    most = min(own, ask.view.instrument.max_leverage) if ask.view else own
    if asked <= most:
        return None
    return Finding(f"Leverage {asked} is above the cap of {most}.", {"asked": asked, "limit": most})


@refuses("leverage.same")
def leverage_same(ask: Ask) -> Finding | None:
    """What adds to a position has its leverage, which the venue sets only while nothing is open."""
    held, asked = ask.held, ask.proposal.leverage or 0
    if held is None or held.leverage == asked:
        return None
    return Finding(f"The {held.side} in {ask.symbol} has leverage {held.leverage}: what adds to it has the same.")


@refuses("stop.missing")
def stop_missing(ask: Ask) -> Finding | None:
    """A stop above zero is stated."""
    stop = ask.proposal.stop_loss
    return None if stop is not None and stop > ZERO else Finding("An entry needs a stop.")


@refuses("target.required", "target_required")
def target_required(ask: Ask) -> Finding | None:
    """A target is stated where `target_required` wants one; a position that is added to may have its own."""
    has = ask.proposal.profit_target is not None or (ask.held is not None and known(ask.held.target))
    return None if has or not ask.limits.target_required else Finding("An entry needs a target in this account.")


@refuses("confidence.floor", "min_confidence")
def confidence_floor(ask: Ask) -> Finding | None:
    """A confidence, when stated, is a number from 0 to 1 and at least `min_confidence`."""
    stated, least = ask.proposal.confidence, ask.limits.min_confidence
    if stated is None:
        return None
    value = _decimal(stated)
    if not (known(value) and ZERO <= value <= ONE):
        return Finding("The confidence given is not a number from 0 to 1.")
    if value >= least:
        return None
    return Finding(f"A confidence of {plain(value)} is below {plain(least)}.", {"stated": value, "limit": least})


def _decimal(stated: object) -> Decimal:
    """Return the number as it was written: 0.7 is not a little less than 0.7. What is none becomes NaN."""
    if isinstance(stated, float):
        return _read(stated) if stated else ZERO
    return Decimal(stated) if type(stated) in (int, Decimal) else Decimal("NaN")  # type: ignore[arg-type]


@lru_cache(maxsize=256)
def _read(stated: float) -> Decimal:
    return Decimal(repr(stated))


FORM: Final[tuple[Rule[Ask], ...]] = (
    proposal_numbers,
    size_missing,
    leverage_whole,
    leverage_cap,
    leverage_same,
    stop_missing,
    target_required,
    confidence_floor,
)
