"""How people and programs are known: scopes, the form of keys and codes, and when a code counts. Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Final

SCOPES: Final = ("read", "trade", "admin")
"""From the least. Read goes with each of the others; trade and admin do not hold one another."""
KEY_FORM: Final = re.compile(r"(?P<prefix>vbx_[a-z2-7]{8})_[A-Za-z0-9_-]{43}")
STEP: Final = 30
"""Seconds for which a code of the second factor is shown (RFC 6238)."""
DRIFT: Final = 1
"""Steps by which the clock of a phone may be off, to either side."""
CODE_FORM: Final = re.compile(r"[0-9]{6}")
RECOVERY_CODES: Final = 10
RECOVERY_FORM: Final = re.compile(r"[a-z2-7]{16}")
REFRESH_GRACE: Final = timedelta(seconds=10)
"""A refresh token that is used again so soon was used by two at the same moment (two tabs, a repeated call)."""
IDLE: Final = timedelta(days=14)
"""A sign-in that nobody used for so long is over: sessions and refresh tokens last no longer."""
MINUTE: Final = timedelta(minutes=1)


def scopes_of(wanted: Iterable[str]) -> tuple[str, ...]:
    """Return scopes in their order, read among them. Raises ValueError for one that there is not."""
    asked = set(wanted)
    if unknown := asked - set(SCOPES):
        raise ValueError(f"there is no scope {', '.join(sorted(unknown))}")
    return tuple(scope for scope in SCOPES if scope in asked | {"read"})


def key_make() -> tuple[str, str]:
    """Return the prefix of a new key, which may be shown, and the whole key: 256 random bits."""
    prefix = "vbx_" + base64.b32encode(secrets.token_bytes(5)).decode().lower()
    return prefix, f"{prefix}_{secrets.token_urlsafe(32)}"


def key_prefix(key: str) -> str | None:
    """Return the prefix of what has the form of a key; None for anything else."""
    found = KEY_FORM.fullmatch(key)
    return found["prefix"] if found else None


def digest_of(secret: str) -> str:
    """Return the SHA-256 of a secret that is random enough to need no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()


def same(one: str, other: str) -> bool:
    """Compare in a time that tells nothing."""
    return hmac.compare_digest(one.encode(), other.encode())


def step_of_code(code: str, *, at: datetime, last: int, code_at: Callable[[int], str]) -> int | None:
    """Return the time step whose code this is, within the drift; None when it is none, or not newer than step `last`.

    `code_at` gives the code of a step. Every step is compared, so that the time taken tells nothing.
    """
    now = int(at.timestamp()) // STEP
    fitting = [step for step in range(now - DRIFT, now + DRIFT + 1) if same(code_at(step), code)]
    return next((step for step in fitting if step > last), None)


def code_plain(code: str) -> str:
    """Return a code as it was meant: without the spaces, dashes and capitals with which people write it."""
    return re.sub(r"[\s-]", "", code).lower()


def recovery_codes() -> tuple[str, ...]:
    """Return new recovery codes as people write them: 80 random bits each, `abcd-efgh-ijkl-mnop`."""
    plain = (base64.b32encode(secrets.token_bytes(10)).decode().lower() for _ in range(RECOVERY_CODES))
    return tuple("-".join(code[at : at + 4] for at in range(0, 16, 4)) for code in plain)


def is_fresh(confirmed: datetime | None, *, now: datetime, minutes: int) -> bool:
    """Return whether second factor or password were given within the last `minutes`."""
    return confirmed is not None and now - confirmed < timedelta(minutes=minutes)
