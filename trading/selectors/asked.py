"""Whom a cycle asked, in which order, how long each took and what it cost; and what the others would have done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from typing import Final

from django.db.models import QuerySet
from django.db.models.functions import Length

from decisions.domain.visible import plain, size_of
from decisions.models import Cycle, Decision, Interaction
from decisions.selectors.texts import LONG_TEXTS

Purpose = Interaction.Purpose
TITLES: Final[Mapping[str, str]] = {
    Purpose.CYCLE: "Asked to decide",
    Purpose.ENSEMBLE: "Asked to decide together",
    Purpose.SHADOW: "Asked to compare, not traded",
    Purpose.DRY_RUN: "Dry run, not traded",
    Purpose.REPLAY: "Asked again later, not traded",
}
TOLD_APART: Final = ("format", "effort", "max_tokens", "held")
"""Parameters that have a place of their own in a list of requests."""


@dataclass(frozen=True, slots=True)
class Bar:
    """When a request was under way, in hundredths of the axis that all requests of a cycle share."""

    start: float
    width: float
    deadline: float
    """Where the deadline stands on the axis."""
    late: bool


@dataclass(frozen=True, slots=True)
class Text:
    """A long text that is fetched when it is opened."""

    part: str
    title: str
    size: str


@dataclass(frozen=True, slots=True)
class Rung:
    """One request of a ladder."""

    row: Interaction
    bar: Bar
    texts: tuple[Text, ...]
    parameters: tuple[tuple[str, str], ...]
    """Those besides format, effort and maximum tokens."""
    votes: tuple[Decision, ...]
    """What its reply asked for, where that was not itself what was decided."""

    @property
    def form(self) -> str:
        return plain(self.row.parameters.get("format"))

    @property
    def effort(self) -> str:
        return plain(self.row.parameters.get("effort"))

    @property
    def max_tokens(self) -> str:
        return plain(self.row.parameters.get("max_tokens"))

    @property
    def prompt_gone(self) -> bool:
        """Whether there was a prompt whose text was kept long enough (`decisions/services/retention.py`)."""
        return bool(self.row.prompt_digest) and all(text.part != "prompt" for text in self.texts)


@dataclass(frozen=True, slots=True)
class Asking:
    """All requests of one purpose."""

    purpose: str
    title: str
    rungs: tuple[Rung, ...]


@dataclass(frozen=True, slots=True)
class Spent:
    """Tokens and US dollars of all requests of a cycle. `assumed` is the part that nobody said."""

    requests: int
    prompt: int
    completion: int
    reasoning: int
    cached: int
    cost: Decimal
    assumed: Decimal


def interactions_of(cycle: Cycle) -> QuerySet[Interaction]:
    """Return the requests of a cycle as they were recorded, ladder by ladder, with the lengths of their long texts."""
    rows = Interaction.objects.filter(cycle=cycle).defer(*LONG_TEXTS)
    lengths = {f"{name}_length": Length(name) for name in LONG_TEXTS}
    return rows.annotate(**lengths).order_by("id")


def askings_of(
    rows: Sequence[Interaction], decisions: Iterable[Decision], *, deadline_seconds: float
) -> tuple[Asking, ...]:
    """Return the requests by purpose, those that decided first, on one axis of time."""
    starts = _starts(rows)
    ends = [starts[row.pk] + row.latency_ms for row in rows]
    axis = max([deadline_seconds * 1000, *ends]) or 1.0
    votes = _votes(decisions)
    order = list(TITLES)
    grouped = groupby(sorted(rows, key=lambda row: order.index(row.purpose)), key=lambda row: row.purpose)
    return tuple(
        Asking(
            purpose,
            TITLES[purpose],
            tuple(_rung(row, starts[row.pk], axis, deadline_seconds * 1000, votes.get(row.pk, ())) for row in each),
        )
        for purpose, each in grouped
    )


def spent_on(rows: Sequence[Interaction]) -> Spent:
    """Return what all requests of a cycle took together. What came late states the cost of the request given up."""
    settled = {row.late_of_id for row in rows if row.late_of_id is not None}
    said = sum((row.cost for row in rows if row.cost is not None), Decimal(0))
    open_rows = [row for row in rows if row.cost is None and row.pk not in settled]
    assumed = sum((row.estimate or Decimal(0) for row in open_rows), Decimal(0))
    return Spent(
        requests=len(rows),
        prompt=sum(row.prompt_tokens for row in rows),
        completion=sum(row.completion_tokens for row in rows),
        reasoning=sum(row.reasoning_tokens for row in rows),
        cached=sum(row.cached_tokens for row in rows),
        cost=said + assumed,
        assumed=assumed,
    )


def _starts(rows: Sequence[Interaction]) -> dict[int, float]:
    """Return when each request began, in milliseconds after the first.

    Those of one ladder follow each other; ladders of several models begin together. A reply that came late began with
    the request that was given up. What was waited for between two requests is not on record.
    """
    starts: dict[int, float] = {}
    ladder: Interaction | None = None
    for row in rows:
        if row.late_of_id in starts:
            starts[row.pk] = starts[row.late_of_id]
            continue
        follows = ladder is not None and row.attempt > ladder.attempt and row.purpose == ladder.purpose
        starts[row.pk] = starts[ladder.pk] + ladder.latency_ms if ladder is not None and follows else 0.0
        ladder = row
    return starts


def _rung(row: Interaction, start: float, axis: float, deadline: float, votes: Sequence[Decision]) -> Rung:
    bar = Bar(
        start=round(100 * start / axis, 2),
        width=max(0.6, round(100 * row.latency_ms / axis, 2)),
        deadline=round(100 * deadline / axis, 2),
        late=row.late_of_id is not None or start + row.latency_ms > deadline,
    )
    sent = {name: value for name, value in row.parameters.items() if value is not None and name not in TOLD_APART}
    rest = tuple((name, plain(value)) for name, value in sent.items())
    return Rung(row, bar, tuple(_texts(row)), rest, tuple(votes))


def _texts(row: Interaction) -> Iterable[Text]:
    lengths = {name: getattr(row, f"{name}_length", None) or 0 for name in LONG_TEXTS}
    if prompt := lengths["system_prompt"] + lengths["user_prompt"]:
        yield Text("prompt", f"Prompt ({row.template})" if row.template else "Prompt", size_of(prompt))
    if lengths["reasoning"]:
        yield Text("reasoning", "Reasoning", size_of(lengths["reasoning"]))
    if lengths["reply"]:
        yield Text("reply", "Raw reply", size_of(lengths["reply"]))


def _votes(decisions: Iterable[Decision]) -> dict[int, list[Decision]]:
    votes: dict[int, list[Decision]] = {}
    for row in decisions:
        if row.kind != Decision.Kind.LIVE and row.interaction_id is not None:
            votes.setdefault(row.interaction_id, []).append(row)
    return votes
