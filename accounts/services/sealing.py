"""Sealing of what must stay secret in the database. The first key of CREDENTIALS_KEY seals, all of them open."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django.conf import settings

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet


def all_keys() -> MultiFernet:
    """Return what seals with the newest key and opens with every one."""
    return _keys(len(settings.CREDENTIALS_KEYS))


def newest_key() -> MultiFernet:
    """Return what opens only what the newest key has sealed."""
    return _keys(1)


def sealed(content: dict[str, Any]) -> str:
    """Return content as text that only the keys open."""
    return all_keys().encrypt(json.dumps(content).encode()).decode()


def opened(text: str, keys: MultiFernet) -> dict[str, Any] | None:
    """Return what was sealed; None when none of the keys opens it."""
    from cryptography.fernet import InvalidToken

    try:
        content: dict[str, Any] = json.loads(keys.decrypt(text.encode()))
    except InvalidToken:
        return None
    return content


def resealed(text: str) -> str:
    """Return what was sealed, sealed by the newest key."""
    return all_keys().rotate(text.encode()).decode()


def _keys(count: int) -> MultiFernet:
    from cryptography.fernet import Fernet, MultiFernet

    return MultiFernet([Fernet(key) for key in settings.CREDENTIALS_KEYS[:count]])
