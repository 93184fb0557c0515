"""The scheduler of the house: schedules live in the database, and a person's edit is never overwritten."""

from __future__ import annotations

import logging
import time
from math import inf
from typing import Any, Final

from celery import Celery
from django_celery_beat.models import PeriodicTask
from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry

from trading.domain.schedule import HEARTBEAT_ROW
from trading.services.periodic import wait_of
from vibex.lib.alive import alive
from vibex.lib.clock import WallClock

LOOK_SECONDS: Final = 1.0
"""So long after it was made a change of a schedule is seen at the latest, but for what beat waits anyway."""

log = logging.getLogger(__name__)


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
    """Sends what is due at a close in time that grows with the bots, and not with their square.

    The stock scheduler asks the database before each task that it sends whether a schedule was changed, and compares all
    entries with what they were: for a thousand bots the last one's tick left many seconds after the close.
    """

    Entry = Entry
    _looked = -inf
    """When it last asked, in monotonic seconds."""
    _heap_invalidated: bool

    def tick(self, *args: Any, **options: Any) -> float:
        """Send what is due, and leave a sign of life."""
        alive("beat")
        pause: float = super().tick(*args, **options)
        return pause

    def schedule_changed(self) -> bool:
        """Tell whether rows were changed since the last look, a second ago or longer; False in between."""
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return False
        self._looked = now
        return bool(super().schedule_changed())

    def schedules_equal(self, *_: Any) -> bool:
        """Tell whether the entries are those that were laid out: they are unless the rows have been read anew."""
        read_anew, self._heap_invalidated = self._heap_invalidated, False
        return not read_anew

    def _ensure_connected(self) -> Any:
        """Wait for the broker as long as it takes, and leave signs of life meanwhile: who waits for another does not hang."""

        def again(fault: Exception, pause: float) -> None:
            alive("beat")
            log.error("beat has no broker (%s) and tries again in %s s", fault, pause)

        return self.connection.ensure_connection(again, self.app.conf.broker_connection_max_retries)
