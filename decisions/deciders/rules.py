"""Deciders that follow written rules. They need no prompt, no key and no network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

from decisions.deciders.base import Answer, BotView, Outcome, Question, Reading
from decisions.domain.baselines import BuyAndHold, EqualWeight, Momentum, Timetable, timetable_of
from decisions.domain.cross import Cross
from decisions.domain.foresight import Acts, Whole
from decisions.domain.parameters import with_numbers
from decisions.domain.proposal import Proposal
from decisions.domain.trend import Trend
from vibex.lib.clock import Deadline
from vibex.lib.errors import Rejected

type Rules = Callable[[Question], tuple[Proposal, ...]]


@runtime_checkable
class Strategy(Protocol):
    """Written rules: a frozen dataclass whose fields are their numbers."""

    def decide(self, question: Question) -> tuple[Proposal, ...]:
        """Return what the rules ask for. Pure."""
        ...


@runtime_checkable
class Foresighted(Protocol):
    """Rules that can say in advance when they could act."""

    def acts(self, bot: BotView, symbol: str, whole: Whole) -> Acts: ...


@dataclass(frozen=True, slots=True)
class Hold:
    """Ask for nothing: for a world that only guards, and as a baseline."""

    def decide(self, question: Question) -> tuple[Proposal, ...]:
        return ()

    def acts(self, bot: BotView, symbol: str, whole: Whole) -> Acts:
        """Return that they never act."""
        never = whole.values(symbol, bot.interval, "close") < 0.0
        return Acts(never, never, never)


RULES: Final[Mapping[str, Strategy | Rules]] = {
    "trend": Trend(),
    "cross": Cross(),
    "hold": Hold(),
    "buy-and-hold": BuyAndHold(),
    "equal-weight": EqualWeight(),
    "momentum": Momentum(),
    "timetable": Timetable(),
}
"""Strategies by name, a plain function where there is no number to set. A bot names one as rules/<name>, or with numbers of
its own as rules/<name>:<number>=<value>,…; a timetable has its positions there."""


@dataclass(frozen=True, slots=True)
class RulesDecider:
    """Answers at once with what a strategy says of the snapshot."""

    name: str
    rules: Rules
    wants_prompt: bool = False
    foresight: Foresighted | None = None
    """The strategy, where it can say in advance when it could act."""

    def ask(self, question: Question, deadline: Deadline) -> Answer:
        """Return the proposals. The deadline cannot matter: nothing is waited for."""
        proposals = self.rules(question)
        notes = {proposal.symbol: proposal.justification for proposal in proposals}
        return Answer(Outcome.ANSWERED, b"", None, proposals, self.name, self.name, notes=notes)

    def read(self, question: Question, answer: Answer) -> Reading:
        """Return the proposals as they are: rules say exactly what they mean."""
        return Reading(answer.outcome, answer.proposals or ())


def rules_decider(name: str) -> RulesDecider:
    """Return the decider of `trend`, or of `trend:adx=25`. Raises Rejected that lists the known ones."""
    known = strategy_of(name)
    rules = known.decide if isinstance(known, Strategy) else known
    return RulesDecider(f"rules/{name}", rules, foresight=_foresight(known))


def strategy_of(name: str) -> Strategy | Rules:
    """Return the strategy of a name with its numbers. Raises Rejected for a name or a number that is none."""
    strategy, _, numbers = name.partition(":")
    if strategy not in RULES:
        known = ", ".join(f"rules/{each}" for each in RULES)
        raise Rejected(f"There are no rules named {strategy!r}. Use one of {known}.", code="unknown_decider")
    found = RULES[strategy]
    if isinstance(found, Timetable):
        return timetable_of(numbers)
    return with_numbers(found, numbers) if numbers and isinstance(found, Strategy) else found


def _foresight(rules: object) -> Foresighted | None:
    return rules if isinstance(rules, Foresighted) else None
