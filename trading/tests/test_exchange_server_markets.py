"""The markets behind the test exchange: whatever is done to them, candles stay possible and what has closed stays."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketdata.domain.candles import Candles
from marketdata.domain.quality import faults
from trading.exchange_server.bars import DAY_MS, LENGTHS, buckets, ends_at, opens_at
from trading.exchange_server.build import recorded_markets, simulated_markets
from trading.tests.exchange_kit import START, START_MS

SYMBOL = "SOLUSDT"

deeds = st.lists(
    st.one_of(
        st.tuples(st.just("step"), st.integers(0, 400_000)),
        st.tuples(st.just("price"), st.floats(0.5, 2.0)),
        st.tuples(st.just("mark"), st.floats(0.9, 1.1)),
    ),
    max_size=12,
)


def rows(bars):
    return list(zip(*(column.tolist() for column in bars.columns()[:6]), strict=True))


def impossible(bars, interval):
    columns = bars.columns()[:6]
    return faults(Candles(SYMBOL, interval, *columns))


@settings(max_examples=60)
@given(deeds=deeds)
def test_moves_and_steps_leave_only_possible_candles_and_never_change_closed_ones(deeds):
    markets = simulated_markets([SYMBOL], start=START, history_days=0)
    markets.clock.stand()
    series, closed = markets.series[SYMBOL], []
    for deed, amount in deeds:
        before = markets.prices(SYMBOL, markets.now_ms())
        if deed == "step":
            markets.clock.step(amount)
        elif deed == "price":
            markets.set_price(SYMBOL, last=before.last * amount)
        else:
            markets.set_price(SYMBOL, mark=before.mark * amount)
        now = markets.now_ms()
        prices, running = markets.prices(SYMBOL, now), series.running("1m", now)
        ended = rows(series.closed("1m", now))
        assert ended[: len(closed)] == closed
        closed = ended
        assert impossible(series.closed("1m", now), "1m") == impossible(running, "1m") == []
        assert running.close.tolist() == [prices.last]
        assert prices.bid <= prices.last <= prices.ask
        assert prices.bid < prices.ask
        assert opens_at(now, "5m") not in series.closed("5m", now).open_time


@given(steps=st.lists(st.integers(1, 20_000), min_size=1, max_size=20))
def test_a_running_candle_only_grows(steps):
    markets = simulated_markets([SYMBOL], start=START, history_days=0)
    markets.clock.stand()
    last = markets.series[SYMBOL].running("15m", markets.now_ms())
    for step in steps:
        markets.clock.step(step)
        now = markets.series[SYMBOL].running("15m", markets.now_ms())
        if now.open_time[0] == last.open_time[0]:
            assert now.open[0] == last.open[0]
            assert now.high[0] >= last.high[0]
            assert now.low[0] <= last.low[0]
            assert now.volume[0] >= last.volume[0]
        last = now


@given(ms=st.integers(1_546_300_800_000, 1_924_905_600_000), interval=st.sampled_from(list(LENGTHS)))
def test_every_moment_lies_in_one_candle(ms, interval):
    start = opens_at(ms, interval)
    assert start <= ms < ends_at(start, interval)
    assert opens_at(start, interval) == start
    assert opens_at(ends_at(start, interval), interval) == ends_at(start, interval)
    assert buckets(np.array([ms], np.int64), interval)[0] == start
    opened = datetime.fromtimestamp(start / 1000, UTC)
    assert interval != "1w" or opened.weekday() == 0
    assert interval != "1M" or opened.day == 1


def test_a_market_that_is_started_again_in_the_same_month_has_the_same_past():
    first = simulated_markets(["BTCUSDT"], start=START)
    later = simulated_markets(["BTCUSDT"], start=START + timedelta(days=9))
    for markets in (first, later):
        markets.clock.stand()
    now = first.now_ms()
    assert rows(first.series["BTCUSDT"].closed("1h", now)) == rows(later.series["BTCUSDT"].closed("1h", now))
    assert opens_at(first.series["BTCUSDT"].begins_at, "1M") == first.series["BTCUSDT"].begins_at


def test_a_price_set_in_a_recording_carries_along_what_follows_and_its_own_files_end_there(shared_data):
    start = datetime(2025, 10, 1, 12, 30, tzinfo=UTC)
    markets = recorded_markets(shared_data / "candles" / "aster_2025", ["BTCUSDT"], start=start)
    plain = recorded_markets(shared_data / "candles" / "aster_2025", ["BTCUSDT"], start=start)
    markets.clock.stand()
    markets.set_price("BTCUSDT", last=markets.prices("BTCUSDT", markets.now_ms()).last * 2)
    markets.clock.step(3 * 86_400_000)
    moved = opens_at(int(start.timestamp() * 1000), "4h")
    for interval in ("1h", "4h"):
        changed = markets.series["BTCUSDT"].closed(interval, markets.now_ms())
        recorded = plain.series["BTCUSDT"].closed(interval, markets.now_ms())
        place = recorded.place(moved)
        assert rows(changed)[:place] == rows(recorded)[:place]
        assert np.median(changed.close[place + 1 :] / recorded.close[place + 1 :]) == pytest.approx(2, rel=0.02)
        assert impossible(changed.cut(place, None), interval) == []


def test_open_interest_and_book_are_the_same_for_the_same_moment():
    one, two = (simulated_markets([SYMBOL], start=START, history_days=1) for _ in range(2))
    for at in (START_MS - 3_600_000, START_MS):
        assert one.book(SYMBOL, at, 20) == two.book(SYMBOL, at, 20)
        assert one.interest(SYMBOL, at) == two.interest(SYMBOL, at) > 0
        assert one.deals(SYMBOL, first=at // 1000 - 5, last=at // 1000) == two.deals(
            SYMBOL, first=at // 1000 - 5, last=at // 1000
        )


def test_a_recording_can_be_moved_to_today(shared_data):
    folder, start = shared_data / "candles" / "binance_um_2025_1h", datetime(2025, 10, 10, tzinfo=UTC)
    plain = recorded_markets(folder, ["BTCUSDT"], start=start)
    moved = recorded_markets(folder, ["BTCUSDT"], start=start, today=True)
    for markets in (plain, moved):
        markets.clock.stand()
    now = moved.now_ms()
    assert abs(now / 1000 - datetime.now(UTC).timestamp()) < 60
    shift = now // DAY_MS * DAY_MS - int(start.timestamp()) * 1000
    plain.clock.set(now - shift)
    for interval in ("1h", "4h", "1d"):
        here, there = (markets.series["BTCUSDT"].closed(interval, markets.now_ms()) for markets in (moved, plain))
        assert (here.open_time - shift).tolist() == there.open_time.tolist()
        assert rows(here.cut(-5, None))[0][1:] == rows(there.cut(-5, None))[0][1:]
    here, there = (markets.prices("BTCUSDT", markets.now_ms()) for markets in (moved, plain))
    assert (here.last, here.mark) == (there.last, there.mark)
    rates = [markets.settlements("BTCUSDT", since_ms=0, until_ms=markets.now_ms()) for markets in (moved, plain)]
    assert [(one.at_ms - shift, one.rate) for one in rates[0]] == [(one.at_ms, one.rate) for one in rates[1]] != []
    expected = [markets.next_funding("BTCUSDT", markets.now_ms()) for markets in (moved, plain)]
    assert expected[0].at_ms - shift == expected[1].at_ms
