"""What every class behind the port `PublicVenue` must do, whatever venue it asks.

A venue joins by a context manager in `VENUES` that yields a `Subject`: the client, and what is true of the market it
asks. The clock of that market must stand while the suite runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from marketdata.aster.http import AsterHttp
from marketdata.aster.public import AsterPublic
from marketdata.domain.assess import depth_problem
from marketdata.domain.intervals import INTERVAL_MS
from marketdata.domain.quality import faults, gaps
from marketdata.services.budget import Unmetered
from marketdata.venues.public import PublicVenue, Purpose, VenueDown, VenueRefused
from trading.exchange_server.build import simulated_markets
from trading.exchange_server.server import serve_in_thread
from vibex.lib.clock import Deadline, to_ms

NOW = datetime(2025, 6, 17, 10, 20, 30, tzinfo=UTC)
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT", "DOGEUSDT")
MINUTE, HOUR = INTERVAL_MS["1m"], INTERVAL_MS["1h"]


@dataclass(frozen=True)
class Subject:
    """A venue under test: it has at least 20 days of candles of `symbols`, and its clock stands at `now`."""

    venue: PublicVenue
    symbols: tuple[str, ...]
    now: datetime
    unknown: str = "NOSUCHUSDT"
    tells_interest: bool = True
    funding_hours: int = 8

    @property
    def symbol(self) -> str:
        return self.symbols[0]

    @property
    def now_ms(self) -> int:
        return to_ms(self.now)


@contextmanager
def aster() -> Iterator[Subject]:
    """AsterDEX, as the test exchange answers for it."""
    markets = simulated_markets(SYMBOLS, seed=7, start=NOW, history_days=30)
    markets.clock.stand()
    with serve_in_thread(markets) as served, AsterHttp(served.http, Unmetered(), Purpose.FEED) as http:
        yield Subject(AsterPublic(http), SYMBOLS, NOW)


VENUES: dict[str, Callable[[], AbstractContextManager[Subject]]] = {"aster": aster}


@pytest.fixture(scope="module", params=VENUES)
def subject(request: Any) -> Iterator[Subject]:
    with VENUES[request.param]() as made:
        yield made


def window(subject: Subject, interval: str, count: int) -> tuple[int, int]:
    """Return the span of the last `count` candles of an interval, the forming one included."""
    step = INTERVAL_MS[interval]
    end = subject.now_ms // step * step + step
    return end - count * step, end


def test_it_says_who_it_is_and_where_it_is_asked(subject):
    assert subject.venue.venue
    assert subject.venue.source
    assert subject.venue.page >= 100


def test_its_clock_is_the_venues(subject):
    assert abs(subject.venue.server_time() - subject.now) <= timedelta(seconds=1)


def test_contracts_come_sorted_once_each_with_usable_rules(subject):
    specs = subject.venue.instruments()
    names = [spec.symbol for spec in specs]
    assert names == sorted(set(names))
    assert set(subject.symbols) <= set(names)
    for spec in specs:
        assert spec.venue == subject.venue.venue
        assert spec.tick_size > 0
        assert spec.step_size > 0
        assert spec.min_notional >= 0
        assert 0 < spec.taker_fee < Decimal("0.01")
        assert 1 <= spec.funding_interval_hours <= 24
        assert spec.brackets


def test_rounding_by_the_contracts_rules_gives_prices_that_the_venue_quotes(subject):
    specs = {spec.symbol: spec for spec in subject.venue.instruments()}
    for quote in subject.venue.quotes(subject.symbols):
        spec = specs[quote.symbol]
        assert [spec.price_near(price) for price in (quote.bid, quote.ask)] == [quote.bid, quote.ask]


@pytest.mark.parametrize("interval", ["1m", "5m", "1h"])
def test_candles_are_those_that_open_in_the_half_open_span_oldest_first(subject, interval):
    step = INTERVAL_MS[interval]
    since, until = window(subject, interval, 30)
    candles = subject.venue.candles(subject.symbol, interval, since_ms=since, until_ms=until - 10 * step)
    assert candles.open_time.tolist() == list(range(since, until - 10 * step, step))
    assert (candles.symbol, candles.interval) == (subject.symbol, interval)
    assert faults(candles) == []


def test_a_span_off_the_grid_holds_the_candles_that_open_inside_it(subject):
    since, until = window(subject, "1m", 30)
    candles = subject.venue.candles(subject.symbol, "1m", since_ms=since + 1, until_ms=until - 10 * MINUTE + 1)
    assert candles.open_time.tolist() == list(range(since + MINUTE, until - 10 * MINUTE + 1, MINUTE))


def test_the_forming_candle_is_the_last_one(subject):
    since, until = window(subject, "1h", 3)
    candles = subject.venue.candles(subject.symbol, "1h", since_ms=since, until_ms=until + 5 * HOUR)
    assert int(candles.open_time[-1]) == until - HOUR
    assert len(candles.closed_before(subject.now_ms)) == 2


def test_a_span_longer_than_a_page_gives_its_earliest_candles(subject):
    page = subject.venue.page
    since, until = window(subject, "1m", page + 50)
    candles = subject.venue.candles(subject.symbol, "1m", since_ms=since, until_ms=until)
    assert candles.open_time.tolist() == list(range(since, since + page * MINUTE, MINUTE))


def test_pages_put_together_have_every_candle_once(subject):
    since, until = window(subject, "1m", 2 * subject.venue.page + 77)
    found, start = [], since
    while start < until:
        candles = subject.venue.candles(subject.symbol, "1m", since_ms=start, until_ms=until)
        found.append(candles)
        start = int(candles.open_time[-1]) + MINUTE
    times = np.concatenate([candles.open_time for candles in found])
    assert times.tolist() == list(range(since, until, MINUTE))
    assert [gap for candles in found for gap in gaps(candles)] == []


def test_a_span_that_is_empty_or_not_yet_there_has_no_candles(subject):
    _, until = window(subject, "1m", 1)
    assert len(subject.venue.candles(subject.symbol, "1m", since_ms=until, until_ms=until)) == 0
    assert len(subject.venue.candles(subject.symbol, "1m", since_ms=until, until_ms=until + HOUR)) == 0


def test_what_the_venue_does_not_have_is_refused(subject):
    since, until = window(subject, "1m", 5)
    with pytest.raises(VenueRefused):
        subject.venue.candles(subject.unknown, "1m", since_ms=since, until_ms=until)
    with pytest.raises(VenueRefused):
        subject.venue.candles(subject.symbol, "7m", since_ms=since, until_ms=until)


@pytest.mark.parametrize("count", [1, 3, 6])
def test_quotes_are_whole_and_fresh_however_many_are_asked(subject, count):
    asked = subject.symbols[:count]
    quotes = subject.venue.quotes(asked)
    assert [quote.symbol for quote in quotes] == list(asked)
    for quote in quotes:
        assert 0 < quote.bid < quote.ask
        assert abs(quote.last / quote.mark - 1) < Decimal("0.01")
        assert timedelta(0) <= subject.now - quote.at <= timedelta(seconds=10)
        assert quote.mark_at is not None
        assert timedelta(0) <= subject.now - quote.mark_at <= timedelta(seconds=10)
        assert quote.changed_at is None or quote.changed_at <= quote.at
        assert quote.funding_rate is not None
        assert abs(quote.funding_rate) < Decimal("0.05")
        assert quote.next_funding_at is not None
        assert subject.now < quote.next_funding_at <= subject.now + timedelta(hours=24)


def test_few_and_many_are_told_the_same_prices(subject):
    alone = [quote for symbol in subject.symbols for quote in subject.venue.quotes([symbol])]
    assert subject.venue.quotes(subject.symbols) == alone


def test_a_symbol_without_prices_is_left_out(subject):
    assert subject.venue.quotes([]) == []
    for others in ((), subject.symbols):
        quotes = subject.venue.quotes([*others, subject.unknown])
        assert [quote.symbol for quote in quotes] == list(others)


def test_a_book_has_levels_on_both_sides_best_first_and_is_of_now(subject):
    for symbol in subject.symbols[:3]:
        book = subject.venue.depth(symbol, deadline=Deadline(10))
        assert book.symbol == symbol
        assert depth_problem(book, at=subject.now) is None
        (quote,) = subject.venue.quotes([symbol])
        assert abs(book.bids[0][0] / quote.bid - 1) < Decimal("0.001")
        assert abs(book.asks[0][0] / quote.ask - 1) < Decimal("0.001")
    with pytest.raises(VenueRefused):
        subject.venue.depth(subject.unknown, deadline=Deadline(10))


def test_settlements_are_those_after_the_start_up_to_the_end_on_the_full_second(subject):
    period = timedelta(hours=subject.funding_hours)
    midnight = subject.now.replace(hour=0, minute=0, second=0)
    since, until = midnight - 12 * period, midnight - 2 * period
    settled = subject.venue.funding(subject.symbol, since=since, until=until)
    assert [one.at for one in settled] == [since + period * n for n in range(1, 11)]
    assert all(one.settled and abs(one.rate) < Decimal("0.05") for one in settled)


def test_no_settlement_is_told_before_it_is_due(subject):
    settled = subject.venue.funding(
        subject.symbol, since=subject.now - timedelta(days=2), until=subject.now + timedelta(days=2)
    )
    assert settled
    assert all(one.at <= subject.now for one in settled)


def test_the_whole_history_of_settlements_may_be_asked_for(subject):
    settled = subject.venue.funding(subject.symbol, since=datetime(1970, 1, 1, tzinfo=UTC), until=subject.now)
    assert len(settled) >= 30
    assert [one.at for one in settled] == sorted({one.at for one in settled})


def test_open_interest_has_a_value_and_a_time_or_is_not_told(subject):
    interest = subject.venue.open_interest(subject.symbol)
    assert (interest is not None) == subject.tells_interest
    if interest:
        assert interest.symbol == subject.symbol
        assert interest.value >= 0
        assert abs(subject.now - interest.at) <= timedelta(minutes=10)


def test_several_threads_may_ask_at_once(subject):
    since, until = window(subject, "1m", 60)

    def ask(symbol):
        return subject.venue.candles(symbol, "1m", since_ms=since, until_ms=until).close.tolist()

    wanted = [*subject.symbols] * 3
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(ask, wanted))
    assert together == [ask(symbol) for symbol in wanted]


def test_a_venue_that_is_gone_is_down_and_not_empty():
    with aster() as gone:
        venue = AsterPublic(AsterHttp(gone.venue.source, Unmetered(), Purpose.FEED, attempts=1))
    for ask in (
        venue.server_time,
        venue.instruments,
        lambda: venue.candles("BTCUSDT", "1m", since_ms=0, until_ms=MINUTE),
        lambda: venue.quotes(["BTCUSDT"]),
        lambda: venue.depth("BTCUSDT", deadline=Deadline(5)),
        lambda: venue.funding("BTCUSDT", since=NOW, until=NOW + timedelta(days=1)),
        lambda: venue.open_interest("BTCUSDT"),
    ):
        with pytest.raises(VenueDown):
            ask()
    venue.close()
