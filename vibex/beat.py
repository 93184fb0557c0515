"""The scheduler of the house: schedules live in the database, and a person's edit is never overwritten."""

from __future__ import annotations

from django_celery_beat.models import PeriodicTask
from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry


class Entry(ModelEntry):  # type: ignore[misc]
    """Notes when a row fired, and writes nothing else.

    The stock entry reads the row and writes all of it back: a bot that is paused between the two would run on.
    """

    def save(self) -> None:
        fired = {"last_run_at": self.model.last_run_at, "total_run_count": self.model.total_run_count}
        PeriodicTask.objects.filter(pk=self.model.pk, enabled=True).update(**fired)


class Scheduler(DatabaseScheduler):  # type: ignore[misc]
    Entry = Entry
