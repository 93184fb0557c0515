"""The queues of tasks, and which task goes where: in this one place. Workers say which queues they take from.

What must not wait stands in a queue of its own: a cycle waits half a minute for a model, and the guard may not stand
behind a hundred of them.
"""

from __future__ import annotations

from typing import Final

CYCLES: Final = "cycles"
"""Decisions of bots: they wait for models and for exchanges."""
GUARD: Final = "guard"
"""What looks after money and tells people: short, and never late."""
MARKET: Final = "market"
"""Market data and catalogues: they ask servers that may be slow."""
SLOW: Final = "slow"
"""What may take minutes and has time; also every task that is not named here."""

QUEUES: Final = (CYCLES, GUARD, MARKET, SLOW)

ROUTES: Final[dict[str, str]] = {
    "trading.tasks.bot_tick": CYCLES,
    "trading.tasks.beat_heartbeat": GUARD,
    "trading.tasks.guard_all": GUARD,
    "trading.tasks.guard_account": GUARD,
    "trading.tasks.service_watch": GUARD,
    "trading.tasks.schedules_sync": GUARD,
    "trading.tasks.approvals_sweep": GUARD,
    "accounts.tasks.alerts_send": GUARD,
    "decisions.tasks.catalogues_keep": MARKET,
}

VISIBLE_AGAIN: Final = 900
"""Seconds after which Redis hands a task out again whose worker has not said that it is done: longer than any task takes.
A bot whose worker died need not wait for that, `ticks_catch_up` finds it within a minute."""

REDIS_OPTIONS: Final[dict[str, float]] = {
    "visibility_timeout": VISIBLE_AGAIN,
    "socket_connect_timeout": 2,
    "socket_timeout": 10,
    "socket_keepalive": True,
}
"""How Celery talks to Redis: nothing waits for one that is away longer than this."""

PUBLISH_RETRIES: Final = {"max_retries": 1, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.2}
"""Who sends a task tries twice. The database knows what is due, so a task that cannot be sent is sent again later."""


def celery_queues() -> dict[str, dict[str, str]]:
    """Return the queues as Celery wants them: a worker that is not told which takes from all of them."""
    return {queue: {"exchange": queue, "routing_key": queue} for queue in QUEUES}


def celery_routes() -> dict[str, dict[str, str]]:
    """Return the routes as Celery wants them."""
    return {task: {"queue": queue} for task, queue in ROUTES.items()}
