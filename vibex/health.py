"""Is the installation alive, is it ready, and what is wrong with it.

`live` only says that the process answers. `ready` also wants the database, a scheduler whose tasks run, a market that
moves and room on the disk; it says yes or no and nothing else, because anybody may ask. The details of
`health_report` are for signed-in people.
"""

from __future__ import annotations

import resource
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import Error, connection
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django_celery_beat.models import PeriodicTask

from marketdata.models import Feed
from trading.selectors.installation import installation
from trading.services.periodic import HEARTBEAT

HEARTBEAT_LIMIT: Final = 60.0
"""Seconds since a worker last ran the heartbeat that beat sends every 10 s."""
FEED_LIMIT: Final = 60.0
"""Seconds since a market last wrote its prices."""
DISK_LIMIT_MB: Final = 100
"""Less room than this in the data folder, and the next candle or decision may not fit."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that has to be right. `detail` says what is, for a person."""

    name: str
    ok: bool
    detail: str


@login_not_required
@never_cache
@require_safe
def live(_: HttpRequest) -> JsonResponse:
    """Answer that the process answers. Touches nothing else."""
    return JsonResponse({"status": "alive"})


@login_not_required
@never_cache
@require_safe
def ready(_: HttpRequest) -> JsonResponse:
    """Answer 200 when everything is right, else 503."""
    right = all(check.ok for check in health_checks())
    return JsonResponse({"status": "ready" if right else "not ready"}, status=200 if right else 503)


def health_checks() -> list[Check]:
    """Look at everything that `ready` wants. Never raises: what cannot be looked at is not right."""
    looks: dict[str, Callable[[], Check]] = {
        "database": _database,
        "scheduler": _scheduler,
        "market": _market,
        "disk": _disk,
    }
    return [_look(name, look) for name, look in looks.items()]


def health_report() -> dict[str, Any]:
    """Return the checks with their details, how the installation is set up, and what the process takes."""
    checks, here = health_checks(), installation()
    return {
        "status": "ready" if all(check.ok for check in checks) else "not ready",
        "checks": [asdict(check) for check in checks],
        "environment": here.environment,
        "database": connection.vendor,
        "processes": "several" if settings.REDIS_URL else "one",
        "features": here.features,
        "decider_host": here.decider_host,
        "versions": here.versions,
        "peak_memory_mb": _peak_memory_mb(),
        "at": timezone.now(),
    }


def _look(name: str, look: Callable[[], Check]) -> Check:
    try:
        return look()
    except (Error, OSError) as fault:
        return Check(name, False, f"cannot be looked at: {type(fault).__name__}")


def _database() -> Check:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return Check("database", True, f"{connection.vendor} answers")


def _scheduler() -> Check:
    row = PeriodicTask.objects.filter(name=HEARTBEAT).values_list("last_run_at", flat=True).first()
    return _age("scheduler", "the last task ran", row, HEARTBEAT_LIMIT)


def _market() -> Check:
    feeds = list(Feed.objects.filter(running=True))
    if not feeds:
        return Check("market", False, "no market is running")
    looked = [_age("market", f"{feed} was written", feed.heartbeat, FEED_LIMIT) for feed in feeds]
    details = "; ".join(
        f"{check.detail} ({feed.problem})" if feed.problem else check.detail
        for check, feed in zip(looked, feeds, strict=True)
    )
    return Check("market", all(check.ok for check in looked), details)


def _disk() -> Check:
    folder = settings.VIBEX_DATA_DIR
    if connection.vendor != "sqlite":  # then nothing may have been written there yet
        folder = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(folder).free // 2**20
    return Check("disk", free >= DISK_LIMIT_MB, f"{free} MB free in the data folder")


def _age(name: str, what: str, at: datetime | None, limit: float) -> Check:
    if at is None:
        return Check(name, False, f"{what}: never")
    age = (timezone.now() - at).total_seconds()
    return Check(name, age <= limit, f"{what} {max(0.0, age):.0f} s ago")


def _peak_memory_mb() -> int:
    """Return the most memory this process has held, in MB. Linux counts in kB, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10))
