"""A decider that says what a bot said at the time, moment by moment. It asks nobody."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from decisions.deciders.base import Answer, Outcome, Question, Reading
from decisions.domain.proposal import Proposal
from marketdata.domain.intervals import floor_to
from vibex.lib.clock import Deadline, from_ms, to_ms


@dataclass(slots=True)
class ThenDecider:
    """Proposes what is stored for a moment; where nothing is stored everything holds, and is counted."""

    name: str
    said: Mapping[datetime, tuple[Proposal, ...]]
    """By close of the candle it decided on; a moment without proposals was held."""
    interval: str
    wants_prompt: bool = False
    missing: list[datetime] = field(default_factory=list)
    """Moments of which nothing is stored: there was no cycle, or it ended before it decided."""
    used: set[datetime] = field(default_factory=set)

    def __post_init__(self) -> None:
        # A decision that a person asked for comes between two candles: it stands for the one that had closed.
        self.said = {from_ms(floor_to(to_ms(at), self.interval)): what for at, what in sorted(self.said.items())}

    def ask(self, question: Question, deadline: Deadline) -> Answer:
        """Return what was said then. The deadline cannot matter: nothing is waited for."""
        at = question.snapshot.at
        if at not in self.said:
            self.missing.append(at)
            reason = "replay.missing: nothing is stored of this moment"
            return Answer(Outcome.NO_ANSWER, model_requested=self.name, reason=reason)
        self.used.add(at)
        there = self.said[at]
        return Answer(
            Outcome.ANSWERED,
            proposals=tuple(each for each in there if each.symbol in question.bot.symbols),
            model_requested=self.name,
            model_served=self.name,
            notes={each.symbol: each.justification for each in there},
        )

    def read(self, question: Question, answer: Answer) -> Reading:
        """Return the proposals as they are stored: the gate of then has read them."""
        return Reading(answer.outcome, answer.proposals or (), reason=answer.reason)

    def told(self) -> Iterator[str]:
        """Say what of the history was used, and what was not there."""
        yield f"{len(self.used)} stored decisions were used as they were said"
        if self.missing:
            first = min(self.missing)
            yield f"{len(self.missing)} moments have no stored decision and were held, the first at {first:%F %H:%M}"
        if left := len(self.said) - len(self.used):
            yield f"{left} stored decisions of the window are of other moments than this plan's, and were not used"
