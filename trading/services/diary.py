"""The readable account of a cycle: what was thought, what was ruled, what was done."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from decisions.deciders.base import Answer, Outcome, Reading
from decisions.domain.proposal import Action, Ruling, Verdict
from trading.services.execution import Done
from trading.services.journal.base import Line

WORDS = {Action.BUY: "Buy", Action.SELL: "Sell", Action.HOLD: "Hold", Action.CLOSE: "Close"}


def lines_of(
    at: datetime, answer: Answer, reading: Reading, rulings: Sequence[Ruling], done: Sequence[Done]
) -> list[Line]:
    """Return the diary of one cycle: a line for each ruling, for each deed, or one that says why nothing was done."""
    if reading.outcome is not Outcome.ANSWERED:
        return [Line(at, "error", f"Held everything: {reading.reason or answer.reason}")]
    lines = [
        Line(at, "hold", f"Held: this part of the reply could not be used ({reason}).", symbol)
        for symbol, reason in reading.held.items()
    ]
    lines += [_ruling(at, ruling) for ruling in rulings]
    lines += [Line(at, "trade", f"{WORDS[deed.action]}: {deed.text}.", deed.symbol) for deed in done]
    return lines or [Line(at, "hold", answer.notes.get("", "Nothing was asked for."))]


def _ruling(at: datetime, ruling: Ruling) -> Line:
    proposal = ruling.proposal
    text = WORDS[proposal.action]
    if ruling.verdict is not Verdict.ACCEPTED:
        text += f", {ruling.verdict}: " + "; ".join(f"{hit.text} ({hit.rule})" for hit in ruling.hits)
    if proposal.justification:
        text += f". {proposal.justification}"
    kind = "hold" if proposal.action is Action.HOLD else "decision"
    return Line(at, kind, text, proposal.symbol, {"verdict": ruling.verdict.value})
