"""The order book that an entry would cross: what is asked of the venue, what is read, and which books are not used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from marketdata.aster.book import depth_of
from marketdata.aster.http import AsterHttp
from marketdata.aster.public import LEVELS, LEVELS_WEIGHT, AsterPublic
from marketdata.database_market import DatabaseMarket
from marketdata.domain.assess import depth_problem
from marketdata.domain.snapshot import Depth
from marketdata.models import VenueBudget
from marketdata.recorded_market import RecordedMarket
from marketdata.services.books import book_of, market_for
from marketdata.services.feeds import feed_configure
from marketdata.services.follow import feed_live_put
from marketdata.services.venues import public_venue
from marketdata.tests.build import recording, walk
from marketdata.venues.public import Purpose, VenueBusy, VenueDown, VenueRefused
from trading.exchange_server.build import simulated_markets
from trading.exchange_server.server import Served, serve_in_thread
from trading.exchange_server.weights import LIMIT
from vibex.lib.clock import Deadline, SimulatedClock, to_ms

D = Decimal
NOW = datetime(2025, 6, 17, 10, 20, 30, tzinfo=UTC)
SECOND = timedelta(seconds=1)
BOOK = Depth("BTCUSDT", NOW, ((D(99), D(1)), (D(98), D(2))), ((D(101), D(1)), (D(102), D(2))))
SAID = {
    "E": to_ms(NOW),
    "T": to_ms(NOW - SECOND),
    "bids": [["99", "1"], ["98", "2"]],
    "asks": [["101", "1"], ["102", "2"]],
}


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    markets = simulated_markets(("BTCUSDT", "ETHUSDT"), seed=7, start=NOW, history_days=1)
    markets.clock.stand()
    with serve_in_thread(markets) as running:
        yield running


@pytest.fixture
def exchange(served: Served, settings: Any) -> Iterator[Served]:
    settings.ASTERDEX_REST_URL = served.http
    served.control.clear()
    served.control.set_weight(limit=LIMIT)
    served.control.log(clear=True)
    yield served
    public_venue("aster", purpose=Purpose.FEED).close()  # type: ignore[attr-defined]
    served.control.clear()


def test_a_book_reaches_further_than_an_entry_may_slip_and_costs_what_the_venue_says(exchange):
    with AsterHttp(exchange.http, Unlimited(), Purpose.FEED) as http:
        book = AsterPublic(http).depth("BTCUSDT", deadline=Deadline(5))
    assert (book.symbol, book.at, len(book.bids), len(book.asks)) == ("BTCUSDT", NOW, LEVELS, LEVELS)
    assert depth_problem(book, at=NOW) is None
    assert book.asks[-1][0] / book.asks[0][0] - 1 > D("0.002")
    assert 1 - book.bids[-1][0] / book.bids[0][0] > D("0.002")
    (asked,) = exchange.control.log()
    assert (asked["path"], asked["weight"]) == ("/fapi/v3/depth", LEVELS_WEIGHT)


class Unlimited:
    """A budget that allows everything."""

    def take(self, weight: int, purpose: Purpose) -> None: ...
    def report(self, used: int) -> None: ...
    def block(self, until: datetime, reason: str, *, told: bool = False) -> None: ...
    def limit_set(self, limit: int) -> None: ...


# Which market has books


@pytest.mark.django_db
def test_a_live_market_asks_its_venue_out_of_the_weight_that_all_processes_share(exchange):
    feed_live_put(venue="aster", source=exchange.http)
    book = market_for("aster").depth("ETHUSDT", at=NOW)
    assert book is not None
    assert book.symbol == "ETHUSDT"
    assert VenueBudget.objects.get().used == LEVELS_WEIGHT


@pytest.mark.django_db
def test_when_the_share_of_the_feed_is_used_up_no_book_is_asked_for(exchange):
    exchange.control.set_weight(limit=10**6)
    book_of("aster", "BTCUSDT")
    VenueBudget.objects.update(used=round(LIMIT * Purpose.FEED.value), limit=LIMIT)
    with pytest.raises(VenueBusy):
        book_of("aster", "BTCUSDT")


@pytest.mark.django_db
def test_an_entry_does_not_wait_longer_for_a_book_than_its_patience(exchange, monkeypatch):
    monkeypatch.setattr("marketdata.services.books.PATIENCE", 0.3)
    exchange.control.fault("delay", seconds=2.0, path="*depth")
    with pytest.raises(VenueDown):
        book_of("aster", "BTCUSDT")


@pytest.mark.django_db
def test_a_symbol_that_the_venue_does_not_have_is_refused(exchange):
    with pytest.raises(VenueRefused):
        book_of("aster", "NOSUCHUSDT")


@pytest.mark.django_db
def test_simulated_and_recorded_markets_have_no_book():
    feed_configure(venue="sim", kind="simulated", start=NOW)
    assert market_for("sim").depth("BTCUSDT", at=NOW) is None
    assert DatabaseMarket("aster", SimulatedClock(NOW)).depth("BTCUSDT", at=NOW) is None
    recorded = RecordedMarket([recording(walk(100, "1m"))], timeframes=("1m",))
    assert recorded.depth("BTCUSDT", at=NOW) is None


# What is read


def test_levels_and_time_are_read_as_they_are_said():
    assert depth_of(SAID, "BTCUSDT") == BOOK
    without = {name: value for name, value in SAID.items() if name != "E"}
    assert depth_of(without, "BTCUSDT").at == NOW - SECOND


@pytest.mark.parametrize(
    "wrong",
    [
        {"bids": None},
        {"asks": {}},
        {"bids": [["99"]]},
        {"bids": ["99", "1"]},
        {"asks": [["101", "much"]]},
        {"asks": [["NaN", "1"]]},
        {"asks": [["Infinity", "1"]]},
        {"E": "soon"},
        {"E": None, "T": None},
    ],
    ids=str,
)
def test_what_is_no_book_is_never_taken_for_one(wrong):
    with pytest.raises(VenueDown, match=r"depth of .BTCUSDT. that cannot be used"):
        depth_of({**SAID, **wrong}, "BTCUSDT")


@pytest.mark.parametrize("payload", [None, [], "book", {}])
def test_an_answer_without_a_book_is_an_error_and_not_an_empty_book(payload):
    with pytest.raises(VenueDown):
        depth_of(payload, "BTCUSDT")


# Which books are used


def test_a_sound_book_is_used():
    assert depth_problem(BOOK, at=NOW) is None
    assert depth_problem(BOOK, at=NOW + 10 * SECOND) is None
    assert depth_problem(BOOK, at=NOW - 10 * SECOND) is None


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"bids": ()}, "has no bids"),
        ({"asks": ()}, "has no asks"),
        ({"bids": ((D(98), D(2)), (D(99), D(1)))}, "out of order"),
        ({"asks": ((D(102), D(1)), (D(101), D(2)))}, "out of order"),
        ({"asks": ((D(101), D(1)), (D(101), D(2)))}, "out of order"),
        ({"bids": ((D(101), D(1)),)}, "is crossed"),
        ({"bids": ((D(105), D(1)), (D(98), D(1)))}, "is crossed"),
        ({"bids": ((D("NaN"), D(1)),)}, "without price or quantity"),
        ({"asks": ((D(101), D("Infinity")),)}, "without price or quantity"),
        ({"asks": ((D(101), D(0)),)}, "without price or quantity"),
        ({"bids": ((D(-99), D(1)),)}, "without price or quantity"),
        ({"at": NOW - 11 * SECOND}, "is 11 s old"),
        ({"at": NOW + 11 * SECOND}, "is 11 s ahead of the clock"),
    ],
)
def test_a_book_that_cannot_be_traded_on_is_a_problem_with_its_reason(changes, text):
    problem = depth_problem(replace(BOOK, **changes), at=NOW)
    assert problem is not None
    assert problem.code == "book.depth"
    assert text in problem.text


def test_the_age_of_a_book_is_market_time():
    assert depth_problem(replace(BOOK, at=NOW - 15 * SECOND), at=NOW) is not None
    assert depth_problem(replace(BOOK, at=NOW - 15 * SECOND), at=NOW, speed=60) is None
