"""Every admin list opens, costs the same queries for many rows as for few, and history cannot be touched."""

import pytest
from django.contrib import admin
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import Account, AuditEntry, Bot, User
from tests.support.demo import bot_of, demo, person
from vibex.lib.admin import HistoryAdmin

pytestmark = pytest.mark.django_db

OURS = {"accounts", "marketdata", "decisions", "trading"}
MODELS = [model for model in admin.site._registry if model._meta.app_label in OURS]
HISTORY = [model for model in MODELS if isinstance(admin.site._registry[model], HistoryAdmin)]


def named(model):
    return model._meta.label_lower


def url(model, page, *args):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


@pytest.fixture
def boss(client):
    client.force_login(person("boss@vibex.local", is_staff=True, is_superuser=True))
    return client


def queries(client, path):
    with CaptureQueriesContext(connection) as seen:
        assert client.get(path).status_code == 200
    return len(seen)


@pytest.mark.ci
def test_a_list_costs_no_more_queries_for_more_rows(boss):
    demo(cycles=2, equity_points=2)
    for model in MODELS:
        boss.get(url(model, "changelist"))  # content types are read once a process
    few = {named(model): queries(boss, url(model, "changelist")) for model in MODELS}
    for number in range(3):
        demo(f"more{number}@vibex.local", feed=False, cycles=3, equity_points=3)
    many = {named(model): queries(boss, url(model, "changelist")) for model in MODELS}
    assert {name: (few[name], many[name]) for name in few if many[name] > few[name]} == {}
    assert {name: count for name, count in many.items() if count > 16} == {}


@pytest.mark.ci
def test_every_row_has_a_page_and_every_search_works(boss):
    demo(cycles=2, equity_points=2)
    for model in MODELS:
        row = model.objects.first()
        assert row is not None, named(model)
        assert boss.get(url(model, "change", row.pk)).status_code == 200, named(model)
        if admin.site._registry[model].search_fields:
            assert boss.get(url(model, "changelist"), {"q": "a"}).status_code == 200, named(model)


def test_history_cannot_be_added_changed_or_deleted(boss):
    demo(cycles=1, equity_points=2)
    for model in HISTORY:
        row = model.objects.first()
        assert boss.get(url(model, "add")).status_code == 403, named(model)
        assert boss.post(url(model, "delete", row.pk), {"post": "yes"}).status_code == 403, named(model)
        assert boss.post(url(model, "change", row.pk), {}).status_code == 403, named(model)
        assert b'name="_save"' not in boss.get(url(model, "change", row.pk)).content, named(model)


@pytest.mark.parametrize("model", [User, Account, Bot], ids=named)
def test_what_history_refers_to_cannot_be_deleted(boss, model):
    demo(cycles=1, equity_points=2)
    assert boss.post(url(model, "delete", model.objects.first().pk), {"post": "yes"}).status_code == 403


def test_rows_link_to_the_rows_that_belong_to_them(boss):
    made = demo(cycles=2, equity_points=2)
    page = boss.get(url(Bot, "changelist")).content.decode()
    assert f'href="{url(Account, "change", made.account.pk)}"' in page
    link = f"/admin/decisions/cycle/?bot__id__exact={made.bot.pk}"
    assert link in page
    assert boss.get(link).status_code == 200


def test_a_bot_that_runs_is_not_edited(boss):
    made = demo(cycles=1, equity_points=2)
    boss.post(url(Bot, "change", made.bot.pk), {"name": "other", "model": "rules/other"})
    made.bot.refresh_from_db()
    assert made.bot.model == "rules/trend"
    said = "Only a stopped bot is changed"
    assert said in boss.get(url(Bot, "change", made.bot.pk)).content.decode()
    Bot.objects.update(status=Bot.Status.STOPPED)
    assert said not in boss.get(url(Bot, "change", made.bot.pk)).content.decode()


def test_people_without_staff_rights_see_no_admin(client):
    client.force_login(person())
    assert client.get("/admin/").status_code == 302


GOOD = {
    "name": "second",
    "model": "rules/trend",
    "fallback_models": "[]",
    "symbols": '["BTCUSDT"]',
    "interval": "15m",
    "timeframes": '["15m", "1h"]',
    "prompt_template": "arena",
}


def test_a_bot_can_be_made_and_is_on_record(boss):
    made = demo(cycles=1, equity_points=2)
    answer = boss.post(url(Bot, "add"), GOOD | {"account": made.account.pk})
    assert answer.status_code == 302, answer.context["errors"]
    assert Bot.objects.get(name="second").status == "stopped"
    assert AuditEntry.objects.filter(action="bot-create").exists()


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("symbols", '["NOSUCHUSDT"]', "is not traded at sim"),
        ("symbols", '"BTCUSDT"', "Write a list of texts"),
        ("symbols", "[]", "required"),
        ("timeframes", '["7m"]', "no candles of 7m"),
        ("timeframes", '["1h", "15m"]', "own interval, 15m"),
        ("model", "rules/astrology", "rules/trend"),
        ("model", "gpt", "Nothing decides under the name"),
        ("capital", "-5", "Capital must be above zero"),
    ],
)
def test_a_bot_that_cannot_work_is_refused_with_what_to_do(boss, field, value, said):
    made = demo(cycles=1, equity_points=2)
    answer = boss.post(url(Bot, "add"), GOOD | {"account": made.account.pk, field: value})
    assert answer.status_code == 200
    assert said in answer.content.decode()
    assert not Bot.objects.filter(name="second").exists()


@pytest.mark.parametrize(("act", "status"), [("pause", "paused"), ("stop", "stopped")])
def test_bots_are_paused_and_stopped_from_the_list(boss, act, status):
    made = demo(cycles=1, equity_points=2)
    answer = boss.post(url(Bot, "changelist"), {"action": act, "_selected_action": [made.bot.pk]}, follow=True)
    made.bot.refresh_from_db()
    assert made.bot.status == status
    assert status in answer.content.decode()


def test_a_refused_start_is_told_in_the_list(boss):
    made = demo(cycles=1, equity_points=2)
    other = bot_of(made.account, "other")
    answer = boss.post(url(Bot, "changelist"), {"action": "start", "_selected_action": [other.pk]}, follow=True)
    assert "stop it first" in answer.content.decode()
