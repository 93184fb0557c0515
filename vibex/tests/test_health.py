"""Health says yes only while the installation can trade, and tells strangers nothing but that."""

from __future__ import annotations

import platform
from collections import namedtuple
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from accounts.models import Incident, User
from marketdata.models import Feed
from trading.models import GuardState, Position
from trading.services.periodic import HEARTBEAT, system_heartbeat, system_schedules_install
from trading.services.watchers import watched
from trading.tests.builders import make_account
from vibex.health import UNSEEN, health_checks, health_report

READY = "/api/v1/health/ready/"
LIVE = "/api/v1/health/live/"
Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    watched.forget()
    yield
    watched.forget()


@pytest.fixture
def healthy(db: None) -> Feed:
    system_schedules_install()
    system_heartbeat()
    now = timezone.now()
    return Feed.objects.create(venue="sim", kind=Feed.Kind.SIMULATED, market_at=now, running=True, heartbeat=now)


def failing(person: User | None = None) -> dict[str, str]:
    return {check.name: check.detail for check in health_checks(person) if not check.ok}


@pytest.mark.usefixtures("healthy")
@pytest.mark.parametrize("path", [READY, "/api/health/"])
def test_a_stranger_learns_that_it_is_ready_and_nothing_else(client: Client, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.json()) == (200, {"status": "ready"})
    assert "no-store" in answer["Cache-Control"] or "no-cache" in answer["Cache-Control"]


@pytest.mark.django_db
def test_a_fresh_installation_is_not_ready_and_does_not_say_why(client: Client) -> None:
    answer = client.get(READY)
    assert (answer.status_code, answer.json()) == (503, {"status": "not ready"})


def test_the_process_is_alive_without_a_database(client: Client) -> None:
    answer = client.get(LIVE)  # the test has no access to one
    assert (answer.status_code, answer.json()) == (200, {"status": "alive"})


@pytest.mark.usefixtures("healthy")
@pytest.mark.parametrize("path", [READY, LIVE])
def test_nobody_can_write_to_it(client: Client, path: str) -> None:
    assert client.post(path).status_code == 405


@pytest.mark.usefixtures("healthy")
def test_a_scheduler_whose_tasks_no_longer_run_is_seen() -> None:
    PeriodicTask.objects.filter(name=HEARTBEAT).update(last_run_at=timezone.now() - timedelta(seconds=61))
    assert list(failing()) == ["scheduler"]
    system_heartbeat()
    assert failing() == {}


@pytest.mark.usefixtures("healthy")
def test_a_scheduler_that_was_never_there_is_seen() -> None:
    PeriodicTask.objects.filter(name=HEARTBEAT).delete()
    assert failing() == {"scheduler": "the last task ran: never"}


@pytest.mark.usefixtures("healthy")
def test_a_guard_that_is_late_is_seen_by_whoever_asks_and_told_to_the_owner(client: Client) -> None:
    account = make_account()
    Position.objects.create(
        account=account, symbol="X", side="long", quantity=1, cost=1, entry_price=1, opened=timezone.now()
    )
    GuardState.objects.create(account=account, since=timezone.now() - timedelta(seconds=91))
    answer = client.get(READY)
    assert (answer.status_code, answer.json()) == (503, {"status": "not ready"})
    assert "paper has not been looked after" in failing(account.owner)["guard"]
    staff, stranger = User(is_staff=True), User.objects.create_user("mallory@example.com", "a password of hers")
    assert "paper has not been looked after" in failing(staff)["guard"]
    assert failing(stranger)["guard"] == "Late on accounts of others: 1."
    assert Incident.objects.get(kind="service-late").account == account
    GuardState.objects.update(at=timezone.now())
    watched.forget()
    assert failing() == {}


def test_what_is_late_is_not_looked_for_again_within_half_a_minute(
    healthy: Feed, django_assert_num_queries: Any
) -> None:
    assert watched.look() == []
    with django_assert_num_queries(0):
        assert watched.look() == []
    assert healthy.running


def test_a_market_that_stands_still_is_seen(healthy: Feed) -> None:
    Feed.objects.update(heartbeat=timezone.now() - timedelta(seconds=61), problem="the venue is away")
    assert "the venue is away" in failing()["market"]
    Feed.objects.update(running=False)
    assert failing() == {"market": "no market is running"}


def test_a_market_that_was_switched_off_does_not_count(healthy: Feed) -> None:
    now = timezone.now()
    Feed.objects.create(venue="recorded", kind=Feed.Kind.RECORDED, market_at=now, running=False)
    assert failing() == {}


@pytest.mark.usefixtures("healthy")
def test_a_full_disk_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vibex.looks.shutil.disk_usage", lambda _: Usage(10**12, 10**12, 99 * 2**20))
    assert failing() == {"disk": "99 MB free in the data folder"}


@pytest.mark.usefixtures("healthy")
def test_a_missing_data_folder_is_seen_where_the_database_lives_in_it(settings: Any, tmp_path: Any) -> None:
    settings.VIBEX_DATA_DIR = tmp_path / "gone"
    assert list(failing()) == (["disk"] if connection.vendor == "sqlite" else [])


@pytest.mark.usefixtures("healthy")
def test_a_database_that_is_gone_makes_it_not_ready_instead_of_an_error(client: Client) -> None:
    def gone(*_: Any) -> None:
        raise OperationalError("server closed the connection; password=hunter2")

    with connection.execute_wrapper(gone):
        answer = client.get(READY)
        told = failing()
    assert answer.status_code == 503
    unseen = dict.fromkeys(("scheduler", "market", "guard"), UNSEEN)
    assert told == {"database": "cannot be looked at: OperationalError", **unseen}


@pytest.mark.usefixtures("healthy")
def test_backups_that_are_late_are_told_and_leave_it_ready(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.BACKUP_HOURLY = True
    monkeypatch.setattr("trading.services.watchers.BEGAN", timezone.now() - timedelta(hours=4))
    User.objects.create_user("first@example.com", created=timezone.now() - timedelta(hours=4))
    report = health_report(User())
    assert failing() == {}
    assert (report["status"], report["checks"][-1]["name"], report["checks"][-1]["ok"]) == ("ready", "backup", False)
    assert Incident.objects.get(resolved__isnull=True).data["subject"] == "backup"


@pytest.mark.usefixtures("healthy")
def test_the_report_has_the_details() -> None:
    report = health_report(User())
    assert report["status"] == "ready"
    assert {check["name"] for check in report["checks"]} == {
        "database",
        "scheduler",
        "market",
        "guard",
        "disk",
        "backup",
    }
    assert report["features"]["FEATURE_LIVE_TRADING"] is False
    assert (report["decider_host"], report["versions"]["python"]) == ("", platform.python_version())
    assert 20 < report["peak_memory_mb"] < 5000
