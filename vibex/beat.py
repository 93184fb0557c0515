"""The scheduler of the house: schedules live in the database, and a person's edit is never overwritten."""

from __future__ import annotations

from typing import Any

from celery import Celery
from django_celery_beat.models import PeriodicTask
from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry

from trading.domain.schedule import HEARTBEAT_ROW
from trading.services.periodic import wait_of
from vibex.lib.alive import alive
from vibex.lib.clock import WallClock


class Entry(ModelEntry):  # type: ignore[misc]
    """Sends a bot's tick for the bot's own moment; notes when a row fired, and writes nothing else.

    The stock entry reads the row and writes all of it back: a bot that is paused between the two would run on.
    When the heartbeat ran is for the worker to say that ran it.
    """

    def __init__(self, model: PeriodicTask, app: Celery | None = None) -> None:
        super().__init__(model, app)  # once more each time it is sent, so that the wait is that of the moment
        if wait := wait_of(model, WallClock().now()):
            self.options["countdown"] = wait

    def save(self) -> None:
        fired = {"last_run_at": self.model.last_run_at, "total_run_count": self.model.total_run_count}
        PeriodicTask.objects.filter(pk=self.model.pk, enabled=True).exclude(name=HEARTBEAT_ROW).update(**fired)


class Scheduler(DatabaseScheduler):  # type: ignore[misc]
    Entry = Entry

    def tick(self, *args: Any, **options: Any) -> float:
        """Send what is due, and leave a sign of life."""
        alive("beat")
        pause: float = super().tick(*args, **options)
        return pause
