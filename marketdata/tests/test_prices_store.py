"""The newest prices never go back, what a person or a signed request set stays, and funding is there before it is due."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketdata.database_market import _quote
from marketdata.domain.instruments import Bracket
from marketdata.domain.snapshot import Quote
from marketdata.market import FundingSettlement
from marketdata.models import FundingRate, Instrument, OpenInterest, Ticker
from marketdata.selectors import followed_symbols, instrument_specs
from marketdata.services import funding_expect, funding_put, instruments_upsert, open_interest_put, ticker_put
from marketdata.tests.build import recording, walk
from marketdata.tests.stored import HOUR, NOW, VENUE, prices, venue_of
from marketdata.venues.public import Interest

pytestmark = pytest.mark.django_db
SECOND = timedelta(seconds=1)
RATE = Decimal("0.0001")


def put(*quotes, now=None):
    ticker_put(venue=VENUE, quotes=quotes, now=now)


def stored(symbol="BTCUSDT"):
    return _quote(Ticker.objects.get(venue=VENUE, symbol=symbol))


def test_a_newer_quote_takes_the_place_of_the_older_one():
    put(prices(NOW))
    put(newer := prices(NOW + SECOND, last=Decimal(51_000)))
    assert stored() == newer


def test_a_quote_that_comes_late_changes_nothing():
    put(newer := prices(NOW + SECOND))
    put(prices(NOW, last=Decimal(1), bid=Decimal(1), ask=Decimal(2), mark=Decimal(1)))
    assert stored() == newer


def test_a_quote_of_the_same_moment_corrects_it():
    put(prices(NOW))
    put(later := prices(NOW, ask=Decimal(51_000)))
    assert stored() == later


def test_each_input_has_a_time_of_its_own():
    """A book that is new may come with a mark that is old, and the other way round."""
    put(prices(NOW, mark=Decimal(50_000), mark_at=NOW, funding_rate=RATE, funding_at=NOW))
    put(prices(NOW + 5 * SECOND, mark=Decimal(1), mark_at=NOW - SECOND, funding_rate=2 * RATE, funding_at=NOW + SECOND))
    now = stored()
    assert (now.at, now.mark, now.mark_at) == (NOW + 5 * SECOND, 50_000, NOW)
    assert (now.funding_rate, now.funding_at) == (2 * RATE, NOW + SECOND)
    put(prices(NOW, last=Decimal(1), mark=Decimal(50_001), mark_at=NOW + 9 * SECOND, funding_at=NOW - SECOND))
    later = stored()
    assert (later.at, later.last, later.mark, later.mark_at) == (now.at, now.last, 50_001, NOW + 9 * SECOND)
    assert (later.funding_rate, later.funding_at) == (now.funding_rate, now.funding_at)


def test_a_mark_without_a_time_is_as_old_as_the_prices_it_came_with():
    put(prices(NOW, mark=Decimal(50_000)))
    put(prices(NOW + 5 * SECOND, mark=Decimal(1), mark_at=NOW - SECOND))
    assert (stored().mark, stored().mark_at) == (50_000, NOW)


def test_a_quote_without_open_interest_leaves_the_stored_one():
    put(prices(NOW, open_interest=Decimal(7), open_interest_at=NOW))
    put(prices(NOW + 5 * SECOND))
    assert (stored().open_interest, stored().open_interest_at) == (7, NOW)
    put(prices(NOW + 6 * SECOND, open_interest=Decimal(8), open_interest_at=NOW + SECOND))
    assert (stored().open_interest, stored().open_interest_at) == (8, NOW + SECOND)


def test_a_time_far_in_the_future_was_a_mistake_and_does_not_freeze_the_prices():
    put(prices(NOW + 1000 * HOUR))
    put(now := prices(NOW), now=NOW)
    assert stored() == now


moments = st.none() | st.integers(-5, 5).map(lambda seconds: NOW + seconds * SECOND)
quotes = st.builds(
    prices,
    st.integers(-5, 5).map(lambda seconds: NOW + seconds * SECOND),
    mark=st.integers(1, 9).map(Decimal),
    mark_at=moments,
    funding_rate=st.none() | st.integers(1, 9).map(Decimal),
    funding_at=moments,
    open_interest=st.none() | st.integers(1, 9).map(Decimal),
    open_interest_at=moments,
)
TIMES = {"last": "at", "mark": "mark_at", "funding_rate": "funding_at", "open_interest": "open_interest_at"}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(several=st.lists(quotes, min_size=1, max_size=5))
def test_no_input_ever_goes_back_in_time(several):
    Ticker.objects.all().delete()
    before: Quote | None = None
    for quote in several:
        put(quote)
        after = stored()
        for value, time in TIMES.items():
            known = [one for one in (quote, before) if one is not None and getattr(one, value) is not None]
            if known and getattr(after, value) is not None:
                assert moment(after, time) == max(moment(one, time) for one in known), value
        before = after


def moment(quote, time):
    return getattr(quote, time) or quote.at


def test_many_symbols_are_written_at_once(django_assert_max_num_queries):
    many = [prices(NOW, symbol=f"S{number}") for number in range(50)]
    with django_assert_max_num_queries(3):
        put(*many)
    assert Ticker.objects.count() == 50


# -- contracts ---------------------------------------------------------------------------------------------------


def spec(**changes):
    return replace(recording(walk(1)).spec, **changes)


OWN = {
    "maker_fee": Decimal("0.0001"),
    "taker_fee": Decimal("0.0003"),
    "max_leverage": 20,
    "brackets": (Bracket(Decimal(0), Decimal(1_000), 20, Decimal("0.01"), Decimal(0)),),
}


def test_a_public_list_of_contracts_keeps_what_only_a_signed_request_tells():
    instruments_upsert(specs=[spec(**OWN)])
    instruments_upsert(specs=[spec(status="SETTLING", min_notional=Decimal(9))], public=True)
    assert instrument_specs(VENUE)["BTCUSDT"] == spec(**OWN, status="SETTLING", min_notional=Decimal(9))
    instruments_upsert(specs=[spec()])
    assert instrument_specs(VENUE)["BTCUSDT"] == spec()


def test_a_public_list_brings_defaults_for_new_contracts():
    instruments_upsert(specs=[spec()], public=True)
    assert instrument_specs(VENUE)["BTCUSDT"] == spec()


@pytest.mark.parametrize("public", [True, False])
def test_what_is_followed_stays_a_persons_choice(public):
    instruments_upsert(specs=[spec()], public=public, followed=False)
    assert followed_symbols(VENUE) == []
    Instrument.objects.update(followed=True)
    instruments_upsert(specs=[spec()], public=public, followed=False)
    assert followed_symbols(VENUE) == ["BTCUSDT"]


# -- funding -----------------------------------------------------------------------------------------------------


def expect(at, rate=RATE):
    funding_expect(venue=VENUE, expected={"BTCUSDT": FundingSettlement(at, rate, settled=False)})


def settle(at, rate=RATE, mark=None):
    funding_put(venue=VENUE, settlements={"BTCUSDT": [FundingSettlement(at, rate, mark)]})


def funding():
    return list(FundingRate.objects.order_by("at").values_list("at", "rate", "settled"))


def test_what_is_expected_is_there_before_it_is_due_and_follows_the_venue():
    venue_of()
    expect(NOW + HOUR)
    expect(NOW + HOUR, 2 * RATE)
    assert funding() == [(NOW + HOUR, 2 * RATE, False)]


def test_what_has_settled_replaces_what_was_expected_and_stays():
    venue_of()
    expect(NOW + HOUR)
    settle(NOW + HOUR, 3 * RATE, Decimal(50_000))
    expect(NOW + HOUR, 9 * RATE)
    settle(NOW + HOUR, 8 * RATE)
    assert funding() == [(NOW + HOUR, 3 * RATE, True)]
    assert FundingRate.objects.get().mark == 50_000


@pytest.mark.parametrize("off", [-3, 12])
def test_a_stamp_that_misses_its_second_is_the_same_settlement(off):
    """Two rows would charge a paper account twice."""
    venue_of()
    expect(NOW + HOUR + timedelta(milliseconds=off))
    expect(NOW + HOUR)
    settle(NOW + HOUR, 3 * RATE)
    assert funding() == [(NOW + HOUR, 3 * RATE, True)]


def test_another_interval_moves_what_is_expected():
    venue_of(running=False)
    expect(NOW + 8 * HOUR)
    settle(NOW - HOUR)
    expect(NOW + 4 * HOUR)
    assert funding() == [(NOW - HOUR, RATE, True), (NOW + 4 * HOUR, RATE, False)]


def test_what_is_due_stays_expected_until_it_settles():
    """The venue already names the settlement after the one that is just happening; our clock may be a little behind."""
    venue_of(running=False)
    expect(NOW - HOUR)
    expect(NOW + 2 * SECOND)
    expect(NOW + 8 * HOUR)
    assert [at for at, _, _ in funding()] == [NOW - HOUR, NOW + 2 * SECOND, NOW + 8 * HOUR]


def test_other_symbols_keep_what_is_expected_of_them():
    venue_of()
    funding_expect(venue=VENUE, expected={"ETHUSDT": FundingSettlement(NOW + 3 * HOUR, RATE, settled=False)})
    expect(NOW + 8 * HOUR)
    funding_expect(venue=VENUE, expected={})
    assert FundingRate.objects.count() == 2


# -- open interest -----------------------------------------------------------------------------------------------


def interest(at, value, symbol="BTCUSDT"):
    open_interest_put(venue=VENUE, interests={symbol: Interest(symbol, Decimal(value), at)})


def test_open_interest_is_with_the_prices_at_once_and_in_the_history_every_five_minutes():
    put(prices(NOW))
    for minutes in range(11):
        interest(NOW + timedelta(minutes=minutes), minutes + 1)
    assert (stored().open_interest, stored().open_interest_at) == (11, NOW + timedelta(minutes=10))
    assert list(OpenInterest.objects.order_by("at").values_list("value", flat=True)) == [1, 6, 11]


def test_open_interest_does_not_go_back_in_time():
    put(prices(NOW))
    interest(NOW, 5)
    interest(NOW - timedelta(minutes=1), 4)
    assert stored().open_interest == 5


def test_a_venue_that_does_not_tell_it_any_more_leaves_nothing_that_looks_known():
    put(prices(NOW), prices(NOW, symbol="ETHUSDT"))
    interest(NOW, 5)
    interest(NOW, 6, "ETHUSDT")
    open_interest_put(venue=VENUE, interests={"BTCUSDT": None})
    assert (stored().open_interest, stored().open_interest_at) == (None, None)
    assert stored("ETHUSDT").open_interest == 6


def test_open_interest_with_more_digits_than_the_database_keeps_is_rounded():
    put(prices(NOW))
    interest(NOW, "1234567890.1234567")
    assert abs(stored().open_interest - Decimal("1234567890.1234567")) < Decimal("0.0001")


@pytest.mark.parametrize("price", ["1e30", "1.23456789012345678901234567890"])
@pytest.mark.django_db
def test_prices_that_cannot_be_stored_keep_no_other_symbol_from_being_stored(price):
    venue_of()
    absurd = prices(symbol="XUSDT", last=Decimal(price))
    ticker_put(venue=VENUE, quotes=[absurd, prices(symbol="YUSDT")])
    assert Ticker.objects.filter(symbol="YUSDT").exists()
    assert not Ticker.objects.filter(symbol="XUSDT", last__gt=10**20).exists()
