"""A bot and its schedule row say the same, whoever changes which of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from celery import current_app
from django.db import transaction
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask, PeriodicTasks

from accounts.models import Account, AuditEntry, Bot
from decisions.models import Cycle, DiaryEntry
from marketdata.models import Feed
from trading.services.periodic import HEARTBEAT, SYSTEM, system_heartbeat, system_schedules_install
from trading.services.schedule import (
    bot_interval_change,
    bot_pause,
    bot_start,
    bot_stop,
    schedules_sync,
    ticks_catch_up,
)
from trading.tests import schedule_house as house
from vibex.lib.errors import Rejected

pytestmark = pytest.mark.django_db


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """Record what goes to the queue, which nobody reads here."""
    messages: list[dict[str, Any]] = []

    def send(name: str, args: list[int], kwargs: dict[str, Any], countdown: float) -> None:
        messages.append({"task": name, "bot": args[0], "countdown": countdown, **kwargs})

    monkeypatch.setattr(current_app, "send_task", send)
    return messages


def test_a_started_bot_has_a_row_at_every_candle_close() -> None:
    bot = bot_start(bot=house.bot(interval="15m"), actor=None)
    row = house.row_of(bot)
    assert row.enabled
    assert (row.crontab.minute, row.crontab.hour, str(row.crontab.timezone)) == ("*/15", "*", "UTC")
    assert (row.task, row.args) == ("trading.tasks.bot_tick", f"[{bot.pk}]")
    assert row.expire_seconds < 900


def test_in_a_replay_the_row_looks_twice_per_candle() -> None:
    house.market("recorded", speed=60.0)
    bot = bot_start(bot=house.bot(house.account("replay", "recorded"), interval="1h"), actor=None)
    row = house.row_of(bot)
    assert (row.interval.every, row.interval.period) == (30, "seconds")
    assert row.expire_seconds < 30


def test_a_start_is_in_audit_trail_and_diary() -> None:
    owner = house.person()
    bot = bot_start(bot=house.bot(), actor=owner, reason="markets are calm")
    entry = AuditEntry.objects.get(action="bot-running")
    assert (entry.actor, entry.before["status"], entry.after["status"]) == (owner, "stopped", "running")
    line = DiaryEntry.objects.get(bot=bot)
    assert line.kind == DiaryEntry.Kind.STATE
    assert line.text == "Started by owner@example.com: markets are calm"


def test_a_second_click_on_start_changes_nothing() -> None:
    bot = bot_start(bot=house.bot(), actor=None)
    bot_start(bot=bot, actor=None)
    assert AuditEntry.objects.filter(action="bot-running").count() == 1


@pytest.mark.parametrize("end", [bot_pause, bot_stop])
def test_a_bot_that_does_not_run_has_no_enabled_row(end: Any) -> None:
    bot = bot_start(bot=house.bot(), actor=None)
    end(bot=bot, actor=None)
    assert not house.row_of(bot).enabled
    assert Bot.objects.get(pk=bot.pk).status != Bot.Status.RUNNING


@pytest.mark.parametrize("end", [bot_pause, bot_stop])
def test_a_bot_whose_market_is_gone_can_be_stopped(end: Any) -> None:
    bot = bot_start(bot=house.bot(), actor=None)
    Feed.objects.all().delete()
    end(bot=bot, actor=None)
    assert not house.row_of(bot).enabled


def test_a_stopped_bot_cannot_be_paused() -> None:
    with pytest.raises(Rejected, match="Only a running bot"):
        bot_pause(bot=house.bot(), actor=None)


def test_an_account_runs_one_bot_and_says_which() -> None:
    account = house.account()
    bot_start(bot=house.bot(account, "one"), actor=None)
    second = house.bot(account, "two")
    with pytest.raises(Rejected, match="one is running on paper: stop it first"):
        bot_start(bot=second, actor=None)
    assert not PeriodicTask.objects.filter(name=f"bot:{second.pk}", enabled=True).exists()


def test_no_bot_starts_on_a_halted_account() -> None:
    bot = house.bot()
    Account.objects.update(state=Account.State.HALTED)
    bot.account.refresh_from_db()
    with pytest.raises(Rejected, match="halted"):
        bot_start(bot=bot, actor=None)


def test_a_live_account_needs_the_feature() -> None:
    bot = house.bot()
    bot.account.mode = Account.Mode.LIVE
    with pytest.raises(Rejected, match="FEATURE_LIVE_TRADING"):
        bot_start(bot=bot, actor=None)


def test_a_start_with_a_fresh_candle_decides_at_once(
    sent: list[dict[str, Any]], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        bot = bot_start(bot=house.bot(), actor=None)
    assert [(message["bot"], message["at_once"]) for message in sent] == [(bot.pk, True)]


def test_a_start_that_is_rolled_back_decides_nothing(
    sent: list[dict[str, Any]], django_capture_on_commit_callbacks: Any
) -> None:
    bot = house.bot()
    with django_capture_on_commit_callbacks(execute=True), transaction.atomic():
        bot_start(bot=bot, actor=None)
        transaction.set_rollback(True)
    assert sent == []


def test_a_candle_that_was_decided_on_is_not_decided_again_by_a_restart(
    sent: list[dict[str, Any]], django_capture_on_commit_callbacks: Any
) -> None:
    house.market("recorded", speed=0.001)
    bot = house.bot(house.account("replay", "recorded"), interval="1h")
    Cycle.objects.create(
        bot=bot, account=bot.account, scheduled_for=house.NOON, lease_until=house.NOON, status=Cycle.Status.DONE
    )
    with django_capture_on_commit_callbacks(execute=True):
        bot_start(bot=bot, actor=None)
    assert sent == []


def test_a_stale_candle_waits_for_the_next_one(
    sent: list[dict[str, Any]], django_capture_on_commit_callbacks: Any
) -> None:
    house.market("recorded", speed=0.001, market_at=house.NOON.replace(minute=40))
    bot = house.bot(house.account("replay", "recorded"), interval="1h")
    with django_capture_on_commit_callbacks(execute=True):
        bot_start(bot=bot, actor=None)
    assert sent == []


def test_a_missing_row_is_made_again() -> None:
    bot = bot_start(bot=house.bot(), actor=None)
    house.row_of(bot).delete()
    assert schedules_sync() == []
    assert house.row_of(bot).enabled
    assert Bot.objects.get(pk=bot.pk).status == Bot.Status.RUNNING


@pytest.mark.parametrize(
    ("field", "value"), [("task", "something.else"), ("args", "[99]"), ("expire_seconds", None), ("one_off", True)]
)
def test_an_altered_row_is_mended(field: str, value: Any) -> None:
    bot = bot_start(bot=house.bot(), actor=None)
    before = getattr(house.row_of(bot), field)
    PeriodicTask.objects.filter(name=f"bot:{bot.pk}").update(**{field: value})
    schedules_sync()
    assert getattr(house.row_of(bot), field) == before


def test_a_row_that_was_switched_off_pauses_its_bot_and_says_so() -> None:
    bot = bot_start(bot=house.bot(), actor=None)
    PeriodicTask.objects.filter(name=f"bot:{bot.pk}").update(enabled=False)
    assert schedules_sync() == ["first on paper (paper): paused, because its schedule was switched off."]
    assert Bot.objects.get(pk=bot.pk).status == Bot.Status.PAUSED
    assert "its schedule was switched off" in DiaryEntry.objects.filter(bot=bot).first().text


def test_a_row_that_was_switched_on_starts_its_bot() -> None:
    bot = bot_start(bot=house.bot(), actor=None)
    bot_stop(bot=bot, actor=None)
    PeriodicTask.objects.filter(name=f"bot:{bot.pk}").update(enabled=True)
    schedules_sync()
    assert Bot.objects.get(pk=bot.pk).status == Bot.Status.RUNNING


def test_a_row_that_was_switched_on_is_switched_off_again_where_the_bot_may_not_run() -> None:
    account = house.account()
    other = bot_start(bot=house.bot(account, "other"), actor=None)
    bot_stop(bot=other, actor=None)
    bot_start(bot=house.bot(account, "first"), actor=None)
    PeriodicTask.objects.filter(name=f"bot:{other.pk}").update(enabled=True)
    assert "first is running on paper" in schedules_sync()[0]
    assert not house.row_of(other).enabled
    assert Bot.objects.get(pk=other.pk).status == Bot.Status.STOPPED


def test_a_row_edited_to_an_interval_of_bots_changes_the_bot() -> None:
    bot = bot_start(bot=house.bot(), actor=None)
    hourly = CrontabSchedule.objects.create(minute="0", hour="*", timezone="UTC")
    PeriodicTask.objects.filter(name=f"bot:{bot.pk}").update(crontab=hourly)
    assert schedules_sync() == ["first on paper (paper): decides every 1h from now on."]
    bot.refresh_from_db()
    assert (bot.interval, bot.timeframes) == ("1h", ["1h", "4h"])


def test_a_row_edited_to_seconds_that_are_an_interval_changes_the_bot_too() -> None:
    bot = bot_start(bot=house.bot(), actor=None)
    quarter = IntervalSchedule.objects.create(every=15, period="minutes")
    PeriodicTask.objects.filter(name=f"bot:{bot.pk}").update(crontab=None, interval=quarter)
    schedules_sync()
    assert Bot.objects.get(pk=bot.pk).interval == "15m"
    assert house.row_of(bot).crontab.minute == "*/15"


@pytest.mark.parametrize("fields", [{"minute": "*/7"}, {"day_of_week": "1"}, {"timezone": "Asia/Tokyo"}])
def test_a_row_edited_to_anything_else_is_put_back(fields: dict[str, str]) -> None:
    bot = bot_start(bot=house.bot(), actor=None)
    odd = CrontabSchedule.objects.create(**{"minute": "*/3", "hour": "*", "timezone": "UTC", **fields})
    PeriodicTask.objects.filter(name=f"bot:{bot.pk}").update(crontab=odd)
    schedules_sync()
    row = house.row_of(bot)
    assert (row.crontab.minute, row.crontab.day_of_week, str(row.crontab.timezone)) == ("*/3", "*", "UTC")
    assert Bot.objects.get(pk=bot.pk).interval == "3m"


def test_a_shared_schedule_that_was_edited_itself_is_left_and_no_bot_follows_it() -> None:
    bot = bot_start(bot=house.bot(), actor=None)
    CrontabSchedule.objects.filter(pk=house.row_of(bot).crontab_id).update(minute="*/7")
    schedules_sync()
    assert house.row_of(bot).crontab.minute == "*/3"


def test_a_bot_whose_interval_was_edited_keeps_it_and_the_row_follows() -> None:
    bot = house.bot()
    bot_start(bot=bot, actor=None)
    bot_stop(bot=bot, actor=None)
    Bot.objects.filter(pk=bot.pk).update(interval="4h", timeframes=["4h"])
    schedules_sync()
    assert Bot.objects.get(pk=bot.pk).interval == "4h"
    assert house.row_of(bot).crontab.hour == "*/4"


def test_another_speed_of_the_replay_is_no_edit() -> None:
    house.market("recorded", speed=60.0)
    bot = bot_start(bot=house.bot(house.account("replay", "recorded"), interval="1h"), actor=None)
    Feed.objects.filter(venue="recorded").update(speed=10.0)  # 180 s, which is also the length of a 3m candle
    schedules_sync()
    assert Bot.objects.get(pk=bot.pk).interval == "1h"
    assert house.row_of(bot).interval.every == 180
    Feed.objects.filter(venue="recorded").update(speed=120.0)
    schedules_sync()
    assert Bot.objects.get(pk=bot.pk).interval == "1h"
    assert house.row_of(bot).interval.every == 15


def test_an_interval_change_is_refused_when_somebody_was_faster() -> None:
    bot = house.bot()
    Bot.objects.filter(pk=bot.pk).update(interval="4h")
    with pytest.raises(Rejected, match="somebody else"):
        bot_interval_change(bot=bot, interval="1h", actor=None)


def test_rows_of_bots_that_do_not_exist_go() -> None:
    bot = bot_start(bot=house.bot(), actor=None)
    row = house.row_of(bot)
    PeriodicTask.objects.filter(pk=row.pk).update(name="bot:4711")
    schedules_sync()
    assert not PeriodicTask.objects.filter(name="bot:4711").exists()


def test_the_rows_of_the_system_are_put_back_and_the_guard_stays_on() -> None:
    system_schedules_install()
    PeriodicTask.objects.filter(name="system:guard").update(enabled=False)
    PeriodicTask.objects.filter(name=HEARTBEAT).delete()
    schedules_sync()
    assert set(PeriodicTask.objects.filter(enabled=True).values_list("name", flat=True)) >= set(SYSTEM)


def test_a_sync_that_finds_nothing_does_not_make_the_scheduler_read_anew() -> None:
    bot_start(bot=house.bot(), actor=None)
    schedules_sync()
    before = PeriodicTasks.last_change()
    assert schedules_sync() == []
    system_heartbeat()
    assert PeriodicTasks.last_change() == before


def test_a_missed_decision_on_a_fresh_candle_is_caught_up(sent: list[dict[str, Any]]) -> None:
    house.market("recorded", speed=0.001, market_at=house.NOON.replace(minute=2))
    bot = house.bot(house.account("replay", "recorded"), interval="1h")
    bot_start(bot=bot, actor=None)
    assert ticks_catch_up() == 1
    assert sent[0]["bot"] == bot.pk


def test_nothing_is_caught_up_on_a_market_that_stands(sent: list[dict[str, Any]]) -> None:
    house.market("recorded", speed=0.001, market_at=house.NOON.replace(minute=2))
    bot_start(bot=house.bot(house.account("replay", "recorded"), interval="1h"), actor=None)
    Feed.objects.update(running=False)
    assert ticks_catch_up() == 0


def test_a_sync_of_many_bots_asks_a_bounded_number_of_questions(django_assert_max_num_queries: Any) -> None:
    for number in range(8):
        bot_start(bot=house.bot(house.account(f"paper-{number}")), actor=None)
    schedules_sync()
    with django_assert_max_num_queries(8):
        schedules_sync()
