"""The stream keeps every followed symbol subscribed, whatever the venue does, and says when something may be missing."""

import socket
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketdata.aster.connection import Pace
from marketdata.aster.stream import STREAMS_PER_SYMBOL, SYMBOLS_PER_LINE, AsterStream, placed
from marketdata.domain.ticks import BookTick, CandleTick, MarkTick
from marketdata.tests.stream_server import StreamServer, book_event, candle_event, mark_event

pytestmark = pytest.mark.ci

QUICK = Pace(first_pause=0.01, longest_pause=0.1, overlap=0.05, spacing=0.005)
BTC = {"btcusdt@kline_1m", "btcusdt@bookTicker", "btcusdt@markPrice@1s"}


def until(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


@pytest.fixture
def venue():
    with StreamServer() as server:
        yield server


@pytest.fixture
def streaming(venue):
    """Return a function that starts a stream, subscribed to symbols, at the venue."""
    started = []

    def start(symbols=("BTCUSDT",), pace=QUICK, url=None, **options):
        stream = AsterStream(url or venue.url, pace=pace, **options)
        started.append(stream)
        stream.follow(symbols)
        stream.start()
        return stream

    yield start
    for stream in started:
        stream.stop()


@pytest.fixture
def subscribed(venue, streaming):
    """Return a function that waits, too, until the venue has agreed to everything."""

    def start(symbols=("BTCUSDT",), **options):
        stream = streaming(symbols, **options)
        until(lambda: stream.gaps() and len(venue.streams) == STREAMS_PER_SYMBOL * len(symbols))
        return stream

    return start


def heard(stream, kind, seconds=20.0):
    """Drain until a tick of this kind comes, and return it."""
    found = []
    until(lambda: found.extend(tick for tick in stream.drain() if isinstance(tick, kind)) or found, seconds)
    return found[0]


def named(count):
    return [f"A{number:03d}USDT" for number in range(count)]


# What is subscribed to, and what comes


def test_candles_book_and_mark_of_each_symbol_are_subscribed_to(venue, subscribed):
    subscribed(["BTCUSDT", "ETHUSDT"])
    assert venue.streams == BTC | {name.replace("btc", "eth") for name in BTC}


def test_another_base_interval_is_subscribed_to(venue, streaming):
    streaming(interval="5m")
    until(lambda: "btcusdt@kline_5m" in venue.streams)


def test_what_the_venue_says_comes_as_ticks(venue, subscribed):
    venue.beating = False
    stream = subscribed()
    venue.say(book_event("BTCUSDT"))
    venue.say({"stream": "btcusdt@kline_1m", "data": candle_event("BTCUSDT", closed=True)})
    venue.say(mark_event("BTCUSDT"))
    found = []
    until(lambda: found.extend(stream.drain()) or len(found) == 3)
    assert found[0] == BookTick("BTCUSDT", Decimal(100), Decimal(101), 1_700_000_000_000)
    assert isinstance(found[1], CandleTick)
    assert found[1].closed
    assert isinstance(found[2], MarkTick)
    assert stream.drain() == []


def test_repeated_messages_come_as_often_as_they_were_sent(venue, subscribed):
    stream = subscribed()
    for _ in range(3):
        venue.say(book_event("BTCUSDT"))
    found = []
    until(lambda: found.extend(tick for tick in stream.drain() if isinstance(tick, BookTick)) or len(found) == 3)


def test_it_is_known_when_something_was_heard_last(venue, subscribed):
    venue.beating = False
    stream = subscribed()
    assert stream.heard_at() is None
    venue.say(book_event("BTCUSDT"))
    until(stream.heard_at)
    assert abs(datetime.now(UTC) - stream.heard_at()) < timedelta(minutes=1)


def test_symbols_that_nobody_follows_are_not_kept(venue, subscribed):
    stream = subscribed()
    venue.say(book_event("DOGEUSDT"))
    venue.say(book_event("BTCUSDT"))
    assert heard(stream, BookTick).symbol == "BTCUSDT"


@pytest.mark.parametrize(
    "garbage",
    [
        "<html>gateway</html>",
        "[" * 100_000,
        "{}",
        "[]",
        "7",
        b"\x00\xff",
        {"e": "kline", "s": "BTCUSDT", "k": None},
        {"e": "bookTicker", "s": 5},
        {"e": "listenKeyExpired"},
        {"result": None, "id": 999},
        {"code": 1, "msg": "to nobody"},
    ],
    ids=lambda value: repr(value)[:24],
)
def test_garbage_ends_nothing(venue, subscribed, garbage):
    stream = subscribed()
    venue.say(garbage)
    venue.say(book_event("BTCUSDT"))
    heard(stream, BookTick)
    assert venue.accepted == 1


# Symbols that come and go


def test_symbols_come_and_go_while_the_connection_stays(venue, subscribed):
    stream = subscribed(["BTCUSDT", "ETHUSDT"])
    before = stream.gaps()
    stream.follow(["BTCUSDT", "SOLUSDT"])
    until(lambda: venue.streams == BTC | {name.replace("btc", "sol") for name in BTC})
    assert venue.accepted == 1
    # What happened on a new symbol until it was subscribed to was not heard.
    until(lambda: stream.gaps() > before)


def test_symbols_may_be_named_after_the_start(venue, streaming):
    stream = streaming([])
    assert stream.drain() == []
    stream.follow(["BTCUSDT"])
    until(lambda: venue.streams == BTC)


def test_without_symbols_there_is_no_connection(venue, subscribed):
    stream = subscribed()
    stream.follow([])
    until(lambda: not venue.subscriptions)
    stream.follow(["BTCUSDT"])
    until(lambda: venue.streams == BTC)


def test_symbols_may_be_named_from_any_thread(venue, subscribed):
    stream = subscribed()
    threads = [threading.Thread(target=stream.follow, args=(named(number),)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stream.follow(["BTCUSDT"])
    until(lambda: venue.streams == BTC)


def test_no_connection_has_more_streams_than_the_venue_allows(venue, streaming):
    symbols = named(150)
    streaming(symbols)
    until(lambda: len(venue.streams) == 450)
    assert venue.accepted == 3
    assert venue.most_at_once <= 200


def test_many_streams_are_asked_for_in_few_messages_with_pauses_between(venue, streaming):
    streaming(named(60), pace=Pace())
    until(lambda: len(venue.streams) == 180)
    assert [len(streams) for _, streams in venue.asked] == [50, 50, 50, 30]
    assert 1 / Pace().spacing < 10


@pytest.mark.parametrize("names_id", [True, False])
def test_one_symbol_that_the_venue_refuses_takes_none_of_the_others_away(venue, streaming, names_id):
    venue.refusing, venue.names_id = lambda stream: stream.startswith("a013usdt@"), names_id
    stream = streaming(named(40))
    until(lambda: len(venue.streams) == 39 * STREAMS_PER_SYMBOL)
    until(lambda: len(stream.refused()) == STREAMS_PER_SYMBOL)
    assert all(name.startswith("a013usdt@") for name in stream.refused())
    assert venue.accepted == 1


def test_what_was_refused_is_asked_for_again_later(venue, streaming):
    venue.refusing = lambda stream: True
    stream = streaming(pace=replace(QUICK, again=0.2))
    until(lambda: len(stream.refused()) == STREAMS_PER_SYMBOL)
    venue.refusing = lambda stream: False
    until(lambda: venue.streams == BTC and stream.gaps() >= 2)


@given(st.lists(st.frozensets(st.integers(0, 60)), max_size=6), st.integers(1, 9))
def test_every_wanted_symbol_has_one_line_and_stays_on_it(changes, room):
    lines = []
    for wanted in (frozenset(f"S{number}" for number in change) for change in changes):
        before, lines = lines, placed(lines, wanted, room)
        assert frozenset().union(*lines) == wanted
        assert sum(map(len, lines)) == len(wanted)
        assert all(len(line) <= room for line in lines)
        assert all(old & wanted <= new for old, new in zip(before, lines, strict=False))


def test_a_line_holds_as_many_symbols_as_its_streams_allow():
    assert [len(line) for line in placed([], frozenset(named(133)))] == [SYMBOLS_PER_LINE, SYMBOLS_PER_LINE, 1]


# Faults


def test_a_connection_that_is_cut_is_made_again_and_counts_as_a_gap(venue, subscribed):
    stream = subscribed()
    for times in (1, 2, 3):
        assert stream.gaps() == venue.accepted == times
        venue.cut()
        until(lambda known=times + 1: stream.gaps() == venue.accepted == known and venue.streams == BTC)
        venue.say(book_event("BTCUSDT"))
        heard(stream, BookTick)


def test_a_connection_that_the_venue_closes_with_a_page_is_made_again(venue, subscribed):
    stream = subscribed()
    venue.close(b"<html>maintenance</html>")
    until(lambda: venue.accepted > 1 and stream.gaps() > 1 and venue.streams == BTC)


def test_a_connection_that_falls_silent_is_replaced(venue, subscribed):
    stream = subscribed(pace=Pace(silence=0.5, first_pause=0.01, longest_pause=0.05, spacing=0.005))
    before = stream.gaps()
    venue.beating = False
    until(lambda: venue.accepted > 1)
    venue.beating = True
    until(lambda: stream.gaps() > before and venue.streams == BTC)
    heard(stream, MarkTick)


def test_a_connection_that_speaks_again_after_a_silence_has_missed_something(venue, subscribed):
    stream = subscribed(pace=Pace(silence=0.5, first_pause=1.0, overlap=0.05, spacing=0.005))
    venue.beating = False
    until(lambda: stream.tally.losses == 1)
    venue.beating = True
    heard(stream, MarkTick)
    until(lambda: venue.accepted == 2)
    until(lambda: stream.gaps() == 2)
    assert stream.tally.renewals == 0


def test_pings_and_garbage_are_no_sign_of_life(venue, subscribed):
    stream = subscribed(pace=Pace(silence=0.5, first_pause=0.01, longest_pause=0.05, spacing=0.005))
    venue.beating = False
    talking = threading.Event()

    def babble():
        while not talking.wait(0.05):
            venue.say("<html>still here</html>")

    thread = threading.Thread(target=babble)
    thread.start()
    try:
        until(lambda: venue.accepted > 1)
    finally:
        talking.set()
        thread.join()
    assert stream.tally.losses >= 1


def test_a_venue_that_answers_no_subscription_is_left(venue, streaming):
    venue.answering = False
    stream = streaming(pace=Pace(answer=0.1, first_pause=0.01, longest_pause=0.05))
    until(lambda: venue.accepted > 1)
    assert stream.gaps() == 0
    venue.answering = True
    until(lambda: stream.gaps() == 1)


@pytest.mark.parametrize("status", [200, 404, 500, 503])
def test_a_venue_that_answers_with_a_page_is_asked_again(venue, streaming, status):
    venue.status = status
    stream = streaming()
    until(lambda: stream.tally.failures > 2)
    venue.status = None
    until(lambda: venue.streams == BTC)


def test_a_venue_that_bars_us_is_left_alone(venue, streaming):
    venue.status, venue.retry_after = 418, "3600"
    stream = streaming()
    until(lambda: stream.tally.failures == 1)
    venue.status = None
    other = streaming()
    for _ in range(20):
        heard(other, MarkTick)
    assert stream.tally.failures == venue.accepted == 1


def test_an_address_that_makes_no_sense_ends_nothing(streaming):
    stream = streaming(url="ws://[nowhere")
    until(lambda: stream.tally.failures > 2)


def test_a_renewal_leaves_no_gap(venue, subscribed):
    stream = subscribed(pace=Pace(life=0.4, overlap=0.05, spacing=0.005))
    until(lambda: stream.tally.renewals >= 3)
    assert stream.gaps() == 1
    assert stream.tally.losses == 0
    assert venue.streams == BTC


def test_a_renewal_takes_the_new_connection_up_before_the_old_one_goes(venue, subscribed):
    stream = subscribed(pace=Pace(life=0.4, overlap=0.3, spacing=0.005))
    until(lambda: list(venue.subscriptions.values()) == [BTC, BTC])
    until(lambda: stream.tally.renewals >= 2)
    assert stream.gaps() == 1


def test_while_a_renewal_fails_the_old_connection_goes_on(venue, subscribed):
    stream = subscribed(pace=Pace(life=0.2, first_pause=0.01, longest_pause=0.05, spacing=0.005, overlap=0.05))
    venue.status = 503
    until(lambda: stream.tally.failures >= 3)
    stream.follow(["BTCUSDT", "ETHUSDT"])
    until(lambda: len(venue.streams) == 6)
    venue.say(book_event("ETHUSDT"))
    assert heard(stream, BookTick).symbol == "ETHUSDT"
    renewed, venue.status = stream.tally.renewals, None
    until(lambda: stream.tally.renewals > renewed)


def test_what_nobody_reads_is_bounded_and_the_loss_counts_as_a_gap(venue, subscribed):
    venue.beating = False
    stream = subscribed(kept=10)
    before = stream.gaps()
    for number in range(25):
        venue.say(book_event("BTCUSDT", event=number))
    until(lambda: stream.tally.ticks == 25)
    assert [tick.event_ms for tick in stream.drain()] == [*range(15, 25)]
    assert stream.gaps() == before + 1


# Start and stop


def test_starting_twice_makes_one_connection(venue, subscribed):
    stream = subscribed()
    stream.start()
    stream.follow(["BTCUSDT", "ETHUSDT"])
    until(lambda: len(venue.streams) == 6)
    assert venue.accepted == 1


def test_stopping_closes_the_connections(venue, subscribed):
    stream = subscribed(named(100))
    thread = stream._thread
    stream.stop()
    assert not thread.is_alive()
    until(lambda: not venue.subscriptions)


def test_a_stopped_stream_can_be_started_again(venue, subscribed):
    stream = subscribed()
    stream.stop()
    until(lambda: not venue.subscriptions)
    stream.start()
    until(lambda: venue.streams == BTC)


def test_stopping_what_was_never_started_does_nothing(venue):
    AsterStream(venue.url).stop()


def test_it_can_be_stopped_at_once_after_the_start(venue):
    for _ in range(5):
        stream = AsterStream(venue.url)
        stream.follow(["BTCUSDT"])
        stream.start()
        thread = stream._thread
        stream.stop()
        assert not thread.is_alive()


def test_it_can_be_stopped_while_the_venue_is_down(streaming):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        stream = streaming(url=f"ws://127.0.0.1:{unused.getsockname()[1]}")
        until(lambda: stream.tally.failures > 1)
        thread = stream._thread
        stream.stop()
    assert not thread.is_alive()


def test_it_can_be_stopped_while_a_handshake_hangs(venue, streaming):
    venue.hanging = True
    stream = streaming()
    thread = stream._thread
    stream.stop()
    assert not thread.is_alive()


def test_it_can_be_stopped_while_an_answer_is_waited_for(venue, streaming):
    venue.answering = False
    stream = streaming()
    until(lambda: venue.asked)
    thread = stream._thread
    stream.stop()
    assert not thread.is_alive()
