"""Tokens that no server said count against the day as they were set aside, also when the day is counted anew."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from decisions.domain.money import tokens_in
from decisions.models import Interaction
from decisions.selectors import cost_between
from decisions.selectors.spending import local_day
from decisions.services.budget import budget_rebuild
from trading.tests.builders import make_bot

pytestmark = pytest.mark.django_db
AT = datetime(2026, 3, 28, 12, tzinfo=UTC)
SYSTEM, USER = "a" * 1_000, "b" * 3_001
ASIDE = tokens_in(SYSTEM + USER) + 4_000


def call(bot, *, said=0, **more):
    values = {"provider": "local", "model_requested": "m", "outcome": "answered", "at": AT}
    values |= {"parameters": {"max_tokens": 4_000}, "system_prompt": SYSTEM, "user_prompt": USER, "prompt_tokens": said}
    return Interaction.objects.create(bot=bot, **values | more)


def counted(bot):
    return budget_rebuild(bot=bot, day=local_day(AT, bot.account.time_zone)).tokens


@pytest.fixture
def bot():
    return make_bot(model="local/m", tokens_per_day=100_000)


@pytest.mark.parametrize(
    "unsaid",
    [
        {"estimate": Decimal("0.02")},
        {"cost": Decimal("0.01")},
        {"estimate": Decimal("0.02"), "outcome": "no_answer", "reason": "timeout: local did not answer"},
    ],
)
def test_a_call_whose_tokens_nobody_said_counts_as_what_was_set_aside(bot, unsaid):
    call(bot, **unsaid)
    assert abs(counted(bot) - ASIDE) <= 2
    assert cost_between(bot).tokens == 0, "what is shown as said is only what was said"


@pytest.mark.parametrize(
    "free",
    [
        {"outcome": "no_answer", "reason": "http.429: local answered 429"},
        {"cost": Decimal(0), "parameters": {"max_tokens": 4_000, "cached": True}},
        {"provider": "", "parameters": {}},
        {"outcome": "no_answer", "reason": "busy: all are", "parameters": {}},
    ],
)
def test_what_was_never_carried_out_counts_nothing(bot, free):
    call(bot, **free)
    assert counted(bot) == 0


def test_what_was_said_counts_as_it_was_said_also_by_a_late_reply(bot):
    call(bot, said=500, cost=Decimal("0.01"))
    given_up = call(bot, estimate=Decimal("0.02"), outcome="no_answer", reason="timeout: local")
    call(bot, said=700, cost=Decimal("0.01"), outcome="late", used=False, late_of=given_up)
    assert counted(bot) == 1_200


def test_the_tokens_of_a_day_are_used_up_at_a_server_that_never_says_any(bot):
    for minute in range(20):
        call(bot, estimate=Decimal("0.02"), at=AT + timedelta(minutes=minute))
    assert counted(bot) > 100_000
