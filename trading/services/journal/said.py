"""What was said at one moment of a backtest: the question as text, the answer, and what it was read as."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from decisions.deciders.base import Answer, Prompt, Question, Reading


@dataclass(frozen=True, slots=True)
class Said:
    """One decision of a backtest."""

    at: datetime
    prompt: Prompt | None
    """None where nobody needed one."""
    answer: Answer
    reading: Reading
    first: int
    """Place in the journal's rulings of that on the first proposal; the others follow, one for each."""

    @classmethod
    def of(cls, question: Question, answer: Answer, reading: Reading, *, first: int) -> Said:
        return cls(question.snapshot.at, question.prompt, answer, reading, first)

    @property
    def actions(self) -> dict[str, str]:
        """What was asked for by symbol, the last word on each; a symbol that is not named was held."""
        return {proposal.symbol: proposal.action.value for proposal in self.reading.proposals}
