"""From what was asked to what was ordered: how many came through each step, and for which reasons the others did not.

Two things are counted. A reply is used whole or not at all; what it says of one symbol goes on, or holds, by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from decisions.domain.proposal import Action, Verdict
from decisions.domain.question import Outcome

MEANS: Final = frozenset({"side", "implausible", "off_tick", "contradicts", "no_price"})
"""Last words of the codes that say that numbers contradict each other or the market. All others are about the form."""
UNTOLD: Final = "unknown"
"""Stands for a reason that nobody gave."""
HOLDS: Final = "hold"
NOT_ORDERED: Final = "no order"


@dataclass(frozen=True, slots=True)
class Asked:
    """One question: how it ended, and which symbols of a usable reply held, with the code of each."""

    outcome: str
    reason: str = ""
    held: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Said:
    """One proposal that was ruled on. `rule` is the first that refused, `waited` what a person answered."""

    action: str
    verdict: str
    rule: str = ""
    ordered: bool = False
    waited: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """How many came through, and how many ended here by reason code, the most frequent first."""

    name: str
    count: int
    ended: Mapping[str, int] = field(default_factory=dict)

    @property
    def lost(self) -> int:
        return sum(self.ended.values())


@dataclass(frozen=True, slots=True)
class Funnel:
    """Steps of the replies: asked, answered, parsed, read. Of what they say per symbol: said, form, meaning, ruled,
    ordered. Each count is the one before it less what ended."""

    replies: tuple[Step, ...]
    symbols: tuple[Step, ...]


def funnel_of(asked: Iterable[Asked], said: Iterable[Said]) -> Funnel:
    """Count where questions and proposals ended. Questions that nobody was asked (no data) are left out."""
    questions = [one for one in asked if one.outcome != Outcome.NOT_ASKED.value]
    proposals = list(said)
    held = Counter(code for one in questions for code in one.held.values())
    ends = {step: Counter[str]() for step in ("answered", "parsed", "read", "ruled", "ordered")}
    for one in questions:
        if step := _reply_ended(one):
            ends[step][code_of(one.reason)] += 1
    for proposal in proposals:
        if end := _proposal_ended(proposal):
            ends[end[0]][end[1]] += 1
    means = Counter({code: count for code, count in held.items() if is_meaning(code)})
    return Funnel(
        _steps(len(questions), "asked", {step: ends[step] for step in ("answered", "parsed", "read")}),
        _steps(
            len(proposals) + held.total(),
            "said",
            {"form": held - means, "meaning": means, "ruled": ends["ruled"], "ordered": ends["ordered"]},
        ),
    )


def code_of(reason: str) -> str:
    """Return the code that a reason begins with, as `http.429` of "http.429: … answered 429"."""
    code = reason.partition(":")[0].strip()
    return code if code and not any(char.isspace() for char in code) else UNTOLD


def is_meaning(code: str) -> bool:
    """Is a held symbol's code about what its numbers mean, and not about their form?"""
    return code.rpartition(".")[2] in MEANS


def held_in(reason: str) -> dict[str, str]:
    """Return symbols and codes that stand in a reason as "BTCUSDT held: stop_loss.side; …"."""
    parts = (part.partition(" held: ") for part in reason.split("; "))
    return {symbol: code for symbol, found, code in parts if found}


def _reply_ended(one: Asked) -> str:
    """Return the step that a question did not come through; "" for one whose reply was read."""
    if one.outcome == Outcome.ANSWERED.value:
        return ""
    if one.outcome != Outcome.REJECTED.value:
        return "answered"
    return "read" if code_of(one.reason).startswith("reply.") else "parsed"


def _proposal_ended(said: Said) -> tuple[str, str] | None:
    """Return step and reason at which a proposal ended; None for one that became an order."""
    if said.verdict == Verdict.REFUSED.value:
        return "ruled", said.rule or UNTOLD
    if said.ordered:
        return None
    if said.action == Action.HOLD.value:
        return "ordered", HOLDS
    return "ordered", said.waited or NOT_ORDERED


def _steps(count: int, first: str, ends: Mapping[str, Counter[str]]) -> tuple[Step, ...]:
    steps = [Step(first, count)]
    for name, ended in ends.items():
        count -= ended.total()
        steps.append(Step(name, count, dict(ended.most_common())))
    return tuple(steps)
