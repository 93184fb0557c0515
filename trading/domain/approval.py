"""Entries that wait for a person: which ones, and what may become of one that was approved. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Final

from decisions.domain.proposal import Proposal, RuleHit, Ruling, Side, Verdict
from trading.domain.risk.case import plain
from trading.domain.sizing import gain_per_unit, loss_per_unit

SIZE: Final = "approval.size"
"""The one rule that only an approved entry knows: what was approved is the most it can be."""

type Rule = Callable[[Sequence[Proposal]], tuple[Ruling, ...]]
"""Rules on proposals by everything that is known now."""


@dataclass(frozen=True, slots=True)
class Approved:
    """An entry that a person said yes to: as it was proposed, and the size that risk allowed it then."""

    proposal: Proposal
    at_most: Decimal


def entries_of(rulings: Sequence[Ruling]) -> frozenset[int]:
    """Return the places of the entries that risk allows: what waits where a person is asked. Closes and holds never do."""
    allowed = (Verdict.ACCEPTED, Verdict.REDUCED)
    return frozenset(at for at, one in enumerate(rulings) if one.proposal.action.opens and one.verdict in allowed)


def rule_again(approved: Approved, rule: Rule) -> Ruling:
    """Rule on the original proposal as of now, and on what was approved of it where now more would be allowed."""
    # The risk was stated for the quantity and the price of then, and has been compared with these then.
    asked = replace(approved.proposal, risk_usd=None)
    (ruling,) = rule((asked,))
    if ruling.quantity is None or ruling.quantity <= approved.at_most:
        return replace(ruling, proposal=approved.proposal)
    (capped,) = rule((replace(asked, quantity=approved.at_most),))
    verdict = Verdict.REFUSED if capped.verdict is Verdict.REFUSED else Verdict.REDUCED
    hits = (*ruling.hits, _capped(ruling.quantity, approved.at_most), *capped.hits)
    return replace(capped, proposal=approved.proposal, verdict=verdict, hits=hits)


def _capped(allowed: Decimal, at_most: Decimal) -> RuleHit:
    numbers = {"from": plain(allowed), "allowed": plain(at_most)}
    text = f"Reduced from {numbers['from']} to {numbers['allowed']}: that is what was approved."
    return RuleHit(SIZE, Verdict.REDUCED, text, numbers)


@dataclass(frozen=True, slots=True)
class Facts:
    """What tells whether an entry that waits may still be approved. Times are market time."""

    now: datetime
    until: datetime
    cycle: str
    """State of the cycle that it is from."""
    overtaken: bool = False
    """Whether the bot has decided, or should have, on a newer candle."""
    bot: str = "running"
    """running | paused | stopped; stopped only when that was done since."""
    halted: bool = False
    """Whether the account is halted, or was since."""


@dataclass(frozen=True, slots=True)
class Over:
    """Why something cannot be approved any more: `expired` by itself, or `void` because of something else."""

    state: str
    text: str


EXPIRED: Final = "expired"
VOID: Final = "void"


def over(facts: Facts) -> Over | None:
    """Return why what waits can be answered no more, None while it can."""
    if facts.halted:
        return Over(VOID, "The account was halted after this was decided.")
    if facts.bot in ("paused", "stopped"):
        return Over(VOID, f"The bot was {facts.bot} after this was decided.")
    if facts.cycle not in ("awaiting", "running"):
        return Over(VOID, f"Its cycle ended as {facts.cycle}.")
    if facts.overtaken:
        return Over(EXPIRED, "The bot has decided again since.")
    if facts.now >= facts.until:
        return Over(EXPIRED, f"Nobody answered before {facts.until:%H:%M:%S} UTC, when the next decision was due.")
    return None


def wish(proposal: Proposal, *, quantity: Decimal, leverage: int, price: Decimal | None) -> str:
    """Return in one sentence what an entry would do, near `price` where that is known."""
    deed = "buy" if proposal.side is Side.LONG else "sell"
    near = f" near {_plain(price)}" if price is not None else ""
    parts = [f"{deed} {_plain(quantity)} {proposal.symbol}{near} at {leverage}×"]
    if proposal.stop_loss is not None:
        parts.append(f"stop {_plain(proposal.stop_loss)}")
    if proposal.profit_target is not None:
        parts.append(f"target {_plain(proposal.profit_target)}")
    if price is not None and proposal.stop_loss is not None:
        loss = quantity * abs(price - proposal.stop_loss)
        parts.append(f"about {loss:.2f} USDT at risk before costs")
    return f"{', '.join(parts)}."


def _plain(value: Decimal) -> str:
    return f"{value.normalize():,f}"


@dataclass(frozen=True, slots=True)
class Prospect:
    """What an entry would stake and could bring if it were filled at `price`. Costs are counted, funding is not."""

    price: Decimal
    notional: Decimal
    risk: Decimal
    """Loss when the stop is hit, in quote units."""
    risk_share: Decimal | None
    """`risk` ÷ equity."""
    reward_to_risk: Decimal | None
    """Gain at the target ÷ loss at the stop; None without a target."""


def prospect(
    proposal: Proposal,
    *,
    quantity: Decimal,
    touch: Decimal,
    taker_fee: Decimal,
    slippage: Decimal,
    equity: Decimal | None,
) -> Prospect | None:
    """Return what an entry would stake at the price it would cross now. None when it has no stop, which risk refuses."""
    stop, target = proposal.stop_loss, proposal.profit_target
    if stop is None:
        return None
    loss = loss_per_unit(touch=touch, stop=stop, taker_fee=taker_fee, slippage=slippage)
    ratio = None
    if target is not None:
        ratio = gain_per_unit(touch=touch, target=target, side=proposal.side, taker_fee=taker_fee) / loss
    risk = quantity * loss
    return Prospect(touch, quantity * touch, risk, risk / equity if equity and equity > 0 else None, ratio)
