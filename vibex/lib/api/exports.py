"""Lists as tables (`format=csv`): streamed row by row, in the filters and the order of the list, without pages.

What a model or a venue wrote may begin like a formula: no cell does (`vibex/lib/cells.py`). The file is UTF-8 without a
byte order mark, which programs would take for part of the first name.
"""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from itertools import batched
from typing import Any, Final
from weakref import WeakKeyDictionary

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.db.models import QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.serializers import BaseSerializer

from vibex.lib.api.lines import line_of
from vibex.lib.cells import defused

MOST: Final = 100_000
"""Rows of one export, from the top. Whoever wants more narrows the time."""
AT_ONCE: Final = 500
"""Rows that are held at a time."""
BESIDE: Final = 2
"""Exports of a process that are worked on at the same moment: eight would hold up every other call for seconds."""
END: Final = b""

_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


class CsvRenderer(BaseRenderer):
    """Names the form; the rows are streamed, so that nothing is rendered."""

    media_type = "text/csv"
    format = "csv"
    charset = "utf-8"

    def render(self, data: Any, accepted_media_type: Any = None, renderer_context: Any = None) -> bytes:
        raise NotImplementedError


def csv_answer(
    request: Request, rows: QuerySet[Any], serializer: BaseSerializer[Any], columns: Sequence[str], name: str
) -> StreamingHttpResponse:
    """Return the table of `rows` with a head line, as a file of this name."""
    return file_answer(request._request, _lines(rows, serializer, columns), f"{name}.csv", "text/csv")


def file_answer(request: HttpRequest, lines: Iterator[bytes], name: str, kind: str) -> StreamingHttpResponse:
    """Return what `lines` yield as a file of this name and media type, a part at a time."""
    parts: Iterator[bytes] | AsyncIterator[bytes] = lines
    if isinstance(request, ASGIRequest):
        parts = _without_waiting(lines)
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingHttpResponse(parts, content_type=f"{kind}; charset=utf-8", headers=headers)


def table_lines(lines: Iterable[Sequence[Any]]) -> Iterator[bytes]:
    """Yield lines of cells as CSV, by hundreds, with no formula in any of them."""
    for some in batched(lines, AT_ONCE):
        yield _written([[defused(cell) for cell in line] for line in some])


def _lines(rows: QuerySet[Any], serializer: Any, columns: Sequence[str]) -> Iterator[bytes]:
    """Yield the head, then the rows by hundreds."""
    for name in set(serializer.fields) - set(columns):
        serializer.fields.pop(name)
    line = line_of(serializer)
    yield _written([columns])
    found = rows[:MOST].iterator(chunk_size=AT_ONCE)
    for some in batched(found, AT_ONCE):
        told = map(line, some)
        yield _written([[defused(row[name]) for name in columns] for row in told])


def _written(lines: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(lines)
    return text.getvalue().encode("utf-8")


async def _without_waiting(lines: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the same, read in the request's thread while the server goes on with others.

    For each part it takes a turn, not for the whole: who reads slowly keeps nobody from exporting.
    """
    following = sync_to_async(lambda: next(lines, END))
    turn = _turns.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(BESIDE))
    while True:
        async with turn:
            part = await following()
        if part == END:
            return
        yield part
