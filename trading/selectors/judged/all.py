"""Everything that is known of a subject, for one answer: each kind of rows is read once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trading.domain.attribution import By
from trading.selectors.judged.beside import BesideAll, beside_of
from trading.selectors.judged.closed import Books
from trading.selectors.judged.figures import Figures, figures_of
from trading.selectors.judged.funnel import Decided, decided_by
from trading.selectors.judged.lived import Lived, lived_by
from trading.selectors.judged.parts import Parts, parts_of
from trading.selectors.judged.subject import Asked, Subject


@dataclass(frozen=True, slots=True)
class Judged:
    """What the results of a subject are worth. None where no day is over; `beside` also where no close is stored."""

    lived: Lived
    figures: Figures | None
    beside: BesideAll | None
    parts: Parts | None
    decided: Decided | None


def judged_all(subject: Subject, asked: Asked, *, by: Sequence[By] = tuple(By)) -> Judged:
    """Return everything. At most fourteen queries."""
    lived = lived_by(subject, asked)
    books = Books(subject, lived)
    figures = figures_of(subject, lived, asked, books)
    beside = beside_of(subject, lived)
    parts = parts_of(subject, lived, books, by=by, market=beside.market if beside else None)
    return Judged(lived, figures, beside, parts, decided_by(subject, lived))
