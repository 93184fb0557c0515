"""One cycle at a time for each account, once for each candle, whatever starts it."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts.models import Bot
from decisions.models import Cycle
from trading.services.lease import cycle_acquire, cycle_finish, cycle_renew, cycle_skip, cycles_abandon
from trading.tests.builders import make_bot

pytestmark = pytest.mark.django_db
SLOT = datetime(2025, 10, 10, 12, tzinfo=UTC)


@pytest.fixture
def bot() -> Bot:
    return make_bot()


def overdue(cycle: Cycle) -> None:
    Cycle.objects.filter(pk=cycle.pk).update(lease_until=datetime.now(UTC) - timedelta(seconds=1))


def test_a_candle_is_decided_on_once(bot):
    cycle = cycle_acquire(bot=bot, scheduled_for=SLOT)
    assert cycle_finish(cycle=cycle, status=Cycle.Status.DONE)
    assert cycle_acquire(bot=bot, scheduled_for=SLOT) is None


def test_a_running_cycle_keeps_the_next_one_out(bot):
    assert cycle_acquire(bot=bot, scheduled_for=SLOT)
    assert cycle_acquire(bot=bot, scheduled_for=SLOT + timedelta(minutes=3)) is None


def test_another_bot_of_the_same_account_is_kept_out_too(bot):
    other = Bot.objects.create(account=bot.account, name="second", symbols=["BTCUSDT"], timeframes=["3m"])
    assert cycle_acquire(bot=bot, scheduled_for=SLOT)
    assert cycle_acquire(bot=other, scheduled_for=SLOT) is None


def test_other_accounts_are_not_held_up(bot):
    assert cycle_acquire(bot=bot, scheduled_for=SLOT)
    assert cycle_acquire(bot=make_bot(name="elsewhere"), scheduled_for=SLOT)


def test_a_cycle_whose_lease_ran_out_is_abandoned_and_its_account_free(bot):
    first = cycle_acquire(bot=bot, scheduled_for=SLOT)
    overdue(first)
    assert cycle_acquire(bot=bot, scheduled_for=SLOT + timedelta(minutes=3))
    first.refresh_from_db()
    assert first.status == Cycle.Status.ABANDONED
    assert first.error


def test_a_stalled_holder_learns_that_it_lost_the_lease(bot):
    first = cycle_acquire(bot=bot, scheduled_for=SLOT)
    overdue(first)
    assert not cycle_renew(cycle=first)
    cycle_acquire(bot=bot, scheduled_for=SLOT + timedelta(minutes=3))
    assert not cycle_renew(cycle=first)
    assert not cycle_finish(cycle=first, status=Cycle.Status.DONE)


def test_a_renewal_stores_the_step_it_is_in(bot):
    cycle = cycle_acquire(bot=bot, scheduled_for=SLOT)
    cycle.stage = "ask"
    assert cycle_renew(cycle=cycle)
    cycle.refresh_from_db()
    assert cycle.stage == "ask"


@pytest.mark.django_db(transaction=True)
def test_what_a_renewal_has_stored_is_not_written_again_until_it_changes(bot):
    cycle = cycle_acquire(bot=bot, scheduled_for=SLOT)
    cycle.seen = [1, 2]
    assert '"seen"' in _renewing(cycle)
    assert '"seen"' not in _renewing(cycle)
    cycle.seen = [1, 2, 3]
    assert '"seen"' in _renewing(cycle)
    assert Cycle.objects.get().seen == [1, 2, 3]


@pytest.mark.django_db(transaction=True)
def test_what_was_taken_back_with_an_intent_is_written_by_the_next_renewal(bot):
    cycle = cycle_acquire(bot=bot, scheduled_for=SLOT)
    cycle.kept = {"bot": "b"}
    with transaction.atomic():
        assert cycle_renew(cycle=cycle)
        transaction.set_rollback(True)
    assert Cycle.objects.get().kept == {}
    assert cycle_renew(cycle=cycle)
    assert Cycle.objects.get().kept == {"bot": "b"}


def _renewing(cycle: Cycle) -> str:
    with CaptureQueriesContext(connection) as asked:
        assert cycle_renew(cycle=cycle)
    return str(asked.captured_queries[-1]["sql"])


def test_a_skipped_cycle_is_on_record_with_its_reason(bot):
    skipped = cycle_skip(bot=bot, scheduled_for=SLOT, reason="cycle 41 was still running")
    assert (skipped.status, skipped.error) == (Cycle.Status.SKIPPED, "cycle 41 was still running")


def test_at_start_a_process_that_is_alone_ends_what_its_predecessor_left(bot):
    cycle = cycle_acquire(bot=bot, scheduled_for=SLOT)
    assert cycles_abandon() == 1
    cycle.refresh_from_db()
    assert cycle.status == Cycle.Status.ABANDONED
