"""What several models that were asked the same agree on. Pure.

An entry needs the agreement of the models, any close counts, and everything else holds. What is opened is literally
what one of them wrote: never an average, never the price of one with the size of another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from decisions.domain.proposal import Action, Proposal
from decisions.domain.question import Member, Outcome, Reading
from marketdata.domain.snapshot import MarketSnapshot

MAJORITY: Final = "majority"
UNANIMOUS: Final = "unanimous"
WANTS: Final[Mapping[Action, str]] = {
    Action.BUY: "wants to buy",
    Action.SELL: "wants to sell",
    Action.HOLD: "holds",
    Action.CLOSE: "wants to close",
}
UNKNOWN_RISK: Final = Decimal("Infinity")
"""Of an entry whose numbers do not tell what it risks: any other goes before it."""


@dataclass(frozen=True, slots=True)
class Merged:
    """What the models agree on, closes first, and by symbol who wanted what."""

    proposals: tuple[Proposal, ...]
    told: Mapping[str, str]


def needed(rule: str, asked: int) -> int:
    """Return how many of those that were asked must want the same entry: more than half, or all of them."""
    return asked // 2 + 1 if rule == MAJORITY else asked


def merge(members: Sequence[Member], *, rule: str, snapshot: MarketSnapshot, symbols: Sequence[str]) -> Merged:
    """Return what is proposed together. A member without a usable answer was asked all the same, and agrees to nothing."""
    merged, told = [], {}
    for symbol in symbols:
        wishes = [wish_of(member.reading, symbol) for member in members]
        told[symbol] = _told(members, wishes, symbol, rule)
        if proposal := _agreed(wishes, rule, snapshot, told[symbol]):
            merged.append(proposal)
    return Merged(tuple(sorted(merged, key=_place)), told)


def reading_of(members: Sequence[Member], merged: Merged) -> Reading:
    """Return the reading of an answer that several gave. Without a single usable answer everything holds, and says why."""
    outcomes = {member.reading.outcome for member in members}
    if Outcome.ANSWERED in outcomes:
        return Reading(Outcome.ANSWERED, merged.proposals)
    outcome = Outcome.REJECTED if Outcome.REJECTED in outcomes else Outcome.NO_ANSWER
    outcome = Outcome.NOT_ASKED if outcomes == {Outcome.NOT_ASKED} else outcome
    return Reading(outcome, reason="; ".join(f"{each.model}: {each.reading.reason}" for each in members))


def wish_of(reading: Reading, symbol: str) -> Proposal | None:
    """Return what a member wants on a symbol, None when it said nothing of it. A close goes before an entry beside it."""
    wishes = [proposal for proposal in reading.proposals if proposal.symbol == symbol]
    return next((wish for wish in wishes if wish.action is Action.CLOSE), wishes[0] if wishes else None)


def with_holds(reading: Reading, symbols: Sequence[str]) -> tuple[Proposal, ...]:
    """Return what a usable answer proposes, with a hold for every symbol of the bot that it left out or spoilt."""
    said = {proposal.symbol for proposal in reading.proposals}
    left_out = [symbol for symbol in symbols if symbol not in said]
    holds = [Proposal(symbol, Action.HOLD, justification=reading.held.get(symbol, "")) for symbol in left_out]
    return (*reading.proposals, *holds)


def actions_on(reading: Reading, symbol: str) -> frozenset[Action]:
    """Return what is asked for on a symbol: hold where nothing is said of it, two things for a reversal."""
    said = {proposal.action for proposal in reading.proposals if proposal.symbol == symbol}
    return frozenset(said or {Action.HOLD})


def risk_of(proposal: Proposal, snapshot: MarketSnapshot) -> Decimal:
    """Return what an entry loses at its stop before costs: quantity × |touch − stop|, in quote units."""
    view = snapshot.symbols.get(proposal.symbol)
    numbers = (proposal.quantity, proposal.stop_loss)
    if view is None or any(number is None or not number.is_finite() for number in numbers):
        return UNKNOWN_RISK
    touch = view.quote.ask if proposal.action is Action.BUY else view.quote.bid
    return proposal.quantity * abs(touch - proposal.stop_loss)  # type: ignore[operator]


def _agreed(wishes: Sequence[Proposal | None], rule: str, snapshot: MarketSnapshot, told: str) -> Proposal | None:
    """Return what becomes of one symbol. None when nobody said anything of it."""
    said = [wish for wish in wishes if wish is not None]
    if closing := [wish for wish in said if wish.action is Action.CLOSE]:
        return closing[0]
    for action in (Action.BUY, Action.SELL):
        same = [wish for wish in said if wish.action is action]
        if len(same) >= needed(rule, len(wishes)):
            return min(same, key=_smallness(snapshot))
    if not any(wish.action.opens for wish in said):
        return said[0] if said else None
    return Proposal(said[0].symbol, Action.HOLD, justification=told)


def _smallness(snapshot: MarketSnapshot) -> Callable[[Proposal], tuple[Decimal, Decimal]]:
    """Return what entries are compared by: risk, then quantity. Of two that are equal the first model's is the smallest."""

    def key(wish: Proposal) -> tuple[Decimal, Decimal]:
        quantity = wish.quantity if wish.quantity is not None and wish.quantity.is_finite() else UNKNOWN_RISK
        return risk_of(wish, snapshot), quantity

    return key


def _told(members: Sequence[Member], wishes: Sequence[Proposal | None], symbol: str, rule: str) -> str:
    """Return who wanted what on a symbol, and what an entry would have needed."""
    said = [f"{member.model} {_wants(member, wish, symbol)}" for member, wish in zip(members, wishes, strict=True)]
    return f"An entry needs {needed(rule, len(members))} of {len(members)} models: {', '.join(said)}"


def _wants(member: Member, wish: Proposal | None, symbol: str) -> str:
    if member.reading.outcome is not Outcome.ANSWERED:
        return f"gave no usable answer ({_code(member.reading.reason)})"
    if wish is not None:
        return WANTS[wish.action]
    return f"was not usable ({_code(member.reading.held[symbol])})" if symbol in member.reading.held else "says nothing"


def _code(reason: str) -> str:
    """Return the code that a reason begins with: what follows may hold words of others."""
    return reason.partition(":")[0][:60] or "unknown"


def _place(proposal: Proposal) -> int:
    """Closes go first: what they free may be needed."""
    return 0 if proposal.action is Action.CLOSE else 1 if proposal.action.opens else 2
