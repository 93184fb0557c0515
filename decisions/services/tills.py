"""Where the money of a day is counted: in Redis where there is one, and in the database while that does not answer."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import date
from decimal import Decimal

from django.conf import settings

from decisions.domain.till import Allowed, Entry, Till, Tills
from decisions.services.tills_database import DatabaseTills
from decisions.services.tills_redis import RedisTills

log = logging.getLogger(__name__)


def tills() -> Tills:
    """Return where counters are kept."""
    return FallingBack() if settings.REDIS_URL else DatabaseTills()


class FallingBack:
    """The port `Tills` in Redis, and in the database while Redis is away. Raises DatabaseError when neither answers.

    A counter in the database that holds is the one that counts, for every process, also when Redis is there again: so
    nothing is set aside in two places. It holds until nothing has been set aside for QUIET seconds; the one in Redis is
    forgotten by then, and is made anew from what is on record.
    """

    def __init__(self) -> None:
        self._redis, self._database = RedisTills(), DatabaseTills()

    def read(self, bot_id: int, day: date) -> Till | None:
        return self._there(bot_id, day, lambda one: one.read(bot_id, day))

    def begin(self, bot_id: int, day: date, till: Till, *, anew: bool = False) -> None:
        self._there(bot_id, day, lambda one: one.begin(bot_id, day, till, anew=anew))

    def reserve(self, bot_id: int, day: date, allowed: Allowed, wanted: Entry) -> tuple[Till | None, str]:
        return self._there(bot_id, day, lambda one: one.reserve(bot_id, day, allowed, wanted))

    def settle(self, bot_id: int, day: date, held: Entry | None, cost: Decimal, tokens: int) -> None:
        self._there(bot_id, day, lambda one: one.settle(bot_id, day, held, cost, tokens))

    def _there[T](self, bot_id: int, day: date, step: Callable[[Tills], T]) -> T:
        """Do a step where the counter of this bot and day is."""
        from redis import RedisError

        if self._database.read(bot_id, day) is not None:
            return step(self._database)
        try:
            return step(self._redis)
        except (RedisError, OSError) as fault:
            log.warning("the money of bot %s is counted in the database: Redis: %s", bot_id, type(fault).__name__)
            return step(self._database)
