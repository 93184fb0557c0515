"""One recorded file: gzipped CSV with a header. It is read whole or refused with file, line and remedy."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from marketdata.domain.quality import first_disorder
from vibex.lib.errors import Rejected

MILLISECONDS_FROM = 100_000_000_000
"""Smaller numbers (before March 1973) are seconds by mistake."""
FIRST_ROW = 2
"""Line of the first row: the header is line 1."""


def read_table(path: Path, columns: Sequence[str]) -> NDArray[np.float64]:
    """Return the named columns, the first of them `ts_ms`, as an array (rows, columns) in rising order of time.

    Raises Rejected for a file that is missing, empty, damaged, lacks a column, holds something that is no number, or
    is out of order. Whether a candle is possible is not judged here.
    """
    lines = _text(path).splitlines()
    if not lines:
        raise refusal(path, "is empty", "Fetch it again.")
    places = _places(path, lines[0], columns)
    if len(lines) < FIRST_ROW:
        raise refusal(path, "has a header and no rows", "Fetch it again.")
    table = _parse(path, lines, places)
    _check_times(path, table[:, 0])
    return table


def refusal(path: Path, what: str, remedy: str, *, line: int | None = None) -> Rejected:
    """Return the error that names the file, the line, what is wrong and what to do."""
    where = f"{path}, line {line}" if line else f"{path}"
    return Rejected(f"{where}: {what}. {remedy}", code="recording")


def _text(path: Path) -> str:
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            return file.read()
    except FileNotFoundError:
        raise refusal(path, "there is no such file", "Check the folder and the symbol.") from None
    except EOFError:
        raise refusal(path, "the file ends too early", "It was not copied completely: fetch it again.") from None
    except (gzip.BadGzipFile, zlib.error, UnicodeDecodeError):
        raise refusal(path, "is not a sound gzip file of text", "It is damaged: fetch it again.") from None
    except OSError as error:
        raise refusal(path, f"cannot be read ({error.strerror})", "Check that it may be read.") from error


def _places(path: Path, header: str, columns: Sequence[str]) -> list[int]:
    names = [name.strip() for name in header.split(",")]
    missing = [name for name in columns if name not in names]
    if missing:
        wanted = f"The header must name {', '.join(columns)}."
        raise refusal(path, f"column {', '.join(missing)} is missing", wanted, line=1)
    return [names.index(name) for name in columns]


def _parse(path: Path, lines: list[str], places: list[int]) -> NDArray[np.float64]:
    rows = io.StringIO("\n".join(lines[1:]))
    try:
        return np.loadtxt(rows, delimiter=",", usecols=places, ndmin=2, comments=None)
    except ValueError:
        raise _unreadable(path, lines, places) from None


def _unreadable(path: Path, lines: list[str], places: list[int]) -> Rejected:
    for line, text in enumerate(lines[1:], FIRST_ROW):
        cells = text.split(",")
        try:
            [float(cells[place]) for place in places]
        except (ValueError, IndexError):
            what = f"{text[:60]!r} is not a row of numbers"
            return refusal(path, what, "Correct or remove the line, or fetch the file again.", line=line)
    return refusal(path, "cannot be read as numbers", "Fetch it again.")


def _check_times(path: Path, times: NDArray[np.float64]) -> None:
    wrong = np.flatnonzero(~np.isfinite(times) | (times < MILLISECONDS_FROM))
    if len(wrong):
        what = f"ts_ms {times[wrong[0]]:.0f} is not a time in milliseconds since 1970"
        raise refusal(path, what, "Write the open time in UTC milliseconds.", line=int(wrong[0]) + FIRST_ROW)
    disorder = first_disorder(times.astype(np.int64))
    if disorder:
        index, what = disorder
        remedy = "Sort the file by ts_ms and keep one row per time."
        raise refusal(path, f"the row {what}", remedy, line=index + FIRST_ROW)
