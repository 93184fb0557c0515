"""How the text of a variable becomes a value. Each parser raises ValueError that says what the value has to be.

What a value is never stands in the message where the value may be a secret.
"""

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

type Parser = Callable[[str], Any]

LOG_LEVEL_NAMES = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

_YES = ("yes", "true", "on", "1")
_NO = ("no", "false", "off", "0")
_HOST = re.compile(r"\[[0-9a-f:.]+\]|\.?[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?|\*", re.IGNORECASE)
_ASSET = re.compile(r"[A-Z0-9]{2,15}")
_QUOTES = ("USDT", "USDC", "USD1", "BUSD")
_SEALING_KEY = re.compile(r"[A-Za-z0-9_-]{43}=")
MAKE_SEALING_KEY = (
    """make one with: python -c "import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())\""""
)
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_PRIVATE_KEY = re.compile(r"(?:0x)?([0-9a-fA-F]{64})")
_RATE = re.compile(r"(?P<count>[0-9]{1,7})/(?P<span>s|min|h|day)")
_SPANS = {"s": 1, "min": 60, "h": 3600, "day": 86400}
_AGE_IDENTITY = re.compile(r"AGE-SECRET-KEY-1[02-9AC-HJ-NP-Z]{58}")
_AGE_RECIPIENT = re.compile(r"age1[02-9ac-hj-np-z]{58}")
_ONE_WORD = re.compile(r"[!-~]{1,512}")


def text(raw: str) -> str:
    return raw


def yes_or_no(raw: str) -> bool:
    if raw.lower() in _YES:
        return True
    if raw.lower() in _NO:
        return False
    raise ValueError("must be yes or no")


def one_of(*choices: str) -> Parser:
    def parse(raw: str) -> str:
        if raw not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return raw

    return parse


def number(low: int, high: int) -> Parser:
    def parse(raw: str) -> int:
        if not (raw.isascii() and raw.isdigit() and low <= int(raw) <= high):
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(raw)

    return parse


def rate(raw: str) -> tuple[int, int]:
    """Return how many, and in how many seconds."""
    found = _RATE.fullmatch(raw)
    if not found or not int(found["count"]):
        raise ValueError("must be a number above 0 and a span: 60/s, 60/min, 600/h or 5000/day")
    return int(found["count"]), _SPANS[found["span"]]


def url(*schemes: str) -> Parser:
    def parse(raw: str) -> str:
        parts = urlsplit(raw)
        _ = parts.port  # raises ValueError when it is not a number that can be a port
        if parts.scheme not in schemes or not parts.hostname:
            raise ValueError(f"must be a URL that begins with {' or '.join(f'{scheme}://' for scheme in schemes)}")
        return raw

    return parse


def postgres_url(raw: str) -> str:
    url("postgres", "postgresql")(raw)
    if not urlsplit(raw).path.strip("/"):
        raise ValueError("must name a database after the host")
    return raw


def names(raw: str) -> tuple[str, ...]:
    """Split a comma-separated list, dropping empty entries."""
    return tuple(entry.strip() for entry in raw.split(",") if entry.strip())


def host(raw: str) -> str:
    if not _HOST.fullmatch(raw) or raw == "*":
        raise ValueError("must be one host name or address without scheme and port")
    return raw


def hosts(raw: str) -> tuple[str, ...]:
    for entry in names(raw):
        if not _HOST.fullmatch(entry):
            raise ValueError(f"{entry!r} must be a host name or address without scheme and port")
    return names(raw)


def origins(raw: str) -> tuple[str, ...]:
    for entry in names(raw):
        url("https", "http")(entry)
    return names(raw)


def assets(raw: str) -> tuple[str, ...]:
    found = tuple(name.upper() for name in names(raw))
    if not found:
        raise ValueError("must name at least one asset")
    for name in found:
        if not _ASSET.fullmatch(name):
            raise ValueError(f"{name!r} must be an asset of 2 to 15 letters and digits")
        if name.endswith(_QUOTES) and name not in _QUOTES:
            raise ValueError(f"{name!r} must be the asset alone, without the quote currency")
    if len(set(found)) < len(found):
        raise ValueError("must name each asset once")
    return found


def age_identity(raw: str) -> str:
    """Read a secret key of age, also with the comments of the file that `age-keygen` writes."""
    lines = [line.strip() for line in raw.splitlines() if line.strip() and not line.strip().startswith("#")]
    if len(lines) != 1 or not _AGE_IDENTITY.fullmatch(lines[0]):
        raise ValueError("must be one key that begins with AGE-SECRET-KEY-1; `manage.py backup --new-key` makes one")
    return lines[0]


def age_recipients(raw: str) -> tuple[str, ...]:
    for entry in names(raw):
        if not _AGE_RECIPIENT.fullmatch(entry):
            raise ValueError("must hold public keys that begin with age1, separated by commas")
    return names(raw)


def levels(raw: str) -> dict[str, str]:
    """Read `trading=DEBUG,decisions.llm=INFO` as levels by logger name."""
    found = {}
    for entry in names(raw):
        name, _, level = entry.partition("=")
        if not name.strip() or level.strip().upper() not in LOG_LEVEL_NAMES:
            raise ValueError(f"{entry!r} must be module=LEVEL with a level of {', '.join(LOG_LEVEL_NAMES)}")
        found[name.strip()] = level.strip().upper()
    return found


def log_level(raw: str) -> int:
    if raw.upper() not in LOG_LEVEL_NAMES:
        raise ValueError(f"must be one of {', '.join(LOG_LEVEL_NAMES)}")
    return int(logging.getLevelNamesMapping()[raw.upper()])


def path(raw: str) -> Path:
    return Path(raw).expanduser()


def sealing_keys(raw: str) -> str:
    """Check a comma-separated list of Fernet keys: 32 bytes each, as url-safe base64."""
    keys = names(raw)
    if not keys or not all(_SEALING_KEY.fullmatch(key) for key in keys):
        raise ValueError(f"must hold keys of 32 bytes in url-safe base64 (44 characters); {MAKE_SEALING_KEY}")
    if len(set(keys)) < len(keys):
        raise ValueError("must name each key once")
    return raw


def address(raw: str) -> str:
    if not _ADDRESS.fullmatch(raw):
        raise ValueError("must be an address: 0x and 40 hexadecimal digits")
    return raw


def private_key(raw: str) -> str:
    """Return a private key in the one spelling that is kept: 0x and small letters."""
    found = _PRIVATE_KEY.fullmatch(raw)
    if not found:
        raise ValueError("must be a private key: 64 hexadecimal digits, with or without 0x")
    return "0x" + found[1].lower()


def one_word(raw: str) -> str:
    if not _ONE_WORD.fullmatch(raw):
        raise ValueError("must be one word of plain characters, as the venue shows it")
    return raw


def token(raw: str) -> str:
    if not _ONE_WORD.fullmatch(raw) or len(raw) < 16:
        raise ValueError("must be at least 16 characters without spaces")
    return raw


def share(raw: str) -> float:
    try:
        value = float(raw)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ValueError("must be a number from 0 to 1")
    return value
