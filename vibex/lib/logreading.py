"""The log files, read from their ends: the newest lines that fit, in bounded time, however large the files are.

Nobody outside names a file: it is always those that this house writes. Lines were masked when they were written, and are
masked again on the way out.
"""

from __future__ import annotations

import heapq
import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Final

from vibex.lib.logfiles import KEPT
from vibex.lib.logging import APP_FILE, ERROR_FILE, ROUTES
from vibex.lib.masking import mask_text, mask_value

LEVELS: Final = ("debug", "info", "warning", "error", "critical")
"""From the least on."""
PATIENCE: Final = 0.6
"""Seconds after which reading stops where it is; who wants older lines asks on from there."""
LONGEST: Final = 8_000
"""Characters of one text of a line."""
BLOCK: Final = 2**18
SLACK: Final = timedelta(seconds=2)
ANY: Final = re.compile(rb'^\{"timestamp": "([0-9T:.+-]{20,40})", ', re.MULTILINE)
"""How every line begins."""

type Found = tuple[str, bytes | None]
"""Time of a line, and the line; None instead of it where reading stopped."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines. `contains` is looked for in the whole line; large and small A to Z are the same."""

    level: str = "debug"
    """This one and those above."""
    logger: str = ""
    """What its name begins with."""
    contains: str = ""
    request_id: str = ""
    since: datetime | None = None
    until: datetime | None = None
    """Before this moment."""
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Tail:
    """Lines, newest first. `reached` is set where there may be older ones: all from it on were looked at."""

    lines: tuple[Mapping[str, Any], ...] = ()
    reached: datetime | None = None
    files: int = 0
    """How many files there are."""


@dataclass(slots=True)
class _Reading:
    """One pass over the files."""

    wanted: Wanted
    deadline: float
    since: str
    until: str
    stop: str
    """A little later than `until`: lines of threads may stand in another order than they were made."""
    begins: re.Pattern[bytes]
    """How a line of the wanted levels and logger begins."""
    needles: tuple[bytes, ...]
    """What has to stand in it, in small letters."""
    read: set[tuple[int, int]] = field(default_factory=set)
    """Files that were read already: one that is rotated meanwhile would come a second time."""

    def late(self) -> bool:
        return time.monotonic() > self.deadline

    def got_on(self, stamp: str) -> bool:
        """Tell whether who asks again from `stamp` on is further than now."""
        return not self.until or _next_moment(stamp) < self.until

    def may_hold_one(self, text: bytes) -> bool:
        """Tell whether everything that is looked for stands in a text."""
        small = text.lower() if self.needles else text
        return all(needle in small for needle in self.needles)


def log_tail(folder: Path, wanted: Wanted, *, patience: float = PATIENCE) -> Tail:
    """Return the newest lines of the log files in `folder` that fit."""
    names = [ERROR_FILE] if LEVELS.index(wanted.level) >= LEVELS.index("error") else [APP_FILE, *ROUTES.values()]
    there = {name: _files(folder, name) for name in (ERROR_FILE, APP_FILE, *ROUTES.values())}
    logs = [there[name] for name in names if there[name]]
    reading = _reading(wanted, time.monotonic() + patience)
    found = heapq.merge(*(_lines(files, reading) for files in logs), key=lambda line: line[0], reverse=True)
    lines, reached = _taken(found, reading)
    return Tail(tuple(lines), _moment(reached) if reached else None, sum(map(len, there.values())))


def _reading(wanted: Wanted, deadline: float) -> _Reading:
    needles = [_as_written(wanted.contains).lower()] if wanted.contains else []
    if wanted.request_id:
        needles.append(b'"request_id": "' + _as_written(wanted.request_id).lower() + b'"')
    stop = _stamp(wanted.until + SLACK) if wanted.until and wanted.until.year < 9999 else ""
    begins = _begins(LEVELS[LEVELS.index(wanted.level) :], wanted.logger)
    return _Reading(wanted, deadline, _stamp(wanted.since), _stamp(wanted.until), stop, begins, tuple(needles))


def _begins(levels: Iterable[str], logger: str) -> re.Pattern[bytes]:
    """Return the pattern of the beginning of a line; its group is the time."""
    names = "|".join(levels)
    text = rf'^\{{"timestamp": "([0-9T:.+-]{{20,40}})", "level": "(?:{names})", "logger": "{re.escape(logger)}'
    return re.compile(text.encode(), re.MULTILINE)


def _as_written(text: str) -> bytes:
    """Return a text as it stands inside of a line."""
    return json.dumps(text)[1:-1].encode()


def _stamp(at: datetime | None) -> str:
    return "" if at is None else at.astimezone(UTC).isoformat(timespec="milliseconds")


def _moment(stamp: str) -> datetime:
    return datetime.fromisoformat(stamp)


def _next_moment(stamp: str) -> str:
    return _stamp(_moment(stamp) + timedelta(milliseconds=1))


def _files(folder: Path, name: str) -> list[Path]:
    """Return a log file and those it was rotated into, the newest first."""
    return [path for path in (folder / name, *(folder / f"{name}.{n}" for n in range(1, KEPT + 1))) if path.is_file()]


def _taken(found: Iterable[Found], reading: _Reading) -> tuple[list[Mapping[str, Any]], str]:
    """Return the lines of a page, and from when on all were looked at where it may not be the last one."""
    lines: list[Mapping[str, Any]] = []
    last = ""
    for stamp, raw in found:
        if raw is None:  # there may be more of that moment: it comes whole, with the next page
            return [line for line in lines if _stamp(line["timestamp"]) != stamp], _next_moment(stamp)
        if stamp != last and (len(lines) >= reading.wanted.limit or (lines and reading.late())):
            return lines, last  # all of one moment come together: the next page begins before it
        if (told := _told(raw)) is not None:
            lines.append(told)
            last = stamp
    return lines, ""


def _lines(files: Iterable[Path], reading: _Reading) -> Iterator[Found]:
    """Yield the lines of one log that may fit, newest first."""
    for path in files:
        try:
            with path.open("rb") as file:
                mark = os.fstat(file.fileno())
                if (mark.st_dev, mark.st_ino) in reading.read:
                    continue
                reading.read.add((mark.st_dev, mark.st_ino))
                for block in _backwards(file, _end(file, reading.stop)):
                    yield from _fitting(block, reading)
                    oldest = ANY.search(block)
                    if oldest is not None and (stamp := oldest[1].decode()) < reading.since:
                        return
                    if oldest is not None and reading.late() and reading.got_on(stamp):
                        yield stamp, None
                        return
        except FileNotFoundError:
            continue  # rotated away a moment ago


def _fitting(block: bytes, reading: _Reading) -> Iterator[Found]:
    if not reading.may_hold_one(block):
        return
    for begin in reversed(list(reading.begins.finditer(block))):
        stamp = begin[1].decode()
        if stamp < reading.since or (reading.until and stamp >= reading.until):
            continue
        end = block.find(b"\n", begin.end())
        raw = block[begin.start() : end if end >= 0 else None]
        if reading.may_hold_one(raw):
            yield stamp, raw


def _end(file: BinaryIO, stop: str) -> int:
    """Return where in a file the lines of the moment `stop` and later ones begin; its end where none is as late."""
    low, high = 0, file.seek(0, os.SEEK_END)
    while stop and high - low > BLOCK:
        middle = (low + high) // 2
        file.seek(middle)
        begin = ANY.search(file.read(BLOCK))
        if begin is None or middle + begin.start() >= high:
            break  # one long line: what is left is read
        if begin[1].decode() < stop:
            low = middle
        else:
            high = middle + begin.start()
    return high


def _backwards(file: BinaryIO, place: int) -> Iterator[bytes]:
    """Yield a file up to `place` in blocks of whole lines, the last block first."""
    rest: list[bytes] = []
    """Pieces of a line whose beginning was not read yet, from its end on."""
    while place > 0:
        size = min(BLOCK, place)
        place -= size
        file.seek(place)
        head, found, lines = file.read(size).partition(b"\n")
        if not found:
            rest.append(head)
            continue
        yield lines + b"".join(reversed(rest))
        rest = [head]
    yield b"".join(reversed(rest))


def _told(raw: bytes) -> Mapping[str, Any] | None:
    """Return a line as data; None for one that is broken."""
    try:
        line = json.loads(raw)
        told: dict[str, Any] = {name: _masked(line[name]) for name in ("logger", "message")}
        told |= {"timestamp": _moment(line["timestamp"]), "level": str(line["level"])}
        context = line.get("context", {})
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    traces = {name: _masked(line[name]) if line.get(name) else None for name in ("exception", "stack")}
    return told | {"context": mask_value(context) if isinstance(context, dict) else {}} | traces


def _masked(text: Any) -> str:
    whole = mask_text(str(text)[: LONGEST + 1_000])
    return whole if len(whole) <= LONGEST else f"{whole[: LONGEST - 1]}…"
