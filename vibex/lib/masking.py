"""Take secrets out of text and data before they are written anywhere.

Three nets, one behind the other: values that are known to be secret (registered at start), values under a name that
says so, and values of a shape that only secrets have.
"""

import json
import re
from collections.abc import Mapping
from datetime import date
from math import isfinite
from numbers import Number
from threading import Lock
from typing import Any
from urllib.parse import quote, quote_plus, unquote, urlsplit

MASK = "***"
SHORTEST_SECRET = 6
"""Shorter values are not registered: masking them everywhere would make the log unreadable."""
_DEEPEST = 8

# Repetitions are bounded, so that a hostile text of any length costs linear time.
# Names whose values are secret. Counts of model tokens are not: numbers under `…tokens` stay.
_NAMES = (
    r"secret|passw(?:or)?d|passphrase|pwd|api[_-]?key|access[_-]?key|private[_-]?key|signing[_-]?key|signature"
    r"|authorization|credential|cookie|mnemonic|(?:seed|recovery)[_ -]?(?:phrase|words)|token(?!s|iz|_count|_limit)"
)
_SECRET_NAME = re.compile(rf"{_NAMES}|^key$|^session(?:id|_key)?$", re.IGNORECASE)
_TOKENS_NAME = re.compile(r"tokens", re.IGNORECASE)
_SEED_NAME = re.compile(r"^seed$", re.IGNORECASE)

_QUOTED = r"""b?"(?:[^"\\]|\\.)*(?:"|$)|b?'(?:[^'\\]|\\.)*(?:'|$)|\\+".*?(?:\\+"|$)|\\+'.*?(?:\\+'|$)"""
_VALUE = rf"(?:{_QUOTED}|\[[^\]]*\]?|\{{[^}}]*\}}?|\([^)]*\)?|(?:bearer|basic)\s+[^\s,;&]+|[^\s,;&]+)"
_EQUALS = r"""\w{0,40}\\{0,8}["']?\s*(?::=|=>|[:=])\s*"""
_WORDS = r"[a-z]{3,8}(?:[\s,'\"]+[a-z]{3,8}){11,23}"

_NAMED = re.compile(rf"((?:{_NAMES}){_EQUALS}){_VALUE}", re.IGNORECASE | re.DOTALL)
_NAMED_TOKENS = re.compile(rf"(tokens{_EQUALS})(?!\d+(?:\.\d+)?(?!\w)){_VALUE}", re.IGNORECASE | re.DOTALL)
_NAMED_KEY = re.compile(rf"""(["']key\\{{0,8}}["']\s*[:=]\s*|\bkey=)({_QUOTED})""", re.IGNORECASE | re.DOTALL)
_NAMED_WORDS = re.compile(
    rf"((?:mnemonic|seed|recovery|backup)[^a-z]{{0,5}}(?:\w+\W{{1,5}}){{0,3}}?){_WORDS}", re.IGNORECASE
)
_ONLY_WORDS = re.compile(rf"\s*{_WORDS}\s*")

_SHAPES = [
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), MASK),
    (re.compile(r"(?<![0-9a-zA-Z])(?:0x)?[0-9a-fA-F]{64,}(?![0-9a-zA-Z])"), MASK),
    (re.compile(r"\b(bearer\s+)[\w.~+/=-]{6,}", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"\b(basic\s+)[\w+/]{16,}=*", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"\b(?:sk|pk|rk)[-_][\w-]{8,}"), MASK),
    (re.compile(r"\b(vbx_[a-z2-7]{8}_)[\w-]{16,}"), rf"\1{MASK}"),  # what begins a key of a program may be shown
    (re.compile(r"([?&]ticket=)[^\s&#\"']+", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"(/password/reset/)[\w=-]+/[\w-]+"), rf"\1{MASK}"),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]+)?"), MASK),
    (
        re.compile(r"(\b[a-z][a-z0-9+.-]{0,30}://)[^\s/?#@:\"'<>]{0,400}(?::[^\s\"'<>]{0,400})?@", re.IGNORECASE),
        rf"\1{MASK}@",
    ),
]
# What each of the patterns needs to have in it, in small letters. Most texts have none of it and are not searched: a page of
# a model's reasons costs a millisecond instead of twenty.
_HINTS = (
    *("secret", "passw", "passphrase", "pwd", "api", "access", "private", "signing", "signature", "authorization"),
    *("credential", "cookie", "mnemonic", "seed", "recovery", "backup", "token", "key", "bearer", "basic"),
    *("sk-", "sk_", "pk-", "pk_", "rk-", "rk_", "eyj", "vbx_", "ticket", "://"),
)
_HEX = re.compile(r"[0-9a-fA-F]{64}")


class _Registered:
    """Values known to be secret, in every spelling in which a formatter may write them.

    There may be thousands: a key for each account, and another one that it listens by. So they are found by how they
    begin, which takes a text the same time however many there are; of several that begin at a place the longest is it.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._by_start: dict[str, tuple[str, ...]] = {}
        self._letters: tuple[frozenset[str], ...] = (frozenset(),) * SHORTEST_SECRET
        """Which characters any of them has at its first places."""
        self._start: re.Pattern[str] | None = None

    def add(self, value: str) -> None:
        spellings = {value, repr(value)[1:-1], json.dumps(value)[1:-1], quote(value, safe=""), quote_plus(value)}
        with self._lock:
            for spelling in spellings:
                start = spelling[:SHORTEST_SECRET]
                known = {*self._by_start.get(start, ()), spelling}
                self._by_start[start] = tuple(sorted(known, key=len, reverse=True))
                letters = tuple(known | {letter} for known, letter in zip(self._letters, start, strict=True))
                if letters != self._letters:
                    self._letters = letters
                    self._start = re.compile("(?=" + "".join(map(_any_of, letters)) + ")")

    def mask(self, text: str) -> str:
        kept: list[str] = []
        done = 0
        for found in self._start.finditer(text) if self._start else ():
            at = found.start()
            if at >= done and (spelling := self._at(text, at)):
                kept += text[done:at], MASK
                done = at + len(spelling)
        return "".join((*kept, text[done:])) if kept else text

    def _at(self, text: str, at: int) -> str:
        """Return the longest secret that stands at this place of a text, "" where there is none."""
        known = self._by_start.get(text[at : at + SHORTEST_SECRET], ())
        return next((one for one in known if text.startswith(one, at)), "")


def _any_of(letters: frozenset[str]) -> str:
    return f"[{''.join(map(re.escape, sorted(letters)))}]"


_registered = _Registered()


def register_secret(value: str) -> None:
    """Mask `value` from now on wherever it turns up. Values under 6 characters are left to the other nets."""
    if len(value) >= SHORTEST_SECRET:
        _registered.add(value)


def register_url(url: str) -> None:
    """Register a URL that carries a password, and the password."""
    password = urlsplit(url).password
    if password:
        register_secret(url)
        register_secret(password)
        register_secret(unquote(password))


def mask_text(text: str) -> str:
    """Return `text` without registered secrets, named secrets and values shaped like secrets."""
    text = _registered.mask(text)
    if _ONLY_WORDS.fullmatch(text):
        return MASK
    return _searched(text) if _may_hold_one(text) else text


def _may_hold_one(text: str) -> bool:
    """Tell whether any of the patterns could find something: quick, and never wrong when it says no."""
    small = text.casefold()
    if not text.isascii():  # what a pattern that ignores case takes for an i: the dotless one, and the one with a dot
        small = small.replace("\u0131", "i").replace("\u0307", "")
    return any(hint in small for hint in _HINTS) or (len(text) >= 64 and _HEX.search(text) is not None)


def _searched(text: str) -> str:
    for shape, replacement in _SHAPES:
        text = shape.sub(replacement, text)
    text = _NAMED_WORDS.sub(rf"\1{MASK}", text)
    text = _NAMED.sub(rf"\1{MASK}", text)
    text = _NAMED_KEY.sub(rf"\1{MASK}", text)
    return _NAMED_TOKENS.sub(rf"\1{MASK}", text)


def mask_value(value: Any, name: str = "", depth: int = 0) -> Any:
    """Return `value` as plain data that JSON can hold, masked. `name` is the key under which it stands."""
    if value is None or isinstance(value, bool):
        return value
    if _says_secret(name, value):
        return MASK
    if depth > _DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        return {mask_text(_text(key)): mask_value(item, _inner(name, key), depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [mask_value(item, name, depth + 1) for item in value]
    if isinstance(value, (int, float)) and isfinite(value):
        return value if mask_text(str(value)) == str(value) else MASK
    return mask_text(_text(value))


def mask_argument(value: Any, name: str = "") -> Any:
    """Return an argument of a %-format, masked; numbers and dates keep their type, so that %d and %.2f work."""
    if isinstance(value, (Number, date)) and not _says_secret(name, value):
        return value if mask_text(str(value)) == str(value) else MASK
    return mask_value(value, name)


def _says_secret(name: str, value: Any) -> bool:
    if _SECRET_NAME.search(name):
        return True
    if isinstance(value, (Number, Mapping, list, tuple)):
        return False
    return bool(_TOKENS_NAME.search(name)) or (bool(_SEED_NAME.search(name)) and " " in _text(value))


def _inner(outer: str, key: Any) -> str:
    """Return the name that judges an inner value: below `tokens` everything but numbers stays suspicious."""
    inner = _text(key)
    return "tokens" if _TOKENS_NAME.search(outer) and not _SECRET_NAME.search(inner) else inner


def _text(value: Any) -> str:
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode("utf-8", "backslashreplace")
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - a broken __str__ must not cost the log line
        return f"<unprintable {type(value).__name__}>"
