"""The page of operations: staff reads all of it, others what is theirs; few queries, and the log only for who may."""

import json
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from accounts.models import Backup, Bot, Job, Role
from decisions.models import Cycle
from marketdata.models import Candle, CandleHole, Feed, Instrument, VenueBudget
from marketdata.selectors.day_of_candles import days_of_candles
from tests.support.demo import account_of, bot_of, demo, person
from trading.models import Reconciliation
from trading.selectors.schedules import schedule_lines
from trading.services.periodic import system_schedules_install

pytestmark = pytest.mark.django_db

BOUND = 12
"""Queries of a page, those of session, person and alerts among them."""


@pytest.fixture
def made(client):
    made = demo(now=timezone.now(), cycles=3, equity_points=2)
    system_schedules_install()
    return made


def staff(*permissions, role=Role.VIEWER):
    who = person("staff@vibex.local", is_staff=True, role=role)
    for name in permissions:
        app, codename = name.split(".")
        who.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    return who


def page(client, path="/operations/", status=200):
    answer = client.get(path)
    assert answer.status_code == status
    return answer.content.decode()


def queries(client, path="/operations/"):
    with CaptureQueriesContext(connection) as seen:
        assert client.get(path).status_code == 200
    return len(seen)


# -- who sees what ----------------------------------------------------------------------------------------


def test_an_owner_sees_what_is_theirs_and_nothing_of_others_or_of_the_system(client, made):
    other = demo("other@vibex.local", feed=False, name="strange", cycles=1, equity_points=2)
    Job.objects.create(owner=other.user, kind="foreign-job", alive_until=made.now)
    client.force_login(made.user)
    text = page(client)
    assert made.account.name in text
    assert "strange" not in text
    assert "foreign-job" not in text
    assert "looks after protection" not in text
    assert "FEATURE_" not in text
    assert "/admin/" not in text
    assert 'id="log"' not in text


def test_staff_reads_the_system_and_with_the_right_the_accounts_of_all(client, made):
    client.force_login(staff())
    text = page(client)
    assert "looks after protection" in text
    assert "FEATURE_" in text
    assert "operator@vibex.local" not in text
    client.force_login(person("boss@vibex.local", is_staff=True, is_superuser=True))
    text = page(client)
    assert "operator@vibex.local" in text
    assert 'href="/accounts/' not in text  # pages of others are 404: they are named and not linked


def test_the_log_is_for_who_may_read_it(client, made, settings, tmp_path):
    settings.VIBEX_LOG_DIR = str(tmp_path)
    line = {"timestamp": timezone.now().isoformat(timespec="milliseconds"), "level": "error", "logger": "x"}
    secret = "sk-or-v1-" + "ab12" * 16
    text = json.dumps(line | {"message": f"<b>refused</b> {secret}", "context": {}})
    (tmp_path / "errors.log").write_text(text + "\n")
    (tmp_path / "app.log").write_text(text + "\n")
    client.force_login(staff())
    page(client, "/operations/log/", status=403)
    assert 'id="log"' not in page(client)
    client.force_login(person("boss@vibex.local", is_staff=True, is_superuser=True))
    for path in ("/operations/", "/operations/log/?level=error"):
        shown = page(client, path)
        assert "&lt;b&gt;refused&lt;/b&gt;" in shown, path
        assert secret not in shown
    assert "refused" not in page(client, "/operations/log/?contains=otherwise")
    assert "Select a valid choice" in page(client, "/operations/log/?level=loud", status=400)


def test_nobody_who_is_not_signed_in_sees_it(client):
    for path in ("/operations/", "/operations/live/", "/operations/log/"):
        assert client.get(path).status_code == 302


# -- what it says -----------------------------------------------------------------------------------------


def test_differences_stand_first_and_say_how_many(client, made):
    second = account_of(made.user, "second")
    Reconciliation.objects.create(account=second, trigger="hourly", agreed=False, left=["a", "b"])
    client.force_login(made.user)
    text = page(client)
    assert "2 left for a person" in text
    assert text.index("second") < text.index('books/">paper<')


def test_the_last_run_of_a_bot_tells_why_it_failed(client, made):
    Cycle.objects.create(
        bot=made.bot,
        account=made.account,
        scheduled_for=made.now + timedelta(minutes=1),
        began=made.now,
        lease_until=made.now,
        status=Cycle.Status.FAILED,
        error="<i>no answer</i>",
    )
    client.force_login(made.user)
    assert "&lt;i&gt;no answer&lt;/i&gt;" in page(client)


def test_a_bot_whose_turn_is_late_stands_first(client, made):
    late = bot_of(made.account, "late", status=Bot.Status.PAUSED)
    row = PeriodicTask.objects.first()
    PeriodicTask.objects.create(
        name=f"bot:{late.pk}", task="t", interval=row.interval, last_run_at=timezone.now() - timedelta(hours=1)
    )
    client.force_login(made.user)
    text = page(client)
    assert "✕ late" in text
    assert text.index(f"/bots/{late.pk}/") < text.index(f"/bots/{made.bot.pk}/")


def test_a_job_that_failed_says_why(client, made):
    Job.objects.create(
        owner=made.user, kind="backtest", status="failed", problem={"detail": "No candles."}, alive_until=made.now
    )
    client.force_login(made.user)
    assert "No candles." in page(client)


def test_a_market_that_is_silent_is_told(client, made):
    Feed.objects.update(running=True, heartbeat=timezone.now() - timedelta(minutes=3))
    client.force_login(made.user)
    assert "No new prices" in page(client)


def test_weight_of_venues_counts_this_minute_only(client, made):
    now = timezone.now()
    VenueBudget.objects.all().delete()
    VenueBudget.objects.create(host="a.example", minute=now - timedelta(minutes=9), used=900, limit=2400)
    VenueBudget.objects.create(
        host="b.example",
        minute=now,
        used=700,
        limit=2400,
        told_until=now + timedelta(minutes=1),
        told_reason="slow down",
    )
    client.force_login(staff())
    text = page(client)
    assert "0 of 2400" in text
    assert "700 of 2400" in text
    assert "slow down" in text


def test_the_newest_backup_is_shown_and_why_the_last_one_failed(client, made, settings):
    client.force_login(staff())
    assert "There is none yet" in page(client)
    now = timezone.now()
    Backup.objects.create(name="old", at=now - timedelta(days=1), well=True, place="/elsewhere", bytes=1)
    Backup.objects.create(name="lost", at=now - timedelta(hours=2), well=False, place="/here", problem="no room then")
    Backup.objects.create(name="new", at=now - timedelta(hours=1), well=True, place="/backups", bytes=5_000_000)
    text = page(client)
    assert "in /backups" in text
    assert "4.8" in text
    assert "not encrypted" in text
    assert "failed" not in text.partition("Backups")[2].partition("</dl>")[0], "a newer one is there"
    Backup.objects.create(name="", at=now, well=False, place="/backups", problem="the disk is full")
    settings.BACKUP_HOURLY = False
    text = page(client)
    assert "The last one failed: the disk is full" in text
    assert "BACKUP_HOURLY" in text


def test_the_page_names_no_market_where_there_is_none(client):
    client.force_login(person())
    text = page(client)
    assert "You have no account yet" in text
    assert "No market is set up here" in text


# -- schedules --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "age", "late"),
    [
        ("system:guard", timedelta(minutes=4), False),
        ("system:guard", timedelta(minutes=6), True),
        ("system:heartbeat", timedelta(seconds=50), False),
        ("system:heartbeat", timedelta(seconds=70), True),
        ("system:retention", timedelta(days=1), False),
        ("system:retention", timedelta(days=3), True),
    ],
)
def test_a_task_is_late_when_twice_its_time_has_passed(name, age, late):
    system_schedules_install()
    now = timezone.now()
    PeriodicTask.objects.filter(name=name).update(last_run_at=now - age)
    found = {line.name: line for line in schedule_lines((), system=True, now=now)}
    assert found[name.removeprefix("system:")].late is late


def test_a_task_that_is_off_is_never_late_and_others_bots_are_not_listed():
    made = demo(cycles=1, equity_points=2)
    system_schedules_install()
    now = timezone.now()
    PeriodicTask.objects.update(enabled=False, last_run_at=now - timedelta(days=9))
    mine = bot_of(made.account, "mine")
    for bot in (made.bot, mine):
        row = PeriodicTask.objects.first()
        PeriodicTask.objects.create(name=f"bot:{bot.pk}", task="t", interval=row.interval)
    lines = schedule_lines([mine], system=True, now=now)
    assert not any(line.late for line in lines)
    assert [line.bot for line in lines if line.bot] == [mine]
    assert f"bot:{made.bot.pk}" not in {line.name for line in lines}


# -- gaps -------------------------------------------------------------------------------------------------


@pytest.fixture
def feed():
    now = timezone.now()
    return Feed.objects.create(venue="aster", kind="live", market_at=now, running=True, heartbeat=now)


def candles(symbol, minutes_ago):
    now = timezone.now().replace(second=0, microsecond=0)
    Candle.objects.bulk_create(
        Candle(
            venue="aster",
            symbol=symbol,
            interval="1m",
            open_time=now - timedelta(minutes=minutes),
            open=1,
            high=1,
            low=1,
            close=1,
            volume=1,
            closed=True,
        )
        for minutes in minutes_ago
    )


def instrument(symbol, **fields):
    given = {"tick_size": 1, "step_size": 1, "min_quantity": 1, "max_quantity": 1, "maker_fee": 0, "taker_fee": 0}
    return Instrument.objects.create(venue="aster", symbol=symbol, base="X", **given, **fields)


def test_a_day_that_is_whole_misses_nothing_and_one_with_a_gap_says_how_much(feed):
    instrument("WHOLE"), instrument("GAP"), instrument("NEW"), instrument("NONE"), instrument("LEFT", followed=False)
    candles("WHOLE", range(1, 1500))
    candles("GAP", [each for each in range(1, 1500) if not 100 <= each < 107])
    candles("NEW", range(1, 60))
    now = timezone.now()
    CandleHole.objects.create(
        venue="aster", symbol="GAP", interval="1m", start=now - timedelta(hours=3), stop=now - timedelta(hours=2)
    )
    found = {line.symbol: line for line in days_of_candles([feed])}
    assert set(found) == {"WHOLE", "GAP", "NEW", "NONE"}
    assert {name: line.missing for name, line in found.items()} == {"WHOLE": 0, "GAP": 7, "NEW": 0, "NONE": 1440}
    assert found["GAP"].known_holes == 1
    assert found["NEW"].expected < 60


def test_gaps_cost_one_query(feed):
    instrument("A"), instrument("B")
    with CaptureQueriesContext(connection) as seen:
        days_of_candles([feed])
    assert len(seen) == 1
    assert days_of_candles([]) == []


# -- queries ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["owner", "operator", "boss"])
def test_the_page_costs_the_same_few_queries_for_many_accounts_and_bots(client, made, who):
    people = {
        "owner": made.user,
        "operator": staff(role=Role.OPERATOR),
        "boss": person("boss@vibex.local", is_staff=True, is_superuser=True),
    }
    client.force_login(people[who])
    page(client)
    few = queries(client)
    for number in range(12):
        account = account_of(made.user, f"more-{number}")
        bot_of(account, f"bot-{number}", status=Bot.Status.RUNNING)
        bot_of(account, f"still-{number}")
        Reconciliation.objects.create(account=account, trigger="hourly", agreed=True)
        Job.objects.create(owner=made.user, kind="check", account=account, alive_until=made.now)
    for number in range(3):
        demo(f"more{number}@vibex.local", feed=False, cycles=3, equity_points=3)
    assert queries(client) == few <= BOUND
    assert queries(client, "/operations/live/") <= BOUND
