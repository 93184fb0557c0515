"""Pages of lists: a cursor instead of a page number, so that no row is missed or shown twice while rows come in.

A cursor holds the values of all columns of the order at the edge of a page: rows that share the first one, however many,
are told apart by the next. Empty values count as smaller than every other, on every database.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.core.exceptions import ValidationError as FieldFault
from django.core.serializers.json import DjangoJSONEncoder
from django.db import DataError
from django.db.models import F, Field, Q, QuerySet
from django.db.models.expressions import OrderBy
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.utils.urls import replace_query_param

LIMIT = "limit"
CURSOR = "cursor"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of an order."""

    name: str
    descending: bool
    nullable: bool

    def turned(self) -> Column:
        return Column(self.name, not self.descending, self.nullable)

    def ordering(self) -> str | OrderBy:
        """Return how the database is told. Plain where nothing is empty, so that an index serves."""
        if not self.nullable:
            return f"-{self.name}" if self.descending else self.name
        column = F(self.name)
        return column.desc(nulls_last=True) if self.descending else column.asc(nulls_first=True)

    def beyond(self, value: Any) -> Q:
        """Match rows that come after `value` by this column alone."""
        if value is None:
            return Q(pk__in=()) if self.descending else Q(**{f"{self.name}__isnull": False})
        after = Q(**{f"{self.name}__{'lt' if self.descending else 'gt'}": value})
        return after | Q(**{f"{self.name}__isnull": True}) if self.descending and self.nullable else after

    def equal(self, value: Any) -> Q:
        return Q(**{f"{self.name}__isnull": True}) if value is None else Q(**{self.name: value})

    def of(self, row: Any) -> Any:
        """Return the column's value of a row."""
        if isinstance(row, dict):
            return row[self.name]
        for part in self.name.split("__"):
            row = None if row is None else getattr(row, part)
        return row


class Pages(CursorPagination):
    """`{"next", "previous", "results"}`; `limit` rows a page, 50 by default, 500 at most. Nothing is counted."""

    page_size = 50
    page_size_query_param = LIMIT
    max_page_size = 500
    cursor_query_param = CURSOR

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        """Return the rows of a page. Raises ValidationError (400) for a cursor that no answer has held."""
        self.request, self._address = request, request.build_absolute_uri()
        self.columns = _columns(queryset, self.get_ordering(request, queryset, view))
        back, edge = cursor_read(request.query_params.get(CURSOR), len(self.columns))
        try:
            found = self._found(queryset, back, edge, self.get_page_size(request))
        except (FieldFault, DataError, ValueError, TypeError, OverflowError) as fault:
            if edge is None:
                raise
            raise no_cursor() from fault
        self.display_page_controls = bool(self.has_next or self.has_previous)
        self.page = found
        return found

    def _found(self, rows: QuerySet[Any], back: bool, edge: Sequence[Any] | None, size: int) -> list[Any]:
        columns = [column.turned() for column in self.columns] if back else self.columns
        if edge is not None:
            rows = rows.filter(_beyond(columns, edge))
        found = list(rows.order_by(*(column.ordering() for column in columns))[: size + 1])
        more, found = len(found) > size, found[:size]
        self.has_next, self.has_previous = (True, more) if back else (more, edge is not None)
        return found[::-1] if back else found

    def get_next_link(self) -> str | None:
        return self._link(back=False) if self.has_next else None

    def get_previous_link(self) -> str | None:
        return self._link(back=True) if self.has_previous else None

    def _link(self, *, back: bool) -> str | None:
        if not self.page:  # beyond the edge; what is on the other side begins where the list does
            return None
        row = self.page[0] if back else self.page[-1]
        return self.link_to([column.of(row) for column in self.columns], back=back)

    def link_to(self, edge: Sequence[Any], *, back: bool = False) -> str:
        """Return the address of the page after (or before) a place in the order: a value of each of its columns."""
        plain = json.dumps([back, *edge], cls=_Exact, separators=(",", ":"))
        return replace_query_param(self._address, CURSOR, base64.urlsafe_b64encode(plain.encode()).decode().rstrip("="))

    def get_page_size(self, request: Request) -> int:
        """Return the rows of a page. Raises ValidationError (400) for a number out of the range."""
        given = request.query_params.get(LIMIT)
        if given is None:
            return self.page_size
        if not (given.isascii() and given.isdigit() and len(given) < 5 and 1 <= int(given) <= self.max_page_size):
            raise ValidationError({LIMIT: [f"1 to {self.max_page_size}."]})
        return int(given)

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """Return the parameters as the schema has them."""
        limit = {"type": "integer", "minimum": 1, "maximum": self.max_page_size, "default": self.page_size}
        return [
            {"name": LIMIT, "in": "query", "required": False, "description": "Rows of a page.", "schema": limit},
            {
                "name": CURSOR,
                "in": "query",
                "required": False,
                "description": "Where the page begins: as `next` and `previous` have it.",
                "schema": {"type": "string"},
            },
        ]

    def get_ordering(self, request: Request, queryset: QuerySet[Any], view: Any) -> tuple[str, ...]:
        """Return the order of the view (`order_of`), else that of the table."""
        if (chosen := getattr(view, "order_of", None)) is not None:
            return tuple(chosen(request))
        return tuple(map(str, queryset.query.order_by)) or ("-id",)


class _Exact(DjangoJSONEncoder):
    """Moments to the microsecond: cut off, a row would come twice."""

    def default(self, o: Any) -> Any:
        return o.isoformat() if hasattr(o, "isoformat") else super().default(o)


def _columns(rows: QuerySet[Any], order: Sequence[str]) -> list[Column]:
    names = [(name.removeprefix("-"), name.startswith("-")) for name in order]
    return [Column(name, descending, _nullable(rows, name)) for name, descending in names]


def _nullable(rows: QuerySet[Any], name: str) -> bool:
    """Tell whether a column may be empty. What is computed is taken for one that may."""
    if name == "pk":
        return False
    model: Any = rows.model
    empty = False
    for part in name.split("__"):
        try:
            field = model._meta.get_field(part)
        except FieldDoesNotExist:
            return True
        empty = empty or (isinstance(field, Field) and field.null)
        model = field.related_model
    return empty


def _beyond(columns: Sequence[Column], edge: Sequence[Any]) -> Q:
    """Match the rows after `edge`: beyond in the first column, or equal there and beyond in the rest."""
    found = Q(pk__in=())
    for column, value in reversed(list(zip(columns, edge, strict=True))):
        found = column.beyond(value) | (column.equal(value) & found)
    return found


def cursor_read(cursor: str | None, columns: int) -> tuple[bool, list[Any] | None]:
    """Return whether a cursor leads back, and the values at the edge, one for each column; None without one.

    Raises ValidationError (400) for what is no cursor.
    """
    if cursor is None:
        return False, None
    try:
        back, *edge = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, TypeError, RecursionError):
        raise no_cursor() from None
    plain = all(value is None or isinstance(value, (str, int, float)) for value in edge)
    if not isinstance(back, bool) or len(edge) != columns or not plain or any("\0" in str(each) for each in edge):
        raise no_cursor()
    return back, edge


def no_cursor() -> ValidationError:
    return ValidationError({CURSOR: ["This is no cursor of this list."]})
