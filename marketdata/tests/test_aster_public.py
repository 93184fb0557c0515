"""What is asked of AsterDEX, what it weighs, and what happens while the venue misbehaves. Over a real connection."""

import socket
from datetime import UTC, datetime, timedelta

import pytest
import stamina

from marketdata.aster import public
from marketdata.aster.http import AsterHttp
from marketdata.aster.public import AsterPublic, weight_of
from marketdata.domain.intervals import INTERVAL_MS
from marketdata.models import VenueBudget
from marketdata.services import venues
from marketdata.services.budget import DatabaseBudget, Unmetered
from marketdata.venues.public import Purpose, VenueBusy, VenueDown
from trading.exchange_server.build import simulated_markets
from trading.exchange_server.server import serve_in_thread
from trading.exchange_server.weights import LIMIT
from vibex.lib.clock import to_ms
from vibex.lib.errors import Rejected

NOW = datetime(2025, 6, 17, 10, 20, 30, tzinfo=UTC)
MINUTE = INTERVAL_MS["1m"]


@pytest.fixture(scope="module")
def served():
    markets = simulated_markets(("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT"), seed=7, start=NOW, history_days=30)
    markets.clock.stand()
    with serve_in_thread(markets) as running:
        yield running


@pytest.fixture
def exchange(served):
    served.control.clear()
    served.control.set_weight(limit=LIMIT)
    served.control.log(clear=True)
    with stamina.set_testing(True, attempts=100, cap=True):
        yield served
    served.control.clear()


@pytest.fixture
def asked(exchange):
    """Return a function that tells what was asked since the start of the test: (last part of the path, weight)."""
    return lambda: [(one["path"].removeprefix("/fapi/v3/"), one["weight"]) for one in exchange.control.log()]


class Purse(Unmetered):
    def __init__(self):
        self.spent, self.blocks, self.limits = 0, [], []

    def take(self, weight, purpose):
        self.spent += weight

    def block(self, until, reason, *, told=False):
        self.blocks.append(until)

    def limit_set(self, limit):
        self.limits.append(limit)


@pytest.fixture
def purse():
    return Purse()


@pytest.fixture
def venue(exchange, purse):
    with AsterHttp(exchange.http, purse, Purpose.FEED, patience=5) as http:
        yield AsterPublic(http)


def last_minutes(venue, count):
    end = to_ms(NOW) // MINUTE * MINUTE
    return venue.candles("BTCUSDT", "1m", since_ms=end - count * MINUTE, until_ms=end)


def test_everything_is_paid_with_the_weight_that_the_venue_charges(venue, purse, asked):
    venue.server_time()
    venue.instruments()
    for count in (5, 99, 100, 499, 500, 1_000):
        assert len(last_minutes(venue, count)) == count
    venue.quotes(["BTCUSDT", "ETHUSDT"])
    venue.quotes(["BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT"])
    venue.funding("BTCUSDT", since=NOW - timedelta(days=3), until=NOW)
    venue.open_interest("BTCUSDT")
    assert purse.spent == sum(weight for _, weight in asked())


def test_few_candles_are_a_light_question():
    assert [weight_of(limit) for limit in (1, 99, 100, 499, 500, 1_000, 1_500)] == [1, 1, 2, 2, 5, 5, 10]


def test_the_limit_of_the_venue_is_remembered(venue, purse, exchange):
    exchange.control.set_weight(limit=1_234)
    venue.instruments()
    assert purse.limits == [1_234]


def test_a_few_symbols_are_asked_one_by_one_and_more_all_at_once(venue, asked):
    venue.quotes(["BTCUSDT", "ETHUSDT"])
    assert sum(weight for _, weight in asked()) == 6
    venue.quotes(["BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT"])
    assert asked()[6:] == [("premiumIndex", 10), ("ticker/bookTicker", 2), ("ticker/price", 2)]


def test_settlements_are_turned_page_by_page(venue, asked, monkeypatch):
    whole = venue.funding("BTCUSDT", since=NOW - timedelta(days=20), until=NOW)
    monkeypatch.setattr(public, "FUNDING_PAGE", 7)
    assert venue.funding("BTCUSDT", since=NOW - timedelta(days=20), until=NOW) == whole
    assert len(whole) == 60
    assert len(asked()) == 1 + 9


def test_open_interest_that_is_not_there_is_not_asked_for_again_for_a_while(venue, exchange, asked):
    exchange.control.fault("404", path="*openInterest", count=1)
    assert [venue.open_interest("BTCUSDT") for _ in range(3)] == [None] * 3
    assert len(asked()) == 1
    assert venue.open_interest("ETHUSDT") is not None


def test_open_interest_that_was_not_there_is_asked_for_again_later(venue, exchange, monkeypatch):
    monkeypatch.setattr(public, "INTEREST_SECONDS", 0.0)
    exchange.control.fault("404", path="*openInterest", count=1)
    assert venue.open_interest("BTCUSDT") is None
    assert venue.open_interest("BTCUSDT") is not None


def test_open_interest_behind_a_firewall_is_not_taken_for_none(venue, exchange):
    exchange.control.fault("403", path="*openInterest", count=1)
    with pytest.raises(VenueDown):
        venue.open_interest("BTCUSDT")


@pytest.mark.parametrize("kind", ["503", "500", "200-html", "-1001", "drop"])
def test_a_passing_fault_of_the_venue_is_not_noticed(venue, exchange, kind):
    exchange.control.fault(kind, count=2)
    assert len(last_minutes(venue, 5)) == 5


@pytest.mark.parametrize("kind", ["429", "429-empty", "418"])
def test_when_the_venue_says_stop_nothing_is_asked(exchange, purse, asked, kind):
    exchange.control.fault(kind, count=1)
    with AsterHttp(exchange.http, purse, Purpose.FEED, patience=0.5) as http, pytest.raises(VenueBusy) as caught:
        AsterPublic(http).server_time()
    assert max(purse.blocks) == caught.value.until
    assert len(purse.blocks) == (1 if kind == "429-empty" else 2), "one for all, and one that a close keeps to as well"
    assert len(asked()) == 1


@pytest.mark.django_db
def test_the_budget_in_the_database_and_the_venue_count_the_same(exchange, asked):
    with AsterHttp(exchange.http, DatabaseBudget("exchange"), Purpose.FEED) as http:
        venue = AsterPublic(http)
        venue.instruments()
        last_minutes(venue, 1_000)
        exchange.control.set_weight(used=900)
        venue.server_time()
    row = VenueBudget.objects.get()
    assert (row.limit, row.used) == (LIMIT, 901)
    assert [weight for _, weight in asked()] == [1, 10, 5, 1]


# The factory


@pytest.mark.django_db
def test_one_client_for_each_purpose_asks_the_address_of_the_settings(exchange, settings):
    settings.ASTERDEX_REST_URL = exchange.http
    venue = venues.public_venue("aster", purpose=Purpose.FEED)
    assert venue is venues.public_venue("aster", purpose=Purpose.FEED)
    assert venue is not venues.public_venue("aster", purpose=Purpose.BACKFILL)
    assert (venue.venue, venue.source, venue.server_time()) == ("aster", exchange.http, NOW)
    assert VenueBudget.objects.get().host == exchange.http.removeprefix("http://")
    venue.close()


def test_an_unknown_venue_is_rejected_with_those_that_there_are():
    for ask in (lambda: venues.public_venue("mtgox", purpose=Purpose.FEED), lambda: venues.price_stream("mtgox")):
        with pytest.raises(Rejected, match="aster, binance_usdm, hyperliquid"):
            ask()


def test_only_asterdex_has_a_stream(settings):
    settings.ASTERDEX_STREAM_URL = "ws://127.0.0.1:1"
    assert venues.price_stream("aster") is not None
    assert venues.price_stream("hyperliquid") is None


def test_a_venue_that_answers_is_reachable_and_the_others_say_why_not(exchange, settings):
    settings.ASTERDEX_REST_URL = exchange.http
    assert venues.venue_reachable("aster", 5.0) is None
    exchange.control.fault("503", count=1)
    assert "503" in venues.venue_reachable("aster", 5.0)
    settings.ASTERDEX_REST_URL = "http://127.0.0.1:1"
    assert "cannot be reached" in venues.venue_reachable("aster", 5.0)


def test_a_venue_that_hangs_is_given_up_in_time(settings):
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        settings.ASTERDEX_REST_URL = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        assert "did not answer" in venues.venue_reachable("aster", 0.2)


# The testnet


@pytest.mark.django_db
def test_the_testnet_is_a_venue_of_its_own(exchange, settings):
    settings.ASTERDEX_REST_URL = "http://127.0.0.1:1"
    settings.ASTERDEX_TESTNET_REST_URL = exchange.http
    venue = venues.public_venue("aster_testnet", purpose=Purpose.FEED)
    assert (venue.venue, venue.source, venue.server_time()) == ("aster_testnet", exchange.http, NOW)
    assert {spec.venue for spec in venue.instruments()} == {"aster_testnet"}
    assert VenueBudget.objects.get().host == exchange.http.removeprefix("http://")
    assert venues.source_of("aster_testnet") == exchange.http
    assert venues.source_of("aster") == "http://127.0.0.1:1"
    assert venues.venue_reachable("aster_testnet", 5.0) is None
    assert "cannot be reached" in venues.venue_reachable("aster", 5.0)
    venue.close()


def test_each_network_has_a_stream_at_its_own_address(settings):
    settings.ASTERDEX_STREAM_URL, settings.ASTERDEX_TESTNET_STREAM_URL = "ws://127.0.0.1:1", "ws://127.0.0.1:2"
    addresses = [venues.price_stream(name)._url for name in ("aster", "aster_testnet")]
    assert [address.startswith(f"ws://127.0.0.1:{port}") for address, port in zip(addresses, (1, 2), strict=True)]


@pytest.mark.parametrize(
    ("mainnet", "testnet", "real"),
    [
        ("https://fapi.asterdex.com", "https://fapi.asterdex-testnet.com", False),
        ("https://fapi.asterdex.com", "https://fapi.asterdex.com", True),
        ("https://fapi.asterdex.com", "https://FAPI3.asterdex.com/", True),
        ("https://fapi.asterdex.com", "https://fapi3.asterdex.com./", True),
        ("https://proxy.example.com", "https://proxy.example.com/testnet", True),
        ("http://127.0.0.1:8089", "http://127.0.0.1:8089", False),
        ("https://fapi.asterdex.com", "https://notasterdex.com", False),
    ],
)
def test_a_testnet_that_leads_to_real_money_is_refused(settings, mainnet, testnet, real):
    settings.ASTERDEX_REST_URL, settings.ASTERDEX_TESTNET_REST_URL = mainnet, testnet
    assert venues.testnet_is_real() is real
    if real:
        for ask in (venues.source_of, lambda name: venues.public_venue(name, purpose=Purpose.FEED)):
            with pytest.raises(Rejected, match="leads to the mainnet"):
                ask("aster_testnet")


@pytest.mark.parametrize(
    ("mainnet", "testnet", "real"),
    [
        ("wss://fstream.asterdex.com", "wss://fstream.asterdex-testnet.com", False),
        ("wss://fstream.asterdex.com", "wss://fstream5.asterdex.com", True),
        ("wss://proxy.example.com", "wss://proxy.example.com/ws", True),
    ],
)
def test_so_is_one_whose_stream_does(settings, mainnet, testnet, real):
    settings.ASTERDEX_STREAM_URL, settings.ASTERDEX_TESTNET_STREAM_URL = mainnet, testnet
    assert venues.testnet_is_real() is real
