"""The readable account of a cycle: what could not be relied on, what was thought, what was ruled, what was done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from decisions.deciders.base import Answer, Outcome, Reading
from decisions.domain.proposal import Action, Ruling, Verdict
from marketdata.domain.snapshot import MarketSnapshot, SymbolView
from trading.services.execution import Done
from trading.services.journal.base import Line

WORDS = {Action.BUY: "Buy", Action.SELL: "Sell", Action.HOLD: "Hold", Action.CLOSE: "Close"}
MARKET: Final = "market.problem"
"""The rule that refuses for the market data of a symbol."""


def lines_of(
    snapshot: MarketSnapshot, answer: Answer, reading: Reading, rulings: Sequence[Ruling], done: Sequence[Done]
) -> list[Line]:
    """Return the diary of one cycle.

    A line for each symbol that holds because of its data, asked for or not; for each ruling that says more than that;
    for each deed; or one that says why nothing was done.
    """
    at = snapshot.at
    wrong = {symbol: view for symbol, view in snapshot.symbols.items() if view.problem}
    held = [_held(at, view, [one for one in rulings if one.proposal.symbol == name]) for name, view in wrong.items()]
    if reading.outcome is Outcome.NOT_ASKED:
        return [
            Line(at, "hold", f"Nobody was asked: {reading.reason}.", data={"outcome": reading.outcome.value}),
            *held,
        ]
    if reading.outcome is not Outcome.ANSWERED:
        return [Line(at, "error", f"Held everything: {reading.reason or answer.reason}"), *held]
    lines = [
        Line(at, "hold", f"Held: this part of the reply could not be used ({reason}).", symbol)
        for symbol, reason in reading.held.items()
    ]
    lines += [_ruling(at, ruling) for ruling in rulings if not _said(ruling, wrong)]
    lines += [Line(at, "trade", f"{WORDS[deed.action]}: {deed.text}.", deed.symbol) for deed in done]
    return [*held, *lines] or [Line(at, "hold", answer.notes.get("", "Nothing was asked for."))]


def _held(at: datetime, view: SymbolView, rulings: Sequence[Ruling]) -> Line:
    """Return the line of a symbol that holds because of its data, with what was asked for in vain."""
    text = f"{view.symbol} held: {view.problem}."
    for proposal in (ruling.proposal for ruling in rulings if _said(ruling, {view.symbol: view})):
        why = "" if view.problem and view.problem in proposal.justification else proposal.justification
        if proposal.action.opens:
            text += f" {WORDS[proposal.action]} was asked for{': ' if why else ''}{why or '.'}"
        elif why:
            text += f" {why}"
    return Line(at, "hold", text, view.symbol, dict(view.reason))


def _said(ruling: Ruling, wrong: Mapping[str, SymbolView]) -> bool:
    """Tell whether the line of a symbol's data says all of a ruling: a hold, or a refusal for nothing but the data."""
    if ruling.proposal.symbol not in wrong:
        return False
    return ruling.proposal.action is Action.HOLD or {hit.rule for hit in ruling.hits} == {MARKET}


def _ruling(at: datetime, ruling: Ruling) -> Line:
    proposal = ruling.proposal
    text = WORDS[proposal.action]
    if ruling.verdict is not Verdict.ACCEPTED:
        text += f", {ruling.verdict}: " + "; ".join(f"{hit.text} ({hit.rule})" for hit in ruling.hits)
    if proposal.justification:
        text += f". {proposal.justification}"
    kind = "hold" if proposal.action is Action.HOLD else "decision"
    return Line(at, kind, text, proposal.symbol, {"verdict": ruling.verdict.value})
