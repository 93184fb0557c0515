"""The same test several times over: how far the results lie apart, and how often the same was asked for. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from math import sqrt
from statistics import fmean, stdev

from decisions.domain.proposal import Action
from decisions.domain.shares import Share

type Acts = Mapping[datetime, Mapping[str, str]]
"""What was asked for at a moment, by symbol. A moment or a symbol that is not named was held."""

HELD = Action.HOLD.value
OPENS = frozenset({Action.BUY.value, Action.SELL.value})


@dataclass(frozen=True, slots=True)
class Range:
    """Values of several runs together. `error` is the standard error of their mean, None of a single one."""

    count: int
    mean: float
    error: float | None
    low: float
    high: float


def range_of(values: Iterable[float | None]) -> Range | None:
    """Return mean, standard error and range of those values that are known; None where none is."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    error = stdev(known) / sqrt(len(known)) if len(known) > 1 else None
    return Range(len(known), fmean(known), error, min(known), max(known))


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often two asked for the same."""

    actions: Share
    """Equal actions, among all symbols at all moments."""
    entries: Share
    """Equal entries, among those cases in which at least one of the two wanted to enter."""


def agreement_of(pairs: Iterable[tuple[Acts, Acts]], *, symbols: Sequence[str], moments: int) -> Agreement:
    """Return the agreement of pairs of runs over the same symbols and number of moments, all pairs counted together."""
    same = entered = agreed = cases = 0
    for first, second in pairs:
        whole = moments * len(symbols)
        differ = 0
        for at in first.keys() | second.keys():
            here, there = first.get(at, {}), second.get(at, {})
            for symbol in symbols:
                one, two = here.get(symbol, HELD), there.get(symbol, HELD)
                differ += one != two
                if one in OPENS or two in OPENS:
                    entered += 1
                    agreed += one == two
        same += whole - differ
        cases += whole
    return Agreement(Share(same, cases), Share(agreed, entered))


def agreement_among(runs: Sequence[Acts], *, symbols: Sequence[str], moments: int) -> Agreement:
    """Return the agreement of every run with every other."""
    return agreement_of(combinations(runs, 2), symbols=symbols, moments=moments)


def held_share(runs: Iterable[Acts], *, symbols: Sequence[str], moments: int) -> Share:
    """Return how many of all cases were held."""
    acted = whole = 0
    for acts in runs:
        whole += moments * len(symbols)
        acted += sum(actions.get(symbol, HELD) != HELD for actions in acts.values() for symbol in symbols)
    return Share(whole - acted, whole)
