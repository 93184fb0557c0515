"""However often one looks, a price counts once: catching up gives what watching would have given."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal as D

import numpy as np
from hypothesis import given, reject
from hypothesis import strategies as st

from marketdata.domain.candles import Candles
from trading.domain.matching import EngineRefusal, EngineSettings, MarginMode
from trading.domain.matching.tape import Cursor, Settlement, Tape, bars, replay
from trading.tests.matching_kit import START, engine, opened, order, quote, stop
from trading.tests.paper_kit import TickMarket
from vibex.lib.clock import to_ms

SYMBOL = "BTCUSDT"
MINUTE = timedelta(minutes=1)


def candles(*rows, opened_at=START):
    """One-minute candles from open, high, low, close."""
    columns = [np.array(column, dtype=np.float64) for column in zip(*rows, strict=True)] or [np.array([])] * 4
    opens = np.array([to_ms(opened_at) + 60_000 * number for number in range(len(rows))], dtype=np.int64)
    return Candles(SYMBOL, "1m", opens, *columns, np.ones(len(rows)))


def cursor(minutes=0.0, **more):
    return Cursor(START + minutes * MINUTE, START, D(100), D(100), **more)


def read(rows, at, until):
    tape = Tape(SYMBOL, candles(*rows), [], None, at)
    return [(bar.open, bar.high, bar.low, bar.close) for bar in bars(tape, until=START + until * MINUTE)]


def test_without_a_cursor_nothing_of_the_past_counts():
    assert read([(100, 110, 90, 105)], None, 0.5) == []


def test_closed_candles_after_the_cursor_come_whole():
    assert read([(100, 110, 90, 105), (105, 106, 104, 105)], cursor(), 2) == [(100, 110, 90, 105), (105, 106, 104, 105)]


def test_of_the_candle_of_the_cursor_only_new_extremes_and_the_close_count():
    seen = cursor(0.5, candle=to_ms(START), high=D(104), low=D(96), close=D(100))
    assert read([(100, 104, 96, 101)], seen, 0.9) == [(100, 101, 100, 101)]
    assert read([(100, 105, 96, 101)], seen, 0.9) == [(100, 105, 100, 101)]
    assert read([(100, 104, 95, 101)], seen, 1) == [(100, 101, 95, 101)]


def test_a_candle_that_was_not_known_when_we_looked_counts_whole():
    assert read([(100, 150, 50, 101)], cursor(0.5), 1) == [(100, 150, 50, 101)]


def test_a_candle_without_news_is_not_walked_again():
    """Else the price would go back from a newer quote to an older close, and fire what lies between."""
    seen = cursor(0.9, candle=to_ms(START), high=D(104), low=D(96), close=D(101))
    assert read([(100, 104, 96, 101)], seen, 1) == []


def follow(made, steps):
    """Replay tapes one after the other, each from where the last one ended: (candles, funding, quote, minute)."""
    here = cursor(candle=to_ms(START), high=D(100), low=D(100), close=D(100))
    for known, settlements, newest, minute in steps:
        tape = Tape(SYMBOL, known, settlements, newest, here)
        here = replay(made, [tape], until=START + minute * MINUTE)[SYMBOL]
    return here


def protected():
    made = opened(leverage=1)
    made.place(stop("SELL", "95"), at=START)
    made.drain()
    return made


def test_candles_that_the_feed_fills_in_later_are_not_missed():
    """We look at minute 3 and nothing is known beyond the half of candle 0; then candles 0 to 2 arrive."""
    half, all_of_it = candles((100, 100, 99, 99)), candles((100, 100, 98, 98), (98, 98, 94, 97), (97, 99, 97, 99))
    for steps in (
        [(half, [], None, 0.5), (half, [], None, 3), (all_of_it, [], None, 3.1)],
        [(all_of_it, [], None, 3.1)],
    ):
        made = protected()
        follow(made, steps)
        assert [(trade.price, trade.at) for trade in made.drain().trades] == [(D(95), START + 2 * MINUTE)]


def test_an_extreme_that_a_closed_candle_gets_late_is_not_missed():
    made = protected()
    follow(made, [(candles((100, 100, 99, 99)), [], None, 1.2), (candles((100, 100, 94, 99)), [], None, 1.4)])
    assert len(made.drain().trades) == 1


def test_a_settlement_that_becomes_known_late_is_paid_once():
    made, known = protected(), candles((100, 100, 99, 100), (100, 100, 100, 100))
    paid = [Settlement(START + MINUTE, D("0.001"), D(100))]
    follow(made, [(known, [], None, 1.1), (known, paid, None, 1.2), (known, paid, None, 1.3)])
    assert [entry.amount for entry in made.drain().income] == [D(-1)]


def test_a_position_opened_after_a_late_settlement_does_not_pay_it():
    made = engine()
    made.place(order("BUY", quantity="1"), at=START + 2 * MINUTE)
    made.drain()
    made.on_funding(SYMBOL, D("0.001"), D(100), START + MINUTE)
    assert not made.drain()


def test_what_is_new_in_a_candle_is_dated_after_the_look():
    seen = cursor(0.5, candle=to_ms(START), high=D(100), low=D(100), close=D(100))
    tape = Tape(SYMBOL, candles((100, 105, 95, 100)), [], None, seen)
    assert [(bar.opened_at, bar.closed_at) for bar in bars(tape, until=START + 2 * MINUTE)] == [
        (START + MINUTE / 2, START + MINUTE)
    ]


def test_a_price_at_the_moment_a_candle_ends_is_not_of_that_candle():
    """A stop that is placed sharp at minute 1 has nothing to do with candle 0, not even with its close."""
    made = opened(leverage=1)
    made.place(stop("SELL", "95"), at=START + MINUTE)
    made.drain()
    follow(made, [(candles((100, 100, 94, 94)), [], None, 1.5)])
    assert not made.drain()
    assert made.prices(SYMBOL).last == 94, "but it is the newest price there is"


def test_a_target_meets_no_stop_that_is_younger_than_the_candle():
    """Where a candle holds both, the stop comes first; one that was placed later is not held by it."""
    made = opened(leverage=1)
    made.place(order("SELL", "LIMIT", "10", price="104", reduce_only=True, id="t"), at=START)
    made.place(stop("SELL", "95", id="s"), at=START + 1.5 * MINUTE)
    made.drain()
    follow(made, [(candles((100, 105, 94, 100)), [], None, 2)])
    assert [(trade.client_order_id, trade.price) for trade in made.drain().trades] == [("t", D(104))]


def test_a_liquidation_seen_late_ends_no_order_before_its_creation():
    made = opened(leverage=20)
    made.place(stop("SELL", "97", id="s"), at=START + 1.5 * MINUTE)
    made.drain()
    follow(made, [(candles((100, 100, 90, 90)), [], None, 2)])
    changes = made.drain()
    assert [trade.at for trade in changes.trades] == [START + MINUTE]
    assert [o.updated for o in changes.orders if o.client_order_id == "s"] == [START + 1.5 * MINUTE]


def test_a_liquidation_seen_late_takes_no_position_that_came_after_it():
    """Cross margin: the loss on one symbol leaves too little for the other, but that is seen at its own next price."""
    made = opened(quantity="50", deposit="1000", settings=EngineSettings(margin_mode=MarginMode.CROSS))
    made.set_leverage("SOLUSDT", 10)
    made.place(order("BUY", quantity="40", symbol="SOLUSDT"), at=START + 2 * MINUTE)
    made.drain()
    follow(made, [(candles((100, 100, 80, 80)), [], None, 3)])
    assert [(trade.symbol, trade.at) for trade in made.drain().trades] == [(SYMBOL, START + MINUTE)]
    made.on_quote(replace(quote(100, symbol="SOLUSDT"), at=START + 3 * MINUTE))
    assert [(trade.symbol, trade.at) for trade in made.drain().trades] == [("SOLUSDT", START + 3 * MINUTE)]


def test_a_newer_quote_is_not_undone_by_an_older_close():
    made, known = protected(), candles((100, 100, 98, 98))
    newer = quote(105)
    here = follow(made, [(known, [], replace(newer, at=START + MINUTE), 1.1)])
    made.place(stop("SELL", "103"), at=START + 1.1 * MINUTE)
    replay(made, [Tape(SYMBOL, known, [], replace(newer, at=START + 1.2 * MINUTE), here)], until=START + 1.2 * MINUTE)
    assert not made.drain().trades


def test_candles_after_the_moment_are_not_read():
    assert read([(100, 101, 99, 100), (1, 1, 1, 1)], cursor(), 1) == [(100, 101, 99, 100)]


def test_funding_comes_after_the_candle_that_ends_with_it_and_before_the_next():
    made = opened(leverage=1)
    made.place(stop("SELL", "95"), at=START)
    made.drain()
    settlements = [Settlement(START + number * MINUTE, D("0.001"), D(100)) for number in (0, 1, 2, 3)]
    tape = Tape(SYMBOL, candles((100, 100, 99, 100), (100, 100, 94, 96), (96, 96, 96, 96)), settlements, None, cursor())
    replay(made, [tape], until=START + 3 * MINUTE)
    paid = [entry.at for entry in made.drain().income if entry.kind == "FUNDING_FEE"]
    assert paid == [START + MINUTE], "the one at the cursor was settled before, those after the stop find nothing"


def test_symbols_are_walked_together_in_time():
    """The stop of one symbol at minute 1 and of the other at minute 2 are booked in this order."""
    made = engine()
    for symbol in (SYMBOL, "SOLUSDT"):
        made.place(stop("SELL", "95", symbol=symbol, id=symbol), at=START)
    late, soon = candles((100, 100, 99, 100), (100, 100, 90, 90)), candles((100, 100, 90, 90), (90, 90, 90, 90))
    made.drain()
    replay(
        made,
        [Tape(SYMBOL, late, [], None, cursor()), Tape("SOLUSDT", soon, [], None, cursor())],
        until=START + 2 * MINUTE,
    )
    assert [record.client_order_id for record in made.drain().orders] == ["SOLUSDT", SYMBOL]


def test_the_cursor_remembers_what_was_seen_of_the_forming_candle():
    made = opened()
    tape = Tape(SYMBOL, candles((100, 103, 98, 101)), [], quote(102), cursor())
    after = replay(made, [tape], until=START + 0.5 * MINUTE)[SYMBOL]
    assert (after.candle, after.high, after.low, after.last) == (to_ms(START), D(103), D(98), D(102))


@given(
    ticks=st.lists(st.tuples(st.integers(1, 300), st.integers(900, 1100)), min_size=1, max_size=30),
    looks=st.lists(st.integers(1, 299), max_size=8),
    trigger=st.integers(900, 999),
)
def test_a_stop_fires_exactly_when_a_price_after_it_was_at_or_below_its_trigger(ticks, looks, trigger):
    """Seconds 1 to 300, prices in tenths; whether one looks often or only at the end makes no difference."""
    market, symbol = TickMarket(), SYMBOL
    market.tick(100, minutes=0)
    for second, price in sorted(ticks):
        market.tick(D(price) / 10, minutes=second / 60)
    made = opened(leverage=1, settings=EngineSettings(spread=D(0), margin_buffer=D(0)))
    made.place(stop("SELL", str(D(trigger) / 10)), at=START)
    made.drain()
    here = cursor(candle=to_ms(START), high=D(100), low=D(100), close=D(100))
    for second in sorted({*looks, 301}):
        until = START + timedelta(seconds=second)
        seen = market.base_candles(symbol, since=here.at, until=until)
        here = replay(made, [Tape(symbol, seen, [], market.quote(symbol, at=until), here)], until=until)[symbol]
    fired = bool(made.drain().trades)
    assert fired == (min(price for _, price in ticks) <= trigger)


@given(
    ticks=st.lists(st.tuples(st.integers(1, 300), st.integers(900, 1100)), min_size=1, max_size=30),
    looks=st.lists(st.tuples(st.integers(1, 299), st.integers(0, 200)), max_size=8),
    placed=st.tuples(st.integers(1, 299), st.integers(0, 200)),
    trigger=st.integers(900, 999),
    enters=st.booleans(),
)
def test_however_late_the_feed_is_a_stop_is_met_by_no_candle_before_it_and_misses_none_after_it(
    ticks, looks, placed, trigger, enters
):
    """Looks are (second, how far the feed is behind). At one of them the stop is placed, maybe with its entry.

    Of the minute it was placed in some prices may go unseen; the minutes after it count whole.
    """
    market, symbol = TickMarket(), SYMBOL
    market.tick(100, minutes=0)
    for second, price in sorted(ticks):
        market.tick(D(price) / 10, minutes=second / 60)
    settings = EngineSettings(spread=D(0), margin_buffer=D(0))
    made = engine(settings=settings) if enters else opened(leverage=1, settings=settings)
    here, known = cursor(candle=to_ms(START), high=D(100), low=D(100), close=D(100)), START
    moment = START + timedelta(seconds=placed[0])
    for second, lag in sorted({placed, *(look for look in looks if look[0] != placed[0]), (361, 0)}):
        until = START + timedelta(seconds=second)
        known = max(known, until - timedelta(seconds=lag))
        seen = market.base_candles(symbol, since=START - MINUTE, until=known + timedelta(microseconds=1))
        here = replay(made, [Tape(symbol, seen, [], market.quote(symbol, at=known), here)], until=until)[symbol]
        if until == moment:
            try:
                _ = enters and made.place(order("BUY", quantity="1", id="entry"), at=until)
                made.place(stop("SELL", str(D(trigger) / 10), id="s"), at=until)
            except EngineRefusal:
                reject()
    fired = [trade for trade in made.drain().trades if trade.client_order_id == "s"]
    minute = placed[0] // 60
    assert all(trade.at > moment for trade in fired)
    assert not fired or min((price for second, price in ticks if second >= minute * 60), default=1000) <= trigger
    assert fired or min((price for second, price in ticks if second >= minute * 60 + 60), default=1000) > trigger
