"""All processes together never ask more than the share of a purpose; a close waits for nothing but the venue's own word."""

import os
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import connection, transaction
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from marketdata.models import VenueBudget
from marketdata.services.budget import DatabaseBudget
from marketdata.venues.public import Purpose, VenueBusy
from tests.support.tables import tables
from vibex.lib.env import ROOT

NOW = datetime(2025, 6, 17, 8, 0, 20, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def clock():
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def budget(db, clock):
    return DatabaseBudget("venue.test", limit=100)


def row():
    return VenueBudget.objects.get()


def spend(budget, purpose, weight=1, times=1_000):
    """Return how often the budget let `weight` through."""
    for count in range(times):
        try:
            budget.take(weight, purpose)
        except VenueBusy:
            return count
    return times


def test_each_purpose_has_its_share_and_closing_is_only_counted(budget):
    assert spend(budget, Purpose.BACKFILL) == 50
    assert spend(budget, Purpose.FEED) == 20
    assert spend(budget, Purpose.CLOSING, times=31) == 31
    assert row().used == 101
    assert spend(budget, Purpose.FEED) == 0
    budget.take(200, Purpose.CLOSING)
    assert row().used == 301


def test_closing_is_counted_in_a_minute_of_its_own_too(budget, clock):
    budget.take(100, Purpose.CLOSING)
    clock.move_to(NOW.replace(second=0) + MINUTE)
    budget.take(60, Purpose.CLOSING)
    assert (row().used, row().minute) == (60, NOW.replace(second=0) + MINUTE)
    assert spend(budget, Purpose.FEED) == 10


def test_a_request_that_would_go_beyond_the_share_is_not_made(budget):
    budget.take(45, Purpose.BACKFILL)
    with pytest.raises(VenueBusy, match="45 of 50") as caught:
        budget.take(6, Purpose.BACKFILL)
    assert caught.value.until == NOW.replace(second=0) + MINUTE
    budget.take(5, Purpose.BACKFILL)


def test_a_new_minute_begins_with_a_new_budget(budget, clock):
    budget.take(50, Purpose.BACKFILL)
    clock.move_to(NOW.replace(second=0) + MINUTE)
    budget.take(50, Purpose.BACKFILL)
    assert (row().used, row().minute) == (50, NOW.replace(second=0) + MINUTE)


def test_a_process_that_is_slower_over_the_turn_of_the_minute_gives_nothing_back(budget, clock):
    clock.move_to(NOW + MINUTE)
    budget.take(50, Purpose.BACKFILL)
    clock.move_to(NOW)
    assert spend(budget, Purpose.BACKFILL) == 0
    assert row().used == 50


def test_a_clock_that_is_put_back_by_an_hour_does_not_silence_us_for_an_hour(budget, clock):
    budget.take(50, Purpose.BACKFILL)
    clock.move_to(NOW - timedelta(hours=1))
    budget.take(50, Purpose.BACKFILL)


def test_the_venues_higher_count_is_taken_over_and_a_lower_one_is_not(budget):
    budget.take(10, Purpose.FEED)
    budget.report(65)
    budget.report(3)
    assert spend(budget, Purpose.FEED) == 5


OTHERS = [purpose for purpose in Purpose if purpose is not Purpose.CLOSING]


def until(budget, purpose):
    with pytest.raises(VenueBusy) as caught:
        budget.take(1, purpose)
    return str(caught.value), caught.value.until - NOW


def test_only_closing_passes_a_block_that_is_our_own_caution(budget, clock):
    budget.block(NOW + timedelta(seconds=60), "an empty 429")
    budget.block(NOW + timedelta(seconds=30), "a moment")
    for purpose in OTHERS:
        assert until(budget, purpose) == ("an empty 429", timedelta(seconds=60))
    budget.take(3, Purpose.CLOSING)
    assert row().used == 3
    clock.move_to(NOW + timedelta(seconds=60))
    budget.take(1, Purpose.BACKFILL)


def test_closing_passes_where_the_venues_own_count_is_at_the_limit(budget):
    budget.take(1, Purpose.FEED)
    budget.report(100)
    assert spend(budget, Purpose.FEED) == 0
    budget.take(2, Purpose.CLOSING)
    assert row().used == 102


def test_nobody_asks_while_the_venue_itself_has_told_us_to_be_silent_not_even_to_close(budget, clock):
    budget.block(NOW + timedelta(seconds=300), "banned", told=True)
    budget.block(NOW + timedelta(seconds=30), "a moment", told=True)
    for purpose in Purpose:
        assert until(budget, purpose) == ("banned", timedelta(seconds=300))
    assert row().used == 0
    clock.move_to(NOW + timedelta(seconds=300))
    for purpose in Purpose:
        budget.take(1, purpose)


@pytest.mark.parametrize(("soft", "told"), [(60, 10), (10, 60)])
def test_neither_kind_of_block_shortens_or_lengthens_the_other(budget, clock, soft, told):
    budget.block(NOW + timedelta(seconds=told), "told", told=True)
    budget.block(NOW + timedelta(seconds=soft), "soft")
    longest = ("soft", timedelta(seconds=soft)) if soft > told else ("told", timedelta(seconds=told))
    assert until(budget, Purpose.FEED) == longest
    assert until(budget, Purpose.CLOSING) == ("told", timedelta(seconds=told))
    clock.move_to(NOW + timedelta(seconds=told))
    budget.take(1, Purpose.CLOSING)
    clock.move_to(NOW + timedelta(seconds=60))
    budget.take(1, Purpose.FEED)


def test_the_limit_follows_the_venue(budget):
    budget.limit_set(10)
    assert spend(budget, Purpose.FEED) == 7
    budget.limit_set(20)
    assert spend(budget, Purpose.FEED) == 7


def test_hosts_do_not_share(budget):
    assert spend(budget, Purpose.BACKFILL) == 50
    DatabaseBudget("other.test", limit=100).take(50, Purpose.BACKFILL)


@pytest.mark.django_db(transaction=True)
def test_weight_that_was_spent_cannot_be_rolled_back():
    budget = DatabaseBudget("venue.test", limit=100)
    with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
        budget.take(1, Purpose.FEED)


class Invariants(TestCase):
    """Whatever is asked in whatever order, no purpose but closing sees more than its share used, and all is counted."""

    @given(st.lists(st.tuples(st.sampled_from(Purpose), st.integers(1, 60)), max_size=25))
    def test_no_order_of_requests_goes_beyond_a_share(self, requests):
        VenueBudget.objects.all().delete()
        budget, used = DatabaseBudget("venue.test", limit=97), 0
        with time_machine.travel(NOW, tick=False):
            for purpose, weight in requests:
                allowed = purpose is Purpose.CLOSING or used + weight <= int(97 * purpose.value)
                try:
                    budget.take(weight, purpose)
                except VenueBusy:
                    assert not allowed
                else:
                    assert allowed
                    used += weight
        assert sum(VenueBudget.objects.values_list("used", flat=True)) == used


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_threads_that_ask_at_once_get_the_share_and_not_more():
    granted, start = [], threading.Barrier(8)

    def work():
        budget = DatabaseBudget("venue.test", limit=100)
        start.wait(10)
        try:
            granted.append(spend(budget, Purpose.BACKFILL, times=20))
        finally:
            connection.close()

    with time_machine.travel(NOW, tick=False):
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert sum(granted) == row().used == 50


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_threads_that_close_at_once_are_all_let_through_and_all_counted():
    """While others use the share up, block, and raise the count: not one close is refused, and none is lost."""
    refused, start = [], threading.Barrier(8)

    def work(number):
        budget = DatabaseBudget("venue.test", limit=50)
        start.wait(10)
        try:
            for turn in range(15):
                if number % 2:
                    budget.take(2, Purpose.CLOSING)
                else:
                    spend(budget, Purpose.FEED, times=5)
                    budget.report(50)
                    budget.block(NOW + timedelta(seconds=turn + 1), "soft")
        except VenueBusy as busy:
            refused.append(busy)
        finally:
            connection.close()

    with time_machine.travel(NOW, tick=False):
        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert refused == []
    # 120 of closing; the feed spent up to its 35, and the report lifts what was used to 50 once.
    assert 120 <= row().used <= 120 + 50


WORKER = """
import sys, django
django.setup()
from marketdata.services.budget import DatabaseBudget
from marketdata.venues.public import Purpose, VenueBusy
budget, granted = DatabaseBudget("venue.test", limit=100), 0
for _ in range(40):
    try:
        budget.take(1, Purpose.BACKFILL)
        granted += 1
    except VenueBusy:
        pass
print(granted, int(__import__("time").time()) // 60)
"""


@pytest.mark.ci
def test_processes_on_one_sqlite_file_share_one_budget(tmp_path):
    env = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    env |= {"VIBEX_DATA_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "vibex.settings", "VIBEX_ENV": "dev"}
    tables(tmp_path)
    workers = [
        subprocess.Popen([sys.executable, "-c", WORKER], cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    told = [worker.communicate(timeout=100)[0].split() for worker in workers]
    granted, minutes = zip(*told, strict=True)
    turns = 1 + int(max(minutes)) - int(min(minutes))
    assert 50 <= sum(map(int, granted)) <= 50 * turns
