"""What would have become of an entry, candle by candle: never better than the candles can tell."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decisions.domain.afterwards import OPEN, STOP, TARGET, AskedEntry, Bar, beginning, follow
from decisions.domain.proposal import Side

AT = datetime(2025, 10, 10, 20, 0, 20, tzinfo=UTC)
NEXT = datetime(2025, 10, 10, 20, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LONG = AskedEntry(Side.LONG, Decimal(100), Decimal(2), Decimal(98), Decimal(104), Decimal("0.0005"))
SHORT = AskedEntry(Side.SHORT, Decimal(100), Decimal(2), Decimal(102), Decimal(96), Decimal("0.0005"))


def bars(*rows, first=NEXT):
    """Candles of (open, high, low, close), one minute each."""
    return [Bar(first + n * MINUTE, first + (n + 1) * MINUTE, *map(float, row)) for n, row in enumerate(rows)]


def walked(entry, *rows, first=NEXT):
    return follow(entry, bars(*rows, first=first), before=beginning(entry, at=AT))


def test_a_stop_is_a_loss_of_one_with_fees_on_both_sides():
    done = walked(LONG, (100, 101, 99, 100.5), (100.5, 101, 97.5, 98))
    assert (done.end, done.price, done.until) == (STOP, Decimal(98), NEXT + 2 * MINUTE)
    assert LONG.net(done.price) == Decimal(-4) - Decimal("0.198")
    assert (LONG.multiple(done.price), done.best, done.worst) == (-1.0, 0.5, -1.0)


def test_a_target_is_what_the_distance_says():
    done = walked(LONG, (100, 101, 99, 100.5), (100.5, 105, 99.5, 104.5))
    assert (done.end, done.price) == (TARGET, Decimal(104))
    assert (LONG.multiple(done.price), done.best, done.worst) == (2.0, 2.0, -0.5)
    assert LONG.net(done.price) == Decimal(8) - Decimal("0.204")


def test_a_short_is_the_mirror_of_it():
    assert walked(SHORT, (100, 102, 99, 100)).end == STOP
    done = walked(SHORT, (100, 101, 95.5, 96))
    assert (done.end, done.price, done.best, done.worst) == (TARGET, Decimal(96), 2.0, -0.5)
    assert SHORT.net(done.price) == Decimal(8) - Decimal("0.196")


def test_both_in_one_candle_is_the_stop():
    assert walked(LONG, (100, 105, 97, 104)).end == STOP
    assert walked(SHORT, (100, 103, 95, 96)).end == STOP


def test_a_price_on_the_stop_is_a_stop_and_one_on_the_target_a_target():
    assert walked(LONG, (100, 100, 98, 99)).end == STOP
    assert walked(LONG, (100, 104, 99, 99)).end == TARGET


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.sampled_from([Side.LONG, Side.SHORT]))
def test_the_very_price_of_the_stop_is_a_stop_and_that_of_the_target_a_target_whatever_floats_make_of_them(a, b, side):
    price, away = Decimal(a + b) / 1000, Decimal(b) / 1000
    stop, target = price - side.sign * away, price + side.sign * away
    entry = AskedEntry(side, price, Decimal(1), stop, target)
    for level, end in ((stop, STOP), (target, TARGET)):
        high, low = max(price, level), min(price, level)
        assert walked(entry, (price, high, low, price)).end == end


def test_a_candle_that_opens_beyond_the_stop_is_left_at_its_open():
    done = walked(LONG, (97, 103, 96, 103))
    assert (done.end, done.price, done.worst) == (STOP, Decimal("97.0"), -1.5)


def test_a_candle_that_opens_beyond_the_target_is_left_at_the_target():
    done = walked(LONG, (106, 108, 105, 107))
    assert (done.end, done.price, done.best) == (TARGET, Decimal(104), 2.0)


def test_the_candle_in_which_the_reply_came_counts_neither_way():
    early = NEXT - MINUTE
    assert walked(LONG, (100, 105, 97, 100), (100, 101, 99, 100.5), first=early).end == OPEN
    assert walked(LONG, (100, 105, 97, 100), first=early) == beginning(LONG, at=AT)


def test_a_candle_that_opens_with_the_reply_counts():
    done = follow(LONG, bars((100, 101, 97, 98), first=NEXT), before=beginning(LONG, at=NEXT))
    assert done.end == STOP


def test_what_is_open_is_worth_the_last_close():
    done = walked(LONG, (100, 101, 99, 100.5), (100.5, 103, 99.5, 102.25))
    assert (done.end, done.price, done.until) == (OPEN, Decimal("102.25"), NEXT + 2 * MINUTE)
    assert (done.best, done.worst) == (1.5, -0.5)


def test_without_a_target_it_runs_until_the_stop():
    endless = replace(LONG, target=None)
    assert walked(endless, (100, 140, 99, 130)).end == OPEN
    assert walked(endless, (100, 140, 99, 130), (130, 130, 97, 98)).end == STOP


def test_what_ended_stays_as_it_ended():
    done = walked(LONG, (100, 101, 97, 98))
    assert follow(LONG, bars((98, 140, 90, 130), first=done.until), before=done) is done


BAD = {
    "stop on the wrong side": {"stop": Decimal(101)},
    "stop at the price": {"stop": Decimal(100)},
    "target on the wrong side": {"target": Decimal(99)},
    "no quantity": {"quantity": Decimal(0)},
    "no number": {"stop": Decimal("NaN")},
    "no price": {"price": Decimal(0)},
}


@pytest.mark.parametrize("change", BAD.values(), ids=BAD)
def test_what_cannot_be_followed_is_refused(change):
    entry = replace(LONG, **change)
    assert not entry.sound
    with pytest.raises(ValueError, match="cannot be followed"):
        follow(entry, [], before=beginning(entry, at=AT))


@st.composite
def candle_rows(draw):
    values = st.integers(900, 1100).map(lambda tenth: tenth / 10)
    rows = []
    for _ in range(draw(st.integers(0, 12))):
        low, high = sorted((draw(values), draw(values)))
        inside = st.floats(low, high, allow_nan=False).map(lambda price: round(price, 1))
        rows.append((min(max(draw(inside), low), high), high, low, min(max(draw(inside), low), high)))
    return rows


entries = st.sampled_from([LONG, SHORT, replace(LONG, target=None), replace(SHORT, target=Decimal(99))])


@given(entries, candle_rows(), st.integers(0, 12))
def test_walking_on_in_two_looks_is_the_same_as_in_one(entry, rows, cut):
    whole, all_ = walked(entry, *rows), bars(*rows)
    part = follow(entry, all_[:cut], before=beginning(entry, at=AT))
    assert follow(entry, all_, before=part) == whole


@given(entries, candle_rows())
def test_no_end_is_better_than_its_price_and_the_bounds_hold(entry, rows):
    done = walked(entry, *rows)
    multiple = entry.multiple(done.price)
    if done.end == STOP:
        assert multiple <= -1.0
    if done.end == TARGET:
        assert done.price == entry.target
    assert done.worst <= min(0.0, multiple + 1e-9)
    assert done.best >= max(0.0, multiple - 1e-9 if done.end != STOP else 0.0)
    assert float(entry.net(done.price)) <= multiple * float(entry.distance * entry.quantity)


@given(entries, candle_rows(), candle_rows())
def test_what_comes_later_never_changes_how_it_ended(entry, rows, more):
    done = walked(entry, *rows)
    if done.end != OPEN:
        assert walked(entry, *rows, *more) == done
