"""How often signing in is tried: by address, by person, and by code. Counted for all processes in the cache.

Who only knows somebody's address can use up what that person has. Where the person has signed in from lately, the rate
of that network alone counts: strangers elsewhere keep nobody out who is at home.

Where the cache cannot be reached each process counts for itself, so that people get in while Redis is away.
"""

from __future__ import annotations

import hashlib
import logging
import time
from datetime import timedelta
from ipaddress import ip_address, ip_network
from typing import Final

from django.conf import settings
from django.core.cache import cache
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.locmem import LocMemCache
from django.utils import timezone

from accounts.models import SignIn
from vibex.lib.errors import TooMany

__all__ = [
    "TooMany",
    "attempt",
    "attempt_succeeded",
    "code_attempt",
    "code_attempt_succeeded",
    "mail_attempt",
    "own_attempt",
    "own_attempt_succeeded",
]

log = logging.getLogger(__name__)
CODES: Final = (20, 3600)
"""Codes of the second factor that are read for one person, and in how many seconds."""
MAILS: Final = (5, 900)
"""Links that are mailed to one person, whoever asks for them, and in how many seconds. The last one is good for an hour."""
KNOWN_FOR: Final = timedelta(days=90)
"""How long a network is known from which a person signed in."""
MOST_KNOWN: Final = 200
"""Sign-ins of a person that are looked at, the newest ones."""
_alone = LocMemCache("attempts", {})


def attempt(*, address: str | None, email: str) -> None:
    """Count an attempt to get in, of an address and for a person. Raises TooMany above `SIGN_IN_RATE`.

    What the person has counts for addresses only that are not known as theirs: those wait for nobody else.
    """
    if address:
        _times(f"address:{_network(address)}", *settings.SIGN_IN_RATE)
    if not email:
        return
    try:
        _times(_of_person(email), *settings.SIGN_IN_RATE)
    except TooMany:
        if not _is_known(address, email):
            raise


def attempt_succeeded(*, address: str | None, email: str) -> None:  # noqa: ARG001 - one signature for both
    """Forget the attempts for a person who got in. Those of the address stay: it may try others."""
    _forget(_of_person(email), settings.SIGN_IN_RATE[1])


def own_attempt(*, user_id: int) -> None:
    """Count that a person who is signed in gives a password. Strangers who try to get in cannot use this up."""
    _times(f"own:{user_id}", *settings.SIGN_IN_RATE)


def own_attempt_succeeded(*, user_id: int) -> None:
    """Forget what was counted before a password that was right."""
    _forget(f"own:{user_id}", settings.SIGN_IN_RATE[1])


def code_attempt(*, user_id: int) -> None:
    """Count a code of the second factor that is read for a person. Raises TooMany: codes are short."""
    _times(f"code:{user_id}", *CODES)


def code_attempt_succeeded(*, user_id: int) -> None:
    """Forget what was counted before a code that was right."""
    _forget(f"code:{user_id}", CODES[1])


def mail_attempt(*, user_id: int) -> None:
    """Count a link that is to be mailed to a person. Raises TooMany: nobody fills the mailbox of somebody else."""
    _times(f"mail:{user_id}", *MAILS)


def _times(name: str, limit: int, seconds: int) -> None:
    """Count one more of `name` in this window of time. Raises TooMany with the rest of the window above `limit`."""
    now = time.time()
    if _counted(f"attempts:{name}:{int(now // seconds)}", seconds) > limit:
        raise TooMany(seconds - now % seconds)


def _forget(name: str, seconds: int) -> None:
    key = f"attempts:{name}:{int(time.time() // seconds)}"
    _alone.delete(key)
    try:
        cache.delete(key)
    except Exception:
        log.exception("attempts that were counted could not be forgotten")


def _counted(key: str, seconds: int) -> int:
    try:
        return _one_more(cache, key, seconds)
    except Exception:
        log.exception("attempts are counted by this process alone: the cache cannot be reached")
        return _one_more(_alone, key, seconds)


def _one_more(where: BaseCache, key: str, seconds: int) -> int:
    if where.add(key, 1, seconds):
        return 1
    try:
        return where.incr(key)
    except ValueError:  # it ran out in between
        where.add(key, 1, seconds)
        return 1


def _is_known(address: str | None, email: str) -> bool:
    """Return whether the person has signed in from this network lately."""
    if not address or "\0" in email:
        return False
    theirs = SignIn.objects.filter(user__email__iexact=email.strip(), created__gt=timezone.now() - KNOWN_FOR)
    newest = theirs.order_by("-created").values_list("address", flat=True)[:MOST_KNOWN]
    return _network(address) in {_network(each) for each in newest if each}


def _of_person(email: str) -> str:
    # No address of a person stands in the cache.
    return "person:" + hashlib.sha256(email.strip().lower().encode("utf-8", "replace")).hexdigest()[:32]


def _network(address: str) -> str:
    """Return the address, of IPv6 the network that one subscriber has."""
    try:
        found = ip_address(address)
    except ValueError:
        return "unknown"
    return str(found) if found.version == 4 else str(ip_network(f"{found}/64", strict=False))
