"""The lists of the admin as files: what is chosen in a list, as a table or as JSON. Secrets and their ends are left out.

Django's import-export was looked at and not taken: its import writes to tables past the services, and its files hold
formulas that a spreadsheet would run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from itertools import batched
from typing import Any, Final

from django.contrib import admin
from django.db.models import Field, QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.utils import timezone

from vibex.lib.masking import mask_text, mask_value

EXPORTS: Final = frozenset({"export_csv", "export_json"})
"""Actions that only look: nobody is asked for a confirmation."""
NEVER: Final = re.compile(r"sealed|password|secret|digest|recovery|token|session_key|jti")
"""Names of columns that hold a secret, or what stands for one."""


@admin.action(description="Export as CSV", permissions=["view"])
def export_csv(model_admin: Any, request: HttpRequest, rows: QuerySet[Any]) -> StreamingHttpResponse:
    """Return the chosen rows as a table; of the newest that a file holds."""
    from vibex.lib.api.exports import table_lines  # the framework of the API: not for every command

    columns = columns_of(model_admin)
    cells = ([_plain(value) for value in row] for row in _rows(rows, columns))
    return _file(model_admin, request, table_lines(_headed(columns, cells)), "csv", "text/csv")


@admin.action(description="Export as JSON", permissions=["view"])
def export_json(model_admin: Any, request: HttpRequest, rows: QuerySet[Any]) -> StreamingHttpResponse:
    """Return the chosen rows as a list of objects; decimals are texts, so that no digit is lost."""
    columns = columns_of(model_admin)
    return _file(model_admin, request, _json(columns, _rows(rows, columns)), "json", "application/json")


def columns_of(model_admin: Any) -> list[str]:
    """Return the columns of a model that may leave: all but secrets, and what its page leaves out as too long."""
    left_out = {*(model_admin.exclude or ()), *getattr(model_admin, "not_exported", ())}
    fields: list[Field[Any, Any]] = list(model_admin.model._meta.concrete_fields)
    return [field.attname for field in fields if field.name not in left_out and not NEVER.search(field.name)]


def _rows(rows: QuerySet[Any], columns: list[str]) -> Iterator[tuple[Any, ...]]:
    from vibex.lib.api.exports import AT_ONCE, MOST

    # Values, not objects: a list that defers what is long would read it row by row.
    return iter(rows.values_list(*columns)[:MOST].iterator(chunk_size=AT_ONCE))


def _headed(columns: list[str], lines: Iterator[list[Any]]) -> Iterator[list[Any]]:
    yield list(columns)
    yield from lines


def _plain(value: Any) -> Any:
    """Return a value as a file holds it: times in UTC, decimals as they are written, texts without what looks secret."""
    match value:
        case Decimal():
            return f"{value:f}"
        case str():
            return mask_text(value)
        case dict() | list():
            return mask_value(value)
        case None | bool() | int() | float():
            return value
        case _ if hasattr(value, "isoformat"):
            return value.isoformat()
        case _:
            return str(value)


def _json(columns: list[str], rows: Iterator[tuple[Any, ...]]) -> Iterator[bytes]:
    from vibex.lib.api.exports import AT_ONCE

    between = "[\n"
    for some in batched(rows, AT_ONCE):
        lines = [
            json.dumps(dict(zip(columns, map(_plain, row), strict=True)), ensure_ascii=False, default=str)
            for row in some
        ]
        yield (between + ",\n".join(lines)).encode()
        between = ",\n"
    yield b"[]\n" if between == "[\n" else b"\n]\n"


def _file(
    model_admin: Any, request: HttpRequest, parts: Iterator[bytes], ending: str, kind: str
) -> StreamingHttpResponse:
    from vibex.lib.api.exports import file_answer

    name = f"{model_admin.model._meta.model_name}-{timezone.now():%Y%m%d-%H%M%S}.{ending}"
    return file_answer(request, parts, name, kind)
