"""Reading only those rows of a table that nobody has read yet, in a fixed number of statements and without a time column.

Keys rise, but a row can become visible later than one with a higher key, because its transaction took longer; and a row
may not be complete when it is first seen. Both are named again for a while: `late`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from django.db.models import Model, Q, QuerySet

MOST: Final = 5_000
"""Rows of one table that are read at once; the rest follows at the next look."""
GAP_SECONDS: Final = 120.0
"""So long a key that was passed over is asked for again: no transaction is open longer."""
MOST_LATE: Final = 2_000
"""Keys that are asked for again, the newest."""


@dataclass(slots=True)
class Cursor:
    """How far the rows of one table have been read."""

    upto: int
    """The highest key that was read; 0 when the table was empty."""
    late: dict[int, float] = field(default_factory=dict)
    """Lower keys that are still to come, with the moment (seconds since 1970) at which they are given up."""

    def after[T: Model](self, rows: QuerySet[T]) -> QuerySet[T]:
        """Return what was not read yet, oldest first. The row of `upto` comes along: without it this is another database."""
        return rows.filter(Q(pk__gte=self.upto) | Q(pk__in=list(self.late))).order_by("pk")

    def advanced(self, read: Iterable[int], unfinished: Iterable[int], *, now: float, patience: float) -> Cursor:
        """Return the cursor after the rows `read`, of which those that are `unfinished` are asked for again.

        `patience` is how many seconds an unfinished one has; `now` are seconds since 1970.
        """
        seen, open_ones = set(read), set(unfinished)
        upto = max(seen, default=self.upto)
        gaps = range(max(self.upto + 1, upto - MOST_LATE), upto) if self.upto else ()
        late = {key: until for key, until in self.late.items() if until > now and (key not in seen or key in open_ones)}
        late |= {key: now + GAP_SECONDS for key in gaps if key not in seen and key not in late}
        late |= {key: now + patience for key in open_ones if key not in self.late}
        newest = sorted(late)[-MOST_LATE:]
        return Cursor(max(upto, self.upto), {key: late[key] for key in newest})
