"""The six lights: each turns for its own reason, in words, and only for those whom it concerns."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from accounts.models import Account, Alert, Bot, Incident
from accounts.selectors import accounts_of
from marketdata.models import Feed, VenueBudget
from tests.support.demo import account_of, bot_of, person
from tests.support.demo_market import market
from trading.domain.schedule import HEARTBEAT_ROW
from trading.models import GuardState, Position, UserStreamState
from trading.selectors import system
from trading.selectors.operations import operations_of
from trading.selectors.system import lights_of, system_known, with_looks
from vibex.lib import queue_length

pytestmark = pytest.mark.django_db

NAMES = ["Scheduler", "Guard", "Data", "Venue", "Model", "Queue"]


@pytest.fixture
def bot():
    market(timezone.now())
    every, _ = IntervalSchedule.objects.get_or_create(every=10, period="seconds")
    PeriodicTask.objects.create(name=HEARTBEAT_ROW, task="x", interval=every, last_run_at=timezone.now())
    return bot_of(account_of(person()), status=Bot.Status.RUNNING, model="openrouter/x-ai/grok-4.3")


def lights_seen(owner):
    """Return the lights that stand for a person on whose accounts nothing is open."""
    now, accounts = timezone.now(), list(with_looks(accounts_of(owner)))
    bots = list(Bot.objects.filter(account__in=accounts))
    return lights_of(system_known(owner, now=now), accounts, bots, (), now=now)


def lights(bot, name=None):
    found = {light.name: light for light in lights_seen(bot.account.owner)}
    return found[name] if name else found


def looked(account, **fields):
    now = timezone.now()
    given = {"since": now - timedelta(hours=1), "at": now - timedelta(seconds=9)}
    GuardState.objects.update_or_create(account=account, defaults=given | fields)


def live_of(bot, **fields):
    Account.objects.filter(pk=bot.account_id).update(mode="live", network="testnet", venue="sim")
    Feed.objects.update(venue="sim_testnet")
    return UserStreamState.objects.create(account_id=bot.account_id, **fields)


def test_when_all_is_well_all_six_say_so_and_why(bot):
    looked(bot.account)
    found = lights(bot)
    assert list(found) == NAMES
    assert {light.state for light in found.values()} == {"ok"}
    assert all(light.word and light.reason and light.sign == "✓" for light in found.values())
    assert "in this process" in found["Queue"].word


def test_the_scheduler_turns_when_no_task_has_run(bot):
    PeriodicTask.objects.update(last_run_at=timezone.now() - timedelta(minutes=5))
    light = lights(bot, "Scheduler")
    assert (light.state, light.word) == ("bad", "stands")
    assert "5 min" in light.reason
    PeriodicTask.objects.all().delete()
    assert lights(bot, "Scheduler").word == "never ran"


def test_the_guard_turns_when_it_is_late_or_found_something(bot):
    assert lights(bot, "Guard").word == "idle"
    looked(bot.account, at=timezone.now() - timedelta(minutes=3))
    late = lights(bot, "Guard")
    assert (late.state, late.word) == ("bad", "late")
    assert bot.account.name in late.reason
    looked(bot.account, well=False, text="the stop of BTCUSDT is missing")
    found = lights(bot, "Guard")
    assert (found.state, found.word) == ("warn", "not well")
    assert "the stop of BTCUSDT is missing" in found.reason


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"running": False}, "stands still"),
        ({"heartbeat": timezone.now() - timedelta(minutes=9)}, "No new prices"),
        ({"problem": "the recording ended"}, "the recording ended"),
    ],
)
def test_the_data_turn_when_a_market_in_use_is_late(bot, fields, said):
    Feed.objects.update(**fields)
    light = lights(bot, "Data")
    assert light.state == "bad"
    assert said in light.reason


def test_a_market_on_which_nothing_runs_does_not_turn_the_data(bot):
    Feed.objects.update(running=False)
    Bot.objects.update(status=Bot.Status.STOPPED)
    assert lights(bot, "Data").state == "ok"


def test_the_venue_turns_while_it_is_not_asked(bot):
    soon = timezone.now() + timedelta(minutes=1)
    row = VenueBudget.objects.create(
        host="fapi.example.com", minute=timezone.now(), limit=2400, blocked_until=soon, reason="70 % are used"
    )
    held = lights(bot, "Venue")
    assert (held.state, held.word) == ("warn", "held back")
    assert "fapi.example.com: 70 % are used" in held.reason
    VenueBudget.objects.filter(pk=row.pk).update(told_until=soon, told_reason="429")
    assert lights(bot, "Venue").state == "bad"
    VenueBudget.objects.update(told_until=timezone.now(), blocked_until=timezone.now() - timedelta(seconds=1))
    assert lights(bot, "Venue").state == "ok"


def test_the_venue_turns_when_events_of_a_live_account_are_not_heard(bot):
    row = live_of(bot, heard_at=timezone.now() - timedelta(minutes=9), connected_at=timezone.now())
    light = lights(bot, "Venue")
    assert (light.state, light.word) == ("warn", "asked only")
    assert "no process listens" in light.reason
    UserStreamState.objects.filter(pk=row.pk).update(heard_at=timezone.now())
    assert lights(bot, "Venue").word == "answers"


def test_the_model_turns_for_a_key_that_is_not_taken_and_for_failures_of_now(bot):
    owner, key = bot.account.owner, "sk-or-v1-0123456789abcdef0123456789abcdef"
    alert = Alert.objects.create(user=owner, type="model-failing", severity="error", message="grok did not answer")
    failing = lights(bot, "Model")
    assert (failing.state, failing.reason) == ("warn", "grok did not answer")
    Incident.objects.create(account=bot.account, kind="model-key", text=f"openrouter does not take the key {key}")
    broken = lights(bot, "Model")
    assert (broken.state, broken.word) == ("bad", "cannot be asked")
    assert key not in broken.reason
    Incident.objects.update(resolved=timezone.now())
    Alert.objects.filter(pk=alert.pk).update(last=timezone.now() - timedelta(hours=2))
    assert lights(bot, "Model").state == "ok"


def test_what_is_wrong_on_accounts_of_others_is_not_told(bot):
    theirs = account_of(person("other@vibex.local"), "theirs")
    looked(theirs, at=timezone.now() - timedelta(hours=1))
    Incident.objects.create(account=theirs, kind="model-key", text="theirs")
    found = lights(bot)
    assert found["Guard"].state == "ok"
    assert found["Model"].state == "ok"


def test_the_queue_turns_when_redis_is_silent_or_tasks_pile_up(bot, settings, monkeypatch):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    assert lights(bot, "Queue").word == "no answer"
    for waiting, state, word in ((0, "ok", "empty"), (7, "ok", "moves"), (400, "warn", "long")):
        monkeypatch.setattr(system, "tasks_waiting", lambda waiting=waiting: waiting)
        assert (lights(bot, "Queue").state, lights(bot, "Queue").word) == (state, word)


def test_a_silent_redis_is_asked_once_in_some_seconds_and_not_for_long(settings, monkeypatch):
    settings.REDIS_URL = "redis://127.0.0.1:1/7"
    asked = []
    real = queue_length._asked
    monkeypatch.setattr(queue_length, "_asked", lambda address: asked.append(address) or real(address))
    assert [queue_length.tasks_waiting() for _ in range(3)] == [None] * 3
    assert asked == ["redis://127.0.0.1:1/7"]
    assert queue_length.PATIENCE <= 0.2
    monkeypatch.setattr(queue_length, "time", SimpleNamespace(monotonic=lambda: 1e12))
    queue_length.tasks_waiting()
    assert len(asked) == 2


def test_an_open_position_keeps_the_lights_of_its_market_on_where_no_bot_runs(bot):
    """On the page of operations as on the overview: a stopped bot's position is still somebody's money."""
    live_of(bot, heard_at=timezone.now() - timedelta(minutes=9), connected_at=timezone.now())
    Bot.objects.update(status=Bot.Status.STOPPED)
    Feed.objects.update(running=False)

    def told():
        return {light.name: light for light in operations_of(bot.account.owner, now=timezone.now()).lights}

    assert (told()["Data"].word, told()["Venue"].word) == ("not needed", "not needed")
    Position.objects.create(
        account=bot.account, bot=bot, symbol="BTCUSDT", side="long", quantity=1, cost=100, entry_price=100,
        opened=timezone.now(),
    )  # fmt: skip
    assert (told()["Data"].state, told()["Venue"].word) == ("bad", "asked only")


def test_without_any_market_the_scheduler_is_still_told(bot):
    Feed.objects.all().delete()
    found = lights(bot)
    assert found["Scheduler"].state == "ok"
    assert found["Data"].state == "bad"


def test_it_costs_three_queries_however_many_accounts_there_are(bot, django_assert_num_queries):
    owner = bot.account.owner
    for number in range(12):
        account = account_of(owner, f"more{number}")
        bot_of(account, status=Bot.Status.RUNNING)
        looked(account)
    with django_assert_num_queries(3):
        lights_seen(owner)
