"""Figures of a subject: how much, for which risk, and what that proves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from trading.domain.measured import Measured, measure
from trading.domain.measured_words import Word, convention, words
from trading.domain.performance import ENOUGH
from trading.selectors.judged.closed import Books, notional_at
from trading.selectors.judged.known import Stamp, stamp_of
from trading.selectors.judged.lived import Lived
from trading.selectors.judged.repeats import Repeats, repeats_of
from trading.selectors.judged.subject import BOT, Asked, Subject
from trading.selectors.judged.trials import Trials, trials_of

ELSEWHERE: Final = frozenset({"Return of the baseline", "Return above the baseline", "Sharpe ratio above the baseline"})
"""Figures that stand in the table of baselines."""
PROVES: Final = ("Return", "Sharpe ratio", "Probabilistic", "Deflated", "Standard error", "Periods still", "Interval")
"""How the names begin of what tells what the others are worth."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured, and what it is worth."""

    measured: Measured
    trials: Trials
    repeats: Repeats
    stamp: Stamp
    cut: bool
    """Whether figures of trades are of the newest ones only."""

    @property
    def few(self) -> bool:
        """Whether there are too few days for a Sharpe ratio to say anything."""
        return self.measured.periods < ENOUGH

    @property
    def proof(self) -> list[Word]:
        """What the figures prove, in words."""
        return [word for word in words(self.measured) if word.name.startswith(PROVES) and word.name not in ELSEWHERE]

    @property
    def others(self) -> list[Word]:
        """All other figures, in words."""
        return [
            word for word in words(self.measured) if not word.name.startswith(PROVES) and word.name not in ELSEWHERE
        ]

    @property
    def convention(self) -> str:
        return convention(self.measured)


def figures_of(subject: Subject, lived: Lived, asked: Asked, books: Books) -> Figures | None:
    """Return the figures of days that were lived; None where no day is over. At most four queries."""
    if not lived.days:
        return None
    trials = trials_of(subject.beside, asked.trials)
    return Figures(
        measured_of(lived, books, trials.number),
        trials,
        repeats_of(
            subject.bots if subject.kind == BOT else (),
            subject.beside,
            since=asked.since,
            until=asked.until or subject.today,
        ),
        stamp_of(subject, lived.days),
        books.closed.cut,
    )


def measured_of(lived: Lived, books: Books, trials: int) -> Measured:
    """Return the figures of a series of days with its trades. One query.

    Turnover is that of all fills. In exposure a closed trade counts with its value at entry, at the ends of days; where only
    the newest trades are read nothing is said of it.
    """
    notional = None if books.closed.cut else _notional(lived, books)
    measured = measure(lived.unit, notional=notional, trades=books.closed.trades, span=lived.span, trials=trials)
    mean = float(lived.worth.mean())
    return replace(measured, turnover=float(lived.booked.turnover) / mean if mean > 0 else None)


def _notional(lived: Lived, books: Books) -> list[float] | None:
    """Return what a unit holds at each point; None where equity was lost on the way and nothing is a share of it."""
    worth = [*lived.worth.tolist(), float(lived.worth[-1] * (1 + lived.returns[-1]))]
    held = notional_at(books.closed.trades, lived.moments).tolist()
    if min(worth) <= 0:
        return None
    return [value / each * unit for value, each, unit in zip(held, worth, lived.unit.tolist(), strict=True)]
