"""What is missing is found, whatever the size of the table, and what the venue does not have is not asked for."""

from datetime import timedelta

import numpy as np
import pytest
import time_machine
from django.db import connection
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from marketdata.domain.candles import Candles
from marketdata.domain.quality import without
from marketdata.domain.spans import joined, without_spans
from marketdata.gaps import NEIGHBOURS, missing_spans
from marketdata.models import Candle, CandleHole, QuarantinedCandle
from marketdata.services import candles_upsert
from marketdata.tests.build import START, walk

HOUR = timedelta(hours=1)
ALL = {"venue": "sim", "symbol": "BTCUSDT", "interval": "1h"}


def hours(spans: list[tuple]) -> list[tuple[int, int]]:
    return [(int((start - START) / HOUR), int((stop - START) / HOUR)) for start, stop in spans]


def missing(since: int = 0, until: int = 50) -> list[tuple[int, int]]:
    return hours(missing_spans(*ALL.values(), since=START + since * HOUR, until=START + until * HOUR))


def keep(candles: Candles, places: set[int]) -> Candles:
    class Out:
        def __init__(self, index: int) -> None:
            self.index = index

    return without(candles, [Out(index) for index in range(len(candles)) if index not in places])


def put(places: set[int], *, closed: bool = True) -> None:
    candles_upsert(venue="sim", candles=keep(walk(50), places), closed=closed)


@pytest.mark.django_db
def test_an_empty_table_misses_everything():
    assert missing() == [(0, 50)]


@pytest.mark.django_db
def test_a_whole_table_misses_nothing():
    put(set(range(50)))
    assert missing() == []


@pytest.mark.django_db
def test_head_holes_and_tail_are_found():
    put({5, 6, 9, 20, *range(25, 40)})
    assert missing() == [(0, 5), (7, 9), (10, 20), (21, 25), (40, 50)]


@pytest.mark.django_db
def test_what_lies_outside_does_not_count():
    put({5, 6, 9})
    assert missing(5, 7) == []
    assert missing(6, 10) == [(7, 9)]


@pytest.mark.django_db
def test_moments_between_two_candles_are_rounded_up():
    put({1, 2})
    assert hours(missing_spans(*ALL.values(), since=START + 0.5 * HOUR, until=START + 2.5 * HOUR)) == []
    assert missing(3, 3) == []


@pytest.mark.django_db
def test_a_forming_candle_is_missing_still():
    put({0, 1})
    put({2}, closed=False)
    assert missing(0, 3) == [(2, 3)]


@pytest.mark.django_db
def test_another_interval_symbol_and_venue_fill_nothing():
    for venue, symbol, interval in (("other", "BTCUSDT", "1h"), ("sim", "ETHUSDT", "1h"), ("sim", "BTCUSDT", "4h")):
        candles_upsert(venue=venue, candles=walk(10, interval, symbol=symbol), closed=True)
    assert missing(0, 10) == [(0, 10)]


@pytest.mark.django_db
def test_known_holes_are_not_missing():
    put({0, 9})
    CandleHole.objects.create(**ALL, start=START + 1 * HOUR, stop=START + 4 * HOUR)
    CandleHole.objects.create(**ALL, start=START + 3 * HOUR, stop=START + 5 * HOUR)
    assert missing(0, 10) == [(5, 9)]


@pytest.mark.django_db
def test_a_quarantined_candle_is_not_missing_unless_it_was_judged_while_it_formed():
    put({0, 3})
    aside = {**ALL, "values": {}, "reason": "high is below low"}
    QuarantinedCandle.objects.create(**aside, open_time=START + HOUR, seen=timezone.now())
    QuarantinedCandle.objects.create(**aside, open_time=START + 2 * HOUR, seen=START + 2.5 * HOUR)
    assert missing(0, 4) == [(2, 3)]


@pytest.mark.django_db
@pytest.mark.postgres
def test_both_ends_of_the_key_are_read_off_its_index():
    candles_upsert(venue="sim", candles=walk(20_000, "1m"), closed=True)
    for symbol in ("AUSDT", "CUSDT"):
        candles_upsert(venue="sim", candles=walk(20_000, "1m", symbol=symbol), closed=True)
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {Candle._meta.db_table}")
    newest = Candle.objects.filter(venue="sim", symbol="BTCUSDT", interval="1m", closed=True).order_by("-open_time")[:9]
    assert "Index Scan" in newest.explain()
    assert "Sort" not in newest.explain()
    with connection.cursor() as cursor:
        statement = NEIGHBOURS.format(apart="extract(epoch FROM after - before) * 1000")
        values = ["sim", "BTCUSDT", "1m", START, START + 100 * HOUR, 60_000]
        cursor.execute(f"EXPLAIN {statement}", values)
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "Index" in plan
    assert "Seq Scan" not in plan


class Any(TestCase):
    """Whatever is stored: what is found is what is missing."""

    @given(st.sets(st.integers(0, 49)), st.integers(0, 50), st.integers(0, 50))
    def test_the_spans_hold_exactly_what_is_not_there(self, places, since, until):
        Candle.objects.all().delete()
        put(places)
        found = missing(since, until)
        assert {hour for start, stop in found for hour in range(start, stop)} == set(range(since, until)) - places
        assert found == joined(found)


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40))),
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40))),
)
def test_taking_spans_away_leaves_exactly_the_others(spans, known):
    def held(several):
        return {at for start, stop in several for at in range(start, stop)}

    spans = joined(spans)
    left = without_spans(spans, joined(known))
    assert held(left) == held(spans) - held(known)
    assert all(start < stop for start, stop in left)
    assert np.all(np.diff([at for span in left for at in span]) >= 0)


@pytest.mark.django_db
def test_a_hole_that_was_confirmed_soon_after_its_end_is_asked_for_again_after_an_hour():
    """A venue that has failed may write its candles down later."""
    put(set(range(50)) - {20})
    end = START + 21 * HOUR
    hole = CandleHole.objects.create(**ALL, start=START + 20 * HOUR, stop=end, asked=end + HOUR)
    with time_machine.travel(end + 1.5 * HOUR, tick=False):
        assert missing() == []
    with time_machine.travel(end + 2.5 * HOUR, tick=False):
        assert missing() == [(20, 21)]
    CandleHole.objects.filter(pk=hole.pk).update(asked=end + 25 * HOUR)
    with time_machine.travel(end + 1000 * HOUR, tick=False):
        assert missing() == []
