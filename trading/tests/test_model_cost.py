"""What a model may cost in a day: when it is used up nobody is asked, everything holds, and the owner is told once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import Alert, Bot
from decisions.deciders import rules
from decisions.models import Cycle, DiaryEntry, Interaction, SpendDay
from decisions.selectors import USUAL_COST, cost_today
from decisions.selectors.spending import local_day
from decisions.services import prompt_template_install
from decisions.services.budget import budget_rebuild
from decisions.tests.llm_server import model_server, sends
from trading.models import Position
from trading.services import live
from trading.services.live import cycle_run
from trading.services.model_cost import budget_tell, budget_used
from trading.tests.builders import make_account, make_bot
from trading.tests.live_kit import BUY
from trading.tests.venue_support import NOON, StillMarket
from vibex.lib.clock import SimulatedClock

pytestmark = pytest.mark.django_db(transaction=True)
D = Decimal
EVENING = datetime(2026, 3, 28, 22, 30, tzinfo=UTC)
"""In Berlin it is 23:30 of the same day, in Tokyo 07:30 of the next; the day after begins at 23:00 UTC in Berlin."""


@pytest.fixture
def bot() -> Bot:
    return make_bot("thrifty", model="openrouter/test/model", cost_per_day=D("0.10"))


def paid(bot: Bot, cost: str | None, *, at: datetime | None = None, **more: Any) -> Interaction:
    """Let a call of the bot have cost so much, at this moment."""
    at = at or timezone.now()
    cycle = Cycle.objects.create(
        bot=bot,
        account=bot.account,
        scheduled_for=NOON - timedelta(days=1, seconds=Cycle.objects.count()),
        status="done",
        lease_until=at,
    )
    values = {"outcome": "answered", **more, "at": at, "cost": None if cost is None else D(cost)}
    return Interaction.objects.create(bot=bot, cycle=cycle, model_requested=bot.model, **values)


def recount(bot: Bot) -> None:
    """Let the counter of today know what was recorded beside it, as it does by itself after a quiet while."""
    budget_rebuild(bot=bot, day=local_day(timezone.now(), bot.account.time_zone))


# What a day has cost


def test_a_day_costs_what_its_calls_said(bot):
    for cost in ("0.01", "0.025"):
        paid(bot, cost, at=EVENING)
    paid(make_bot("other", model="openrouter/x/y"), "5", at=EVENING)
    spent = cost_today(bot, now=EVENING + timedelta(minutes=1))
    assert (spent.total, spent.calls, spent.untold) == (D("0.035"), 2, 0)


@pytest.mark.parametrize(
    ("zone", "hour", "minute", "counts"),
    [
        ("UTC", 0, 0, True),
        ("UTC", -1, 59, False),
        ("Europe/Berlin", -1, 0, True),
        ("Europe/Berlin", -2, 59, False),
        ("Asia/Tokyo", 15, 0, True),
        ("Asia/Tokyo", 14, 59, False),
    ],
)
def test_the_day_begins_at_midnight_in_the_accounts_time_zone(zone, hour, minute, counts):
    bot = make_bot(model="openrouter/x/y", account=make_account(time_zone=zone))
    midnight = EVENING.replace(hour=0, minute=0)
    paid(bot, "1", at=midnight + timedelta(hours=hour, minutes=minute))
    assert cost_today(bot, now=EVENING).total == (1 if counts else 0)


def test_a_call_that_did_not_say_its_cost_counts_as_the_average_of_those_that_did(bot):
    for cost in ("0.01", "0.03", None, None):
        paid(bot, cost, at=EVENING)
    paid(bot, "0.08", at=EVENING - timedelta(days=3))
    spent = cost_today(bot, now=EVENING)
    assert (spent.untold, spent.assumed, spent.total) == (2, D("0.08"), D("0.12"))


def test_where_no_call_ever_said_its_cost_each_counts_two_cents(bot):
    paid(bot, None, at=EVENING)
    paid(bot, None, at=EVENING, outcome="no_answer", reason="timeout: the server did not answer")
    assert cost_today(bot, now=EVENING).total == 2 * USUAL_COST == D("0.04")


def test_a_call_that_the_server_refused_counts_nothing(bot):
    paid(bot, None, at=EVENING, outcome="no_answer", reason="http.503: the server answered 503")
    assert cost_today(bot, now=EVENING).total == 0


# When it is used up


def test_the_money_of_a_day_lasts_until_the_limit_is_reached(bot):
    paid(bot, "0.0999")
    assert budget_used(bot) == ""
    paid(bot, "0.0001")
    recount(bot)
    assert budget_used(bot) == "budget: 0.10 of 0.10 US dollars of today are used"
    paid(bot, None)
    recount(bot)
    assert budget_used(bot) == (
        "budget: 0.15 of 0.10 US dollars of today are used "
        "(1 of 3 calls did not say what they cost and count as 0.05 together)"
    )


def test_without_a_limit_nothing_is_used_up(bot):
    paid(bot, "1000")
    bot.cost_per_day = None
    assert budget_used(bot) == ""


def test_a_limit_of_nothing_lets_no_model_be_asked_and_rules_cost_nothing(bot):
    bot.cost_per_day = D(0)
    assert budget_used(bot) == "budget: 0.00 of 0.00 US dollars of today are used"
    bot.model = "rules/trend"
    assert budget_used(bot) == ""


def test_the_owner_is_told_once_a_day(bot):
    budget_tell(bot=bot, text="budget: gone", now=NOON)
    alert = Alert.objects.get()
    assert (alert.type, alert.severity, alert.subject, alert.bot) == ("budget-used", "warning", "thrifty", bot)
    Alert.objects.update(created=NOON, last=NOON)
    budget_tell(bot=bot, text="budget: gone", now=NOON.replace(hour=23, minute=59))
    assert [one.count for one in Alert.objects.all()] == [1]
    budget_tell(bot=bot, text="budget: gone", now=NOON.replace(hour=0) + timedelta(days=1))
    assert Alert.objects.count() == 2


# The whole way


@pytest.fixture
def held(bot, monkeypatch, settings):
    """Return a function that runs a cycle of the bot, with the model that it would ask."""
    prompt_template_install()
    clock = SimulatedClock(NOON)
    monkeypatch.setitem(rules.RULES, "buyer", lambda question: (BUY,))
    monkeypatch.setattr(live, "market_for", lambda venue: StillMarket())
    monkeypatch.setattr(live, "market_clock", lambda venue: clock)
    with model_server(sends(b"{}")) as server:
        settings.LLM_BASE_URL, settings.LLM_API_KEY = server.url, "of-a-test"

        def run():
            clock.move_to(clock.at + timedelta(minutes=3))
            return cycle_run(bot_id=bot.pk, scheduled_for=clock.at), server.requests

        yield run


def test_promise_10_within_its_money_the_model_is_asked(bot, held):
    paid(bot, "0.05")
    run, requests = held()
    assert run.status == "done"
    assert requests
    assert not Alert.objects.filter(type="budget-used").exists()


def test_a_call_that_may_cost_more_than_is_left_is_not_made_and_the_owner_is_told(bot, held):
    paid(bot, "0.09")
    for _ in range(2):
        run, requests = held()
        assert run.status == "done"
        assert run.text.startswith(
            "held everything: budget: 0.09 of 0.10 US dollars of today are used, and this call may cost 0.02"
        )
        assert requests == []
    alert = Alert.objects.get(type="budget-used", bot=bot)
    assert alert.count == 1
    assert alert.message == (
        "thrifty holds until midnight (UTC): budget: 0.09 of 0.10 US dollars of today are used, and this call may cost 0.02. "
        "What is open keeps its protection."
    )


def test_what_a_cycle_used_is_counted_and_on_record(bot, held):
    _, requests = held()
    assert requests
    day = local_day(timezone.now(), "UTC")
    row = SpendDay.objects.get(bot=bot, day=day)
    recorded = cost_today(bot, now=timezone.now())
    assert (row.spent, row.reserved, row.tokens_reserved) == (recorded.total, 0, 0)
    assert recorded.calls == len(requests)
    assert recorded.total > 0


def test_tokens_are_limited_like_money(bot, held):
    Bot.objects.filter(pk=bot.pk).update(cost_per_day=None, tokens_per_day=1_000)
    run, requests = held()
    assert run.text.startswith("held everything: budget: 0 of 1,000 tokens of today are used, and this call may use ")
    assert requests == []
    paid(bot, "0", prompt_tokens=900, completion_tokens=100)
    Bot.objects.filter(pk=bot.pk).update(tokens_per_day=1_000)
    bot.refresh_from_db()
    recount(bot)
    assert budget_used(bot) == "budget: 1,000 of 1,000 tokens of today are used"


def test_when_its_money_is_used_up_no_model_is_asked_everything_holds_and_the_diary_and_the_owner_are_told(bot, held):
    Bot.objects.filter(pk=bot.pk).update(model="rules/buyer")
    held()
    position = Position.objects.get(closed=None)
    Bot.objects.filter(pk=bot.pk).update(model="openrouter/test/model")
    paid(bot, "0.10")
    interactions = Interaction.objects.count()
    for _ in range(2):
        run, requests = held()
        assert run.status == "done"
        assert run.text == "held everything: budget: 0.10 of 0.10 US dollars of today are used"
        assert requests == []
    assert Interaction.objects.count() == interactions, "nobody was asked, so nothing was paid"
    position.refresh_from_db()
    assert (position.closed, position.bracket, position.stop) == (None, "armed", BUY.stop_loss)
    lines = DiaryEntry.objects.filter(text__contains="budget: 0.10 of 0.10 US dollars of today are used")
    assert {(line.kind, line.data.get("outcome")) for line in lines} == {("hold", "not_asked")}
    assert Alert.objects.filter(type="budget-used", bot=bot).count() == 1


def test_rules_are_asked_whatever_the_limit_says(bot, held):
    Bot.objects.filter(pk=bot.pk).update(model="rules/buyer", cost_per_day=D(0))
    held()
    assert Position.objects.filter(closed=None).exists()
    assert not Alert.objects.filter(type="budget-used").exists()
