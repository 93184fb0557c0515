"""Limits as people write and read them: one value, or all of them in sentences. For the admin, the pages and the prompt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from accounts.domain.limits import Limits

MINUTES_OF_AN_HOUR: Final = 60
MINUTES_OF_A_DAY: Final = 1440


class Kind(StrEnum):
    """What a limit is a number of."""

    SHARE = "share"
    TIMES = "times"
    LEVERAGE = "leverage"
    COUNT = "count"
    MINUTES = "minutes"
    AMOUNT = "amount"
    NUMBER = "number"
    FLAG = "flag"
    SIDES = "sides"


KINDS: Final[Mapping[str, Kind]] = {
    "max_leverage": Kind.LEVERAGE,
    "risk_per_trade": Kind.SHARE,
    "max_position": Kind.TIMES,
    "max_group": Kind.TIMES,
    "max_net": Kind.TIMES,
    "max_gross": Kind.TIMES,
    "max_positions": Kind.COUNT,
    "min_stop_distance": Kind.SHARE,
    "max_stop_distance": Kind.SHARE,
    "max_slippage": Kind.SHARE,
    "max_margin_use": Kind.SHARE,
    "margin_buffer": Kind.SHARE,
    "trailing_stop": Kind.SHARE,
    "sides": Kind.SIDES,
    "traditional": Kind.FLAG,
    "pyramiding": Kind.FLAG,
    "target_required": Kind.FLAG,
    "min_reward_risk": Kind.NUMBER,
    "min_confidence": Kind.NUMBER,
    "max_spread": Kind.SHARE,
    "min_depth": Kind.NUMBER,
    "max_mark_gap": Kind.SHARE,
    "max_funding": Kind.SHARE,
    "opens_per_hour": Kind.COUNT,
    "opens_per_day": Kind.COUNT,
    "min_hold_minutes": Kind.MINUTES,
    "cooldown_minutes": Kind.MINUTES,
    "losing_streak": Kind.COUNT,
    "losing_pause_minutes": Kind.MINUTES,
    "daily_loss": Kind.SHARE,
    "max_drawdown": Kind.SHARE,
    "equity_floor": Kind.AMOUNT,
    "flatten_on_loss": Kind.FLAG,
    "min_liquidation_distance": Kind.SHARE,
}
"""Of every limit; the names are those of `Limits`."""

SIDES: Final[Mapping[str, str]] = {"both": "long and short", "long": "long only", "short": "short only"}


@dataclass(frozen=True, slots=True)
class Group:
    """Sentences about one thing. `entries`: whether they bear on what may be opened."""

    name: str
    sentences: tuple[str, ...]
    entries: bool = True


def summary(limits: Limits) -> tuple[str, ...]:
    """Return all limits in sentences, the losses first."""
    return tuple(sentence for group in groups(limits) for sentence in group.sentences)


def entry_summary(limits: Limits) -> tuple[str, ...]:
    """Return the sentences that bear on what may be opened: what a model is told."""
    return tuple(sentence for group in groups(limits) if group.entries for sentence in group.sentences)


def groups(limits: Limits) -> tuple[Group, ...]:
    """Return all limits in sentences, by what they are about."""
    return (
        Group("Losses", tuple(_losses(limits))),
        Group("Size", tuple(_size(limits))),
        Group("What may be opened", tuple(_opened(limits))),
        Group("Stops and targets", tuple(_stops(limits))),
        Group("The market", tuple(_market(limits))),
        Group("Pace", tuple(_pace(limits))),
        Group("Told", tuple(_told(limits)), entries=False),
    )


def words(name: str, value: Any) -> str:
    """Return the value of a limit as people write it: 1 %, 1.5 × equity, 5×, 4 h. Nothing is "none"."""
    if value is None:
        return "none"
    match KINDS.get(name):
        case Kind.SHARE:
            return percent(value)
        case Kind.TIMES:
            return f"{number(value)} × equity"
        case Kind.LEVERAGE:
            return f"{value}×"
        case Kind.MINUTES:
            return minutes(value)
        case Kind.FLAG:
            return "yes" if value else "no"
        case Kind.SIDES:
            return SIDES.get(value, str(value))
        case Kind.AMOUNT:
            return f"{number(value, grouped=True)}"
        case _:
            return number(value) if isinstance(value, Decimal) else str(value)


def percent(share: Decimal) -> str:
    """Return a share as a percentage with as many digits as it has: 0.0025 is 0.25 %."""
    return f"{number(share * 100)} %"


def number(value: Decimal, *, grouped: bool = False) -> str:
    """Return a decimal without exponent and without zeros at its end, thousands apart when `grouped`."""
    text = f"{value:,f}" if grouped else f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def minutes(length: int) -> str:
    """Return a length of time in the largest units that need no fraction: 90 is 1 h 30 min, 2880 is 2 d."""
    days, rest = divmod(length, MINUTES_OF_A_DAY)
    hours, left = divmod(rest, MINUTES_OF_AN_HOUR)
    parts = [f"{count} {unit}" for count, unit in ((days, "d"), (hours, "h"), (left, "min")) if count]
    return " ".join(parts) or "0 min"


def _losses(limits: Limits) -> Iterator[str]:
    yield (
        f"May lose at most {percent(limits.daily_loss)} of equity a day and {percent(limits.max_drawdown)} from its peak, "
        f"{percent(limits.risk_per_trade)} in a trade, fees included."
    )
    if limits.equity_floor is not None:
        yield f"Opens nothing while equity is below {words('equity_floor', limits.equity_floor)}."
    yield (
        "At a loss limit everything is closed."
        if limits.flatten_on_loss
        else "At a loss limit nothing is opened any more; what is open keeps its stop."
    )


def _size(limits: Limits) -> Iterator[str]:
    plural = "" if limits.max_positions == 1 else "s"
    yield f"At most {limits.max_positions} open position{plural}, leverage at most {limits.max_leverage}."
    yield (
        f"Notional at most {number(limits.max_position)} × equity in one position, {number(limits.max_group)} × in a group "
        f"of symbols, {number(limits.max_net)} × net, {number(limits.max_gross)} × gross."
    )
    yield (
        f"Margin in use at most {percent(limits.max_margin_use)} of equity; {percent(limits.margin_buffer)} is kept free."
    )


def _opened(limits: Limits) -> Iterator[str]:
    kinds = "crypto, stocks, funds, metals and currencies" if limits.traditional else "crypto only"
    yield f"Opens {SIDES.get(limits.sides, limits.sides)}, on {kinds}."
    yield "May add to a position on its own side." if limits.pyramiding else "Adds to no open position."
    yield f"An entry states a confidence of at least {number(limits.min_confidence)}."


def _stops(limits: Limits) -> Iterator[str]:
    band = f"{percent(limits.min_stop_distance)} to {percent(limits.max_stop_distance)}"
    yield f"Every entry has a stop {band} from its price."
    if limits.trailing_stop is not None:
        yield f"Stops follow a price that goes the right way at {percent(limits.trailing_stop)}."
    ratio = number(limits.min_reward_risk)
    who = "Every entry has a target, and it" if limits.target_required else "A target, where there is one,"
    yield f"{who} brings at least {ratio} × what the stop loses, after fees and funding."


def _market(limits: Limits) -> Iterator[str]:
    yield (
        f"Enters at most {percent(limits.max_slippage)} beyond the best price, at a spread of at most "
        f"{percent(limits.max_spread)}, with the last price at most {percent(limits.max_mark_gap)} from mark."
    )
    if limits.min_depth:
        yield f"The order book there holds at least {number(limits.min_depth)} × the order."
    else:
        yield "The order book is not looked at."
    yield f"The next funding costs at most {percent(limits.max_funding)} of the notional."


def _pace(limits: Limits) -> Iterator[str]:
    yield f"At most {limits.opens_per_hour} entries an hour and {limits.opens_per_day} in 24 h."
    yield (
        f"A position is reversed after {minutes(limits.min_hold_minutes)} at the earliest; between two on one symbol lie "
        f"{minutes(limits.cooldown_minutes)}."
    )
    if limits.losing_streak:
        losses = "a loss" if limits.losing_streak == 1 else f"{limits.losing_streak} losses in a row"
        yield f"After {losses} nothing is opened for {minutes(limits.losing_pause_minutes)}."
    else:
        yield "Losses in a row are not counted."


def _told(limits: Limits) -> Iterator[str]:
    yield f"You are told when liquidation is closer than {percent(limits.min_liquidation_distance)} to the mark price."
