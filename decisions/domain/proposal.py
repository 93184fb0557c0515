"""What a decider asks for, and what risk makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from decimal import Decimal
from enum import StrEnum
from typing import Final

from vibex.lib.records import record

RISK_TOLERANCE: Final = Decimal("0.25")
"""How far the stated risk may lie from quantity × distance: the redundancy that betrays a lost digit."""

WAITS: Final = "waits for approval"
"""What is done, for the time being, about an entry that a person is asked about."""


class Side(StrEnum):
    """Direction of a position."""

    LONG = "long"
    SHORT = "short"

    sign: int
    """1 for a long, −1 for a short."""
    factor: Decimal
    """The same to be multiplied with a Decimal, which an int would first be turned into."""

    def __init__(self, word: str) -> None:
        self.sign = 1 if word == "long" else -1
        self.factor = Decimal(self.sign)


class Action(StrEnum):
    """The four things that can be asked for one symbol. `hold` never alters a bracket."""

    BUY = "buy_to_enter"
    SELL = "sell_to_enter"
    HOLD = "hold"
    CLOSE = "close_position"

    side: Side | None
    """Side of the position that it opens; None for hold and close."""
    opens: bool

    def __init__(self, word: str) -> None:
        self.side = {"buy_to_enter": Side.LONG, "sell_to_enter": Side.SHORT}.get(word)
        self.opens = self.side is not None


@record()
class Proposal:
    """What a decider asks for one symbol. Prices in quote units, quantity in the base asset, always positive."""

    symbol: str
    action: Action
    quantity: Decimal | None = None
    leverage: int | None = None
    stop_loss: Decimal | None = None
    profit_target: Decimal | None = None
    risk_usd: Decimal | None = None
    confidence: float | None = None
    invalidation_condition: str = ""
    justification: str = ""

    @property
    def side(self) -> Side:
        """Side of the position it would open. Raises ValueError for hold and close."""
        side = self.action.side
        if side is None:
            raise ValueError(f"{self.action} opens nothing")
        return side


class Verdict(StrEnum):
    """What risk says to a proposal."""

    ACCEPTED = "accepted"
    REDUCED = "reduced"
    REFUSED = "refused"


@record()
class RuleHit:
    """One rule that spoke: its id, what it did, in words, and the numbers it compared."""

    rule: str
    effect: Verdict
    text: str
    numbers: Mapping[str, str] = field(default_factory=dict)


@record()
class Ruling:
    """The risk verdict on a proposal. `quantity` and `leverage` are what may be done; None for hold and refusals."""

    proposal: Proposal
    verdict: Verdict
    quantity: Decimal | None = None
    leverage: int | None = None
    hits: tuple[RuleHit, ...] = ()
    adds: bool = False
    """Whether the entry adds to a position that is open: its leverage stands and its stop is there."""

    @property
    def rule_ids(self) -> tuple[str, ...]:
        return tuple(hit.rule for hit in self.hits)
