"""What is missing of a history is fetched, once; what the venue does not have is not asked for for ever."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
import stamina
import time_machine
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from marketdata.domain.candles import Candles
from marketdata.models import Candle, CandleHole, Feed, FundingRate, Instrument, QuarantinedCandle
from marketdata.services import candles_upsert
from marketdata.services.backfill import Silent, Summary, backfill, span_fill
from marketdata.stored import ROW, candles_of
from marketdata.tests.build import START, same, walk
from marketdata.tests.venue import Venue, rates_every, venue_of, without_places
from marketdata.venues.public import VenueBusy, VenueDown
from vibex.lib.errors import Rejected

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
COUNT = 50


@pytest.fixture(autouse=True)
def _now():
    """Let all candles be over for long, and retries not wait."""
    with time_machine.travel(START + (COUNT + 1) * HOUR, tick=False), stamina.set_testing(True, attempts=3):
        yield


def venue(*several: Candles, **more: object) -> Venue:
    return venue_of(*(several or (walk(COUNT),)), **{"now": timezone.now(), **more})


def fill(port: Venue, **more: object) -> list[Summary]:
    wanted = {"symbols": ["BTCUSDT"], "intervals": ["1h"], "since": START, "until": START + COUNT * HOUR, **more}
    return backfill(port=port, **wanted)


def candles_asked(port: Venue) -> int:
    return sum(question.startswith("candles") for question in port.questions())


def stored(symbol: str = "BTCUSDT", interval: str = "1h") -> Candles:
    rows = Candle.objects.filter(venue="aster", symbol=symbol, interval=interval, closed=True).order_by("open_time")
    return candles_of(symbol, interval, rows.values_list(*ROW))


def test_a_history_is_fetched_whole_page_by_page():
    port = venue()
    candles, funding = fill(port)
    assert same(stored(), walk(COUNT))
    assert candles_asked(port) == 5
    assert (candles.fetched, candles.stored, candles.missing, candles.problem) == (COUNT, COUNT, 0, "")
    assert (funding.interval, funding.problem) == ("funding", "")


def test_a_second_run_asks_nothing():
    moments = [START + hour * HOUR for hour in range(1, COUNT + 1)]
    port = venue(rates={"BTCUSDT": rates_every(8, moments)})
    fill(port)
    assert FundingRate.objects.filter(symbol="BTCUSDT", settled=True).count() == 6
    port.questions()
    assert all(summary.fetched == summary.requests == 0 for summary in fill(port))
    assert port.questions() == []


def test_only_what_is_missing_is_asked_for():
    port = venue()
    candles_upsert(venue="aster", candles=without_places(walk(COUNT), [3, 4, 5, 40]), closed=True)
    (candles, _) = fill(port)
    assert (candles.fetched, candles_asked(port)) == (4, 2)
    assert same(stored(), walk(COUNT))


def test_several_symbols_and_intervals_each_have_a_line():
    port = venue(walk(COUNT), walk(12, "4h"), walk(COUNT, symbol="ETHUSDT"), walk(12, "4h", symbol="ETHUSDT"))
    lines = fill(port, symbols=["BTCUSDT", "ETHUSDT"], intervals=["4h", "1h"], until=START + 48 * HOUR)
    assert [(line.symbol, line.interval, line.fetched) for line in lines] == [
        ("BTCUSDT", "1h", 48),
        ("BTCUSDT", "4h", 12),
        ("ETHUSDT", "1h", 48),
        ("ETHUSDT", "4h", 12),
        ("BTCUSDT", "funding", 0),
        ("ETHUSDT", "funding", 0),
    ]


def test_the_forming_candle_is_not_taken_for_a_closed_one():
    for now in (START + 4.5 * HOUR, START + 5 * HOUR + timedelta(seconds=1)):
        with time_machine.travel(now, tick=False):
            fill(venue(now=now), until=now)
        assert len(stored()) == 4
    assert not Candle.objects.filter(closed=False).exists()


def test_a_venue_whose_clock_is_behind_decides_what_has_closed():
    fill(venue(now=START + 4.5 * HOUR))
    assert same(stored(), walk(4))


def test_what_was_before_the_listing_is_asked_for_once():
    listed = 2_000
    port = venue(walk(COUNT, start=START))
    (candles, _) = fill(port, since=START - listed * HOUR)
    assert candles.holes == 1
    assert candles_asked(port) == 6  # five pages, and once more for what was not in the first
    assert CandleHole.objects.get().start == START - listed * HOUR
    fill(port, since=START - listed * HOUR)
    assert candles_asked(port) == 0


def test_an_earlier_start_asks_for_what_is_before_only():
    port = venue(walk(COUNT))
    fill(port, since=START + 20 * HOUR)
    port.questions()
    fill(port)
    assert candles_asked(port) == 2
    assert same(stored(), walk(COUNT))


def test_a_hole_of_the_venue_is_confirmed_and_remembered():
    port = venue(without_places(walk(COUNT), [13, 14]))
    (candles, _) = fill(port)
    assert (candles.holes, candles.missing) == (1, 0)
    hole = CandleHole.objects.get()
    assert (hole.start, hole.stop) == (START + 13 * HOUR, START + 15 * HOUR)
    port.questions()
    fill(port)
    assert candles_asked(port) == 0


def test_a_hole_that_the_venue_fills_later_is_none_any_more():
    gone = [COUNT - 6, COUNT - 5, COUNT - 4]
    port = venue(without_places(walk(COUNT), gone))
    assert fill(port)[0].holes == 1
    port.series["BTCUSDT", "1h"] = without_places(walk(COUNT), [COUNT - 4])
    with time_machine.travel(timezone.now() + 2 * HOUR, tick=False):
        (candles, _) = fill(port)
    assert (candles.stored, candles.missing) == (2, 0)
    hole = CandleHole.objects.get()
    assert (hole.start, hole.stop) == (START + (COUNT - 4) * HOUR, START + (COUNT - 3) * HOUR)


def test_a_candle_that_an_answer_lacks_by_mistake_is_no_hole():
    port = venue()
    whole, port.series["BTCUSDT", "1h"] = port.series["BTCUSDT", "1h"], without_places(walk(COUNT), [13])

    def answer_better(what: str) -> None:
        if what.startswith("candles BTCUSDT 1h") and len([q for q in port.asked if q.startswith("candles")]) >= 2:
            port.series["BTCUSDT", "1h"] = whole

    port.before = answer_better
    fill(port)
    assert same(stored(), walk(COUNT))
    assert not CandleHole.objects.exists()


@pytest.mark.parametrize("place", [1, 3, 5])
def test_an_empty_answer_by_mistake_does_not_end_a_series(place):
    port = venue()
    whole = port.series["BTCUSDT", "1h"]

    def be_empty_once(what: str) -> None:
        number = len([question for question in [*port.asked, what] if question.startswith("candles")])
        port.series["BTCUSDT", "1h"] = whole.slice(0, 0) if number == place else whole

    port.before = be_empty_once
    (candles, _) = fill(port)
    assert (candles.missing, candles.problem) == (0, "")
    assert same(stored(), walk(COUNT))


def test_an_end_without_later_candles_is_no_hole():
    port = venue(walk(30))
    (candles, _) = fill(port)
    assert (candles.missing, candles.holes) == (20, 0)
    assert not CandleHole.objects.exists()


@pytest.mark.parametrize(("status", "said"), [("TRADING", "did not give 20 candles"), ("CLOSE", "")])
def test_candles_that_a_traded_contract_should_have_are_a_problem(status, said):
    fill(venue(walk(30)), until=START + 30 * HOUR)
    Instrument.objects.update(status=status, updated=timezone.now())
    (candles, _) = fill(venue(walk(30)))
    assert (candles.missing, said in candles.problem, bool(candles.problem)) == (20, True, bool(said))


def test_a_broken_candle_is_put_aside_and_not_asked_for_again():
    broken = walk(COUNT)
    broken = replace(broken, high=np.where(np.arange(COUNT) == 13, 1.0, broken.high))
    port = venue(broken)
    (candles, _) = fill(port)
    assert (candles.quarantined, candles.missing) == (1, 0)
    assert QuarantinedCandle.objects.get().open_time == START + 13 * HOUR
    port.questions()
    fill(port)
    assert candles_asked(port) == 0


def test_a_busy_venue_is_waited_for_and_why_is_told():
    told = []

    class Told(Silent):
        def waiting(self, why: str, until: object) -> None:
            told.append(why)

    port = venue(faults=[None, None, VenueBusy("asked too often", until=timezone.now()), None])
    (candles, _) = fill(port, progress=Told())
    assert told == ["asked too often"]
    assert (candles.missing, candles.problem) == (0, "")


def test_a_venue_that_is_silent_for_a_moment_is_asked_again():
    port = venue(faults=[None, None, VenueDown("no answer"), VenueDown("no answer"), None])
    assert fill(port)[0].problem == ""
    assert same(stored(), walk(COUNT))


def test_a_venue_that_stays_silent_ends_the_run_with_what_was_done():
    port = venue(faults=[None, None, None, *[VenueDown("no answer at all")] * 3])
    lines = fill(port)
    assert [line.problem for line in lines] == ["no answer: no answer at all"] * 2
    assert (lines[0].fetched, lines[0].missing) == (10, 40)
    assert same(stored(), walk(10))
    assert fill(port)[0].problem == ""
    assert same(stored(), walk(COUNT))


def test_a_stop_leaves_everything_stored_that_came():
    port = venue()
    lines = fill(port, stopping=lambda: len(port.asked) >= 4)
    assert all(line.problem.startswith("not done") for line in lines)
    assert same(stored(), walk(20))


def test_a_refused_series_does_not_end_the_others():
    lines = fill(venue(), intervals=["1h", "4h"])
    assert [line.problem for line in lines] == ["", "no 4h candles of BTCUSDT", ""]


def test_an_unknown_symbol_is_one_clear_error():
    with pytest.raises(Rejected, match=r"aster has no contract BTCUSD\. Did you mean BTCUSDT\?"):
        fill(venue(), symbols=["BTCUSD"])
    assert not Candle.objects.exists()


def test_contracts_on_stocks_are_taken_in_only_when_named():
    port = venue(walk(COUNT), walk(COUNT, symbol="AAPLUSDT"), traditional=frozenset({"AAPLUSDT"}))
    fill(port)
    assert list(Instrument.objects.values_list("symbol", flat=True)) == ["BTCUSDT"]
    fill(port, symbols=["AAPLUSDT"])
    assert same(stored("AAPLUSDT"), walk(COUNT, symbol="AAPLUSDT"))


def test_prices_of_another_market_are_refused():
    Feed.objects.create(venue="aster", kind="live", source="https://elsewhere.test", market_at=START)
    with pytest.raises(Rejected, match="must not mix"):
        fill(venue())
    assert not Candle.objects.exists()


def test_the_feed_of_the_venue_is_made_and_does_not_run():
    fill(venue())
    feed = Feed.objects.get()
    assert (feed.kind, feed.source, feed.running, feed.interval) == ("live", "https://venue.test", False, "1m")


def test_why_this_market_runs_stays_on_the_page():
    Feed.objects.create(venue="aster", kind="live", source="https://venue.test", market_at=START, note="why")
    fill(venue())
    assert Feed.objects.get().note == "why"


def test_two_runs_at_once_write_the_same_rows():
    port, other = venue(), venue()
    port.before = lambda what: fill(other) if what.startswith("candles") and not other.asked else None
    fill(port)
    assert same(stored(), walk(COUNT))


def test_a_span_can_be_filled_alone():
    port = venue()
    tally = span_fill(port=port, symbol="BTCUSDT", interval="1h", start=START + 3 * HOUR, stop=START + 20 * HOUR)
    assert (tally.fetched, tally.stored) == (17, 17)
    assert same(stored(), walk(COUNT).slice(3, 20))


def test_nothing_outside_of_what_was_asked_for_is_believed():
    class Talkative(Venue):
        def candles(self, symbol: str, interval: str, **_: int) -> Candles:
            return self.series[symbol, interval]

    span_fill(
        port=Talkative(**vars(venue())), symbol="BTCUSDT", interval="1h", start=START + 3 * HOUR, stop=START + 5 * HOUR
    )
    assert same(stored(), walk(COUNT).slice(3, 5))


class AnyStart(TestCase):
    """Whatever is stored, whatever the venue lacks and however large its pages are."""

    @settings(max_examples=30)
    @given(st.sets(st.integers(0, 29)), st.sets(st.integers(0, 28)), st.integers(1, 40))
    def test_afterwards_everything_is_there_that_the_venue_has_and_nothing_is_asked_again(self, have, lacks, page):
        Candle.objects.all().delete()
        CandleHole.objects.all().delete()
        theirs = without_places(walk(30), lacks)
        candles_upsert(venue="aster", candles=without_places(theirs, have), closed=True)
        port = venue(theirs, page=page)
        (candles, _) = fill(port, until=START + 30 * HOUR)
        assert same(stored(), theirs)
        assert candles.missing == 0
        port.questions()
        fill(port, until=START + 30 * HOUR)
        assert candles_asked(port) == 0
