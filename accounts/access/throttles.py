"""How often may be called: budgets by address, person, key and scope, counted in the cache by windows of fixed length.

What lowers risk (`Act.END`) spends from a budget of its own and from no other, so that no flood of reads or starts ever
keeps anybody from halting. While the cache cannot be reached, ends and reads go uncounted; everything else waits.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from functools import cache as once
from http import HTTPStatus
from ipaddress import ip_address, ip_network
from typing import Any, Final

from django.conf import settings
from django.core.cache import cache
from rest_framework import exceptions
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request

from accounts.access.acts import Access, Act
from accounts.access.permissions import act_of
from vibex.lib.requests import address_of

log = logging.getLogger(__name__)

IPV6_HOUSEHOLD: Final = 64
"""Bits of an IPv6 address that one household or server has to itself."""
DOWN_FOR: Final = 5.0
"""Seconds for which a cache that failed is not asked again."""
_down_until = 0.0

type Rate = tuple[int, int]
"""Calls, and the seconds they are for."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What one caller has for one kind of call."""

    name: str
    who: str
    rate: Rate


class CacheDown(exceptions.APIException):
    status_code = HTTPStatus.SERVICE_UNAVAILABLE
    default_detail = "Calls cannot be counted just now. What lowers risk goes through; try the rest again shortly."
    default_code = "unavailable"
    wait = DOWN_FOR


def call_counted(request: Request, view: Any) -> None:
    """Count a call. Raises Throttled (429) with the seconds to wait when a budget is spent, CacheDown (503)."""
    act = act_of(request, view)
    try:
        waits = _spent(budgets_of(request, act))
    except _CacheFailed as fault:
        if act is Act.END or request.method in SAFE_METHODS:
            return
        raise CacheDown from fault
    if waits:
        raise exceptions.Throttled(max(waits))


def budgets_of(request: Request, act: Act | None) -> list[Budget]:
    """Return what a call spends from."""
    if not request.user.is_authenticated or act is Act.OPEN:
        return [Budget("address", network_of(address_of(request._request)), settings.API_RATE_ADDRESS)]
    person = str(request.user.pk)
    key = request.auth.row if isinstance(request.auth, Access) and request.auth.kind == "key" else None
    if act is Act.END:
        # Each key for itself: a program that runs wild, or a key in other hands, does not keep its person from halting.
        who = person if key is None else f"{person}:key:{key.pk}"
        return [Budget("end", who, settings.API_RATE_TRADE)]
    budgets = [Budget("user", person, settings.API_RATE_USER)]
    if key is not None:
        budgets.append(Budget("key", str(key.pk), settings.API_RATE_KEY))
    if act is Act.TRADE:
        budgets.append(Budget("trade", person, settings.API_RATE_TRADE))
    if act is Act.MANAGE:
        budgets.append(Budget("admin", person, settings.API_RATE_ADMIN))
    return budgets


def network_of(address: str | None) -> str:
    """Return what counts as one caller: an IPv4 address, or the /64 of an IPv6 address."""
    if address is None:
        return "unknown"
    if ip_address(address).version == 4:
        return address
    return str(ip_network((address, IPV6_HOUSEHOLD), strict=False))


class _CacheFailed(Exception):
    pass


def _spent(budgets: list[Budget]) -> list[float]:
    """Take one from each budget; return, of those that are empty, the seconds until there is more."""
    global _down_until  # noqa: PLW0603
    if time.monotonic() < _down_until:
        raise _CacheFailed
    now = time.time()
    try:
        return [budget.rate[1] - now % budget.rate[1] for budget in budgets if _count(budget, now) > budget.rate[0]]
    except _cache_faults() as fault:
        _down_until = time.monotonic() + DOWN_FOR
        log.exception("calls are not counted: the cache does not answer")
        raise _CacheFailed from fault


def _count(budget: Budget, now: float) -> int:
    """Return how many calls the budget has seen in this window, with this one."""
    seconds = budget.rate[1]
    key = f"rate:{budget.name}:{budget.who}:{int(now // seconds)}"
    try:
        return int(cache.incr(key))
    except ValueError:  # the first one of the window
        return 1 if cache.add(key, 1, seconds + 1) else int(cache.incr(key))


@once
def _cache_faults() -> tuple[type[Exception], ...]:
    """Return what a cache raises that cannot be reached."""
    if not settings.REDIS_URL:
        return (OSError,)
    from redis.exceptions import RedisError

    return OSError, RedisError
