"""Counters and histograms as plain numbers that can be handed from one process to another."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from vibex.metrics.families import FAMILIES, Family

type Labels = tuple[str, ...]
type Series = tuple[str, Labels]
"""Name of a metric and the values of its labels."""

MOST_SERIES: Final = 150
"""Label values of one metric that are told apart; what comes after them is counted together."""
OTHER: Final = "other"


@dataclass(slots=True)
class Spread:
    """A histogram: how many fell into each bucket (not added up), the last one without an end, and their sum."""

    counts: list[int]
    sum: float = 0.0

    @classmethod
    def empty(cls, family: Family) -> Spread:
        return cls([0] * (len(family.buckets) + 1))

    def added_up(self) -> Iterator[int]:
        running = 0
        for count in self.counts:
            running += count
            yield running


@dataclass(slots=True)
class Totals:
    """What was counted since the counting began, by metric and label values."""

    counts: dict[str, dict[Labels, float]] = field(default_factory=dict)
    spreads: dict[str, dict[Labels, Spread]] = field(default_factory=dict)

    @classmethod
    def fresh(cls) -> Totals:
        """Return nothing yet, with a 0 wherever a metric says so."""
        made = cls()
        for family in FAMILIES:
            for labels in family.starts:
                if family.kind == "counter":
                    made.add(family, *labels, by=0.0)
                else:
                    made._spread(family, labels)
        return made

    def series(self) -> frozenset[Series]:
        """Return what there is something of."""
        counts = {(name, labels) for name, known in self.counts.items() for labels in known}
        spreads = {(name, labels) for name, known in self.spreads.items() for labels in known}
        return frozenset(counts | spreads)

    def add(self, family: Family, *labels: str, by: float = 1.0) -> None:
        known = self.counts.setdefault(family.name, {})
        place = _place(known, labels)
        known[place] = known.get(place, 0.0) + by

    def observe(self, family: Family, *labels: str, value: float) -> None:
        spread = self._spread(family, labels)
        spread.counts[bisect_left(family.buckets, value)] += 1
        spread.sum += value

    def _spread(self, family: Family, labels: Labels) -> Spread:
        known = self.spreads.setdefault(family.name, {})
        place = _place(known, labels)
        if place not in known:
            known[place] = Spread.empty(family)
        return known[place]


def _place[T](known: dict[Labels, T], labels: Labels) -> Labels:
    """Return where it is counted: under its own labels as long as there is room."""
    if labels in known or len(known) < MOST_SERIES:
        return labels
    return (OTHER,) * len(labels)
