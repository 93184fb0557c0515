"""Each task has a queue, each queue a worker, and each process of the list a place in it that fits."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings

from accounts.models import Bot
from marketdata.aster.http import PATIENCE
from trading.domain.schedule import CRONTABS, length_of
from trading.services.lease import LEASE
from trading.services.periodic import SYSTEM
from vibex import processes
from vibex.celery import app
from vibex.lib.queues import CYCLES, GUARD, QUEUES, ROUTES, VISIBLE_AGAIN
from vibex.management.commands import migrate_once, web


@pytest.fixture(scope="module", autouse=True)
def _tasks_known() -> None:
    app.loader.import_default_modules()
    app.finalize()


def test_routes_name_tasks_that_exist() -> None:
    assert set(ROUTES) <= set(app.tasks)


def test_every_task_goes_where_the_routes_say_and_else_where_it_may_be_slow() -> None:
    router = app.amqp.Router()
    ours = [name for name in app.tasks if not name.startswith("celery.")]
    assert len(ours) > len(ROUTES)
    for name in ours:
        assert router.route({}, name)["queue"].name == ROUTES.get(name, settings.CELERY_TASK_DEFAULT_QUEUE)


def test_what_the_guard_and_decisions_need_waits_behind_nothing_else() -> None:
    assert ROUTES["trading.tasks.bot_tick"] == CYCLES
    assert [name for name, queue in ROUTES.items() if queue == CYCLES] == ["trading.tasks.bot_tick"]
    for row in ("system:guard", "system:heartbeat", "system:watch", "system:alerts"):
        assert ROUTES[SYSTEM[row][0]] == GUARD


def test_every_queue_has_a_worker() -> None:
    taken = [queue for one in processes.SERVICES for queue in _queues(one.command)]
    assert sorted(taken) == sorted(QUEUES)


def test_a_worker_that_is_not_told_which_takes_from_all_queues() -> None:
    assert set(app.amqp.queues) >= set(QUEUES)
    assert {app.amqp.queues[queue].routing_key for queue in QUEUES} == set(QUEUES)


def test_health_checks_ask_for_the_name_that_a_worker_has() -> None:
    for one in processes.SERVICES:
        if "worker" in one.command:
            name = one.command[one.command.index("-n") + 1].partition("@")[0]
            assert one.health[-1] == name


def test_every_service_that_stays_can_be_asked_and_waits_for_the_tables() -> None:
    for one in processes.SERVICES:
        assert one.once or (one.health and one.needs == ("migrate",)), one.name
    assert processes.service("web").command[-1] == web.__name__.rpartition(".")[2]
    assert processes.service("migrate").command[-1] == migrate_once.__name__.rpartition(".")[2]


@pytest.mark.parametrize("interval", sorted(CRONTABS))
def test_a_decision_is_over_before_its_lease_is(interval: str) -> None:
    """The longest stretch without a renewal: an ask to its deadline, or a question to the exchange."""
    longest = max(_most_seconds(), PATIENCE)
    assert timedelta(seconds=longest + PATIENCE) < LEASE
    assert LEASE < length_of(interval), "who died leaves the next candle free"


def test_a_worker_may_end_before_it_is_killed_and_no_task_is_handed_out_twice_meanwhile() -> None:
    for one in processes.SERVICES:
        if "worker" in one.command:
            assert one.stop_seconds >= (LEASE.total_seconds() if CYCLES in one.command else PATIENCE)
            assert one.stop_seconds < VISIBLE_AGAIN
    assert LEASE.total_seconds() * 5 < VISIBLE_AGAIN


def _most_seconds() -> int:
    """Return the longest deadline that the table allows."""
    (rule,) = (one for one in Bot._meta.constraints if "deadline" in one.name)
    conditions: Any = rule.condition  # type: ignore[attr-defined]
    return int(dict(conditions.children)["deadline_seconds__lte"])


def _queues(command: tuple[str, ...]) -> list[str]:
    return command[command.index("-Q") + 1].split(",") if "-Q" in command else []
