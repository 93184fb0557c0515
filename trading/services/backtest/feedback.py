"""What a model is told in a backtest besides the market: its template, and what became of what it asked for before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

from decisions.domain.feedback import TOLD, Became, Spoken, feedback_told
from decisions.domain.proposal import WAITS, Action, Ruling, Verdict
from decisions.domain.question import Feedback
from trading.services.backtest.asks import Asks, decision_id_of
from trading.services.journal.memory import MemoryJournal
from trading.services.world import Run

PATIENCE: Final = timedelta(days=1).total_seconds()
"""Seconds that a cycle waits for an answer. What asks a model has a deadline of its own, for each question."""

type Deeds = dict[tuple[datetime, str], list[str]]


def asking(run: Run, asks: Asks, journal: MemoryJournal) -> Run:
    """Return the run with what a model is asked with, as a bot's own cycle has it."""
    return replace(
        run,
        decision_id=decision_id_of(run.scheduled_for),
        feedback=feedback_of(journal),
        template=asks.template,
        template_version=asks.template_version,
        deadline_seconds=PATIENCE,
    )


def feedback_of(journal: MemoryJournal, limit: int = TOLD) -> tuple[Feedback, ...]:
    """Return the last rulings and what became of each, oldest first, as `feedback_for` tells those of a bot."""
    newest = list(islice(_newest(journal), limit))
    if not newest:
        return ()
    deeds = _deeds(journal, since=newest[-1][0])
    return feedback_told(_became(at, ruling, deeds) for at, ruling in newest)


def _newest(journal: MemoryJournal) -> Iterator[tuple[datetime, Ruling]]:
    for said in reversed(journal.said):
        ruled = journal.rulings[said.first : said.first + len(said.reading.proposals)]
        for ruling in reversed(ruled):
            if ruling.proposal.action is not Action.HOLD:
                yield said.at, ruling


def _deeds(journal: MemoryJournal, *, since: datetime) -> Deeds:
    """Return what was done since a moment, by moment and symbol, in the order it was done."""
    found: Deeds = defaultdict(list)
    for line in reversed(journal.lines):
        if line.at < since:
            break
        if line.kind == "trade" and not line.text.endswith(f"{WAITS}."):
            found[line.at, line.symbol].insert(0, line.text)
    return found


def _became(at: datetime, ruling: Ruling, deeds: Deeds) -> Became:
    proposal = ruling.proposal
    left = [] if ruling.verdict is Verdict.REFUSED else deeds.get((at, proposal.symbol), [])
    return Became(
        at,
        proposal.symbol,
        proposal.action.value,
        ruling.verdict.value,
        [Spoken(hit.rule, hit.text, hit.numbers) for hit in ruling.hits],
        left.pop() if left else None,
    )
