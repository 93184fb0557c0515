"""Numbers and times are written exactly, with sign, unit and the exchange's precision."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.selectors.standing import day_start
from trading.selectors.trace import STEPS
from trading.services.journal.base import Stage
from trading.templatetags import figures


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (D("10164.2"), "10,164.20"),
        (D("-0.004"), "0.00"),
        (D("-12.5"), "−12.50"),
        (D("1e9"), "1,000,000,000.00"),
    ],
)
def test_money_has_two_decimals_and_a_real_minus(value, text):
    assert figures.money(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(D("3.1"), "+3.10"), (D("-3.1"), "−3.10"), (D("0.004"), "0.00"), (D(0), "0.00")]
)
def test_a_result_carries_its_sign_unless_it_is_nothing(value, text):
    assert figures.signed(value) == text


@pytest.mark.parametrize(
    ("value", "tick", "text"),
    [
        (D("71284.6000000000"), D("0.1000000000"), "71,284.6"),
        (D("0.0948300000"), D("0.00001"), "0.09483"),
        (D("1234"), D("10"), "1,234"),
        (D("5"), D("0.5"), "5.0"),
        (None, D("0.1"), "–"),
    ],
)
def test_a_price_has_the_decimals_of_the_tick(value, tick, text):
    assert figures.price(value, tick) == text


@pytest.mark.parametrize(("value", "name"), [(D("1"), "gain"), (D("-1"), "loss"), (D("0.001"), "even"), (None, "even")])
def test_colour_follows_what_is_written(value, name):
    assert figures.tone(value) == name


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (7800, "2 h 10 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_a_length_of_time_has_its_two_largest_units(seconds, text):
    assert figures.lasting(timedelta(seconds=seconds)) == text


def test_a_moment_says_how_far_away_it_is_and_when_exactly():
    now = datetime(2026, 3, 14, 15, 0, tzinfo=UTC)
    assert ">3 min ago<" in figures.moment(now - timedelta(minutes=3), now)
    assert ">in 30 s<" in figures.moment(now + timedelta(seconds=30), now)
    assert "Sat 14 Mar 2026 15:00:00 UTC" in figures.moment(now, now)


@given(st.decimals(min_value=-(10**12), max_value=10**12, places=8))
def test_what_is_written_exactly_reads_back_the_same(value):
    assert D(figures.exact(value).replace(",", "").replace("−", "-")) == value


@pytest.mark.parametrize(
    ("now", "zone", "began"),
    [
        ("2026-03-14T15:00:00+00:00", "UTC", "2026-03-14T00:00:00+00:00"),
        ("2026-03-14T15:00:00+00:00", "Asia/Tokyo", "2026-03-14T15:00:00+00:00"),
        ("2026-03-29T10:00:00+00:00", "Europe/Berlin", "2026-03-28T23:00:00+00:00"),  # the day the clocks change
    ],
)
def test_the_trading_day_begins_at_midnight_of_the_accounts_zone(now, zone, began):
    assert day_start(datetime.fromisoformat(now), zone) == datetime.fromisoformat(began)


def test_the_page_shows_the_nine_steps_that_the_cycle_has():
    assert list(STEPS) == [stage.value for stage in Stage]
