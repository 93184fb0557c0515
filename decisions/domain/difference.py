"""The difference between two texts as a person reads it: line by line, and inside of a changed line word by word. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Final

AROUND: Final = 2
"""How many equal lines are shown before and behind a change."""
ALIKE: Final = 0.4
"""Lines that have less in common than this were replaced, not changed: no word of them is pointed out."""
WORDS: Final = re.compile(r"\w+|\s+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a line; `changed` when the other text has something else there."""

    text: str
    changed: bool = False


@dataclass(frozen=True, slots=True)
class DiffLine:
    """One line of either text: `sign` is − for the first, + for the second, "" for both, … for lines that are left out."""

    sign: str
    pieces: tuple[Piece, ...]
    before: int | None = None
    """Its number in the first text, from 1."""
    after: int | None = None
    """Its number in the second text."""


def difference(before: str, after: str) -> list[DiffLine]:
    """Return the lines that differ, with a few equal ones around them; empty when the texts are the same."""
    old, new = before.splitlines(), after.splitlines()
    blocks = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    if all(tag == "equal" for tag, *_ in blocks):
        return []
    found: list[DiffLine] = []
    for place, (tag, i, to_i, j, to_j) in enumerate(blocks):
        if tag == "equal":
            found += _equal(old, (i, to_i), j, first=place == 0, last=place == len(blocks) - 1)
        else:
            found += _changed(old[i:to_i], new[j:to_j], i, j)
    return found


def _equal(lines: Sequence[str], span: tuple[int, int], other: int, *, first: bool, last: bool) -> Iterator[DiffLine]:
    start, end = span
    head = start if first else min(end, start + AROUND)
    tail = end if last else max(head, end - AROUND)
    for number in range(start, head):
        yield _same(lines[number], number, other + number - start)
    if tail > head:
        yield DiffLine("…", (Piece(f"{tail - head} equal line{'' if tail - head == 1 else 's'}"),))
    for number in range(tail, end):
        yield _same(lines[number], number, other + number - start)


def _same(line: str, before: int, after: int) -> DiffLine:
    return DiffLine("", (Piece(line),), before + 1, after + 1)


def _changed(old: Sequence[str], new: Sequence[str], i: int, j: int) -> Iterator[DiffLine]:
    """Yield lines that went and lines that came, each pair that belongs together one behind the other."""
    for place, (gone, come) in enumerate(zip_longest(old, new)):
        first, second = _pieces(gone, come)
        if gone is not None:
            yield DiffLine("−", first, before=i + place + 1)
        if come is not None:
            yield DiffLine("+", second, after=j + place + 1)


def _pieces(gone: str | None, come: str | None) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    if gone is None or come is None:
        return (Piece(gone or ""),), (Piece(come or ""),)
    old, new = WORDS.findall(gone), WORDS.findall(come)
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    if matcher.ratio() < ALIKE:
        return (Piece(gone),), (Piece(come),)
    first = [Piece("".join(old[i:to_i]), tag != "equal") for tag, i, to_i, _, _ in matcher.get_opcodes() if to_i > i]
    second = [Piece("".join(new[j:to_j]), tag != "equal") for tag, _, _, j, to_j in matcher.get_opcodes() if to_j > j]
    return tuple(first), tuple(second)
