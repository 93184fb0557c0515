"""While no task arrives the lookout does what the guard's tasks would have done; else it does nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from trading.services import lookout as module
from trading.services.guard_pass import Passed
from trading.services.lookout import ALONE_AFTER, EVERY, Lookout
from trading.services.periodic import HEARTBEAT, system_heartbeat, system_schedules_install
from vibex.beat import Entry

pytestmark = pytest.mark.django_db
LONG_AGO = timezone.now() - timedelta(minutes=5)


class Hands:
    """Does at once what a thread would do."""

    def submit(self, work: Callable[..., object], *args: object) -> None:
        work(*args)

    def shutdown(self, **_: object) -> None:
        """Nothing is under way."""


def _noted(told: list[str], passed: Passed) -> Passed:
    told.append("pass")
    return passed


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was done instead of the tasks, in its order."""
    system_schedules_install()
    told: list[str] = []
    doubts: dict[int, tuple[str, ...]] = {1: ("x",), 2: ("y",)}
    monkeypatch.setattr(module, "guard_pass", lambda: _noted(told, Passed(doubts)))
    monkeypatch.setattr(module, "guard_run", lambda *, account_id: told.append(f"look {account_id}"))
    monkeypatch.setattr(module, "service_watch", lambda: told.append("watch"))
    monkeypatch.setattr(module, "deliveries_send", lambda: told.append("alerts"))
    monkeypatch.setattr(module, "connections", SimpleNamespace(close_all=lambda: None))
    return told


@pytest.fixture
def lookout() -> Lookout:
    made = Lookout()
    made._hands = Hands()  # type: ignore[assignment]
    made._began = made._last = LONG_AGO
    return made


def test_while_tasks_arrive_it_does_nothing(done: list[str], lookout: Lookout) -> None:
    system_heartbeat()
    assert not lookout.look(timezone.now())
    assert done == []


def test_without_tasks_it_looks_after_all_and_people_are_told(done: list[str], lookout: Lookout) -> None:
    PeriodicTask.objects.filter(name=HEARTBEAT).update(last_run_at=timezone.now() - ALONE_AFTER - timedelta(seconds=1))
    assert lookout.look(timezone.now())
    assert done == ["pass", "look 1", "look 2", "watch", "alerts"]


def test_it_looks_no_more_often_than_the_guard_does(done: list[str], lookout: Lookout) -> None:
    now = timezone.now()
    assert lookout.look(now)
    assert not lookout.look(now + EVERY - timedelta(seconds=1))
    assert lookout.look(now + EVERY)


def test_a_process_that_has_just_started_waits_for_the_first_task(done: list[str]) -> None:
    assert not Lookout().look(timezone.now())


def test_an_account_that_cannot_be_looked_after_hides_no_other(
    done: list[str], lookout: Lookout, monkeypatch: pytest.MonkeyPatch
) -> None:
    def looked(*, account_id: int) -> None:
        done.append(f"look {account_id}")
        if account_id == 1:
            raise OSError("its exchange is gone")

    monkeypatch.setattr(module, "guard_run", looked)
    assert lookout.look(timezone.now())
    assert done == ["pass", "look 1", "look 2", "watch", "alerts"]


def test_one_that_is_still_being_looked_at_is_not_looked_at_again(done: list[str], lookout: Lookout) -> None:
    lookout._busy.add(1)
    assert lookout.look(timezone.now())
    assert "look 1" not in done
    assert "look 2" in done


def test_only_a_worker_says_when_the_heartbeat_ran() -> None:
    """Beat writes down when it sent; a heartbeat that was sent and not run proves nothing."""
    system_schedules_install()
    PeriodicTask.objects.filter(name=HEARTBEAT).update(last_run_at=LONG_AGO)
    PeriodicTask.objects.filter(name="system:guard").update(last_run_at=LONG_AGO)
    for name in (HEARTBEAT, "system:guard"):
        row = PeriodicTask.objects.get(name=name)
        row.last_run_at = timezone.now()
        entry = Entry.__new__(Entry)
        entry.model = row
        entry.save()
    assert PeriodicTask.objects.get(name=HEARTBEAT).last_run_at == LONG_AGO
    assert PeriodicTask.objects.get(name="system:guard").last_run_at > LONG_AGO
