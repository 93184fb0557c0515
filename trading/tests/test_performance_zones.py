"""Every moment is in one day of an account, also where its time zone, or its clocks, are changed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from trading.domain.performance_days import A_DAY, Change, Days, Zones, zones_from

ZONES = ("UTC", "Europe/Berlin", "Asia/Kolkata", "America/New_York", "Pacific/Apia", "America/Havana", "Africa/Cairo")
moments = st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
changes = st.lists(st.tuples(moments, st.sampled_from(ZONES)), max_size=5)


def zones(first: str, made: list[tuple[datetime, str]]) -> Zones:
    befores = [first, *(zone for _, zone in sorted(made))]
    chain = [Change(at, before, zone) for (at, zone), before in zip(sorted(made), befores, strict=False)]
    return zones_from(befores[-1], chain)


@settings(max_examples=40)
@given(st.sampled_from(ZONES), changes, moments)
def test_every_moment_is_in_exactly_one_day(first, made, at):
    found = zones(first, made)
    day = found.day_of(at)
    assert found.begin(day) <= at < found.begin(day + A_DAY)
    days = Days.of(found, day - 3 * A_DAY, day + 3 * A_DAY)
    assert days.at(at) == day
    assert all(earlier < later for earlier, later in zip(days.begins, days.begins[1:], strict=False))


def test_a_change_counts_from_the_next_day_which_is_longer_or_shorter():
    noon = datetime(2026, 6, 10, 12, tzinfo=UTC)
    found = zones("UTC", [(noon, "America/New_York")])
    assert found.begin(date(2026, 6, 10)) == datetime(2026, 6, 10, tzinfo=UTC)
    assert found.begin(date(2026, 6, 11)) == datetime(2026, 6, 11, tzinfo=UTC)
    assert found.begin(date(2026, 6, 12)) == datetime(2026, 6, 12, 4, tzinfo=UTC)
    assert found.begin(date(2026, 6, 13)) - found.begin(date(2026, 6, 12)) == timedelta(days=1)
    east = zones("UTC", [(noon, "Asia/Kolkata")])
    assert east.begin(date(2026, 6, 12)) == datetime(2026, 6, 11, 18, 30, tzinfo=UTC)


def test_of_several_changes_on_one_day_the_last_one_counts():
    noon = datetime(2026, 6, 10, 12, tzinfo=UTC)
    found = zones("UTC", [(noon, "America/New_York"), (noon + timedelta(hours=1), "Europe/Berlin")])
    assert found.of(date(2026, 6, 10)) == "UTC"
    assert found.of(date(2026, 6, 11)) == "Europe/Berlin"


def test_a_zone_that_was_changed_past_the_record_holds_from_the_last_change_on_it():
    noon = datetime(2026, 6, 10, 12, tzinfo=UTC)
    found = zones_from("Asia/Kolkata", [Change(noon, "UTC", "Europe/Berlin")])
    assert (found.of(date(2026, 6, 10)), found.of(date(2026, 6, 11))) == ("UTC", "Asia/Kolkata")
    assert zones_from("Asia/Kolkata", []) == Zones("Asia/Kolkata")
