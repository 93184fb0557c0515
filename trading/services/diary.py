"""The readable account of a cycle: what was thought, what was ruled, what was done."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from decisions.deciders.base import Answer, Outcome, Reading
from decisions.domain.proposal import Action, Ruling, Verdict
from trading.services.execution import Done
from trading.services.journal.base import Journal


def write(
    journal: Journal,
    at: datetime,
    answer: Answer,
    reading: Reading,
    rulings: Sequence[Ruling],
    done: Sequence[Done],
) -> None:
    """Write the diary of one cycle: one line for each ruling, one for each deed, one for the whole when it held."""
    if reading.outcome is not Outcome.ANSWERED:
        journal.diary("error", f"Held everything: {reading.reason or answer.reason}", at=at)
        return
    for symbol, reason in reading.held.items():
        journal.diary("hold", f"Held: this part of the reply could not be used ({reason}).", at=at, symbol=symbol)
    for ruling in rulings:
        _write_ruling(journal, at, ruling)
    for deed in done:
        journal.diary("trade", f"{_words(deed.action)}: {deed.text}.", at=at, symbol=deed.symbol)
    if not rulings:
        journal.diary("hold", answer.notes.get("", "Nothing was asked for."), at=at)


def _write_ruling(journal: Journal, at: datetime, ruling: Ruling) -> None:
    proposal = ruling.proposal
    kind = "hold" if proposal.action is Action.HOLD else "decision"
    text = _words(proposal.action)
    if ruling.verdict is not Verdict.ACCEPTED:
        text += f", {ruling.verdict} by " + "; ".join(f"{hit.rule} ({hit.text})" for hit in ruling.hits)
    if proposal.justification:
        text += f". {proposal.justification}"
    journal.diary(kind, text, at=at, symbol=proposal.symbol, data={"verdict": ruling.verdict.value})


def _words(action: Action) -> str:
    return {Action.BUY: "Buy", Action.SELL: "Sell", Action.HOLD: "Hold", Action.CLOSE: "Close"}[action]
