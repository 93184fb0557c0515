"""What every worker has beside its tasks: a sign of life, a guard that needs no broker, manners on a busy machine.

Steps of Celery's worker: started after its pool, stopped before it.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from concurrent.futures import Future
from typing import Any, Final

from celery import Celery, bootsteps
from celery.signals import task_postrun

from vibex.lib.alive import Pulse, alive, gets_on, got_on, never_end
from vibex.lib.queues import CYCLES, GUARD

POOL: Final = "celery.worker.components:Pool"
NICE: Final = 5
"""Niceness of a worker that has time: where all want the processors it gets a third of what each other process gets. Not less:
it also compares accounts with their exchange, and holds them for a moment while it does."""


class SignOfLife(bootsteps.StartStopStep):
    """Says that a thread of the pool was free, or that work got on: a task has ended, a lease was renewed, a claim taken.

    One whose threads all hang is not alive, though it takes messages. One that has more to do than it can is: who ended it
    would break off its cycles, and what protects their positions, and leave more to do.
    """

    requires = (POOL,)

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self._asked: Future[None] | None = None

    def start(self, worker: Any) -> None:
        task_postrun.connect(self._task_ended)
        name = str(worker.hostname).partition("@")[0]
        self._pulse = Pulse(name, lambda: self._free(worker.pool, name))
        self._pulse.start()

    def stop(self, worker: Any) -> None:
        self._pulse.stop()
        never_end()
        task_postrun.disconnect(self._task_ended)

    def _task_ended(self, **_: Any) -> None:
        gets_on()

    def _free(self, pool: Any, name: str) -> bool:
        """Let a thread of the pool say it, behind what waits for one. True where this one has to: the pool has no threads,
        or work got on since the last look.
        """
        executor = getattr(pool, "executor", None)
        if got_on() or executor is None:
            return True
        if self._asked is None or self._asked.done():
            try:
                self._asked = executor.submit(alive, name)
            except RuntimeError:  # it is being shut down
                self._asked = None
        return False


class Lookout(bootsteps.StartStopStep):
    """Looks after accounts by itself while no task arrives. In workers that take tasks of the guard."""

    requires = (POOL,)

    def start(self, worker: Any) -> None:
        from trading.services.lookout import Lookout as Thread

        self._thread: Any = None
        if GUARD in worker.app.amqp.queues.consume_from:
            self._thread = Thread()
            self._thread.start()

    def stop(self, worker: Any) -> None:
        if self._thread is not None:
            self._thread.stop()


def stand_back(queues: Collection[str] | None) -> None:
    """Let a worker that takes from these queues give way to those that decide and guard, where it does neither itself.

    Called before it has threads: on Linux each has a niceness of its own, which is its maker's to begin with.
    """
    if queues and not {CYCLES, GUARD} & set(queues):
        os.nice(NICE)


def steps_add(app: Celery) -> None:
    """Give the workers of this app their steps."""
    app.steps["worker"].update((SignOfLife, Lookout))
