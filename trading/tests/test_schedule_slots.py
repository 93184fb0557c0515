"""Slots are aligned and stable, offsets are bounded and spread, whatever the clock does."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.domain.schedule import (
    CRONTABS,
    EPOCH,
    at_least,
    due,
    expiry_seconds,
    interval_of_crontab,
    interval_of_seconds,
    is_fresh,
    length_of,
    offset_for,
    slot_at,
    tick_seconds,
    timeframes_for,
)

moments = st.datetimes(
    min_value=datetime(2017, 1, 1),  # noqa: DTZ001
    max_value=datetime(2100, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
intervals = st.sampled_from(list(CRONTABS))
keys = st.text(min_size=1, max_size=40)


@given(moments, intervals)
def test_a_slot_is_the_latest_aligned_close_not_after_now(now: datetime, interval: str) -> None:
    slot = slot_at(now, interval)
    assert slot <= now < slot + length_of(interval)
    assert (slot - EPOCH) % length_of(interval) == timedelta(0)


@given(moments, intervals)
def test_every_moment_of_a_candle_has_the_same_slot(now: datetime, interval: str) -> None:
    slot = slot_at(now, interval)
    assert slot_at(slot, interval) == slot
    assert slot_at(slot + length_of(interval) - timedelta(microseconds=1), interval) == slot


@given(moments, intervals, st.timedeltas(min_value=timedelta(days=-3), max_value=timedelta(days=3)))
def test_a_clock_that_jumps_never_invents_a_slot(now: datetime, interval: str, jump: timedelta) -> None:
    before, after = slot_at(now, interval), slot_at(now + jump, interval)
    assert (after - before) % length_of(interval) == timedelta(0)
    assert (after >= before) if jump >= timedelta(0) else (after <= before)


@given(keys, intervals)
def test_an_offset_is_stable_and_inside_its_bounds(key: str, interval: str) -> None:
    offset = offset_for(key, interval)
    assert offset == offset_for(key, interval)
    assert timedelta(0) <= offset < min(timedelta(seconds=60), length_of(interval) / 3)


def test_offsets_spread_a_thousand_bots_evenly() -> None:
    offsets = sorted(offset_for(f"bot:{number}", "3m") for number in range(1000))
    per_ten_seconds = [sum(1 for o in offsets if s <= o.total_seconds() < s + 10) for s in range(0, 60, 10)]
    assert min(per_ten_seconds) > 120
    assert max(per_ten_seconds) < 215


@given(moments, intervals, keys)
def test_a_decision_is_due_before_the_next_candle_closes(now: datetime, interval: str, key: str) -> None:
    slot = slot_at(now, interval)
    assert slot <= due(slot, offset_for(key, interval)) < slot + length_of(interval)


@pytest.mark.parametrize(
    ("interval", "age", "fresh"),
    [
        ("3m", timedelta(minutes=2, seconds=59), True),
        ("5m", timedelta(minutes=4, seconds=59), True),
        ("15m", timedelta(minutes=7, seconds=29), True),
        ("15m", timedelta(minutes=7, seconds=30), False),
        ("1h", timedelta(minutes=29), True),
        ("1h", timedelta(minutes=30), False),
        ("1d", timedelta(hours=13), False),
    ],
)
def test_a_candle_is_fresh_for_half_its_length_and_at_least_five_minutes(
    interval: str, age: timedelta, fresh: bool
) -> None:
    slot = datetime(2026, 1, 1, tzinfo=UTC)
    assert is_fresh(slot, slot + age, interval) is fresh


@pytest.mark.parametrize(
    ("interval", "seen"),
    [
        ("3m", ("3m", "15m", "1h", "4h")),
        ("15m", ("15m", "1h", "4h")),
        ("1h", ("1h", "4h")),
        ("4h", ("4h",)),
        ("1d", ("1d",)),
    ],
)
def test_a_bot_sees_its_own_interval_and_longer_ones(interval: str, seen: tuple[str, ...]) -> None:
    assert timeframes_for(interval) == seen


def test_no_bot_decides_faster_than_there_are_candles() -> None:
    assert at_least("3m", "1h") == "1h"
    assert at_least("4h", "1h") == "4h"
    assert at_least("3m", "1m") == "3m"


@given(intervals, st.floats(min_value=0.001, max_value=1e6))
def test_a_replay_is_looked_at_twice_per_candle_or_every_second(interval: str, speed: float) -> None:
    seconds = tick_seconds(interval, speed)
    assert seconds >= 1
    assert seconds == 1 or seconds * speed * 2 <= length_of(interval).total_seconds()


@given(st.integers(min_value=2, max_value=86_400))
def test_a_tick_expires_before_the_next_one(period: int) -> None:
    assert 1 <= expiry_seconds(period) < period


@given(intervals)
def test_an_interval_is_found_again_in_its_own_schedule(interval: str) -> None:
    assert interval_of_crontab(CRONTABS[interval].minute, CRONTABS[interval].hour) == interval
    assert interval_of_seconds(length_of(interval).total_seconds()) == interval


def test_a_schedule_that_is_no_interval_names_none() -> None:
    assert interval_of_crontab("*/7", "*") is None
    assert interval_of_seconds(420) is None
