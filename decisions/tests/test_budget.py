"""The limit of a day holds whatever calls do: set aside, used, late, died, counted anew. In the database and in Redis."""

from __future__ import annotations

import socket
import threading
import time
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import time_machine
from django.db import connection
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as tries
from hypothesis import strategies as st

from decisions.deciders.ports import BudgetUsed, NoPurse
from decisions.domain.till import QUIET, Allowed, Till, dollars, no_room, units, used_up
from decisions.llm import shared
from decisions.llm.shared import redis_client
from decisions.models import Interaction, SpendDay
from decisions.selectors import cost_today
from decisions.selectors.spending import local_day
from decisions.services import budget, tills_redis
from decisions.services.budget import budget_rebuild, budget_today, purse_of
from trading.tests.builders import make_account, make_bot

D = Decimal
NOON = datetime(2026, 3, 28, 12, tzinfo=UTC)


@pytest.fixture(params=["database", pytest.param("redis", marks=pytest.mark.redis)])
def counted(request, settings, monkeypatch, transactional_db):
    """Money counted in the database, or in Redis."""
    prefix = f"vibex-test-{uuid.uuid4().hex}"
    if request.param == "redis":
        settings.REDIS_URL = request.getfixturevalue("redis_url")
        monkeypatch.setattr(tills_redis, "PREFIX", prefix)
    yield request.param
    if request.param == "redis":
        for key in redis_client().scan_iter(f"{prefix}*"):
            redis_client().delete(key)


@pytest.fixture
def bot(counted):
    return make_bot("thrifty", model="openrouter/x/y", cost_per_day=D("1.00"), tokens_per_day=100_000)


def recorded(bot, cost=None, *, estimate=None, tokens=0, at=None, **more):
    return Interaction.objects.create(
        bot=bot,
        provider="openrouter",
        model_requested="x/y",
        cost=cost,
        estimate=estimate,
        prompt_tokens=tokens,
        outcome="answered",
        **({"at": at} if at else {}),
        **more,
    )


def gone(bot):
    """Lose the counter, as after a quiet while or a Redis that was emptied."""
    SpendDay.objects.all().delete()
    if budget.settings.REDIS_URL:
        for key in redis_client().scan_iter(f"{tills_redis.PREFIX}*"):
            redis_client().delete(key)


# What may be set aside


def test_money_is_set_aside_until_the_limit_and_not_beyond(bot):
    purse = purse_of(bot)
    for _ in range(4):
        purse.reserve(cost=D("0.25"), tokens=10)
    with pytest.raises(BudgetUsed) as told:
        purse.reserve(cost=D("0.0000000001"), tokens=10)
    assert str(told.value) == (
        "budget: 0.00 of 1.00 US dollars of today are used and 1.00 set aside, and this call may cost 0.00; "
        "there is more from midnight on (UTC)"
    )


def test_tokens_are_set_aside_until_their_limit(bot):
    purse = purse_of(bot)
    purse.reserve(cost=D(0), tokens=99_999)
    with pytest.raises(
        BudgetUsed, match=r"^budget: 0 of 100,000 tokens of today are used and 99,999 set aside, and this"
    ):
        purse.reserve(cost=D(0), tokens=2)
    purse.reserve(cost=D(0), tokens=1)


def test_what_was_set_aside_is_replaced_by_what_was_used(bot):
    purse = purse_of(bot)
    first, second = (purse.reserve(cost=D("0.5"), tokens=1_000) for _ in range(2))
    purse.settle(first, cost=D("0.1"), tokens=700)
    purse.settle(second, cost=None, tokens=1_000)
    assert budget_today(bot) == Till(D("0.6"), 1_700)
    third = purse.reserve(cost=D("0.4"), tokens=10)
    purse.settle(third, cost=D(0), tokens=0)
    assert budget_today(bot) == Till(D("0.6"), 1_700)


def test_a_reply_that_comes_late_is_booked_in_the_place_of_its_estimate(bot):
    purse = purse_of(bot)
    held = purse.reserve(cost=D("0.5"), tokens=1_000)
    purse.settle(held, cost=None, tokens=1_000)
    purse.settle(held, cost=D("0.2"), tokens=800)
    assert budget_today(bot) == Till(D("0.2"), 800)


def test_a_call_that_cost_more_than_was_set_aside_counts_what_it_cost(bot):
    purse = purse_of(bot)
    purse.settle(purse.reserve(cost=D("0.9"), tokens=10), cost=D("1.2"), tokens=10)
    with pytest.raises(BudgetUsed, match=r"^budget: 1\.20 of 1\.00 US dollars of today are used; there is more from"):
        purse.reserve(cost=D("0.1"), tokens=1)


def test_the_counter_is_made_from_what_is_on_record(bot):
    recorded(bot, D("0.3"), tokens=500)
    recorded(bot, estimate=D("0.2"))
    given_up = recorded(bot, estimate=D("0.4"))
    recorded(bot, D("0.25"), tokens=100, late_of=given_up)
    recorded(bot)
    assert budget_today(bot) == Till(D("0.75"), 600)
    with pytest.raises(BudgetUsed):
        purse_of(bot).reserve(cost=D("0.26"), tokens=1)


def test_a_counter_that_was_lost_is_made_anew(bot):
    purse = purse_of(bot)
    purse.settle(purse.reserve(cost=D("0.5"), tokens=10), cost=D("0.5"), tokens=10)
    recorded(bot, D("0.5"), tokens=10)
    gone(bot)
    purse.reserve(cost=D("0.5"), tokens=10)
    with pytest.raises(BudgetUsed):
        purse.reserve(cost=D("0.1"), tokens=10)


def test_a_settlement_without_a_counter_makes_none(bot):
    purse = purse_of(bot)
    held = purse.reserve(cost=D("0.1"), tokens=1)
    recorded(bot, D("0.6"))
    gone(bot)
    purse.settle(held, cost=D("0.1"), tokens=1)
    assert budget_today(bot).spent == D("0.6")


def test_a_counter_that_is_made_anew_forgets_what_was_set_aside_and_its_owner_takes_nothing_from_others(bot):
    purse = purse_of(bot)
    old = purse.reserve(cost=D("0.9"), tokens=10)
    budget_rebuild(bot=bot, day=local_day(timezone.now(), "UTC"))
    purse.reserve(cost=D("0.9"), tokens=10)
    purse.settle(old, cost=D(0), tokens=0)
    assert budget_today(bot).reserved == D("0.9")


def test_the_day_is_that_of_the_accounts_time_zone(counted, settings):
    if settings.REDIS_URL is None:
        with time_machine.travel(NOON.replace(hour=22, minute=59), tick=False) as clock:
            bot = make_bot(account=make_account(time_zone="Europe/Berlin"), model="a/b", cost_per_day=D("0.5"))
            recorded(bot, D("0.5"), at=timezone.now() - timedelta(minutes=1))
            with pytest.raises(BudgetUsed, match=r"from midnight on \(Europe/Berlin\)"):
                purse_of(bot).reserve(cost=D("0.1"), tokens=1)
            clock.shift(timedelta(minutes=1))
            purse_of(bot).reserve(cost=D("0.5"), tokens=1)


def test_without_a_limit_nothing_is_counted(bot):
    bot.cost_per_day = bot.tokens_per_day = None
    assert isinstance(purse_of(bot), NoPurse)


def test_what_a_dead_process_set_aside_is_free_after_a_quiet_while(bot, settings, monkeypatch):
    if settings.REDIS_URL:
        monkeypatch.setattr(tills_redis, "HELD", 0.01)
    purse_of(bot).reserve(cost=D("1"), tokens=1)
    with time_machine.travel(datetime.now(UTC) + timedelta(seconds=QUIET + 1)):
        for _ in range(100):
            try:
                purse_of(bot).reserve(cost=D("1"), tokens=1)
                break
            except BudgetUsed:
                threading.Event().wait(0.02)
        else:
            pytest.fail("it was never free")


# When it cannot be counted


def test_while_redis_is_away_the_database_counts(db, settings):
    bot = make_bot("thrifty", model="a/b", cost_per_day=D("1"))
    recorded(bot, D("0.4"))
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    purse = purse_of(bot)
    held = purse.reserve(cost=D("0.5"), tokens=1)
    with pytest.raises(BudgetUsed, match=r"0\.40 of 1\.00 US dollars of today are used and 0\.50 set aside"):
        purse.reserve(cost=D("0.2"), tokens=1)
    purse.settle(held, cost=D("0.3"), tokens=1)
    assert budget_today(bot).spent == D("0.7")


def test_a_redis_that_hangs_costs_the_first_reservation_its_patience_and_the_next_nothing(
    transactional_db, settings, monkeypatch
):
    monkeypatch.setattr(shared, "ANSWER_SECONDS", 0.3)
    bots = [
        make_bot(f"bot {n}", account=make_account(f"account {n}"), model="a/b", cost_per_day=D("1")) for n in range(3)
    ]
    with socket.create_server(("127.0.0.1", 0)) as hung:
        settings.REDIS_URL = f"redis://127.0.0.1:{hung.getsockname()[1]}/0"
        purse_of(bots[0]).reserve(cost=D("0.5"), tokens=1)
        began = time.monotonic()
        monkeypatch.setattr(shared, "redis_client", lambda: pytest.fail("it was asked again"))
        for bot in bots[1:]:
            purse_of(bot).reserve(cost=D("0.5"), tokens=1)
        assert time.monotonic() - began < shared.SILENCE


@pytest.mark.redis
def test_what_was_used_is_booked_in_a_redis_that_was_silent_a_moment_ago(db, settings, redis_url, monkeypatch):
    monkeypatch.setattr(tills_redis, "PREFIX", f"vibex-test-{uuid.uuid4().hex}")
    settings.REDIS_URL = redis_url
    bot = make_bot("thrifty", model="a/b", cost_per_day=D("1"))
    purse = purse_of(bot)
    held = purse.reserve(cost=D("0.9"), tokens=1)
    with monkeypatch.context() as patch:
        patch.setitem(shared._silent_until, redis_url, time.monotonic() + 60.0)
        purse.settle(held, cost=D("0.4"), tokens=1)
    assert budget_today(bot) == Till(D("0.4"), 1)


@pytest.mark.redis
def test_when_redis_is_back_what_the_database_counts_still_holds(db, settings, redis_url, monkeypatch):
    monkeypatch.setattr(tills_redis, "PREFIX", f"vibex-test-{uuid.uuid4().hex}")
    bot = make_bot("thrifty", model="a/b", cost_per_day=D("1"))
    settings.REDIS_URL = redis_url
    purse_of(bot).reserve(cost=D("0.1"), tokens=1)  # in Redis, which does not forget it
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    purse = purse_of(bot)
    held = purse.reserve(cost=D("0.9"), tokens=1)
    settings.REDIS_URL = redis_url
    with pytest.raises(BudgetUsed, match=r"0\.90 set aside"):
        purse_of(bot).reserve(cost=D("0.2"), tokens=1)
    purse.settle(held, cost=D("0.9"), tokens=1)
    with pytest.raises(BudgetUsed, match=r"0\.90 of 1\.00"):
        purse_of(bot).reserve(cost=D("0.2"), tokens=1)
    # After a quiet while both counters are made anew from what is on record, in Redis again.
    recorded(bot, D("0.9"))
    SpendDay.objects.update(rebuilt_at=timezone.now() - timedelta(seconds=QUIET + 1))
    for key in redis_client().scan_iter(f"{tills_redis.PREFIX}*"):
        redis_client().delete(key)
    with pytest.raises(BudgetUsed, match=r"0\.90 of 1\.00"):
        purse_of(bot).reserve(cost=D("0.2"), tokens=1)
    assert list(redis_client().scan_iter(f"{tills_redis.PREFIX}*"))


def test_a_settlement_never_raises(db, monkeypatch):
    purse = purse_of(make_bot("thrifty", model="a/b", cost_per_day=D("1")))
    held = purse.reserve(cost=D("0.1"), tokens=1)

    def broken():
        raise OSError("it is gone")

    monkeypatch.setattr(budget, "tills", broken)
    purse.settle(held, cost=D("0.1"), tokens=1)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_no_connection_is_held_once_money_is_set_aside():
    purse = purse_of(make_bot("thrifty", model="a/b", cost_per_day=D("1")))
    held = purse.reserve(cost=D("0.1"), tokens=1)
    assert connection.connection is None
    purse.settle(held, cost=D("0.1"), tokens=1)
    assert connection.connection is None


# Whatever happens

amounts = st.decimals(min_value=0, max_value="0.4", places=10)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), amounts, st.integers(0, 30_000)),
        st.tuples(st.just("settle"), st.integers(0, 9), st.none() | st.decimals(0, 1, places=4)),
        st.tuples(st.just("crash"), st.integers(0, 9), st.none()),
        st.tuples(st.just("quiet"), st.none(), st.none()),
    ),
    max_size=30,
)


@pytest.mark.ci
@given(steps)
@tries(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_the_limit_holds_through_any_sequence_and_the_counter_ends_at_what_is_on_record(bot, taken):
    Interaction.objects.all().delete()
    gone(bot)
    purse, day, living = purse_of(bot), local_day(timezone.now(), "UTC"), []
    for step, first, second in taken:
        before = budget_today(bot)
        if step == "reserve":
            fits = before.has_room(Allowed(D("1"), 100_000), first, second)
            try:
                living.append(purse.reserve(cost=first, tokens=second))
                assert fits
            except BudgetUsed:
                assert not fits
        elif step == "settle" and living:
            held = living.pop(first % len(living))
            used = held.cost if second is None else (held.cost * second).quantize(D("1e-10"))
            purse.settle(held, cost=None if second is None else used, tokens=held.tokens)
            recorded(bot, used, tokens=held.tokens)
        elif step == "crash" and living:
            living.pop(first % len(living))
        elif step == "quiet" and not living:
            budget_rebuild(bot=bot, day=day)
        now = budget_today(bot)
        assert now.spent + now.reserved <= D("1")
        assert now.tokens + now.tokens_reserved <= 100_000
        assert now.reserved >= sum(held.cost for held in living)
        assert now.spent == cost_today(bot, now=timezone.now()).total
    budget_rebuild(bot=bot, day=day)
    after = budget_today(bot)
    assert (after.spent, after.reserved, after.tokens_reserved) == (cost_today(bot, now=timezone.now()).total, 0, 0)


def together(bot):
    """Let eight threads set aside and settle at once; return how often they could, and how often not."""
    purse, won, lost = purse_of(bot), [], []

    def ask():
        for _ in range(10):
            try:
                held = purse.reserve(cost=D("0.05"), tokens=1)
                purse.settle(held, cost=D("0.03"), tokens=1)
                won.append(1)
            except BudgetUsed:
                lost.append(1)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return len(won), len(lost)


@pytest.mark.redis
@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_threads_together_use_no_more_than_the_limit_in_redis(settings, redis_url, monkeypatch):
    settings.REDIS_URL = redis_url
    monkeypatch.setattr(tills_redis, "PREFIX", f"vibex-test-{uuid.uuid4().hex}")
    keeps_the_limit(make_bot("thrifty", model="a/b", cost_per_day=D("1")))


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_threads_together_use_no_more_than_the_limit_in_postgresql():
    keeps_the_limit(make_bot("thrifty", model="a/b", cost_per_day=D("1")))


def keeps_the_limit(bot):
    budget_today(bot)
    won, lost = together(bot)
    spent = budget_today(bot).spent
    assert spent == won * D("0.03")
    assert D("0.5") < spent <= D("1")
    assert won + lost == 80


# Words and figures


@pytest.mark.parametrize(
    ("till", "allowed", "said"),
    [
        (Till(D("0.5")), Allowed(D("0.5")), "budget: 0.50 of 0.50 US dollars of today are used"),
        (Till(tokens=7_000), Allowed(tokens=6_000), "budget: 7,000 of 6,000 tokens of today are used"),
        (Till(D("0.4999")), Allowed(D("0.5")), ""),
        (Till(D(9), 9), Allowed(), ""),
        (Till(), Allowed(D(0)), "budget: 0.00 of 0.00 US dollars of today are used"),
    ],
)
def test_what_is_used_up_is_said_in_figures(till, allowed, said):
    assert used_up(till, allowed) == said


def test_money_is_said_before_tokens():
    till = Till(D("0.9"), 90, D("0.05"), 5)
    assert no_room(till, Allowed(D("1"), 100), D("0.1234"), 20) == (
        "budget: 0.90 of 1.00 US dollars of today are used and 0.05 set aside, and this call may cost 0.1234"
    )
    assert no_room(till, Allowed(None, 100), D("0.1"), 20) == (
        "budget: 90 of 100 tokens of today are used and 5 set aside, and this call may use 20"
    )


@given(st.decimals(0, 900_000, places=10))
def test_units_are_exact_also_as_the_numbers_of_redis(amount):
    assert int(float(units(amount))) == units(amount)
    assert dollars(amount).count(".") == 1
