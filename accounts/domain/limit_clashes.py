"""Limits that contradict themselves, which are refused, and limits that are only unwise, which are told. Pure.

Refused is what cannot be meant: a number outside its range, a part that is larger than its whole, a limit that another
one keeps from ever being reached. Told is what works and is rarely meant. docs/limits.md says which is which and why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from accounts.domain.limit_words import KINDS, Kind, minutes, number, percent, words
from accounts.domain.limits import Limits

LONGEST_MINUTES: Final = 525_600
"""A year: no pause is longer."""
MOST_ENTRIES: Final = 100_000
MOST_LOSSES: Final = 1_000
MOST_DIGITS: Final = 15
"""What every database keeps of a decimal."""
LONGEST_COOLDOWN: Final = 1_440
"""A day: after it a rest is more than a rest."""
USABLE_WAY: Final = Decimal("0.8")
"""Share of the way to liquidation that a stop may take, as the rule stop.liquidation has it."""
NEAREST_SANE_STOP: Final = Decimal("0.001")
"""Both fees of a usual venue: a stop that is nearer loses more in fees than in price."""
BOLD: Final[Mapping[str, Decimal]] = {
    "risk_per_trade": Decimal("0.05"),
    "daily_loss": Decimal("0.2"),
    "max_drawdown": Decimal("0.5"),
    "max_margin_use": Decimal("0.9"),
    "max_gross": Decimal(5),
}
"""Above these a limit hardly limits anything."""


@dataclass(frozen=True, slots=True)
class Clash:
    """What is wrong, and the limits that it is about: the one to change first."""

    fields: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Range:
    """Where a limit may lie; `above` and `below` exclude their edge."""

    least: Decimal = Decimal(0)
    most: Decimal = Decimal(1)
    above: bool = False
    below: bool = False

    def holds(self, value: Decimal | int) -> bool:
        return (self.least < value if self.above else self.least <= value) and (
            value < self.most if self.below else value <= self.most
        )

    def said(self, kind: Kind) -> str:
        example = ", for example 0.01 for 1 %" if kind is Kind.SHARE else ""
        least = f"above {number(self.least)}" if self.above else f"at least {number(self.least)}"
        most = f"below {number(self.most)}" if self.below else f"at most {number(self.most)}"
        return f"Must be {least} and {most}{example}."


_PART: Final = Range(above=True)
_PART_BELOW: Final = Range(above=True, below=True)
_FROM_NOTHING: Final = Range(below=True)
_TIMES: Final = Range(most=Decimal(999), above=True)
_MINUTES: Final = Range(most=Decimal(LONGEST_MINUTES))
_ENTRIES: Final = Range(least=Decimal(1), most=Decimal(MOST_ENTRIES))

RANGES: Final[Mapping[str, Range]] = {
    "risk_per_trade": _PART,
    "max_position": _TIMES,
    "max_group": _TIMES,
    "max_net": _TIMES,
    "max_gross": _TIMES,
    "min_stop_distance": _PART_BELOW,
    "max_stop_distance": _PART_BELOW,
    "max_slippage": _FROM_NOTHING,
    "max_margin_use": _PART,
    "margin_buffer": _FROM_NOTHING,
    "trailing_stop": Range(least=Decimal("0.001"), below=True),
    "min_reward_risk": Range(most=Decimal(100)),
    "min_confidence": Range(),
    "max_spread": _PART_BELOW,
    "min_depth": Range(most=Decimal(999)),
    "max_mark_gap": _PART_BELOW,
    "max_funding": _FROM_NOTHING,
    "opens_per_hour": _ENTRIES,
    "opens_per_day": _ENTRIES,
    "min_hold_minutes": _MINUTES,
    "cooldown_minutes": _MINUTES,
    "losing_streak": Range(most=Decimal(MOST_LOSSES)),
    "losing_pause_minutes": _MINUTES,
    "daily_loss": _PART_BELOW,
    "max_drawdown": _PART_BELOW,
    "equity_floor": Range(most=Decimal("1e15"), above=True),
    "min_liquidation_distance": _FROM_NOTHING,
}
"""Where each number lies. Leverage and the number of positions have their range at their columns."""


def clashes(limits: Limits, *, equity: Decimal | None = None) -> tuple[Clash, ...]:
    """Return what is refused. With the equity of now, a floor that lies above it is refused too."""
    if outside := tuple(_outside(limits)):
        return outside
    floor = floor_clash(limits.equity_floor, equity, flattens=limits.flatten_on_loss)
    return (*_contradictions(limits), *((floor,) if floor else ()))


def cautions(limits: Limits) -> tuple[Clash, ...]:
    """Return what is allowed and rarely meant. Of limits that clash nothing is said."""
    return () if clashes(limits) else (*_bold(limits), *_unreached(limits), *_tight(limits))


def _outside(limits: Limits) -> Iterator[Clash]:
    for name, span in RANGES.items():
        value = getattr(limits, name)
        if value is not None and not (Decimal(value).is_finite() and span.holds(value)):
            yield Clash((name,), span.said(KINDS[name]))
        elif isinstance(value, Decimal) and len(value.normalize().as_tuple().digits) > MOST_DIGITS:
            yield Clash((name,), f"Write it with at most {MOST_DIGITS} digits.")


def _contradictions(limits: Limits) -> Iterator[Clash]:
    yield from _parts(limits)
    yield from _loss_limits(limits)
    yield from _distances(limits)
    if limits.opens_per_hour > limits.opens_per_day:
        yield Clash(
            ("opens_per_hour", "opens_per_day"),
            f"{limits.opens_per_hour} entries an hour can never be reached: {limits.opens_per_day} are allowed in a day.",
        )
    if limits.losing_streak and not limits.losing_pause_minutes:
        yield Clash(
            ("losing_pause_minutes", "losing_streak"),
            f"A pause of 0 min after {limits.losing_streak} losses is none: give it a length, or count none (losing streak 0).",
        )


PARTS: Final = (
    ("max_position", "max_group", "one position", "the group it belongs to"),
    ("max_group", "max_gross", "a group of symbols", "all positions together"),
    ("max_net", "max_gross", "long less short", "long plus short"),
)
"""Part and whole. A position of more than its group may have can never be opened."""


def _parts(limits: Limits) -> Iterator[Clash]:
    for part, whole, one, other in PARTS:
        asked, allowed = getattr(limits, part), getattr(limits, whole)
        if asked > allowed:
            yield Clash(
                (part, whole),
                f"{number(asked)} × equity for {one} can never be reached: {other} may have {number(allowed)} ×. "
                f"Lower this one to {number(allowed)}, or raise {_label(whole)}.",
            )


def _loss_limits(limits: Limits) -> Iterator[Clash]:
    if limits.risk_per_trade > limits.daily_loss:
        yield Clash(
            ("risk_per_trade", "daily_loss"),
            f"One trade may lose {percent(limits.risk_per_trade)} and a whole day {percent(limits.daily_loss)}: "
            "a single stop would break the limit of the day.",
        )
    if limits.daily_loss >= limits.max_drawdown:
        yield Clash(
            ("daily_loss", "max_drawdown"),
            f"A day may lose {percent(limits.daily_loss)}, but the way from the peak is {percent(limits.max_drawdown)}: "
            "that limit always comes first. Keep the day below it.",
        )


def _distances(limits: Limits) -> Iterator[Clash]:
    nearest, farthest = limits.min_stop_distance, limits.max_stop_distance
    if nearest >= farthest:
        yield Clash(
            ("min_stop_distance", "max_stop_distance"),
            f"The nearest stop ({percent(nearest)}) must be nearer than the farthest ({percent(farthest)}).",
        )
        return
    if limits.trailing_stop is not None and not nearest <= limits.trailing_stop <= farthest:
        yield Clash(
            ("trailing_stop", "min_stop_distance", "max_stop_distance"),
            f"Stops that follow at {percent(limits.trailing_stop)} lie outside of where a stop may lie: "
            f"{percent(nearest)} to {percent(farthest)}.",
        )
    if limits.max_slippage > farthest:
        yield Clash(
            ("max_slippage", "max_stop_distance"),
            f"An entry could be filled {percent(limits.max_slippage)} beyond its price, behind the farthest stop "
            f"({percent(farthest)}).",
        )
    if limits.min_reward_risk * nearest >= 1:
        yield Clash(
            ("min_reward_risk", "min_stop_distance"),
            f"{number(limits.min_reward_risk)} × the nearest stop ({percent(nearest)}) lies at 100 % of the price or beyond: "
            "no short can have such a target.",
        )


def floor_clash(floor: Decimal | None, equity: Decimal | None, *, flattens: bool) -> Clash | None:
    """Return what is wrong with a floor where equity is known: above it, it fires at once."""
    if floor is None or equity is None or floor < equity:
        return None
    does = "close everything" if flattens else "bar every entry"
    return Clash(
        ("equity_floor",),
        f"Equity is {equity:,.2f}: a floor that is not below it would {does} at once. Set it below, or use the emergency stop.",
    )


def _bold(limits: Limits) -> Iterator[Clash]:
    for name, most in BOLD.items():
        value = getattr(limits, name)
        if value > most:
            yield Clash(
                (name,),
                f"{_label(name).capitalize()} of {words(name, value)} hardly limits anything: few need more than {words(name, most)}.",
            )


def _unreached(limits: Limits) -> Iterator[Clash]:
    reach = limits.max_leverage * limits.max_margin_use
    if reach < limits.max_position:
        yield Clash(
            ("max_position", "max_leverage", "max_margin_use"),
            f"Leverage {limits.max_leverage} and {percent(limits.max_margin_use)} of equity as margin carry {number(reach)} × equity: "
            f"one position never reaches {number(limits.max_position)} ×.",
        )
    together = limits.risk_per_trade * limits.max_positions
    if together > limits.daily_loss:
        yield Clash(
            ("max_positions", "risk_per_trade", "daily_loss"),
            f"When the stops of all {limits.max_positions} positions are hit, {percent(together)} is lost: more than the "
            f"{percent(limits.daily_loss)} of a day.",
        )
    usable = USABLE_WAY / limits.max_leverage
    if limits.max_stop_distance > usable:
        yield Clash(
            ("max_stop_distance", "max_leverage"),
            f"At leverage {limits.max_leverage} a stop farther than about {percent(round(usable, 3))} lies too near to "
            f"liquidation and is refused; {percent(limits.max_stop_distance)} takes a lower leverage.",
        )
    if limits.min_liquidation_distance * limits.max_leverage >= 1:
        yield Clash(
            ("min_liquidation_distance", "max_leverage"),
            f"At leverage {limits.max_leverage} liquidation is closer than {percent(limits.min_liquidation_distance)} from the "
            "start: you would be told of every such position.",
        )


def _tight(limits: Limits) -> Iterator[Clash]:
    nearest = limits.min_stop_distance
    if nearest < NEAREST_SANE_STOP:
        yield Clash(
            ("min_stop_distance",),
            f"A stop at {percent(nearest)} costs more in fees than in price: the usual fees take 0.1 %.",
        )
    for name, what in (("max_slippage", "slippage"), ("max_spread", "spread")):
        value = getattr(limits, name)
        if value > nearest:
            yield Clash(
                (name, "min_stop_distance"),
                f"The {what} of {percent(value)} may be wider than the way to the nearest stop ({percent(nearest)}): "
                "such a trade can lose twice what it seems to.",
            )
    if limits.min_reward_risk < 1:
        yield Clash(
            ("min_reward_risk",), f"At {number(limits.min_reward_risk)} × a target may bring less than the stop loses."
        )
    if limits.min_confidence == 1:
        yield Clash(("min_confidence",), "Only an entry that is called certain is let through: hardly any will be.")
    if limits.cooldown_minutes > LONGEST_COOLDOWN:
        yield Clash(
            ("cooldown_minutes",), f"After each position its symbol rests for {minutes(limits.cooldown_minutes)}."
        )


def _label(name: str) -> str:
    return name.replace("_", " ")
