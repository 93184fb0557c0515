"""Pages of what is a list already, and no table: with the same links and parameters as every other list."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from typing import Any

from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from vibex.lib.api.paging import Pages


def page_of[T](rows: Sequence[T], request: Request, *, name: Callable[[T], str]) -> dict[str, Any]:
    """Return `next`, `previous` and `results` of rows that stand in the order of their names, each of which is there once.

    Raises ValidationError (400) for a cursor that is none.
    """
    limit = Pages().get_page_size(request) or Pages.page_size
    after, mark = _read(request.query_params.get(Pages.cursor_query_param, ""))
    names = [name(row) for row in rows]
    if after:
        start = bisect_right(names, mark) if mark else 0
        stop = min(len(rows), start + limit)
    else:
        stop = bisect_left(names, mark)
        start = max(0, stop - limit)
    return {
        "next": _link(request, "a", names[stop - 1]) if start < stop < len(rows) else None,
        "previous": _link(request, "b", names[start]) if 0 < start < stop else None,
        "results": list(rows[start:stop]),
    }


def _read(cursor: str) -> tuple[bool, str]:
    """Return whether a cursor says after or before, and which name."""
    if not cursor:
        return True, ""
    try:
        told = urlsafe_b64decode(cursor.encode()).decode()
    except (Error, UnicodeError, ValueError):
        raise _wrong() from None
    way, _, mark = told.partition(" ")
    if way not in ("a", "b") or not mark:
        raise _wrong()
    return way == "a", mark


def _wrong() -> ValidationError:
    return ValidationError({"cursor": ["This is no cursor of this list."]})


def _link(request: Request, way: str, mark: str) -> str:
    from rest_framework.utils.urls import replace_query_param

    cursor = urlsafe_b64encode(f"{way} {mark}".encode()).decode()
    link: str = replace_query_param(request.build_absolute_uri(), Pages.cursor_query_param, cursor)
    return link
