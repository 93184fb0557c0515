"""Text that somebody else wrote, made fit for eyes: what cannot be seen is named, what stands in one line is laid out.

For looking only. What is read and what is kept are the texts themselves.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final
from unicodedata import category

UNSEEN: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
"""Unicode categories of control, invisible, direction and unassigned characters, surrogates and separators of lines."""
LONGEST: Final = 400_000
"""Characters of a reply beyond which nothing is laid out."""
PIECE: Final = re.compile(r'"(?:[^"\\]|\\.)*"?|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)


def visible(text: str) -> str:
    """Return the text with every character that a person cannot see as its number: ⟦U+202E⟧. Line ends and tabs stay."""
    if text.isprintable():
        return text
    text = text.replace("\r\n", "\n")
    if text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return "".join(map(_named, text))


def _named(char: str) -> str:
    if char in "\n\t" or category(char) not in UNSEEN:
        return char
    return f"⟦U+{ord(char):04X}⟧"


def content_of(reply: str) -> str:
    """Return the text of the first message in the body of a reply; "" where there is none. Nothing is judged here."""
    if len(reply) > LONGEST:
        return ""
    try:
        content = json.loads(reply)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""
    return content if isinstance(content, str) else ""


def indented(text: str) -> str:
    """Return JSON with a line for each of its items, every name, number and text exactly as written.

    It moves white space outside of quotes and nothing else, so that a key that stands twice or a broken end stays
    visible. Returns "" for a text in which no object or list begins.
    """
    start = min((place for place in (text.find("{"), text.find("[")) if place >= 0), default=-1)
    if start < 0 or len(text) > LONGEST:
        return ""
    out: list[str] = [text[:start]]
    depth, before = 0, ""
    for piece in PIECE.findall(text[start:]):
        depth -= piece in "}]"
        out.append(_joint(before, piece, max(depth, 0)) + piece)
        depth += piece in "{["
        before = piece
    return "".join(out)


def _joint(before: str, piece: str, depth: int) -> str:
    """Return the white space between two pieces."""
    line = "\n" + "  " * min(depth, 40)
    if before in ("", "{", "[") and piece in ("}", "]", ""):
        return ""
    if before in ("{", "[", ",") or (before and piece in ("}", "]")):
        return line
    return "" if not before or piece in (",", ":") else " "


def size_of(characters: int) -> str:
    """Return a length in words: 812 characters, 25 kB, 1.0 MB."""
    if characters < 1_000:
        return f"{characters} characters"
    return f"{characters / 1_000:,.0f} kB" if characters < 1_000_000 else f"{characters / 1_000_000:,.1f} MB"


def plain(value: Any) -> str:
    """Return a value of the parameters of a request as a person reads it."""
    match value:
        case None | "":
            return "–"
        case bool():
            return "yes" if value else "no"
        case str() | int() | float():
            return str(value)
        case _:
            return json.dumps(value, ensure_ascii=False, default=str)
