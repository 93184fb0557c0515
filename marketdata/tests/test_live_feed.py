"""The writing half of a live feed: what the stream says is stored, what cannot be stored is asked for, silence is told."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.db import OperationalError
from django.utils import timezone

from marketdata.domain.candles import floor_to
from marketdata.domain.ticks import BookTick, CandleTick, MarkTick, Tick
from marketdata.models import Candle, Feed, Instrument, QuarantinedCandle, Ticker
from marketdata.services import instruments_upsert, live
from marketdata.services.follow import contracts_refresh, feed_live_put, symbols_follow
from marketdata.services.live import SILENT, LiveFeed, live_open
from marketdata.tests.build import walk
from marketdata.tests.venue import Venue, venue_of
from vibex.lib.clock import from_ms, to_ms
from vibex.lib.errors import Rejected

pytestmark = pytest.mark.django_db


class Stream:
    """A stream that says what a test tells it to."""

    def __init__(self) -> None:
        self.ticks: list[Tick] = []
        self.followed: list[str] = []
        self.heard: datetime | None = None
        self.missed = 0
        self.running = False

    def start(self) -> None:
        self.running = True

    def stop(self) -> None:
        self.running = False

    def follow(self, symbols) -> None:
        self.followed = list(symbols)

    def say(self, *ticks: Tick) -> None:
        self.ticks += ticks
        self.heard = timezone.now()

    def drain(self) -> list[Tick]:
        ticks, self.ticks = self.ticks, []
        return ticks

    def gaps(self) -> int:
        return self.missed

    def heard_at(self) -> datetime | None:
        return self.heard


@pytest.fixture
def venue() -> Venue:
    return venue_of(walk(50, "1m"))


@pytest.fixture
def stream() -> Stream:
    return Stream()


@pytest.fixture
def feed(venue: Venue, stream: Stream) -> LiveFeed:
    """A live feed of BTCUSDT that has begun."""
    feed_live_put(venue="aster", source=venue.source)
    instruments_upsert(specs=venue.instruments(), followed=False)
    symbols_follow(venue="aster", symbols=["BTCUSDT"])
    feed = LiveFeed("aster", port=venue, stream=stream)
    feed.begin()
    return feed


OPENED = floor_to(to_ms(timezone.now()), "1m") - 60_000


def candle(close=100.0, *, closed=True, high=None, opened=OPENED, event=None) -> CandleTick:
    top = max(100.0, close) if high is None else high
    event = event or opened + (60_000 if closed else 1_000)
    low = min(100.0, close)
    return CandleTick("BTCUSDT", "1m", opened, 100.0, top, low, close, 5.0, closed, event, Decimal(str(close)))


def prices(bid=99, ask=101, mark=100) -> tuple[Tick, Tick]:
    now = to_ms(timezone.now())
    later = timezone.now() + timedelta(hours=2)
    return (
        BookTick("BTCUSDT", Decimal(bid), Decimal(ask), now),
        MarkTick("BTCUSDT", Decimal(mark), Decimal("0.0001"), later, now),
    )


def test_it_follows_what_is_followed_and_listens(feed: LiveFeed, stream: Stream) -> None:
    assert stream.running
    assert stream.followed == ["BTCUSDT"]
    Instrument.objects.create(
        venue="aster", symbol="ETHUSDT", base="ETH", tick_size=1, step_size=1, min_quantity=1, max_quantity=9,
        maker_fee=0, taker_fee=0,
    )  # fmt: skip
    feed._look_at = 0.0
    feed.step()
    assert stream.followed == ["BTCUSDT", "ETHUSDT"]
    feed.end()
    assert not stream.running
    assert not Feed.objects.get().running


def test_candles_and_prices_are_stored_as_they_come(feed: LiveFeed, stream: Stream) -> None:
    now = to_ms(timezone.now())
    stream.say(candle(103.5), candle(99.0, closed=False, opened=OPENED + 60_000, event=now), *prices())
    feed.step()
    closed, forming = Candle.objects.order_by("open_time")
    assert (closed.closed, closed.close, closed.open_time) == (True, 103.5, from_ms(OPENED))
    assert (forming.closed, forming.close) == (False, 99.0)
    ticker = Ticker.objects.get()
    assert (ticker.last, ticker.bid, ticker.ask, ticker.mark) == (99, 99, 101, 100)
    assert Feed.objects.get().problem == ""


def test_candles_that_fall_silent_alone_take_the_prices_with_them(feed: LiveFeed, stream: Stream) -> None:
    stream.say(candle(99.0, closed=False, event=to_ms(timezone.now()) - 31_000), *prices())
    feed.step()
    assert not Ticker.objects.exists()  # it is asked for, because nobody has confirmed the last price
    stream.say(candle(99.5, closed=False, event=to_ms(timezone.now())))
    feed.step()
    assert Ticker.objects.get().last == Decimal("99.5")


def test_a_market_that_is_written_runs_whoever_has_stopped(feed: LiveFeed, stream: Stream, venue: Venue) -> None:
    other = LiveFeed("aster", port=venue, stream=Stream())
    other.begin()
    other.end()
    assert not Feed.objects.get().running
    stream.say(*prices())
    feed.step()
    assert Feed.objects.get().running


def test_said_twice_is_stored_once_and_a_closed_candle_stays_closed(feed: LiveFeed, stream: Stream) -> None:
    for _ in range(2):
        stream.say(candle(103.5), candle(103.0, closed=False), candle(103.5))
        feed.step()
    row = Candle.objects.get()
    assert (row.closed, row.close) == (True, 103.5)


def test_a_candle_that_cannot_have_closed_yet_is_not_stored(feed: LiveFeed, stream: Stream) -> None:
    """It would be the newest for hours, and what closes meanwhile would not be looked at."""
    stream.say(candle(opened=OPENED + 3_600_000, event=to_ms(timezone.now())), candle(101.0))
    feed.step()
    assert list(Candle.objects.filter(closed=True).values_list("open_time", flat=True)) == [from_ms(OPENED)]


def test_an_impossible_candle_is_put_aside_and_the_others_are_stored(feed: LiveFeed, stream: Stream) -> None:
    stream.say(candle(90.0, high=80.0, opened=OPENED - 60_000), candle(103.5))
    feed.step()
    assert [row.close for row in Candle.objects.all()] == [103.5]
    assert "high is below" in QuarantinedCandle.objects.get().reason


def test_after_a_gap_everything_is_looked_through(feed: LiveFeed, stream: Stream) -> None:
    feed.keeper._due["whole"] = 1e12
    feed.step()
    assert feed.keeper._due["whole"] == 1e12
    stream.missed += 1
    feed.step()
    assert feed.keeper._due["whole"] == 0.0


def test_what_the_database_did_not_take_is_asked_for(feed: LiveFeed, stream: Stream, monkeypatch) -> None:
    def broken(**_options):
        raise OperationalError("gone")

    feed.keeper._due["whole"] = 1e12
    monkeypatch.setattr(live, "candles_upsert", broken)
    stream.say(candle(103.5))
    with pytest.raises(OperationalError):
        feed.step()
    assert feed.keeper._due["whole"] == 0.0


def test_silence_is_told_with_its_reason_and_ends_with_a_word(feed: LiveFeed, stream: Stream) -> None:
    feed._began -= SILENT + timedelta(seconds=1)
    feed.keeper.fault = "connection refused"
    feed.step()
    row = Feed.objects.get()
    assert row.problem == "aster has said nothing yet: connection refused"
    assert row.heartbeat is None
    stream.say(*prices())
    feed.step()
    row = Feed.objects.get()
    assert row.problem == ""
    assert row.heartbeat is not None


def test_an_answer_is_as_good_as_a_word_of_the_stream(feed: LiveFeed) -> None:
    feed._began -= SILENT + timedelta(seconds=1)
    feed.keeper.heard_at = timezone.now()
    feed.step()
    assert Feed.objects.get().problem == ""


def test_prices_of_another_address_are_refused(venue: Venue) -> None:
    feed_live_put(venue="aster", source="https://one.test")
    with pytest.raises(Rejected, match="must not mix"):
        feed_live_put(venue="aster", source="https://two.test")


@pytest.mark.ci
def test_a_venue_that_does_not_answer_is_opened_all_the_same(settings) -> None:
    settings.ASTERDEX_REST_URL = "http://127.0.0.1:9"
    feed = live_open(venue="aster", seconds=0.1)
    assert "does not answer" in feed.problem
    assert feed.kind == Feed.Kind.LIVE


def test_a_password_in_the_address_is_not_shown(settings) -> None:
    settings.ASTERDEX_REST_URL = "http://me:secret@127.0.0.1:9/?key=hidden"
    feed = live_open(venue="aster", seconds=0.1)
    assert feed.source == "http://127.0.0.1:9"
    assert "secret" not in feed.problem
    assert "hidden" not in feed.problem


def test_a_live_market_is_no_made_one() -> None:
    with pytest.raises(Rejected, match="no live venue 'moon'"):
        live_open(venue="moon")


def test_one_contract_that_cannot_be_stored_is_left_out(monkeypatch) -> None:
    venue = venue_of(walk(5, "1m"), walk(5, "1m", symbol="ETHUSDT"), walk(5, "1m", symbol="ODDUSDT"))
    feed_live_put(venue="aster", source=venue.source)
    contracts_refresh(port=venue)
    odd = [Decimal("0.12345678901234567"), Decimal("1e30"), Decimal("1e-14")]
    for value in odd:
        listed = [replace(one, tick_size=value) if one.symbol == "ODDUSDT" else one for one in venue.instruments()]
        monkeypatch.setattr(venue, "instruments", lambda listed=listed: listed)
        assert contracts_refresh(port=venue) == 2
    kept = Instrument.objects.get(symbol="ODDUSDT")
    assert (kept.status, kept.tick_size in odd) == ("TRADING", False)


def test_a_stock_perpetual_that_was_taken_in_by_name_stays_open() -> None:
    venue = venue_of(walk(5, "1m"), walk(5, "1m", symbol="AAPLUSDT"), traditional=frozenset({"AAPLUSDT"}))
    feed_live_put(venue="aster", source=venue.source)
    contracts_refresh(port=venue)
    assert not Instrument.objects.filter(symbol="AAPLUSDT").exists()
    instruments_upsert(specs=[spec for spec in venue.instruments() if spec.symbol == "AAPLUSDT"], public=True)
    contracts_refresh(port=venue)
    assert Instrument.objects.get(symbol="AAPLUSDT").status == "TRADING"
    del venue.series["AAPLUSDT", "1m"]
    contracts_refresh(port=venue)
    assert Instrument.objects.get(symbol="AAPLUSDT").status == "CLOSE"


def test_nothing_more_is_asked_once_somebody_wants_to_stop(venue: Venue) -> None:
    feed_live_put(venue="aster", source=venue.source)
    feed = LiveFeed("aster", port=venue, stream=Stream(), stopping=lambda: True)
    feed.asks()
    assert venue.questions() == []
