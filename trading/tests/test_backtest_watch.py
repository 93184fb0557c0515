"""What a backtest puts off, or looks for in floats, comes out as if it had been done at once and in full."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as some

from marketdata.recorded_market import RecordedMarket
from trading.domain.losses import carried
from trading.domain.venue import Income, IncomeKind
from trading.services.backtest.jump import SHORT, Tape
from trading.services.journal.memory import MemoryJournal
from trading.tests.backtest_kit import recording, walk
from trading.tests.venue_support import BTC

NOON = datetime(2025, 3, 4, 12, tzinfo=UTC)
STATEMENTS = some.lists(
    some.tuples(
        some.integers(0, 12 * 60),  # minutes since the statement before
        some.sampled_from([-20_000, -300, -1, 0, 0, 1, 300, 20_000]),  # cents that the equity moves by
        some.sampled_from([0, 0, 0, 0, 5_000, -2_000]),  # cents that are paid in before
        some.booleans(),  # somebody asks in between
        some.booleans(),  # it is worked out later
    ),
    max_size=40,
)


@example(
    1_000,
    [
        (1, 0, 0, False, True),
        (1, -100, 0, False, True),
        (1, -850, 0, False, True),
        (1, 450, 0, False, True),
        (1, -250, 0, True, True),
    ],
)
@given(some.sampled_from([90, 1_000, 100_000, 10_000_000]), STATEMENTS)
def test_losses_are_remembered_the_same_however_seldom_somebody_asks(cents, statements):
    journal, expected, at, equity = MemoryJournal(), None, NOON, Decimal(cents) / 100
    for number, (minutes, change, paid, asked, later) in enumerate(statements):
        at += timedelta(minutes=minutes)
        if paid:
            amount = Decimal(paid) / 100
            journal.book_income([Income(str(number), IncomeKind.TRANSFER, "", amount, at)])
            equity += amount
        highest = expected.peak * (expected.units or 0) if expected else 0
        equity = max(Decimal(0), equity + Decimal(change) / 100)
        expected = carried(expected, equity=equity, transfers=journal.moved, at=at, zone="UTC")
        if later and Decimal(1) <= equity < highest * Decimal("0.99"):
            journal.watch_later(lambda equity=equity: equity, at)
        else:
            journal.watch_on(equity, at)
        if asked:
            assert journal.watched == expected
            assert journal.watched.units == expected.units
    assert journal.watched == expected


@given(some.integers(0, 1_000), some.data())
def test_a_span_is_looked_through_the_same_value_by_value_and_by_numpy(seed, data):
    count = 3 * SHORT
    market = RecordedMarket([recording(BTC, walk(seed, count, first=100_000.0))], timeframes=("5m",))
    series = market.series("BTCUSDT")
    edges = np.append(series.candles.open_time, series.candles.open_time[-1] + 300_000)
    tape = Tape(series, edges)
    start = data.draw(some.integers(0, count - 1))
    stop = data.draw(some.integers(start, count))
    low, high = float(tape.low[start:].min()), float(tape.high[start:].max())
    floor = data.draw(some.floats(low * 0.999, high))
    ceiling = data.draw(some.floats(floor, high * 1.001))
    met = [place for place in range(start, stop) if tape.low[place] <= floor or tape.high[place] >= ceiling]
    assert tape.reached(start, stop, floor, ceiling) == (met[0] if met else None)
    if stop > start:
        marks = tape.mark[start:stop]
        assert tape.extremes(start, stop) == (marks.min(), marks.max())
