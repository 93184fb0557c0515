"""Every page of the admin: few queries whatever there is, groups, counts, files, and what people may see of it."""

import re
from datetime import timedelta

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, SolarSchedule
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken

from accounts.models import (
    Account,
    Alert,
    AlertChannel,
    AlertDelivery,
    Bot,
    Incident,
    Role,
    User,
)
from accounts.services.alerts import sending
from decisions.models import Cycle, Interaction
from marketdata.models import Feed
from tests.support.demo import account_of, bot_of, demo, person
from trading.models import Fill, Order, OrderEvent, Position
from trading.selectors.admin_counts import admin_counts
from trading.services.periodic import system_schedules_install
from vibex.lib.admin import HistoryAdmin, HistoryInline, KeptAdmin

pytestmark = pytest.mark.django_db

MODELS = list(admin.site._registry)
LIST_BOUND, PAGE_BOUND = 16, 26
"""Queries of one page, those of session and person among them. The page of a person lists all permissions and groups."""


def url(model, page, *args):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


@pytest.fixture
def boss(client):
    client.force_login(person("boss@vibex.local", is_staff=True, is_superuser=True))
    return client


def queries(client, path):
    with CaptureQueriesContext(connection) as seen:
        answer = client.get(path)
        assert answer.status_code == 200, path
    # That somebody is here is noted once a minute, with whatever page comes first.
    noted = any(query["sql"].startswith('UPDATE "accounts_signin"') for query in seen)
    return len(seen) - noted


def stock(number):
    """Write a row of each table that this house keeps for the packages it uses."""
    at = timezone.now() + timedelta(minutes=number)
    CrontabSchedule.objects.create(minute=str(number))
    ClockedSchedule.objects.create(clocked_time=at)
    SolarSchedule.objects.create(event="sunrise", latitude=number, longitude=0)
    user = User.objects.order_by("pk").first()
    token = OutstandingToken.objects.create(user=user, jti=f"jti{number}", token="t", created_at=at, expires_at=at)
    BlacklistedToken.objects.create(token=token)
    Group.objects.get_or_create(name=f"group {number}")
    admin.models.LogEntry.objects.create(user=user, action_flag=2, object_repr=f"row {number}", change_message="[]")


def many(first, last):
    for number in range(first, last):
        demo(f"{number}@vibex.local", feed=number == 0, cycles=2, equity_points=2)
        stock(number)


def grow(model, first, **changes):
    """Return rows as the first one, each with another value where the table wants one."""
    rows = []
    for number in range(30):
        row = model.objects.get(pk=first.pk)
        row.pk = None
        for name, value in changes.items():
            setattr(row, name, value(number))
        rows.append(row)
    return model.objects.bulk_create(rows)


@pytest.mark.ci
def test_no_list_and_no_page_costs_more_queries_for_thirty_rows_than_for_two(boss):
    system_schedules_install()
    many(0, 2)
    rows = {model: model.objects.order_by("pk").first() for model in MODELS}
    assert [model._meta.label for model, row in rows.items() if row is None] == []
    lists = {model: url(model, "changelist") for model in MODELS}
    pages = {model: url(model, "change", row.pk) for model, row in rows.items()}
    for path in (*lists.values(), *pages.values()):
        boss.get(path)  # content types are read once a process
    few = {path: queries(boss, path) for path in (*lists.values(), *pages.values())}
    many(2, 30)
    now = {path: queries(boss, path) for path in few}
    assert {path: (few[path], count) for path, count in now.items() if count > few[path]} == {}
    assert {path: count for path in lists.values() if (count := now[path]) > LIST_BOUND} == {}
    assert {path: count for path in pages.values() if (count := now[path]) > PAGE_BOUND} == {}


@pytest.mark.ci
def test_pages_with_many_rows_inside_cost_as_much_as_with_few(boss):
    made = demo(cycles=2, equity_points=2)
    position, cycle = made.positions[0], Interaction.objects.first().cycle
    order = Order.objects.filter(position=position).first()
    pages = [url(Position, "change", position.pk), url(Order, "change", order.pk), url(Cycle, "change", cycle.pk)]
    pages.append(url(Account, "change", made.account.pk))
    for page in pages:
        boss.get(page)
    few = [queries(boss, page) for page in pages]
    grow(Order, order, client_order_id=lambda n: f"grown{n}", exchange_id=lambda n: f"e{n}")
    grow(Fill, order.fills.first(), exchange_trade_id=lambda n: f"grown{n}")
    grow(OrderEvent, order.events.first(), sequence=lambda n: 100 + n)
    grow(Interaction, cycle.interactions.first())
    grow(Bot, made.bot, name=lambda n: f"grown{n}", status=lambda n: Bot.Status.STOPPED)
    assert [queries(boss, page) for page in pages] == few
    assert "grown29" in boss.get(pages[3]).content.decode()


def test_a_page_shows_what_belongs_to_its_row_and_lets_nothing_of_it_be_changed(boss):
    made = demo(cycles=2, equity_points=2)
    position, cycle = made.positions[0], Interaction.objects.first().cycle
    order = Order.objects.filter(position=position).first()
    for path, prefixes in (
        (url(Position, "change", position.pk), ("orders", "fills")),
        (url(Order, "change", order.pk), ("events", "fills")),
        (url(Cycle, "change", cycle.pk), ("interactions", "decisions")),
        (url(Account, "change", made.account.pk), ("bots",)),
    ):
        page = boss.get(path).content.decode()
        for prefix in prefixes:
            assert f'id="{prefix}-group"' in page, (path, prefix)
            assert f'id="{prefix}-0"' in page, (path, prefix)
            assert f'id="id_{prefix}-0-DELETE"' not in page
            assert 'class="inlinechangelink"' not in page


def test_lists_are_narrowed_by_what_the_newest_rows_have(boss):
    made = demo(cycles=2, equity_points=2)
    page = boss.get(url(Position, "changelist"))
    offered = {
        title: [choice["display"] for choice in spec.choices(page.context["cl"])]
        for title, spec in ((spec.title, spec) for spec in page.context["cl"].filter_specs)
    }
    assert "BTCUSDT" in offered["symbol"]
    assert "Today" in offered["opened"]
    narrowed = boss.get(url(Position, "changelist"), {"symbol": "BTCUSDT"}).context["cl"]
    assert narrowed.result_count == sum(position.symbol == "BTCUSDT" for position in made.positions) > 0


@pytest.mark.ci
def test_no_list_reads_a_whole_table_for_its_filters(boss):
    demo(cycles=2, equity_points=2)
    for model in [model for model in MODELS if isinstance(admin.site._registry[model], KeptAdmin)]:
        with CaptureQueriesContext(connection) as seen:
            boss.get(url(model, "changelist"))
        assert [query["sql"] for query in seen if "DISTINCT" in query["sql"]] == [], model._meta.label


def test_history_inside_of_pages_is_never_editable():
    for model_admin in admin.site._registry.values():
        for inline in model_admin.inlines:
            if isinstance(model_admin, HistoryAdmin):
                assert issubclass(inline, HistoryInline), inline


# -- the first page ---------------------------------------------------------------------------------------


def test_the_first_page_is_grouped_by_what_a_person_wants(boss):
    listed = boss.get(reverse("admin:index")).context["app_list"]
    names = [group["name"] for group in listed]
    assert names == ["Trading", "Decisions", "Market", "People and access", "Operations", "Paper venue"]
    models = {group["name"]: [model["object_name"] for model in group["models"]] for group in listed}
    assert models["Trading"][:4] == ["Account", "Bot", "Position", "Order"]
    assert {"Incident", "Alert", "PeriodicTask", "Reconciliation"} <= set(models["Operations"])
    assert {"User", "Group", "AuditEntry"} <= set(models["People and access"])
    assert sum(map(len, models.values())) == len(MODELS)


def test_the_first_page_counts_what_wants_somebody(boss):
    made = demo(now=timezone.now(), cycles=2, equity_points=2)
    account_of(made.user, "second").bots.create(name="still", symbols=["BTCUSDT"], timeframes=["3m"])
    Account.objects.filter(name="second").update(state="halted")
    Incident.objects.create(account=made.account, kind="mismatch", severity="critical", text="differs")
    Feed.objects.update(running=True, heartbeat=timezone.now() - timedelta(minutes=5))
    counted = admin_counts(lambda model: True, now=timezone.now())
    cards = {card.title: {figure.label: figure for figure in card.figures} for card in counted}
    assert _titles(boss) == list(cards)
    assert (cards["Accounts"]["active"].count, cards["Accounts"]["halted"].count) == (1, 1)
    assert cards["Accounts"]["halted"].tone == "bad"
    assert (cards["Bots"]["running"].count, cards["Bots"]["stopped"].count) == (1, 1)
    assert cards["Positions"]["open"].count == 2
    assert (cards["Incidents"]["critical"].count, cards["Incidents"]["critical"].tone) == (1, "bad")
    assert cards["Alerts"]["open"].count == Alert.objects.filter(acknowledged=None).count() > 0
    assert (cards["Markets"]["late"].count, cards["Markets"]["late"].tone) == (1, "bad")
    for figures in cards.values():
        for figure in figures.values():
            assert boss.get(figure.url).status_code == 200, figure.url
    shown = boss.get(cards["Incidents"]["critical"].url).context["cl"]
    assert shown.result_count == cards["Incidents"]["critical"].count


def test_the_first_page_costs_few_queries(boss):
    demo(cycles=2, equity_points=2)
    boss.get(reverse("admin:index"))
    few = queries(boss, reverse("admin:index"))
    for number in range(5):
        demo(f"more{number}@vibex.local", feed=False, cycles=2, equity_points=2)
    assert queries(boss, reverse("admin:index")) == few <= 12


def _titles(client):
    page = client.get(reverse("admin:index")).content.decode()
    return re.findall(r'<div class="count-card">\s*<h2>(.*?)</h2>', page)


def _staff(client, *permissions, role=Role.TRADER):
    who = person("staff@vibex.local", is_staff=True, role=role)
    for name in permissions:
        app, codename = name.split(".")
        who.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    client.force_login(who)
    return who


def test_who_may_only_look_at_bots_sees_bots_and_changes_nothing(client):
    made = demo(cycles=2, equity_points=2)
    _staff(client, "accounts.view_bot")
    page = client.get(reverse("admin:index"))
    assert [model["object_name"] for group in page.context["app_list"] for model in group["models"]] == ["Bot"]
    assert _titles(client) == ["Bots", "Tasks"]
    assert client.get(url(Account, "changelist")).status_code == 403
    answer = client.get(url(Bot, "changelist"))
    assert answer.status_code == 200
    assert 'value="stop"' not in answer.content.decode()
    assert 'value="export_csv"' in answer.content.decode()
    client.post(url(Bot, "changelist"), {"action": "stop", "_selected_action": [made.bot.pk]})
    made.bot.refresh_from_db()
    assert made.bot.status == "running"


def test_bots_of_another_are_started_by_nobody_without_the_right(client):
    made = demo(cycles=2, equity_points=2)
    other = bot_of(made.account, "other")
    _staff(client, "accounts.view_bot", "accounts.change_bot", role=Role.VIEWER)
    answer = client.post(url(Bot, "changelist"), {"action": "start", "_selected_action": [other.pk]})
    assert answer.status_code == 403
    other.refresh_from_db()
    assert other.status == "stopped"


# -- a test over a channel --------------------------------------------------------------------------------


def test_a_channel_is_tried_from_the_list_and_says_how_it_went(boss, monkeypatch):
    demo(cycles=1, equity_points=2)
    channel = AlertChannel.objects.order_by("pk").first()
    answers = iter(("", "the server refused it"))
    monkeypatch.setattr(sending, "_sent", lambda message: next(answers))
    form = {"action": "send_test", "_selected_action": [channel.pk]}
    for said in ("sent.", "not sent: the server refused it"):
        answer = boss.post(url(AlertChannel, "changelist"), form, follow=True)
        assert [str(each) for each in answer.context["messages"]] == [f"{channel.name} of {channel.user}: {said}"]
    assert AlertDelivery.objects.filter(channel=channel, alert__type="test").count() == 2


def test_who_may_only_look_at_channels_sends_nothing(client):
    demo(cycles=1, equity_points=2)
    _staff(client, "accounts.view_alertchannel")
    before = AlertDelivery.objects.count()
    form = {"action": "send_test", "_selected_action": [AlertChannel.objects.first().pk]}
    client.post(url(AlertChannel, "changelist"), form)
    assert AlertDelivery.objects.count() == before
