"""The stream and the test exchange, which were written apart, understand each other: also when the exchange fails."""

import time

import numpy as np
import pytest

from marketdata.aster.connection import Pace
from marketdata.aster.stream import AsterStream
from marketdata.domain.board import Board
from marketdata.domain.ticks import MarkTick
from trading.exchange_server.build import simulated_markets
from trading.exchange_server.server import serve_in_thread

pytestmark = pytest.mark.ci

QUICK = Pace(first_pause=0.01, longest_pause=0.1, overlap=0.05)
SYMBOLS = ("BTCUSDT", "ETHUSDT")
MINUTE_MS = 60_000


def until(condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


@pytest.fixture
def exchange():
    """Return an exchange whose candles close six times a second."""
    with serve_in_thread(simulated_markets(SYMBOLS, speed=400.0, history_days=0), pulse=0.02) as served:
        yield served


@pytest.fixture
def follow():
    """Return a function that starts a stream; it ends with the test."""
    started = []

    def start(served, symbols=SYMBOLS, pace=QUICK):
        stream = AsterStream(served.ws, pace=pace)
        started.append(stream)
        stream.follow(symbols)
        stream.start()
        return stream

    yield start
    for stream in started:
        stream.stop()


def told(stream, board, candles):
    """Drain until so many candles of each symbol have closed; return them by symbol, open time first."""
    found = {symbol: {} for symbol in SYMBOLS}

    def enough():
        board.take(stream.drain())
        for series in board.closed():
            columns = (series.open_time, series.open, series.high, series.low, series.close, series.volume)
            found[series.symbol] |= {row[0]: row for row in np.array(columns).T.tolist()}
        return all(len(rows) >= candles for rows in found.values())

    until(enough)
    return found


def truth(served, symbol, rows):
    candles = served.control.closed(symbol, "1m", since_ms=int(min(rows)), until_ms=int(max(rows)) + MINUTE_MS)
    columns = (candles.open_time, candles.open, candles.high, candles.low, candles.close, candles.volume)
    return {row[0]: row for row in np.array(columns).T.tolist()}


def test_what_closes_on_the_stream_is_what_the_exchange_has(exchange, follow):
    found = told(follow(exchange), Board("1m"), 6)
    for symbol, rows in found.items():
        assert rows == truth(exchange, symbol, rows)


def test_repeated_and_overtaken_messages_change_nothing(exchange, follow):
    exchange.control.stream_fault("reorder", probability=0.4, after=7)
    exchange.control.stream_fault("duplicate", probability=0.6)
    found = told(follow(exchange), Board("1m"), 8)
    for symbol, rows in found.items():
        true = truth(exchange, symbol, rows)
        assert rows == {at: true[at] for at in rows}


def test_prices_of_every_symbol_come_together_on_the_board(exchange, follow):
    stream, board, quotes = follow(exchange), Board("1m"), {}

    def all_there():
        board.take(stream.drain())
        quotes.update({quote.symbol: quote for quote in board.quotes(SYMBOLS, exchange.control.now())})
        return len(quotes) == len(SYMBOLS)

    until(all_there)
    for quote in quotes.values():
        assert 0 < quote.bid < quote.ask
        assert quote.next_funding_at is not None
        assert quote.next_funding_at > quote.at


def test_after_a_cut_the_stream_goes_on(exchange, follow):
    stream = follow(exchange)
    until(lambda: stream.gaps() == 1)
    exchange.control.cut()
    until(lambda: stream.gaps() == 2)
    told(stream, Board("1m"), 2)


def test_an_exchange_that_falls_silent_is_connected_to_anew(exchange, follow):
    stream = follow(exchange, pace=Pace(silence=0.5, first_pause=0.01, longest_pause=0.1))
    until(lambda: stream.gaps() == 1)
    exchange.control.stream_fault("silence")
    until(lambda: stream.tally.losses)
    exchange.control.clear()
    told(stream, Board("1m"), 2)


def test_the_end_of_a_connection_s_life_is_survived(follow):
    markets = simulated_markets(SYMBOLS, history_days=0)
    with serve_in_thread(markets, pulse=0.02, life=0.5) as served:
        stream = follow(served)
        until(lambda: stream.gaps() >= 3)
        stream.stop()


def test_a_renewal_before_the_end_of_that_life_leaves_no_gap(follow):
    markets = simulated_markets(SYMBOLS, speed=400.0, history_days=0)
    with serve_in_thread(markets, pulse=0.02, life=60.0) as served:
        stream = follow(served, pace=Pace(life=0.5, overlap=0.1))
        found = told(stream, Board("1m"), 8)
        until(lambda: stream.tally.renewals >= 2)
        assert stream.gaps() == 1
        for symbol, rows in found.items():
            assert rows == truth(served, symbol, rows)
        stream.stop()


def test_more_streams_than_a_connection_may_have_are_spread(follow):
    names = [f"A{number:03d}USDT" for number in range(150)]
    with serve_in_thread(simulated_markets(names, history_days=0)) as served:
        stream = follow(served, names)
        until(lambda: sum(map(len, served.control.state()["connections"])) == 450)
        assert max(map(len, served.control.state()["connections"])) <= 200
        heard = set()

        def all_heard():
            heard.update(tick.symbol for tick in stream.drain() if isinstance(tick, MarkTick))
            return len(heard) == len(names)

        until(all_heard)
        stream.stop()
