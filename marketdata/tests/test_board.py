"""Whatever order the words of a venue come in, and however often, the board ends up with the same market."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketdata.domain.board import REMEMBERED, Board
from marketdata.domain.snapshot import Quote
from marketdata.domain.ticks import BookTick, CandleTick, MarkTick
from vibex.lib.clock import from_ms, to_ms

START = datetime(2026, 3, 2, tzinfo=UTC)
START_MS = to_ms(START)
MINUTE = 60_000
LATER = START + timedelta(hours=1)


def candle(minute=0, close=100.0, *, symbol="BTCUSDT", closed=False, event=None, volume=1.0):
    opened = START_MS + minute * MINUTE
    event = event if event is not None else opened + (MINUTE if closed else 1_000)
    return CandleTick(
        symbol,
        "1m",
        opened,
        100.0,
        max(100.0, close),
        min(100.0, close),
        close,
        volume,
        closed,
        event,
        Decimal(str(close)),
    )


def book(at=0, bid=99, ask=101, *, symbol="BTCUSDT"):
    return BookTick(symbol, Decimal(bid), Decimal(ask), START_MS + at)


def mark(at=0, price=100, rate="0.0001", *, symbol="BTCUSDT"):
    return MarkTick(symbol, Decimal(price), Decimal(rate) if rate else None, LATER, START_MS + at)


def quote(at=0, bid=99, ask=101, **values):
    return Quote("BTCUSDT", from_ms(START_MS + at), Decimal(100), Decimal(bid), Decimal(ask), Decimal(100), **values)


def board_of(*ticks):
    board = Board("1m")
    board.take(ticks)
    return board


def closes(board):
    return {
        series.symbol: dict(zip(series.open_time.tolist(), series.close.tolist(), strict=True))
        for series in board.closed()
    }


def only_quote(board):
    (found,) = board.quotes(["BTCUSDT"], LATER)
    return found


# Candles


def test_a_closed_candle_comes_out_once():
    board = board_of(candle(0, 101.0, closed=True), candle(0, 101.0, closed=True))
    assert closes(board) == {"BTCUSDT": {START_MS: 101.0}}
    board.take([candle(0, 101.0, closed=True)])
    assert board.closed() == []


def test_closed_candles_are_sorted_by_symbol_and_time():
    board = board_of(
        candle(2, closed=True), candle(1, closed=True, symbol="ETHUSDT"), candle(0, closed=True, symbol="BTCUSDT")
    )
    first, second = board.closed()
    assert (first.symbol, second.symbol) == ("BTCUSDT", "ETHUSDT")
    assert first.interval == "1m"
    assert first.open_time.tolist() == [START_MS, START_MS + 2 * MINUTE]
    assert first.open_time.dtype == np.int64


def test_a_forming_candle_never_replaces_a_closed_one():
    board = board_of(candle(0, 101.0, closed=True), candle(0, 105.0, event=START_MS + 2 * MINUTE))
    assert closes(board) == {"BTCUSDT": {START_MS: 101.0}}
    assert board.forming() == []


def test_a_forming_candle_of_an_earlier_minute_is_ignored():
    board = board_of(candle(1, 101.0), candle(0, 99.0, event=START_MS + 5 * MINUTE))
    (series,) = board.forming()
    assert series.open_time.tolist() == [START_MS + MINUTE]


def test_an_older_word_on_the_forming_candle_is_ignored():
    board = board_of(candle(0, 102.0, event=START_MS + 500), candle(0, 101.0, event=START_MS + 400))
    (series,) = board.forming()
    assert series.close.tolist() == [102.0]


def test_forming_candles_come_out_when_they_changed():
    board = board_of(candle(0, 101.0))
    assert len(board.forming()) == 1
    board.take([candle(0, 101.0, event=START_MS + 9_000)])
    assert board.forming() == []
    board.take([candle(0, 103.0, event=START_MS + 9_500)])
    assert board.forming()[0].close.tolist() == [103.0]


def test_a_closed_candle_ends_the_forming_one():
    board = board_of(candle(0, 101.0), candle(0, 102.0, closed=True))
    assert board.forming() == []


def test_a_corrected_closed_candle_comes_out_again():
    board = board_of(candle(0, 101.0, closed=True))
    board.closed()
    board.take([candle(0, 104.0, closed=True, event=START_MS + 3 * MINUTE)])
    assert closes(board) == {"BTCUSDT": {START_MS: 104.0}}


def test_an_older_word_on_a_closed_candle_is_ignored():
    board = board_of(candle(0, 104.0, closed=True, event=START_MS + 3 * MINUTE))
    board.closed()
    board.take([candle(0, 101.0, closed=True)])
    assert board.closed() == []


def test_a_candle_of_another_interval_is_not_for_this_board():
    board = board_of(replace(candle(0, closed=True), interval="5m"), book(), mark())
    assert board.closed() == []
    assert board.quotes(["BTCUSDT"], LATER) == []


def test_memory_is_bounded():
    board = Board("1m")
    for minute in range(10 * REMEMBERED):
        board.take([candle(minute, closed=True)])
        board.closed()
    assert len(board._of("BTCUSDT").candles.closed) <= 2 * REMEMBERED


# Prices


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_price_is_told_when_book_mark_and_last_are_known(missing):
    ticks = [book(), mark(), candle()]
    held_back = ticks.pop(missing)
    board = board_of(*ticks)
    assert board.quotes(["BTCUSDT"], LATER) == []
    board.take([held_back])
    assert len(board.quotes(["BTCUSDT"], LATER)) == 1


def test_each_price_has_the_time_of_its_own_event():
    found = only_quote(board_of(book(3_000), mark(2_000), candle(0, 100.5)))
    assert found == Quote(
        symbol="BTCUSDT",
        at=from_ms(START_MS + 3_000),
        last=Decimal("100.5"),
        bid=Decimal(99),
        ask=Decimal(101),
        mark=Decimal(100),
        funding_rate=Decimal("0.0001"),
        next_funding_at=LATER,
        mark_at=from_ms(START_MS + 2_000),
        funding_at=from_ms(START_MS + 2_000),
        changed_at=from_ms(START_MS + 3_000),
    )


def test_a_price_is_told_once_until_something_changes():
    board = board_of(book(), mark(), candle())
    only_quote(board)
    board.take([book(), mark(), candle()])
    assert board.quotes(["BTCUSDT"], LATER) == []
    board.take([mark(1_000)])
    assert only_quote(board).mark_at == from_ms(START_MS + 1_000)


def test_a_confirmed_book_is_newer_but_has_not_moved():
    board = board_of(book(0), mark(), candle(), book(5_000))
    found = only_quote(board)
    assert (found.at, found.changed_at) == (from_ms(START_MS + 5_000), START)
    board.take([book(6_000, bid=98)])
    assert only_quote(board).changed_at == from_ms(START_MS + 6_000)


def test_only_symbols_that_are_asked_for_are_told():
    board = board_of(book(), mark(), candle())
    assert board.quotes(["ETHUSDT"], LATER) == []
    assert len(board.quotes(["BTCUSDT"], LATER)) == 1


def test_a_late_correction_of_an_earlier_candle_is_no_new_last_price():
    board = board_of(book(), mark(), candle(1, 102.0), candle(0, 90.0, closed=True, event=START_MS + 5 * MINUTE))
    assert only_quote(board).last == Decimal("102.0")


def test_a_mark_without_a_rate_leaves_the_funding_as_it_was():
    found = only_quote(board_of(book(), candle(), mark(0), mark(1_000, price=101, rate=None)))
    assert (found.mark, found.mark_at) == (Decimal(101), from_ms(START_MS + 1_000))
    assert (found.funding_rate, found.funding_at) == (Decimal("0.0001"), START)


def test_prices_read_by_rest_count_where_they_are_newer():
    board = board_of(book(5_000, bid=97), mark(1_000, price=100), candle())
    board.put(
        quote(
            3_000,
            mark_at=from_ms(START_MS + 2_000),
            open_interest=Decimal(7),
            open_interest_at=START,
            funding_rate=Decimal("0.0003"),
        )
    )
    found = only_quote(board)
    assert found.bid == Decimal(97)
    assert found.mark_at == from_ms(START_MS + 2_000)
    assert (found.funding_rate, found.funding_at) == (Decimal("0.0003"), from_ms(START_MS + 3_000))
    assert (found.open_interest, found.open_interest_at) == (Decimal(7), START)


def test_prices_read_by_rest_are_enough():
    board = Board("1m")
    board.put(quote(1_000, changed_at=START))
    found = only_quote(board)
    assert (found.at, found.changed_at, found.mark_at) == (from_ms(START_MS + 1_000), START, from_ms(START_MS + 1_000))


def test_a_price_that_left_and_came_back_unseen_has_moved():
    board = board_of(book(0), mark(), candle())
    board.put(quote(9_000, changed_at=from_ms(START_MS + 8_000)))
    assert only_quote(board).changed_at == from_ms(START_MS + 8_000)


def test_garbage_from_the_far_future_does_not_shut_out_the_truth():
    century = 100 * 365 * 86_400_000
    board = board_of(
        book(century, bid=1), mark(century), candle(century // MINUTE), candle(century // MINUTE + 9, closed=True)
    )
    assert board.quotes(["BTCUSDT"], LATER) == []
    board.take([book(), mark(), candle(0, 103.0), candle(-1, closed=True)])
    assert only_quote(board).last == Decimal("103.0")
    assert board.forming()[0].open_time.tolist() == [START_MS]
    assert board.closed()[0].open_time.tolist() == [START_MS - MINUTE]


def test_a_forgotten_symbol_is_unknown():
    board = board_of(book(), mark(), candle(), candle(-1, closed=True))
    board.forget(["BTCUSDT", "NEVERUSDT"])
    assert (board.closed(), board.forming(), board.quotes(["BTCUSDT"], LATER)) == ([], [], [])


# Any order


SYMBOLS = ("BTCUSDT", "ETHUSDT")
prices = st.integers(95, 105)
"""What can happen, with a price: few prices, so that they repeat and come back."""
happenings = st.lists(
    st.tuples(st.sampled_from(SYMBOLS), st.sampled_from(["form", "close", "correct", "book", "mark"]), prices),
    max_size=60,
)


@st.composite
def histories(draw):
    """Return the ticks of a market in their true order, each with an event time of its own."""
    minute, ticks = dict.fromkeys(SYMBOLS, 0), []
    for event, (symbol, what, price) in enumerate(draw(happenings), start=START_MS):
        now = minute[symbol]
        if what == "book":
            ticks.append(BookTick(symbol, Decimal(price), Decimal(price + 1), event))
        elif what == "mark":
            ticks.append(MarkTick(symbol, Decimal(price), Decimal(price) / 10_000, LATER, event))
        elif what == "form":
            ticks.append(candle(now, float(price), symbol=symbol, event=event))
        elif what == "close":
            ticks.append(candle(now, float(price), symbol=symbol, closed=True, event=event))
            minute[symbol] += 1
        elif now:
            ticks.append(candle(now - 1, float(price), symbol=symbol, closed=True, event=event))
    return ticks


@st.composite
def deliveries(draw):
    """Return a history and one way in which it may arrive: in pieces, doubled and in any order."""
    history = draw(histories())
    doubled = history + (draw(st.lists(st.sampled_from(history), max_size=30)) if history else [])
    arrived = draw(st.permutations(doubled))
    cuts = sorted(draw(st.lists(st.integers(0, len(arrived)), max_size=5)))
    return history, [arrived[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(arrived)], strict=True)]


def told(pieces):
    """Return what a reader who keeps the newest of everything knows at the end."""
    board, closed, forming, newest = Board("1m"), {}, {}, {}
    for piece in pieces:
        board.take(piece)
        for symbol, series in closes(board).items():
            closed.setdefault(symbol, {}).update(series)
        forming |= {series.symbol: (series.open_time.tolist(), series.close.tolist()) for series in board.forming()}
        newest |= {found.symbol: found for found in board.quotes(SYMBOLS, LATER)}
    # A forming candle that was told stays told when its close comes.
    still = {
        symbol: shown for symbol, shown in forming.items() if shown[0][0] > max(closed.get(symbol, {}), default=-1)
    }
    return closed, still, newest


@given(deliveries())
def test_any_order_of_the_same_history_ends_in_the_same_market(delivery):
    history, pieces = delivery
    closed, forming, newest = told([history])
    closed_anyhow, forming_anyhow, newest_anyhow = told(pieces)
    assert closed_anyhow == closed
    assert forming_anyhow == forming
    assert newest_anyhow.keys() == newest.keys()
    for symbol, found in newest_anyhow.items():
        # Who hears of a move too late to place it cannot say when it was; but never claims a time that had other prices.
        assert replace(found, changed_at=None) == replace(newest[symbol], changed_at=None)
        showing = [
            from_ms(tick.event_ms)
            for tick in history
            if isinstance(tick, BookTick) and (tick.symbol, tick.bid) == (symbol, found.bid)
        ]
        assert found.changed_at in showing


@given(deliveries())
def test_in_order_and_doubled_the_market_is_the_same_to_the_last_value(delivery):
    history, _ = delivery
    assert told([[tick for one in history for tick in (one, one)]]) == told([history])
