"""How rulings are told again in the next prompt: the same for a bot and for a test of one. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from decisions.domain.proposal import Verdict
from decisions.domain.question import Feedback

TOLD: Final = 10
"""How many of the last rulings are said again."""
UNKNOWN: Final = "unknown, the cycle ended before it was recorded"


@dataclass(frozen=True, slots=True)
class Spoken:
    """A rule that spoke on a proposal."""

    rule: str
    text: str
    numbers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Became:
    """A ruling and what became of it."""

    at: datetime
    symbol: str
    action: str
    verdict: str
    spoken: Sequence[Spoken]
    deed: str | None = None
    """What was done, as the diary has it; None where nothing is known of it, or nothing was to be done."""
    answer: str = ""
    """What a person said to it, where one was asked: what was done then is a ruling of its own."""


def feedback_told(newest_first: Iterable[Became]) -> tuple[Feedback, ...]:
    """Return the rulings as they are told, oldest first. Refusals of the same wish by the same rules are told as one."""
    told: dict[object, Feedback] = {}
    for place, became in enumerate(newest_first):
        said, same = _told(became), _same(became, place)
        told[same] = replace(told[same], times=told[same].times + 1) if same in told else said
    return tuple(reversed(told.values()))


def deed_in(text: str) -> str:
    """Return the deed in a line like `Buy: not entered: <why>.` without its why, which may be an exchange's message."""
    return text.partition(": ")[2].partition(": ")[0].removesuffix(".")


def _same(became: Became, place: int) -> object:
    if became.verdict == Verdict.REFUSED.value:
        return became.symbol, became.action, tuple(hit.rule for hit in became.spoken)
    return place


def _told(became: Became) -> Feedback:
    reasons = tuple(map(_reason, became.spoken))
    if became.answer:
        reasons = (f"outcome: {became.answer}", *reasons)
    elif became.verdict != Verdict.REFUSED.value:
        reasons = (f"outcome: {UNKNOWN if became.deed is None else deed_in(became.deed)}", *reasons)
    return Feedback(became.at, became.symbol, became.action, became.verdict, reasons)


def _reason(hit: Spoken) -> str:
    """Return what a rule said, with its id, and with the numbers it compared when its words hold none."""
    numbers = ", ".join(f"{name} {number}" for name, number in sorted(hit.numbers.items()))
    told = numbers and not any(letter.isdigit() for letter in hit.text)
    return f"{hit.rule}: {hit.text}" + (f" [{numbers}]" if told else "")
