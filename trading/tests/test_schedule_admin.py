"""What an operator does to a schedule in the admin is done to the bot at once, and is told to the operator."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from accounts.models import Bot
from accounts.services import user_create
from trading.services.periodic import system_schedules_install
from trading.services.schedule import bot_start
from trading.tests import schedule_house as house

pytestmark = pytest.mark.django_db
LIST = "admin:django_celery_beat_periodictask_changelist"


@pytest.fixture
def operator() -> Client:
    client = Client()
    password = "correct horse battery"
    client.force_login(user_create(email="boss@example.com", password=password, operator=True))
    return client


def said(client: Client, action: str, *rows: PeriodicTask) -> str:
    answer = client.post(reverse(LIST), {"action": action, "_selected_action": [row.pk for row in rows]}, follow=True)
    return answer.content.decode()


def test_switching_a_row_off_pauses_the_bot(operator: Client) -> None:
    bot = bot_start(bot=house.bot(), actor=None)
    assert "paused, because its schedule was switched off" in said(operator, "disable_tasks", house.row_of(bot))
    assert Bot.objects.get(pk=bot.pk).status == Bot.Status.PAUSED


def test_switching_a_row_on_starts_the_bot(operator: Client) -> None:
    bot = bot_start(bot=house.bot(), actor=None)
    said(operator, "toggle_tasks", house.row_of(bot))
    said(operator, "enable_tasks", house.row_of(bot))
    assert Bot.objects.get(pk=bot.pk).status == Bot.Status.RUNNING


def test_the_person_is_on_record(operator: Client) -> None:
    bot = bot_start(bot=house.bot(), actor=None)
    said(operator, "disable_tasks", house.row_of(bot))
    assert "boss@example.com" in bot.diary.first().text


def test_the_guard_cannot_be_switched_off(operator: Client) -> None:
    system_schedules_install()
    guard = PeriodicTask.objects.get(name="system:guard")
    said(operator, "disable_tasks", guard)
    guard.refresh_from_db()
    assert guard.enabled


def test_a_deleted_row_of_a_running_bot_comes_back(operator: Client) -> None:
    bot = bot_start(bot=house.bot(), actor=None)
    row = house.row_of(bot)
    operator.post(reverse("admin:django_celery_beat_periodictask_delete", args=[row.pk]), {"post": "yes"})
    assert house.row_of(bot).pk != row.pk
    assert house.row_of(bot).enabled


def test_another_interval_chosen_in_the_form_changes_the_bot(operator: Client) -> None:
    bot = bot_start(bot=house.bot(), actor=None)
    row = house.row_of(bot)
    hourly = CrontabSchedule.objects.create(minute="0", hour="*", timezone="UTC")
    form = {
        "name": row.name,
        "task": row.task,
        "enabled": "on",
        "crontab": hourly.pk,
        "args": row.args,
        "kwargs": row.kwargs,
        "headers": row.headers,
        "description": row.description,
        "expire_seconds": row.expire_seconds,
    }
    answer = operator.post(reverse("admin:django_celery_beat_periodictask_change", args=[row.pk]), form, follow=True)
    assert "decides every 1h from now on" in answer.content.decode()
    assert Bot.objects.get(pk=bot.pk).interval == "1h"


def test_the_pages_of_schedules_open(operator: Client) -> None:
    bot = bot_start(bot=house.bot(), actor=None)
    row = house.row_of(bot)
    assert operator.get(reverse(LIST)).status_code == 200
    assert operator.get(reverse("admin:django_celery_beat_periodictask_change", args=[row.pk])).status_code == 200
