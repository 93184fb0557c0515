"""What the models of a bot used on a day, what is set aside for calls under way, and how both are said. Pure.

A counter lives as long as something is going on: after `QUIET` seconds it is thrown away and made anew from what is on
record. Whatever was set aside by a process that died goes with it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Final, Protocol

UNITS: Final = Decimal("1e-10")
"""Of a US dollar: as exactly as costs are kept."""
HELD: Final = 75.0
"""Seconds for which a reservation counts. No deadline of an ask is longer than 60: who has not settled then is dead."""
QUIET: Final = 90.0
"""Seconds without a reservation or a settlement after which a counter is counted anew."""
ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class Allowed:
    """What the models of a bot may use in a day. None: as much as they like."""

    cost: Decimal | None = None
    """US dollars."""
    tokens: int | None = None

    @property
    def unlimited(self) -> bool:
        return self.cost is None and self.tokens is None


@dataclass(frozen=True, slots=True)
class Till:
    """The counter of one bot and day. Money in US dollars."""

    spent: Decimal = ZERO
    tokens: int = 0
    reserved: Decimal = ZERO
    tokens_reserved: int = 0

    def has_room(self, allowed: Allowed, cost: Decimal, tokens: int) -> bool:
        """Tell whether a call may be made that uses so much."""
        money = allowed.cost is None or self.spent + self.reserved + cost <= allowed.cost
        return money and (allowed.tokens is None or self.tokens + self.tokens_reserved + tokens <= allowed.tokens)

    def reserve(self, cost: Decimal, tokens: int) -> Till:
        return replace(self, reserved=self.reserved + cost, tokens_reserved=self.tokens_reserved + tokens)

    def release(self, cost: Decimal, tokens: int) -> Till:
        return replace(
            self, reserved=max(ZERO, self.reserved - cost), tokens_reserved=max(0, self.tokens_reserved - tokens)
        )

    def spend(self, cost: Decimal, tokens: int) -> Till:
        """Return it with so much more used; less than nothing takes back what was booked too high."""
        return replace(self, spent=max(ZERO, self.spent + cost), tokens=max(0, self.tokens + tokens))


@dataclass(frozen=True, slots=True)
class Entry:
    """What is set aside for one call, or booked for it."""

    key: str
    cost: Decimal
    tokens: int


class Tills(Protocol):
    """Where the counters are kept. Every call is one step that nobody can come between, and holds nothing afterwards."""

    def read(self, bot_id: int, day: date) -> Till | None:
        """Return the counter; None when there is none that still holds."""
        ...

    def begin(self, bot_id: int, day: date, till: Till, *, anew: bool = False) -> None:
        """Start the counter with what was used, unless there is one; `anew` throws that away, with all set aside."""
        ...

    def reserve(self, bot_id: int, day: date, allowed: Allowed, wanted: Entry) -> tuple[Till | None, str]:
        """Set aside what is wanted. Return the counter before it, None when there is none, and the key to settle by.

        The key is "" when nothing was set aside.
        """
        ...

    def settle(self, bot_id: int, day: date, held: Entry | None, cost: Decimal, tokens: int) -> None:
        """Book what was used, and let go of what was `held`. Where there is no counter nothing is booked."""
        ...


def units(amount: Decimal) -> int:
    """Return US dollars as a whole number of the smallest part that is kept."""
    return int((amount / UNITS).to_integral_value())


def dollars(amount: Decimal) -> str:
    """Return an amount with as many places as it needs, two at the least and four at the most."""
    rounded = amount.quantize(Decimal("0.0001"))
    return f"{rounded:.2f}" if rounded == rounded.quantize(Decimal("0.01")) else f"{rounded:f}"


def used_up(till: Till, allowed: Allowed) -> str:
    """Return how what is allowed is used up, "" while some is left."""
    if allowed.cost is not None and till.spent >= allowed.cost:
        return f"budget: {dollars(till.spent)} of {dollars(allowed.cost)} US dollars of today are used"
    if allowed.tokens is not None and till.tokens >= allowed.tokens:
        return f"budget: {till.tokens:,} of {allowed.tokens:,} tokens of today are used"
    return ""


def no_room(till: Till, allowed: Allowed, cost: Decimal, tokens: int) -> str:
    """Return why a call that may use so much is not made."""
    if said := used_up(till, allowed):
        return said
    if not till.has_room(replace(allowed, tokens=None), cost, tokens):
        aside = f" and {dollars(till.reserved)} set aside" if till.reserved else ""
        text = f"budget: {dollars(till.spent)} of {dollars(allowed.cost or ZERO)} US dollars of today are used{aside}"
        return f"{text}, and this call may cost {dollars(cost)}"
    aside = f" and {till.tokens_reserved:,} set aside" if till.tokens_reserved else ""
    text = f"budget: {till.tokens:,} of {allowed.tokens or 0:,} tokens of today are used{aside}"
    return f"{text}, and this call may use {tokens:,}"
