"""Rows are read once each: also those that become visible late, and never those of a transaction that was undone for ever."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import Incident
from vibex.lib.cursor import GAP_SECONDS, MOST_LATE, Cursor


def step(cursor: Cursor, seen: list[int], *, now: float = 0.0, unfinished: tuple[int, ...] = ()) -> Cursor:
    return cursor.advanced(seen, unfinished, now=now, patience=60.0)


def test_a_key_that_was_passed_over_is_asked_for_until_it_is_given_up() -> None:
    cursor = step(Cursor(10), [11, 13])
    assert (cursor.upto, set(cursor.late)) == (13, {12})
    assert set(step(cursor, [14], now=GAP_SECONDS - 1).late) == {12}
    assert set(step(cursor, [14], now=GAP_SECONDS + 1).late) == set()
    assert set(step(cursor, [12, 14], now=1).late) == set(), "it came"


def test_an_unfinished_row_is_asked_for_until_its_patience_is_over() -> None:
    cursor = step(Cursor(10), [11], unfinished=(11,))
    assert set(cursor.late) == {11}
    again = step(cursor, [11], now=30, unfinished=(11,))
    assert set(again.late) == {11}
    assert set(step(again, [11], now=61, unfinished=(11,)).late) == set()


def test_a_table_that_was_empty_has_no_gaps_before_its_first_row() -> None:
    assert step(Cursor(0), [5_000_000]).late == {}


def test_a_jump_of_keys_is_no_list_of_millions() -> None:
    assert len(step(Cursor(1), [50_000_000]).late) == MOST_LATE


@given(st.lists(st.sets(st.integers(1, 60), max_size=12), min_size=1, max_size=12))
def test_in_whatever_order_rows_appear_each_is_read_exactly_once(batches: list[set[int]]) -> None:
    cursor, there, read = Cursor(1, {}), {1}, []
    for batch in batches:
        there |= batch
        found = sorted(key for key in there if key >= cursor.upto or key in cursor.late)
        fresh = [key for key in found if key > cursor.upto or key in cursor.late]
        read += fresh
        cursor = step(cursor, fresh)
    assert len(read) == len(set(read))
    assert set(read) == there - {1}


@pytest.mark.django_db
def test_it_reads_what_is_new_oldest_first_with_the_last_one_that_was_read() -> None:
    keys = [Incident.objects.create(kind="x", text="x").pk for _ in range(5)]
    cursor = Cursor(keys[3], {keys[1]: 99.0})
    assert list(cursor.after(Incident.objects.all()).values_list("pk", flat=True)) == [keys[1], keys[3], keys[4]]
