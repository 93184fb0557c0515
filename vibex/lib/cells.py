"""Cells of tables (CSV). None of them begins like a formula, and what was put before one to make it text is taken off again.

A spreadsheet takes a cell that begins with `=`, `+`, `-`, `@`, a tab or a line's end for a formula. Such a cell gets an
apostrophe in front, which makes it text; a number stays a number.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

FORMULA: Final = re.compile(r"[=+\-@\t\r\n]")
NUMBER: Final = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")


def defused(value: Any) -> str:
    """Return a cell in which no spreadsheet finds a formula."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case dict() | list():
            text = json.dumps(value, ensure_ascii=False, default=str)
        case _:
            text = str(value)
    return f"'{text}" if FORMULA.match(text) and not NUMBER.fullmatch(text) else text


def kept(value: Any) -> str:
    """Return a cell as `defused` does, but so that `read` gives its text back: an apostrophe of its own is doubled."""
    return defused(f"'{value}" if isinstance(value, str) and value.startswith("'") else value)


def read(cell: str) -> str:
    """Return the text of a cell that `kept` wrote, or a person: an apostrophe that stands before what needs one goes."""
    text = cell.removeprefix("'")
    return text if text != cell and (text.startswith("'") or FORMULA.match(text)) else cell
