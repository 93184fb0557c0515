"""How the venue refuses, and how parameters are read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from trading.exchange_server.bars import LENGTHS

DIGITS: Final = re.compile(r"[0-9]{1,20}")

type Parameters = Mapping[str, str]


class Refusal(Exception):
    """An answer that says no: the venue's own code and words, with the HTTP status."""

    def __init__(self, code: int, msg: str, *, status: int = 400) -> None:
        super().__init__(msg)
        self.code, self.msg, self.status = code, msg, status


def missing(name: str) -> Refusal:
    return Refusal(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def needed(given: Parameters, name: str) -> str:
    """Return a parameter that must be there."""
    if not given.get(name):
        raise missing(name)
    return given[name]


def whole_number(given: Parameters, name: str) -> int | None:
    """Return a number, None when it was not sent or is 0: the venue takes both for the same."""
    text = given.get(name)
    if not text:
        return None
    if not DIGITS.fullmatch(text):
        msg = f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'."
        raise Refusal(-1100, msg)
    return int(text) or None


def limit_of(given: Parameters, *, default: int, most: int) -> int:
    """Return how many rows are asked for."""
    if not given.get("limit"):
        return default
    limit = whole_number(given, "limit") or 0
    if not 1 <= limit <= most:
        raise Refusal(-1130, "Data sent for parameter 'limit' is not valid.")
    return limit


def span_of(given: Parameters) -> tuple[int | None, int | None]:
    """Return startTime and endTime in milliseconds."""
    start, end = whole_number(given, "startTime"), whole_number(given, "endTime")
    if start is not None and end is not None and start > end:
        raise Refusal(-1023, "Start time is greater than end time.")
    return start, end


def interval_of(given: Parameters) -> str:
    interval = needed(given, "interval")
    if interval not in LENGTHS:
        raise Refusal(-1120, "Invalid interval.")
    return interval
