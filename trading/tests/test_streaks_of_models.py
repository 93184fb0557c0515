"""Streaks of silence and of garbage are counted from what was read for decisions, of one model or of several together."""

from datetime import timedelta

import pytest

from accounts.models import Alert
from decisions.models import Cycle, Interaction
from trading.models import Lock
from trading.services.model_trust import replies_judge
from trading.services.telling import model_tell
from trading.tests.builders import make_bot
from trading.tests.venue_support import NOON

pytestmark = pytest.mark.django_db


@pytest.fixture
def bot():
    return make_bot(model="peer/one")


def asked(bot, *outcomes, purpose="cycle", **fields):
    """Keep a cycle with one request per outcome, and return the last."""
    at = NOON + timedelta(minutes=3 * Cycle.objects.count())
    cycle = Cycle.objects.create(bot=bot, account=bot.account, scheduled_for=at, lease_until=at, status="done")
    rows = [
        Interaction.objects.create(
            bot=bot, cycle=cycle, purpose=purpose, model_requested=f"m{number}", outcome=outcome, reason="why", **fields
        )
        for number, outcome in enumerate(outcomes)
    ]
    return rows[-1]


def locked(bot):
    replies_judge(bot=bot)
    return Lock.objects.filter(account=bot.account).exists()


def test_three_unusable_replies_in_a_row_lock_and_what_only_accompanied_them_does_not_count(bot):
    for _ in range(3):
        assert not locked(bot)
        given_up = asked(bot, "rejected")
        asked(bot, "answered", purpose="shadow")
        asked(bot, "answered", purpose="replay")
        asked(bot, "rejected", used=False)
        asked(bot, "late", late_of=given_up, used=False)
    assert locked(bot)


def test_shadows_that_answer_garbage_lock_nothing(bot):
    for _ in range(5):
        asked(bot, "answered")
        asked(bot, "rejected", "rejected", "rejected", purpose="shadow")
    assert not locked(bot)


def test_several_that_decide_together_are_one_reply_a_cycle(bot):
    asked(bot, "rejected", "rejected", "rejected", purpose="ensemble")
    assert not locked(bot), "one cycle of three models is one reply"
    asked(bot, "rejected", "answered", "rejected", purpose="ensemble")
    asked(bot, "rejected", "rejected", "no_answer", purpose="ensemble")
    asked(bot, "rejected", "rejected", purpose="ensemble")
    assert not locked(bot), "one of them could be used two cycles ago"
    asked(bot, "rejected", purpose="ensemble")
    assert locked(bot)


def told(bot, row):
    model_tell(row.cycle, row)
    return list(Alert.objects.order_by("pk").values_list("message", flat=True))


def test_a_shadow_between_two_silences_neither_ends_the_streak_nor_makes_one(bot):
    for _ in range(3):
        asked(bot, "answered", purpose="shadow")
        row = asked(bot, "no_answer")
        asked(bot, "no_answer", "no_answer", purpose="shadow")
    (message,) = told(bot, row)
    assert message.startswith("m0 gave no usable answer 3 times in a row, and paper holds.")


def test_of_several_the_silent_one_is_told_of_and_that_it_counts_as_not_agreeing(bot):
    for number in range(3):
        last = asked(bot, "answered", "no_answer", purpose="ensemble")
        messages = told(bot, last)
        assert len(messages) == (number == 2)
    assert messages[0].startswith(
        "m1 gave no usable answer 3 times in a row, and it counts as one that does not agree."
    )
