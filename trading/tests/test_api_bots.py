"""Bots over the API: made and changed within what can work, started and stopped by their owner."""

from __future__ import annotations

from typing import Any, Final

import pytest
from django.test import Client
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from accounts.models import Account, AuditEntry, Bot, Role, SignIn, User
from accounts.services import account_create
from accounts.services.promotion import account_promote
from decisions.models import DiaryEntry
from decisions.services import prompt_template_install
from marketdata.models import Instrument
from tests.support.demo import account_of, bot_of, person
from tests.support.demo_market import NOW, market
from tests.support.demo_models import models
from trading.services.periodic import row_name

pytestmark = pytest.mark.django_db

ALL = "/api/v1/bots/"
RULES = {"name": "second", "model": "rules/trend", "symbols": ["BTCUSDT"]}
GROK, SONNET = "openrouter/x-ai/grok-4.3", "openrouter/anthropic/claude-sonnet-5"
MODEL = {"name": "asks", "model": GROK, "symbols": ["BTCUSDT", "ETHUSDT"], "interval": "15m"}


def one(bot: Bot, act: str = "") -> str:
    return f"{ALL}{bot.pk}/{act}"


def send(client: Client, method: str, path: str, body: Any = None) -> Any:
    return getattr(client, method)(path, {} if body is None else body, content_type="application/json")


@pytest.fixture
def owner() -> User:
    market(NOW)
    return person()


@pytest.fixture
def account(owner: User) -> Account:
    return account_of(owner)


@pytest.fixture
def mine(client: Client, owner: User) -> Client:
    client.force_login(owner)
    client.get(ALL)
    return client


@pytest.fixture
def asking(settings: Any) -> None:
    """Models can be asked, and are known."""
    settings.OPENROUTER_API_KEY = "sk-of-a-test"
    prompt_template_install()
    models(NOW)


def test_a_bot_is_made_stopped_with_what_follows_from_its_interval(mine: Client, account: Account) -> None:
    answer = send(mine, "post", ALL, RULES | {"account": account.pk, "interval": "1h", "capital": "500.00"})
    assert answer.status_code == 201, answer.content
    told = answer.json()
    assert (told["status"], told["timeframes"], told["capital"], told["warnings"]) == (
        "stopped",
        ["1h", "4h"],
        "500",
        [],
    )
    assert told == mine.get(one(Bot.objects.get())).json() | {"warnings": []}
    assert AuditEntry.objects.get(action="bot-create").object_id == str(told["id"])
    assert send(mine, "post", ALL, RULES | {"account": account.pk}).status_code == 400  # the name is taken


def test_everything_that_the_admin_takes_is_taken(mine: Client, account: Account, asking: None, settings: Any) -> None:
    settings.FEATURE_ENSEMBLE = settings.FEATURE_EXTERNAL_TEXT = True
    given = MODEL | {
        "fallback_models": [SONNET],
        "served_models": ["x-ai/grok-4.3-fast"],
        "ensemble_models": ["openrouter/openai/gpt-5.6-luna"],
        "ensemble_rule": "unanimous",
        "shadow_models": ["openrouter/deepseek/deepseek-v4-flash"],
        "reasoning_effort": "low",
        "temperature": "0.35",
        "max_tokens": 6000,
        "deadline_seconds": 45,
        "prompt_template": "arena",
        "prompt_version": 1,
        "layout": "compact",
        "outside_text": True,
        "tokens_per_day": 900_000,
        "cost_per_day": "2.5",
        "approval": True,
        "timeframes": ["15m", "1h"],
        "capital": None,
        "account": account.pk,
    }
    answer = send(mine, "post", ALL, given)
    assert answer.status_code == 201, answer.content
    assert {name: answer.json()[name] for name in given} == given
    [row] = mine.get(ALL).json()["results"]
    assert set(row) < set(answer.json())


WRONG: Final[list[tuple[dict[str, Any], str]]] = [
    ({"model": "nobody/some-model"}, "model"),
    ({"model": "gpt-4"}, "model"),
    ({"fallback_models": ["rules/trend"]}, "fallback_models"),
    ({"shadow_models": [GROK]}, "shadow_models"),
    ({"ensemble_models": [SONNET]}, "ensemble_models"),
    ({"outside_text": True}, "outside_text"),
    ({"reasoning_effort": "none"}, "reasoning_effort"),
    ({"prompt_template": "nowhere"}, "prompt_template"),
    ({"prompt_version": 99}, "prompt_version"),
    ({"symbols": ["NOPEUSDT"]}, "symbols"),
    ({"symbols": []}, "symbols"),
    ({"symbols": "BTCUSDT"}, "symbols"),
    ({"symbols": [["BTCUSDT"]]}, "symbols.0"),
    ({"timeframes": ["1h", "4h"]}, "timeframes"),
    ({"timeframes": ["9m"]}, "timeframes.0"),
    ({"interval": "2m"}, "interval"),
    ({"deadline_seconds": 61}, "deadline_seconds"),
    ({"max_tokens": 10**30}, "max_tokens"),
    ({"temperature": "2.5"}, "temperature"),
    ({"cost_per_day": "-1"}, "cost_per_day"),
    ({"capital": 0}, "capital"),
    ({"tokens_per_day": 2**64}, "tokens_per_day"),
    ({"prompt_version": 2**31}, "prompt_version"),
    ({"sybols": ["BTCUSDT"]}, "sybols"),
    ({"status": "running"}, "status"),
    ({"account": "paper"}, "account"),
    ({"account": 10**30}, "account"),
]


def test_what_cannot_work_is_refused_at_its_field(mine: Client, account: Account, asking: None) -> None:
    for changed, field in WRONG:
        answer = send(mine, "post", ALL, MODEL | {"account": account.pk} | changed)
        assert answer.status_code == 400, (changed, answer.content)
        assert field.split(".")[0] in {name.split(".")[0] for name in answer.json()["errors"]}, (changed, answer.json())
    assert not Bot.objects.exists()


def test_what_may_be_wanted_all_the_same_is_a_warning(mine: Client, account: Account, asking: None) -> None:
    answer = send(mine, "post", ALL, MODEL | {"account": account.pk, "model": "openrouter/nobody/knows"})
    assert answer.status_code == 201, answer.content
    assert "openrouter does not list nobody/knows" in answer.json()["warnings"][0]


def test_only_a_stopped_bot_is_changed_and_what_changed_is_on_record(mine: Client, account: Account) -> None:
    bot = bot_of(account)
    answer = send(mine, "patch", one(bot), {"symbols": ["ETHUSDT"], "capital": "250"})
    assert answer.status_code == 200, answer.content
    assert (answer.json()["symbols"], answer.json()["capital"]) == (["ETHUSDT"], "250")
    assert AuditEntry.objects.get(action="bot-change").after == {"symbols": ["ETHUSDT"], "capital": "250.00000000"}
    Bot.objects.update(status="running")
    answer = send(mine, "patch", one(bot), {"symbols": ["BTCUSDT"]})
    assert (answer.status_code, answer.json()["code"]) == (409, "running")
    assert Bot.objects.get().symbols == ["ETHUSDT"]


@pytest.mark.parametrize("status", ["stopped", "running", "paused"])
def test_the_interval_is_changed_at_any_time_with_its_timeframes(mine: Client, account: Account, status: str) -> None:
    bot = bot_of(account, status=status)
    answer = send(mine, "patch", one(bot), {"interval": "1h"})
    assert answer.status_code == 200, answer.content
    assert (answer.json()["interval"], answer.json()["timeframes"]) == ("1h", ["1h", "4h"])
    assert Bot.objects.get().timeframes == ["1h", "4h"]
    assert send(mine, "patch", one(bot), {"interval": "1h"}).status_code == 200


def test_a_change_is_looked_at_together_with_what_stays(mine: Client, account: Account, asking: None) -> None:
    bot = bot_of(account, model=GROK, interval="15m", timeframes=["15m", "1h"])
    assert "timeframes" in send(mine, "patch", one(bot), {"timeframes": ["1h"]}).json()["errors"]
    assert "shadow_models" in send(mine, "patch", one(bot), {"shadow_models": [GROK]}).json()["errors"]
    assert "account" in send(mine, "patch", one(bot), {"account": account.pk}).json()["errors"]
    assert send(mine, "patch", one(bot)).status_code == 200


def test_a_bot_is_started_paused_and_stopped_with_a_reason_on_record(mine: Client, account: Account) -> None:
    bot = bot_of(account)
    for act, status in (("start", "running"), ("start", "running"), ("pause", "paused"), ("stop", "stopped")):
        answer = send(mine, "post", one(bot, f"{act}/"), {"reason": f"to {act}"})
        assert (answer.status_code, answer.json()["status"]) == (200, status), answer.content
        assert answer.json()["status_reason"] == f"to {act}"
    actions = AuditEntry.objects.filter(object_type="accounts.bot").exclude(action="call").order_by("pk")
    assert list(actions.values_list("action", flat=True)) == ["bot-running", "bot-paused", "bot-stopped"]
    assert DiaryEntry.objects.filter(bot=bot, text__contains="to pause").exists()
    refused = send(mine, "post", one(bot, "pause/"))
    assert (refused.status_code, refused.json()["code"]) == (409, "not_running")
    assert "raeson" in send(mine, "post", one(bot, "stop/"), {"raeson": "x"}).json()["errors"]


def test_a_second_bot_on_an_account_or_one_on_a_halted_account_is_not_started(mine: Client, account: Account) -> None:
    bot_of(account, "first", status="running")
    second = bot_of(account, "second")
    assert send(mine, "post", one(second, "start/")).json()["code"] == "one_per_account"
    Account.objects.update(state="halted")
    assert send(mine, "post", one(second, "start/")).json()["code"] == "halted"


def test_a_bot_that_never_decided_is_deleted_with_its_schedule(mine: Client, account: Account) -> None:
    bot = bot_of(account)
    PeriodicTask.objects.create(name=row_name(bot), task="trading.tasks.bot_tick", crontab=_any_crontab())
    assert mine.delete(one(bot)).status_code == 204
    assert not Bot.objects.exists()
    assert not PeriodicTask.objects.filter(name=row_name(Bot(pk=bot.pk))).exists()
    assert AuditEntry.objects.get(action="bot-delete").before["name"] == "trend"


def test_a_bot_that_runs_or_has_a_history_is_not_deleted(mine: Client, account: Account) -> None:
    bot = bot_of(account)
    send(mine, "post", one(bot, "start/"))
    assert mine.delete(one(bot)).json()["code"] == "running"
    send(mine, "post", one(bot, "stop/"))
    answer = mine.delete(one(bot))
    assert (answer.status_code, answer.json()["code"]) == (409, "history")
    assert "diary" in answer.json()["detail"]


def test_a_viewer_stops_a_bot_and_does_nothing_else(client: Client, owner: User) -> None:
    viewer = person("viewer@vibex.local", role=Role.VIEWER)
    bot = bot_of(account_of(viewer), status="running")
    client.force_login(viewer)
    for answer in (
        send(client, "post", one(bot, "start/")),
        send(client, "patch", one(bot), {"interval": "1h"}),
        send(client, "post", ALL, RULES | {"account": bot.account_id}),
        client.delete(one(bot)),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "role")
    assert send(client, "post", one(bot, "stop/")).json()["status"] == "stopped"


def test_real_money_takes_a_confirmation_to_start_and_none_to_stop(mine: Client, owner: User) -> None:
    like = Instrument.objects.get(venue="sim", symbol="BTCUSDT")
    like.pk, like.venue, like._state.adding = None, "aster", True
    like.save()
    real = account_promote(paper=account_create(owner=owner, name="before", venue="aster"), name="real", actor=owner)
    bot = bot_of(real, status="running")
    SignIn.objects.filter(user=owner).update(confirmed=None)
    for answer in (
        send(mine, "post", one(bot, "start/")),
        send(mine, "patch", one(bot), {"interval": "1h"}),
        send(mine, "post", ALL, RULES | {"account": real.pk}),
        mine.delete(one(bot)),
    ):
        assert answer.json()["code"] == "confirmation-needed"
    assert send(mine, "post", one(bot, "pause/")).json()["status"] == "paused"
    assert send(mine, "post", one(bot, "stop/")).json()["status"] == "stopped"
    SignIn.objects.filter(user=owner).update(confirmed=timezone.now())
    assert send(mine, "post", ALL, RULES | {"account": real.pk}).status_code == 201
    assert send(mine, "post", one(bot, "start/")).status_code == 409  # its gate is shut


def test_anothers_bot_is_not_found_and_anothers_account_is_none(mine: Client) -> None:
    theirs = bot_of(account_of(person("other@vibex.local")), status="running")
    answers = [send(mine, "post", one(theirs, f"{act}/")) for act in ("start", "pause", "stop")]
    answers += [mine.get(one(theirs)), mine.delete(one(theirs)), send(mine, "patch", one(theirs), {"interval": "1h"})]
    answers += [mine.get(f"/api/v1/accounts/{theirs.account_id}/bots/")]
    assert {answer.status_code for answer in answers} == {404}
    refused = send(mine, "post", ALL, RULES | {"account": theirs.account_id})
    nowhere = send(mine, "post", ALL, RULES | {"account": 999_999})
    assert refused.status_code == nowhere.status_code == 400
    assert refused.json()["errors"] == nowhere.json()["errors"] == {"account": ["You have no such account."]}
    assert mine.get(f"{ALL}?account={theirs.account_id}").json()["results"] == []
    assert Bot.objects.get().status == "running"


def test_staff_that_may_see_any_acts_on_nobodys_bots(client: Client, owner: User, account: Account) -> None:
    bot = bot_of(account)
    client.force_login(person("boss@vibex.local", is_staff=True, is_superuser=True))
    assert client.get(one(bot)).status_code == 200
    for answer in (
        send(client, "post", one(bot, "start/")),
        send(client, "post", ALL, RULES | {"account": account.pk}),
        client.delete(one(bot)),
    ):
        assert answer.json()["code"] == "not-yours"


def test_the_bots_of_an_account_stand_below_it(mine: Client, owner: User, account: Account) -> None:
    bot = bot_of(account)
    bot_of(account_of(owner, "second"))
    path = f"/api/v1/accounts/{account.pk}/bots/"
    assert [row["id"] for row in mine.get(path).json()["results"]] == [bot.pk]
    assert mine.get(f"{path}?status=running").json()["results"] == []


def _any_crontab() -> Any:
    from django_celery_beat.models import CrontabSchedule

    return CrontabSchedule.objects.create(minute="*/3")
