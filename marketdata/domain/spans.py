"""Spans of time, [start, stop) in UTC milliseconds: what of them is left when others are taken away."""

from __future__ import annotations

from collections.abc import Iterable

type Span = tuple[int, int]


def without_spans(spans: Iterable[Span], known: Iterable[Span]) -> list[Span]:
    """Return what of `spans` no known span covers, oldest first. `spans` do not overlap; known ones may."""
    left = sorted(span for span in spans if span[0] < span[1])
    for start, stop in known:
        left = [piece for span in left for piece in _cut(span, start, stop)]
    return left


def joined(spans: Iterable[Span]) -> list[Span]:
    """Return spans that touch or overlap as one, oldest first."""
    whole: list[Span] = []
    for start, stop in sorted(spans):
        if whole and start <= whole[-1][1]:
            whole[-1] = (whole[-1][0], max(stop, whole[-1][1]))
        elif start < stop:
            whole.append((start, stop))
    return whole


def _cut(span: Span, start: int, stop: int) -> list[Span]:
    if stop <= span[0] or start >= span[1]:
        return [span]
    pieces = ((span[0], min(start, span[1])), (max(stop, span[0]), span[1]))
    return [piece for piece in pieces if piece[0] < piece[1]]
