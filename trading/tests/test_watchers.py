"""Who watches the guard: what is late is told once, and resolved when it is over."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from accounts.models import Account, Alert, AuditEntry, Backup, Bot, Incident, User
from accounts.services import user_create
from decisions.models import Cycle
from marketdata.models import Feed
from trading.models import GuardState, Position
from trading.services import watchers
from trading.services.lease import cycle_acquire, cycle_renew
from trading.services.periodic import HEARTBEAT, system_heartbeat, system_schedules_install
from trading.services.schedule import bot_start
from trading.services.watchers import service_watch
from trading.tests import schedule_house as house

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def running(monkeypatch: pytest.MonkeyPatch) -> None:
    system_schedules_install()
    system_heartbeat()
    monkeypatch.setattr(watchers, "BEGAN", timezone.now() - timedelta(days=1))


def in_play(name: str = "paper") -> Account:
    account = house.account(name)
    Position.objects.create(
        account=account, symbol="BTCUSDT", side="long", quantity=1, cost=100, entry_price=100, opened=house.NOON
    )
    return account


def looked(account: Account, *, seconds_ago: float) -> None:
    at = timezone.now() - timedelta(seconds=seconds_ago)
    GuardState.objects.update_or_create(account=account, defaults={"at": at, "since": at - timedelta(hours=1)})


def told() -> list[tuple[str, int | None]]:
    found = Incident.objects.filter(kind="service-late", resolved__isnull=True).order_by("pk")
    return [(incident.data["subject"], incident.account_id) for incident in found]


@pytest.mark.parametrize(("seconds", "late"), [(85, False), (95, True)])
def test_an_account_that_the_guard_has_not_seen_for_ninety_seconds_is_late(seconds: float, late: bool) -> None:
    account = in_play()
    looked(account, seconds_ago=seconds)
    service_watch()
    assert told() == ([("guard", account.pk)] if late else [])
    assert Alert.objects.filter(type="service-late", user=account.owner).count() == late


def test_it_is_told_once_and_over_when_the_guard_was_there() -> None:
    account = in_play()
    looked(account, seconds_ago=200)
    service_watch()
    service_watch()
    assert Incident.objects.count() == Alert.objects.count() == 1
    looked(account, seconds_ago=1)
    assert service_watch() == []
    assert told() == []


def test_an_account_that_comes_into_play_has_ninety_seconds_however_long_ago_it_was_seen() -> None:
    account = in_play()
    GuardState.objects.create(account=account, at=timezone.now() - timedelta(days=3), full_at=None)
    assert service_watch() == []
    GuardState.objects.update(since=timezone.now() - timedelta(seconds=91))
    assert [one.subject for one in service_watch()] == ["guard"]


def test_what_is_not_in_play_any_more_is_not_waited_for() -> None:
    account = in_play()
    looked(account, seconds_ago=200)
    service_watch()
    Position.objects.all().delete()
    assert service_watch() == []
    assert told() == []
    assert GuardState.objects.get().since is None


def test_many_accounts_that_are_late_are_one_incident_of_the_installation() -> None:
    for number in range(watchers.SEVERAL + 1):
        looked(in_play(f"paper{number}"), seconds_ago=200)
    service_watch()
    assert told() == [("guard", None)]
    assert Alert.objects.filter(user=house.person()).count() == 1


def test_when_no_task_runs_that_is_told_to_staff_and_to_each_owner_once_and_not_what_follows_from_it() -> None:
    boss = user_create(email="boss@example.com", password="correct horse battery")
    type(boss).objects.filter(pk=boss.pk).update(is_staff=True)
    for name in ("one", "two"):
        looked(in_play(name), seconds_ago=500)
    PeriodicTask.objects.filter(name=HEARTBEAT).update(last_run_at=timezone.now() - timedelta(seconds=61))
    service_watch()
    assert told() == [("scheduler", None)]
    assert sorted(Alert.objects.values_list("user__email", flat=True)) == ["boss@example.com", "owner@example.com"]
    system_heartbeat()
    service_watch()
    assert told() == [("guard", account.pk) for account in Account.objects.order_by("pk")]


def running_bot(*, started: float) -> Bot:
    """A bot on candles of three minutes that was started so many minutes ago and has decided on none."""
    bot = bot_start(bot=house.bot(), actor=None)
    Feed.objects.update(heartbeat=timezone.now())
    AuditEntry.objects.filter(action="bot-running").update(at=timezone.now() - timedelta(minutes=started))
    looked(bot.account, seconds_ago=1)
    return bot


def test_a_bot_that_did_not_decide_in_time_is_late_until_it_decides() -> None:
    bot = running_bot(started=20)
    assert [one.subject for one in service_watch()] == [f"bot {bot.pk}"]
    Cycle.objects.create(
        bot=bot, account=bot.account, scheduled_for=timezone.now(), status="skipped", lease_until=timezone.now()
    )
    assert service_watch() == []
    assert told() == []


def test_a_process_that_has_just_begun_does_not_take_back_what_another_told_of_a_decision(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bot = running_bot(started=20)
    service_watch()
    monkeypatch.setattr(watchers, "BEGAN", timezone.now())
    assert [one.subject for one in service_watch()] == [f"bot {bot.pk}"]
    assert Incident.objects.count() == 1
    Bot.objects.update(status=Bot.Status.PAUSED)
    assert service_watch() == []
    assert told() == []


def test_a_bot_that_was_just_started_or_is_paused_is_not_late(monkeypatch: pytest.MonkeyPatch) -> None:
    bot = running_bot(started=0)
    assert service_watch() == []
    Bot.objects.update(status=Bot.Status.PAUSED)
    assert service_watch() == []
    Bot.objects.update(status=Bot.Status.RUNNING)
    running_since = timezone.now()
    monkeypatch.setattr(watchers, "BEGAN", running_since)
    assert service_watch() == [], "what was due before this process began is not its fault"
    assert bot.pk


@pytest.mark.parametrize(("process", "late"), [(timedelta(minutes=10), False), (timedelta(minutes=30), True)])
def test_a_process_that_is_started_anew_again_and_again_tells_of_backups_that_nobody_makes(
    settings, monkeypatch: pytest.MonkeyPatch, process: timedelta, late: bool
) -> None:
    settings.BACKUP_HOURLY = True
    person, now = house.account("paper").owner, timezone.now()
    monkeypatch.setattr(watchers, "BEGAN", now - process)
    User.objects.filter(pk=person.pk).update(created=now - timedelta(hours=2))
    assert service_watch() == [], "a new installation has three hours to make its first"
    User.objects.filter(pk=person.pk).update(created=now - timedelta(hours=4))
    assert [one.subject for one in service_watch()] == ["backup"] * late
    made = Backup.objects.create(name="vibex-abcd-20260101T000000Z", at=now - timedelta(hours=4), well=True, place="x")
    assert [one.subject for one in service_watch()] == ["backup"] * late
    Backup.objects.filter(pk=made.pk).update(at=now - timedelta(hours=2))
    assert service_watch() == []


def test_a_process_that_has_just_begun_does_not_take_back_what_another_told_of_backups(
    settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.BACKUP_HOURLY = True
    house.account("paper")
    User.objects.update(created=timezone.now() - timedelta(hours=4))
    service_watch()
    monkeypatch.setattr(watchers, "BEGAN", timezone.now())
    service_watch()
    assert told() == [("backup", None)]
    assert Incident.objects.count() == 1


def test_in_a_fast_replay_a_bot_has_a_minute_of_wall_time() -> None:
    house.market("recorded", speed=60.0, wall_at=timezone.now() - timedelta(seconds=50))
    bot = bot_start(bot=house.bot(house.account("replay", "recorded")), actor=None)
    AuditEntry.objects.update(at=timezone.now() - timedelta(minutes=5))
    assert service_watch() == [], "fifty seconds are fifty minutes there"
    Feed.objects.filter(venue="recorded").update(wall_at=timezone.now() - timedelta(seconds=95))
    assert [one.subject for one in service_watch()] == [f"bot {bot.pk}"]


def test_a_cycle_whose_process_died_is_told_and_ended() -> None:
    bot = house.bot()
    cycle = cycle_acquire(bot=bot, scheduled_for=timezone.now())
    assert cycle is not None
    Cycle.objects.update(lease_until=timezone.now() - timedelta(seconds=29))
    assert service_watch() == []
    Cycle.objects.update(lease_until=timezone.now() - timedelta(seconds=31))
    assert [one.subject for one in service_watch()] == [f"cycle {cycle.pk}"]
    assert told() == [(f"cycle {cycle.pk}", bot.account_id)]
    cycle.refresh_from_db()
    assert cycle.status == Cycle.Status.ABANDONED
    assert not cycle_renew(cycle=cycle), "whoever comes back to it writes nothing any more"
    assert service_watch() == []
    assert told() == []
