"""Every word of a run as one page that needs nothing else: what was asked, what came back, what was made of it.

Texts of models are shown as text, whatever they hold. The same run gives the same bytes.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Final

from decisions.domain.proposal import Action, Proposal, Ruling, Verdict
from decisions.domain.question import Outcome
from decisions.domain.schema import cleaned
from marketdata.domain.masking import MaskKey
from trading.services.backtest.runs import ModelRun
from trading.services.journal.said import Said
from vibex.lib.errors import Rejected

LONGEST: Final = 200_000
"""Characters of one text that are shown."""
NOT_IN_A_NAME: Final = re.compile(r"[^A-Za-z0-9.-]+")
STYLE: Final = """\
body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}
pre{white-space:pre-wrap;overflow-wrap:anywhere;background:#f4f5f7;padding:.8rem;border-radius:6px;font-size:13px}
section{border-top:1px solid #d5d9df;margin-top:1.5rem;padding-top:.5rem}h2{font-size:1.05rem}
summary{cursor:pointer;color:#3b5bdb}.bad{color:#b02a37}.small{color:#5b6470;font-size:13px}
@media(prefers-color-scheme:dark){body{color:#e4e7eb;background:#14171a}pre{background:#1e2328}section{border-color:#343a40}
summary{color:#8ea8ff}.small{color:#a0a8b0}.bad{color:#ff8a94}}"""


def conversation_name(run: ModelRun) -> str:
    """Return the name of a run's file, made of the model and the repeat."""
    return f"{NOT_IN_A_NAME.sub('_', run.plan.model)}.{run.plan.asks.repeat}.html"


def conversations_write(folder: Path, runs: Iterable[ModelRun], *, key: MaskKey | None = None) -> list[Path]:
    """Write a page for each run and return where. `key` tells the true names beside the masked ones.

    Raises Rejected where the folder cannot be written to.
    """
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for run in runs:
            place = folder / conversation_name(run)
            place.write_text("\n".join(conversation_lines(run, key=key)) + "\n", encoding="utf-8")
            written.append(place)
    except OSError as fault:
        text = f"{folder}: {fault.strerror}: the conversations could not be written there. Name another folder."
        raise Rejected(text, code="conversations") from None
    return written


def conversation_lines(run: ModelRun, *, key: MaskKey | None = None) -> Iterator[str]:
    """Yield the page of a run, line by line."""
    plan, journal = run.plan, run.backtest.journal
    title = f"{plan.model}, repeat {plan.asks.repeat}"
    yield '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width,initial-scale=1">'
    yield f"<title>{_text(title)}</title><style>{STYLE}</style></head><body>"
    yield f"<h1>{_text(title)}</h1>"
    window = f"{plan.start:%F %H:%M} to {plan.end:%F %H:%M} UTC, every {plan.interval}"
    yield f"<p>{_text(', '.join(plan.symbols))}; {window}; capital {plan.capital}.</p>"
    if key is not None:
        names = ", ".join(f"{name} is {true}" for name, true in key.symbols.items())
        yield f"<p>Masked: {_text(names)}; times are {key.weeks} weeks earlier than they were.</p>"
    useless = f", {run.useless} replies of no use" if run.useless else ""
    yield f"<p>{len(journal.said)} decisions, {run.cost:.4f} US dollars, return {run.returned:+.2%}{useless}.</p>"
    deeds = defaultdict[datetime, list[str]](list)
    for line in journal.lines:
        if line.kind == "trade":
            deeds[line.at].append(f"{line.symbol}: {line.text}")
    system = None
    for said in journal.said:
        if said.prompt is not None and said.prompt.system != system:
            system = said.prompt.system
            yield from _folded("System text, the same for all that follows", system)
        rulings = journal.rulings[said.first : said.first + len(said.reading.proposals)]
        yield from _moment(said, rulings, deeds.get(said.at, []), key)
    yield "</body></html>"


def _moment(said: Said, rulings: Sequence[Ruling], deeds: Iterable[str], key: MaskKey | None) -> Iterator[str]:
    true = f" (truly {key.moment(said.at):%F %H:%M})" if key else ""
    yield f'<section id="{said.at:%Y%m%dT%H%M%S}"><h2>{said.at:%F %H:%M} UTC{true}</h2>'
    if said.prompt is not None:
        yield from _folded("Asked", said.prompt.user)
    yield from _answered(said)
    held = [ruling.proposal.symbol for ruling in rulings if ruling.proposal.action is Action.HOLD]
    if held:
        yield f"<p>Held: {_text(', '.join(held))}</p>"
    for ruling in rulings:
        if ruling.proposal.action is not Action.HOLD:
            yield f"<p>{_text(_ruled(ruling))}</p>"
    for deed in deeds:
        yield f"<p><strong>{_text(deed)}</strong></p>"
    yield "</section>"


def _answered(said: Said) -> Iterator[str]:
    answer, reading = said.answer, said.reading
    served = f" as {answer.model_served}" if answer.model_served not in ("", answer.model_requested) else ""
    tokens = f"{answer.usage.prompt_tokens} + {answer.usage.completion_tokens} tokens"
    if said.prompt is not None:
        yield f'<p class="small">{_text(answer.model_requested + served)}, {answer.latency:.1f} s, {tokens}</p>'
    for attempt in answer.attempts:
        if attempt.reasoning:
            yield from _folded("Reasoning", attempt.reasoning)
    raw = answer.text if answer.text is not None else answer.raw.decode("utf-8", "replace")
    if raw:
        yield f"<pre>{_text(raw)}</pre>"
    if reading.outcome is not Outcome.ANSWERED:
        yield f'<p class="bad">Held everything: {_text(reading.reason or answer.reason)}</p>'
    for symbol, reason in reading.held.items():
        yield f'<p class="bad">{_text(symbol)} held by the gate: {_text(reason)}</p>'


def _ruled(ruling: Ruling) -> str:
    verdict, hits = ruling.verdict.value, "; ".join(f"{hit.text} ({hit.rule})" for hit in ruling.hits)
    told = f"{_asked(ruling.proposal)}: {verdict}"
    if ruling.verdict is Verdict.REDUCED and ruling.quantity is not None:
        told += f" to {ruling.quantity.normalize():f}"
    return f"{told}, {hits}" if hits else told


def _asked(proposal: Proposal) -> str:
    told = f"{proposal.symbol} {proposal.action.value}"
    if proposal.action.opens:
        told += (
            f" {proposal.quantity} at {proposal.leverage}x, stop {proposal.stop_loss}, target {proposal.profit_target}"
        )
    return told


def _folded(title: str, text: str) -> Iterator[str]:
    yield f"<details><summary>{_text(title)}</summary><pre>{_text(text)}</pre></details>"


def _text(text: str) -> str:
    return escape(cleaned(text, LONGEST))
