"""Entries that wait for a person: which ones, and what may become of one that was approved. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from decisions.domain.proposal import Proposal, RuleHit, Ruling, Verdict

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
    (ruling,) = rule((approved.proposal,))
    if ruling.quantity is None or ruling.quantity <= approved.at_most:
        return ruling
    # The stated risk was about the quantity that was asked for, and has been compared with that just now.
    (capped,) = rule((replace(approved.proposal, quantity=approved.at_most, risk_usd=None),))
    verdict = Verdict.REFUSED if capped.verdict is Verdict.REFUSED else Verdict.REDUCED
    hits = (*ruling.hits, _capped(ruling.quantity, approved.at_most), *capped.hits)
    return replace(capped, proposal=approved.proposal, verdict=verdict, hits=hits)


def _capped(allowed: Decimal, at_most: Decimal) -> RuleHit:
    numbers = {"from": f"{allowed.normalize():f}", "allowed": f"{at_most.normalize():f}"}
    text = f"Reduced from {numbers['from']} to {numbers['allowed']}: that is what was approved."
    return RuleHit(SIZE, Verdict.REDUCED, text, numbers)
