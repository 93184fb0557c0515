"""A long curve in few points keeps its first, last, lowest and highest, whether it is drawn from points or from hours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.domain.downsampling import FEWEST, thinned
from trading.models import EquityPoint, PerformanceState
from trading.selectors import equity_series as series
from trading.services.performance import performance_rebuild
from trading.tests.builders import make_account

values = st.lists(st.floats(-1e9, 1e9, allow_nan=False, width=32), min_size=1, max_size=400)


@given(values, st.integers(FEWEST, 60), st.randoms(use_true_random=False))
def test_first_last_lowest_and_highest_are_kept_in_order_and_nothing_is_made_up(found, points, random):
    at, curve = 0, []
    for value in found:
        at += random.randrange(1, 1_000_000)
        curve.append((at, value))
    small = thinned(curve, points=points)
    assert len(small) <= points
    assert set(small) <= set(curve)
    assert list(small) == sorted(small)
    assert (small[0], small[-1]) == (curve[0], curve[-1])
    kept = [value for _, value in small]
    assert (min(kept), max(kept)) == (min(found), max(found))
    if len(curve) <= points:
        assert small == curve


def test_fewer_points_than_have_to_be_kept_are_refused():
    with pytest.raises(ValueError, match="too few"):
        thinned([(1, 1.0)], points=3)


@pytest.mark.django_db
@pytest.mark.parametrize("cut", [None, (31, 200), (0, 75)])
def test_from_hours_the_curve_is_as_high_and_as_low_as_from_points(monkeypatch, cut):
    account, random = make_account("long"), Random(3)
    begin = datetime(2026, 5, 3, 7, 41, 3, 250_001, tzinfo=UTC)
    moments = [begin + timedelta(minutes=17 * number, microseconds=number) for number in range(900)]
    EquityPoint.objects.bulk_create(
        EquityPoint(account=account, at=at, wallet=0, unrealised=0, equity=random.randrange(900, 1100))
        for at in moments
    )
    performance_rebuild(account)
    since, until = (None, None) if cut is None else (begin + timedelta(hours=cut[0]), begin + timedelta(hours=cut[1]))
    whole = series.equity_series(account.pk, since=since, until=until, points=2000)
    assert (whole.source, whole.thinned) == ("points", False)
    monkeypatch.setattr(series, "MOST_RAW", 100)
    small = series.equity_series(account.pk, since=since, until=until, points=50)
    assert (small.source, small.thinned) == ("hours", True)
    assert len(small.points) <= 50
    assert set(small.points) <= set(whole.points)
    assert (small.points[0], small.points[-1]) == (whole.points[0], whole.points[-1])
    for extreme in (min, max):
        assert extreme(value for _, value in small.points) == extreme(value for _, value in whole.points)
    # Hours that are not made yet are drawn from points.
    PerformanceState.objects.update(equity_until=begin + timedelta(hours=40))
    assert set(series.equity_series(account.pk, since=since, until=until, points=2000).points) <= set(whole.points)
    account.equity_hours.all().delete()
    PerformanceState.objects.all().delete()
    assert series.equity_series(account.pk, since=since, until=until, points=2000).points == whole.points
