"""When a task ran last."""

from __future__ import annotations

from datetime import datetime

from django_celery_beat.models import PeriodicTask

from trading.domain.schedule import HEARTBEAT_ROW


def heartbeat_at() -> datetime | None:
    """Return when a worker last ran the task that beat sends every ten seconds; None before the first."""
    rows = PeriodicTask.objects.filter(name=HEARTBEAT_ROW)
    at: datetime | None = rows.values_list("last_run_at", flat=True).first()
    return at
