"""Words of others in a prompt: names are names, and texts are quoted. Neither can look like a part of the prompt."""

from __future__ import annotations

import json
import re
from typing import Final
from unicodedata import category

NAME_CHARS: Final = 40
SPEAKING: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories that are shown as nothing or as something else: control, invisible and direction characters,
lone surrogates, private and unassigned ones, and separators of lines and paragraphs that JSON lets through."""
NOT_IN_A_NAME: Final = re.compile(r"[^\w./:+-]")


def word(name: str) -> str:
    """Return a name of others, of a symbol for example, as one word: letters, digits and . / : + - _, 40 at the most."""
    return NOT_IN_A_NAME.sub("?", shown(name[: 2 * NAME_CHARS]))[:NAME_CHARS] or "?"


def said(text: str, limit: int) -> str:
    """Return a text of others as a JSON string of one line and at most `limit` characters: it is quoted, it does not speak."""
    return json.dumps(one_line(text, limit), ensure_ascii=False)


def one_line(text: str, limit: int) -> str:
    """Return the text without hidden characters, its white space made single spaces, cut to `limit` characters."""
    return " ".join(shown(text[: 4 * limit]).split())[:limit].rstrip()


def shown(text: str) -> str:
    """Return the text without characters that are not shown as themselves; white space becomes spaces."""
    if text.isprintable():
        return text  # as nearly every text: letters, digits, signs and plain spaces
    return "".join(" " if char.isspace() else char for char in text if char.isspace() or category(char) not in SPEAKING)
