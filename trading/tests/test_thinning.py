"""Thinning a curve changes no figure that is made of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from trading.domain.performance_days import Zones, hours_of
from trading.domain.thinning import Point, quarter_of, superfluous

START = datetime(2026, 3, 1, tzinfo=UTC)
STEPS = st.lists(st.tuples(st.integers(1, 400), st.integers(0, 4), st.sampled_from([0, 0, 0, 0, 50])), max_size=80)


def curve(steps) -> list[Point]:
    points, at, transfers = [], START, 0
    for key, (seconds, equity, transfer) in enumerate(steps):
        at += timedelta(seconds=seconds)
        transfers += transfer
        points.append(Point(key, at, Decimal(equity), Decimal(transfers)))
    return points


def thinned(points: list[Point]) -> list[Point]:
    gone = set(superfluous(points))
    return [point for point in points if point.key not in gone]


def days_of(points: list[Point], zone: str):
    """First, last, lowest and highest of each day, and what came in on it."""
    days: dict = {}
    for point in points:
        days.setdefault(Zones(zone).day_of(point.at), []).append(point)
    return {
        day: (some[0], some[-1], min(one.equity for one in some), max(one.equity for one in some))
        for day, some in days.items()
    }


@given(STEPS, st.sampled_from(["UTC", "Asia/Kathmandu", "Asia/Kolkata", "Australia/Eucla"]))
def test_hours_days_of_any_zone_and_transfers_stay_as_they_were(steps, zone):
    points = curve(steps)
    left = thinned(points)

    def hours(some):
        return [
            (hour.hour, hour.first, hour.last, hour.lowest, hour.highest, hour.lowest_at, hour.highest_at)
            for hour in hours_of((point.at, point.equity) for point in some)
        ]

    assert hours(left) == hours(points)
    assert days_of(left, zone) == days_of(points, zone)

    def changes(some):
        return [(one.at, two.at) for one, two in pairwise(some) if one.transfers != two.transfers]

    within = [(one, two) for one, two in changes(points) if quarter_of(one) == quarter_of(two)]
    assert set(within) <= set(changes(left))
    assert thinned(left) == left


def test_of_a_quiet_hour_sixteen_points_are_enough():
    points = [Point(key, START + timedelta(seconds=30 * key), Decimal(100 + key % 7), Decimal(0)) for key in range(120)]
    assert len(thinned(points)) <= 16
