"""Live and paper bots see closed candles and fresh prices, and a symbol holds, with its reason, when either is wrong."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from marketdata.database_market import DatabaseMarket
from marketdata.domain.candles import Candles
from marketdata.domain.indicators import NAMES, compute
from marketdata.domain.resample import resample
from marketdata.market import FundingSettlement
from marketdata.models import Candle, Feed, Ticker
from marketdata.recorded_market import RecordedMarket
from marketdata.services import candles_upsert, funding_put, instruments_upsert, ticker_put
from marketdata.tests.build import COLUMNS, recording, same, walk
from marketdata.tests.stored import COUNT, HOUR, NOW, VENUE, look, prices, venue_of
from vibex.lib.clock import SimulatedClock
from vibex.lib.errors import Rejected, Retryable

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)


def market(at=NOW, speed=1.0):
    return DatabaseMarket(VENUE, SimulatedClock(at, speed))


def without(candles, *missing):
    keep = np.isin(np.arange(len(candles)), missing, invert=True)
    columns = [getattr(candles, name)[keep] for name in ("open_time", *COLUMNS)]
    return Candles(candles.symbol, candles.interval, *columns)


def test_a_sound_market_has_no_problem_and_the_age_of_every_input():
    venue_of()
    view = look(NOW + 10 * timedelta(seconds=1))
    assert view.problem is None
    assert view.ages == {
        "quote": timedelta(seconds=10),
        "1h": timedelta(seconds=10),
        "4h": timedelta(seconds=10),
        "funding": timedelta(0) + 4 * HOUR + timedelta(seconds=10),
    }


def test_timeframes_are_made_of_the_stored_candles():
    venue_of()
    view = look()
    assert same(view.timeframes["1h"].candles, walk(COUNT))
    assert same(view.timeframes["4h"].candles, resample(walk(COUNT), "4h"))
    expected = compute(walk(COUNT))
    for name in NAMES:
        assert np.array_equal(view.timeframes["1h"].indicators[name], expected[name], equal_nan=True), name


def test_it_sees_what_a_backtest_sees():
    venue_of()
    replayed = RecordedMarket([recording(walk(COUNT))]).snapshot(symbols=["BTCUSDT"], timeframes=("1h", "4h"), at=NOW)
    ours, theirs = look(), replayed.symbols["BTCUSDT"]
    for interval in ("1h", "4h"):
        assert same(ours.timeframes[interval].candles, theirs.timeframes[interval].candles)
        for name in NAMES:
            np.testing.assert_array_equal(
                ours.timeframes[interval].indicators[name], theirs.timeframes[interval].indicators[name]
            )


@pytest.mark.parametrize("elapsed", [MINUTE, 59 * MINUTE, 61 * MINUTE])
def test_a_forming_candle_is_never_taken_for_a_closed_one_not_even_after_its_end(elapsed):
    """The feed may be late: a candle counts as closed when it was written as closed."""
    venue_of()
    candles_upsert(venue=VENUE, candles=walk(COUNT + 1).slice(COUNT, COUNT + 1), closed=False)
    view = look(NOW + elapsed)
    assert same(view.timeframes["1h"].candles, walk(COUNT))
    assert view.ages["1h"] == elapsed


def test_candles_that_close_after_the_moment_are_not_seen():
    venue_of()
    view = look(NOW - 10 * HOUR)
    assert same(view.timeframes["1h"].candles, walk(COUNT - 10))


def test_what_closes_later_is_seen_without_reading_all_anew(django_assert_num_queries):
    venue_of()
    of = market()
    of.snapshot(symbols=["BTCUSDT"], timeframes=["1h"], at=NOW)
    candles_upsert(venue=VENUE, candles=walk(COUNT + 2).slice(COUNT, COUNT + 2), closed=True)
    with django_assert_num_queries(3):  # the feed, what has closed since, the prices
        view = of.snapshot(symbols=["BTCUSDT"], timeframes=["1h"], at=NOW + 2 * HOUR)
    assert same(view.symbols["BTCUSDT"].timeframes["1h"].candles, walk(COUNT + 2))


def test_a_corrected_last_candle_is_seen():
    venue_of()
    look()
    last = walk(COUNT).slice(COUNT - 1, COUNT)
    candles_upsert(venue=VENUE, candles=replace(last, volume=np.array([9.5])), closed=True)
    assert look().timeframes["1h"].candles.volume[-1] == 9.5


def test_a_feed_that_was_made_anew_is_read_anew():
    venue_of()
    look()
    Candle.objects.all().delete()
    Feed.objects.update(seed=5)
    candles_upsert(venue=VENUE, candles=walk(COUNT, seed=3), closed=True)
    assert same(look().timeframes["1h"].candles, walk(COUNT, seed=3))


def test_a_warm_snapshot_takes_few_queries_however_many_symbols(django_assert_max_num_queries):
    venue_of()
    for symbol in ("ETHUSDT", "SOLUSDT"):
        candles = walk(COUNT, symbol=symbol)
        instruments_upsert(specs=[recording(candles).spec])
        candles_upsert(venue=VENUE, candles=candles, closed=True)
        ticker_put(venue=VENUE, quotes=[prices(symbol=symbol)])
    of = market()
    of.snapshot(symbols=["BTCUSDT", "ETHUSDT", "SOLUSDT"], timeframes=("1h", "4h"), at=NOW)
    with django_assert_max_num_queries(3):
        of.snapshot(symbols=["BTCUSDT", "ETHUSDT", "SOLUSDT"], timeframes=("1h", "4h"), at=NOW)


LAST = prices().last
PRICES = {
    "zero last": ({"last": Decimal(0)}, "there is no price"),
    "negative mark": ({"mark": Decimal(-1)}, "there is no price"),
    "crossed": ({"bid": LAST + 5, "ask": LAST - 5}, "crossed prices"),
    "touching": ({"bid": LAST, "ask": LAST}, "crossed prices"),
    "mark too high": ({"mark": LAST * Decimal("1.02")}, "more than 1 % apart"),
    "mark too low": ({"mark": LAST * Decimal("0.98")}, "more than 1 % apart"),
    "stale": ({"at": NOW - timedelta(seconds=31)}, "the last price is 31 s old"),
}


@pytest.mark.parametrize(("changes", "problem"), PRICES.values(), ids=PRICES)
def test_wrong_prices_hold(changes, problem):
    venue_of(quote=prices(**changes))
    assert problem in look().problem


@pytest.mark.parametrize("changes", [{"mark": LAST * Decimal("1.009")}, {"at": NOW - timedelta(seconds=30)}])
def test_prices_just_within_the_limits_do_not_hold(changes):
    venue_of(quote=prices(**changes))
    assert look().problem is None


def test_no_price_at_all_holds():
    venue_of()
    Ticker.objects.all().delete()
    assert look().problem == "there is no price"
    assert look().quote.last == 0


def test_a_fast_replay_has_as_many_wall_seconds_to_write_its_prices():
    venue_of(quote=prices(NOW - timedelta(minutes=29)))
    assert look(speed=60.0).problem is None
    assert "29 min old" in look(speed=1.0).problem


def test_candles_that_stopped_coming_hold():
    later = NOW + 2 * HOUR + timedelta(seconds=11)
    venue_of(quote=prices(later))
    assert look(later).problem == "the last 1h candle closed 2.0 h ago"
    assert look(later - timedelta(seconds=1)).problem is None


def test_no_candles_hold():
    venue_of(walk(0, symbol="BTCUSDT"))
    assert look().problem == "no closed 1h candle"


def test_too_few_candles_hold():
    venue_of(walk(COUNT).slice(COUNT - 40, COUNT))
    assert look().problem == "only 10 of 15 closed 4h candles"


@pytest.mark.parametrize(("missing", "problem"), [(97, True), (98, True), (96, False), (50, False)])
def test_a_hole_holds_while_it_lies_in_the_last_three_bars(missing, problem):
    venue_of(without(walk(COUNT), missing))
    expected = "a 1h candle is missing among the last 3" if problem else None
    assert look(timeframes=("1h",)).problem == expected


@pytest.mark.parametrize("bar", [97, 98, 99])
def test_a_quarantined_candle_holds_and_says_why_from_the_moment_it_closed(bar):
    candles = walk(COUNT)
    high = candles.high.copy()
    high[bar] = 1.0
    venue_of(replace(candles, high=high))
    assert look().problem == "a 1h candle is missing among the last 3: high is below low"


@pytest.mark.parametrize("status", ["SETTLING", "PENDING_TRADING", "CLOSE"])
def test_a_contract_that_takes_no_orders_holds(status):
    venue_of()
    instruments_upsert(specs=[replace(recording(walk(COUNT)).spec, status=status)])
    assert look().problem == f"recorded takes no orders for BTCUSDT now: it is {status}"


def test_what_the_feed_says_holds_every_symbol():
    venue_of(problem="The recording ended at 2025-03-07 04:00 UTC")
    assert look().problem == "The recording ended at 2025-03-07 04:00 UTC"


def test_the_quote_is_what_the_feed_wrote_without_the_columns_zeros():
    venue_of(quote=prices(funding_rate=Decimal("0.0001"), last=Decimal("50000")))
    quote = market().quote("BTCUSDT", at=NOW)
    assert str(quote.last) == "50000"
    assert str(quote.funding_rate) == "0.0001"
    assert (quote.at, quote.next_funding_at) == (NOW, NOW + 4 * HOUR)


def test_without_a_price_there_is_no_quote():
    venue_of()
    with pytest.raises(Retryable, match="no price of 2025-03-01"):
        market().quote("BTCUSDT", at=NOW - timedelta(days=6, hours=4))
    Ticker.objects.all().delete()
    with pytest.raises(Retryable, match="has not written a price yet"):
        market().quote("BTCUSDT", at=NOW)


def test_base_candles_overlap_the_span_and_include_the_forming_one():
    venue_of()
    candles_upsert(venue=VENUE, candles=walk(COUNT + 1).slice(COUNT, COUNT + 1), closed=False)
    whole = walk(COUNT + 1)
    for since, until, first, last in [
        (NOW - 2 * HOUR, NOW + MINUTE, 98, 101),
        (NOW - 2 * HOUR - MINUTE, NOW, 97, 100),
        (NOW, NOW + MINUTE, 100, 101),
        (NOW - HOUR, NOW - MINUTE, 99, 100),
    ]:
        got = market().base_candles("BTCUSDT", since=since, until=until)
        assert same(got, whole.slice(first, last))


def test_funding_is_that_of_the_span_oldest_first():
    venue_of()
    settled = [FundingSettlement(NOW + hours * HOUR, Decimal("0.0001") * hours) for hours in (1, 2, 3)]
    funding_put(venue=VENUE, settlements={"BTCUSDT": settled})
    funding_put(venue=VENUE, settlements={"BTCUSDT": [replace(settled[0], rate=Decimal("0.9"))]})
    assert market().funding("BTCUSDT", since=NOW, until=NOW + 2 * HOUR) == settled[:2]
    assert market().funding("BTCUSDT", since=NOW + HOUR, until=NOW + 2 * HOUR) == settled[1:2]


def test_rules_come_back_as_they_were_stored():
    venue_of()
    assert market().instrument("BTCUSDT") == recording(walk(1)).spec


def test_a_snapshot_reads_the_rules_of_its_own_contracts_and_another_one_is_found_all_the_same():
    venue_of()
    others = [replace(recording(walk(1)).spec, symbol=f"OTHER{number}USDT") for number in range(30)]
    instruments_upsert(specs=others)
    ours = market()
    with CaptureQueriesContext(connection) as asked:
        ours.snapshot(symbols=["BTCUSDT"], timeframes=["1h"], at=NOW)
    of_rules = [query["sql"] for query in asked if "marketdata_instrument" in query["sql"]]
    assert len(of_rules) == 1
    assert "'BTCUSDT'" in of_rules[0]
    assert ours.instrument("OTHER7USDT") == others[7]


def test_an_unknown_symbol_is_refused_with_the_known_ones():
    venue_of()
    with pytest.raises(Rejected, match=r"PEPEUSDT is not traded at recorded\. There is BTCUSDT"):
        market().snapshot(symbols=["PEPEUSDT"], timeframes=["1h"], at=NOW)


def test_a_timeframe_below_the_base_is_refused():
    venue_of()
    with pytest.raises(Rejected, match="recorded has 1h candles: 15m cannot be made of them"):
        look(timeframes=("15m",))


def test_the_digest_is_the_same_for_the_same_market_and_another_for_another():
    venue_of()
    first = market().snapshot(symbols=["BTCUSDT"], timeframes=["1h"], at=NOW)
    assert market().snapshot(symbols=["BTCUSDT"], timeframes=["1h"], at=NOW).digest == first.digest
    ticker_put(venue=VENUE, quotes=[prices(ask=LAST + 6)])
    assert market().snapshot(symbols=["BTCUSDT"], timeframes=["1h"], at=NOW).digest != first.digest
