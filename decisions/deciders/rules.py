"""Deciders that follow written rules. They need no prompt, no key and no network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from decisions.deciders.base import Answer, Outcome, Question, Reading
from decisions.domain import trend
from decisions.domain.proposal import Proposal
from vibex.lib.clock import Deadline
from vibex.lib.errors import Rejected

type Rules = Callable[[Question], tuple[Proposal, ...]]


def hold(_: Question) -> tuple[Proposal, ...]:
    """Ask for nothing: for a world that only guards, and as a baseline."""
    return ()


RULES: Final[Mapping[str, Rules]] = {"trend": trend.decide, "hold": hold}
"""Strategies by name; a bot names one as rules/<name>."""


@dataclass(frozen=True, slots=True)
class RulesDecider:
    """Answers at once with what a strategy says of the snapshot."""

    name: str
    rules: Rules
    wants_prompt: bool = False

    def ask(self, question: Question, deadline: Deadline) -> Answer:
        """Return the proposals. The deadline cannot matter: nothing is waited for."""
        proposals = self.rules(question)
        return Answer(
            Outcome.ANSWERED,
            proposals=proposals,
            model_requested=self.name,
            model_served=self.name,
            notes={proposal.symbol: proposal.justification for proposal in proposals},
        )

    def read(self, question: Question, answer: Answer) -> Reading:
        """Return the proposals as they are: rules say exactly what they mean."""
        return Reading(answer.outcome, answer.proposals or ())


def rules_decider(strategy: str) -> RulesDecider:
    """Return the decider of a strategy. Raises Rejected that lists the known ones."""
    if strategy not in RULES:
        known = ", ".join(f"rules/{name}" for name in RULES)
        raise Rejected(f"There are no rules named {strategy!r}. Use one of {known}.", code="unknown_decider")
    return RulesDecider(f"rules/{strategy}", RULES[strategy])
