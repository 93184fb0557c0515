"""Binance USD-M and Hyperliquid through ccxt, which is installed in an environment of its own for these tests."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from marketdata.aster.http import AsterHttp
from marketdata.aster.public import AsterPublic
from marketdata.services.budget import Unmetered
from marketdata.venues.public import Purpose, VenueBusy, VenueDown, VenueRefused
from tests.oracles.environments import environment
from tests.oracles.hyperliquid_server import HOUR, MINUTE, Hyperliquid, candle, hyperliquid_in_thread, now_ms, rate_at
from tests.oracles.venue_process import RemoteVenue, venue_in
from trading.exchange_server.build import DEFAULT_SYMBOLS, simulated_markets
from trading.exchange_server.server import Served, serve_in_thread
from vibex.lib.clock import from_ms
from vibex.lib.env import ROOT

pytestmark = [pytest.mark.ci, pytest.mark.timeout(300)]
HTML = "<html><body>Checking your browser</body></html>"


@pytest.fixture(scope="module")
def server() -> Iterator[Hyperliquid]:
    with hyperliquid_in_thread() as running:
        yield running


@pytest.fixture(scope="module")
def venue(python_with_ccxt: Path, server: Hyperliquid) -> Iterator[RemoteVenue]:
    with venue_in(python_with_ccxt, "hyperliquid", server.address, environment()) as remote:
        yield remote


@pytest.fixture(scope="module")
def exchange() -> Iterator[Served]:
    """Return the test exchange, which answers as Binance does, with its clock standing still."""
    markets = simulated_markets(history_days=30)
    markets.clock.stand()
    markets.set_funding_hours("ETHUSDT", 4)
    with serve_in_thread(markets, weight_limit=999_999) as running:
        yield running


@pytest.fixture(scope="module")
def direct(exchange: Served) -> Iterator[AsterPublic]:
    """Return our own client of the same server: what the venue through ccxt has to agree with."""
    with AsterHttp(exchange.http, Unmetered(), Purpose.BACKFILL) as http:
        yield AsterPublic(http)


@pytest.fixture(scope="module")
def binance(python_with_ccxt: Path, exchange: Served) -> Iterator[RemoteVenue]:
    with venue_in(python_with_ccxt, "binance_usdm", exchange.http, environment()) as remote:
        yield remote


@pytest.fixture(autouse=True)
def _true_answers(request: pytest.FixtureRequest) -> None:
    if "server" in request.fixturenames:
        request.getfixturevalue("server").answers.clear()


def test_the_extra_installs_into_an_environment_of_its_own(python_with_ccxt):
    code = "import ccxt, django, sys; print(ccxt.__version__, sys.prefix)"
    done = subprocess.run([python_with_ccxt, "-c", code], check=False, capture_output=True, text=True)
    version, prefix = done.stdout.split()
    assert version.startswith("4.5."), done.stderr
    assert Path(prefix).is_relative_to(python_with_ccxt.parents[1])
    assert Path(prefix) != Path(sys.prefix)


@pytest.mark.parametrize(("name", "pace"), [("binance_usdm", 50), ("hyperliquid", 72)])
def test_the_factory_takes_no_keys_pays_no_builder_and_keeps_the_pace(python_with_ccxt, name, pace):
    code = (
        "import json; from marketdata.venues.ccxt_client import exchange_of\n"
        f"made = exchange_of({name!r}); options = made.options\n"
        "print(json.dumps([made.apiKey, made.secret, made.privateKey, made.walletAddress, options['builderFee'],\n"
        "options['broker'], options['ref'], made.enableRateLimit, made.rateLimit, options['defaultType'], made.timeout]))"
    )
    done = subprocess.run(
        [python_with_ccxt, "-c", code], check=False, capture_output=True, text=True, cwd=ROOT, env=environment()
    )
    assert done.returncode == 0, done.stderr
    keys, rest = json.loads(done.stdout)[:4], json.loads(done.stdout)[4:]
    assert not any(keys)
    assert rest == [False, {}, None, True, pace, "swap", 10_000]


def test_without_the_extra_nothing_imports_it():
    code = (
        "import django, sys; django.setup()\n"
        "from django.core.management import call_command\n"
        "call_command('check')\n"
        "import marketdata.services.venues, marketdata.venues.through_ccxt\n"
        "import vibex.urls, vibex.routing, vibex.celery, trading.tasks\n"
        "sys.exit('ccxt' in sys.modules)"
    )
    settings = {"DJANGO_SETTINGS_MODULE": "vibex.settings.testing"}
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, cwd=ROOT, env=environment(**settings)
    )
    assert done.returncode == 0, done.stderr


def test_contracts_have_their_rules(venue):
    specs = {spec.symbol: spec for spec in venue.instruments()}
    assert list(specs) == ["BTCUSDC", "ETHUSDC", "GONEUSDC", "HYPEUSDC", "KPEPEUSDC"]
    eth = specs["ETHUSDC"]
    assert (eth.venue, eth.base, eth.quote, eth.margin_asset) == ("hyperliquid", "ETH", "USDC", "USDC")
    assert (eth.step_size, eth.min_quantity, eth.min_notional) == (Decimal("0.0001"), Decimal("0.0001"), Decimal(10))
    assert (eth.maker_fee, eth.taker_fee) == (Decimal("0.00015"), Decimal("0.00045"))
    assert (eth.max_leverage, eth.maintenance_margin(Decimal(1000))) == (25, Decimal(20))
    assert eth.funding_interval_hours == 1
    assert eth.tradable
    assert not specs["GONEUSDC"].tradable


def test_ticks_keep_five_figures_while_the_price_rises_by_half(venue):
    ticks = {spec.symbol: spec.tick_size for spec in venue.instruments()}
    # 97,123 may become 100,000 and more: whole dollars stay right. 2,369.6 has one decimal, 0.012345 all six.
    expected = {"BTCUSDC": "1", "ETHUSDC": "0.1", "HYPEUSDC": "0.001", "KPEPEUSDC": "0.000001", "GONEUSDC": "0.00001"}
    assert ticks == {symbol: Decimal(tick) for symbol, tick in expected.items()}


def test_candles_are_those_of_the_window_with_the_forming_one(venue):
    now = now_ms() // MINUTE * MINUTE
    since, until = now - 9 * MINUTE - 1, now + 5 * MINUTE
    candles = venue.candles("ETHUSDC", "1m", since_ms=since, until_ms=until)
    opens = list(candles.open_time)
    assert opens[:10] == list(range(now - 9 * MINUTE, now + 1, MINUTE))
    assert len(opens) in (10, 11)  # a minute may have begun meanwhile
    wanted = [candle("ETH", "1m", int(one)) for one in opens]
    for name, letter in {"open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"}.items():
        assert list(getattr(candles, name)) == [float(row[letter]) for row in wanted]


def test_candles_that_the_venue_no_longer_keeps_are_not_asked_for(venue, server):
    server.asked.clear()
    assert len(venue.candles("ETHUSDC", "1m", since_ms=0, until_ms=HOUR)) == 0
    assert "candleSnapshot" not in server.asked


def test_a_window_from_the_beginning_of_time_gives_a_page_in_order(venue):
    candles = venue.candles("BTCUSDC", "1m", since_ms=0, until_ms=now_ms() + HOUR)
    assert len(candles) == venue.page == 5000
    assert np.all(np.diff(candles.open_time) == MINUTE)


@pytest.mark.parametrize("symbol_and_interval", [("NOUSDC", "1m"), ("BTCUSDT", "1m"), ("BTCUSDC", "7m")])
def test_an_unknown_symbol_or_interval_is_refused(venue, symbol_and_interval):
    with pytest.raises(VenueRefused):
        venue.candles(*symbol_and_interval, since_ms=now_ms() - HOUR, until_ms=now_ms())


def test_quotes_are_those_of_the_book(venue):
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    quotes = {quote.symbol: quote for quote in venue.quotes(["BTCUSDC", "KPEPEUSDC", "GONEUSDC", "NOUSDC"])}
    assert list(quotes) == ["BTCUSDC", "KPEPEUSDC"]  # GONE has no book
    btc = quotes["BTCUSDC"]
    assert (btc.bid, btc.ask, btc.mark) == (Decimal(97122), Decimal(97123), Decimal(97123))
    assert btc.last == Decimal("97122.5")
    assert (btc.funding_rate, btc.open_interest) == (Decimal("0.0000125"), None)
    assert before <= btc.at <= datetime.now(UTC)
    assert timedelta(0) < btc.next_funding_at - btc.at <= timedelta(hours=1)


def test_settlements_are_whole_over_several_pages_and_stand_on_the_hour(venue, server):
    until = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    since = until - timedelta(hours=700)
    server.asked.clear()
    settled = venue.funding("ETHUSDC", since=since, until=until)
    assert server.asked.count("fundingHistory") == 2
    assert [one.at for one in settled] == [since + timedelta(hours=hour) for hour in range(1, 701)]
    assert [one.rate for one in settled] == [Decimal(rate_at(int(one.at.timestamp() * 1000))) for one in settled]


def test_open_interest_that_came_with_prices_is_not_asked_for_again(venue, server):
    quote = venue.quotes(["BTCUSDC"])[0]
    server.asked.clear()
    interest = venue.open_interest("BTCUSDC")
    assert (interest.value, interest.at) == (Decimal("688.11"), quote.mark_at)
    assert server.asked == ["exchangeStatus"]


def test_open_interest_is_told_in_the_base_asset(venue):
    interest = venue.open_interest("HYPEUSDC")
    assert (interest.symbol, interest.value) == ("HYPEUSDC", Decimal("688.11"))
    assert abs(interest.at - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize("answer", [(200, HTML), (200, "null"), (200, ""), (500, "null"), (502, HTML), (403, HTML)])
def test_an_answer_that_is_none_is_a_venue_that_is_down(venue, server, answer):
    server.answers += [(*answer, {})] * 2
    with pytest.raises(VenueDown, match="Hyperliquid was asked for its time"):
        venue.server_time()


def test_one_failure_is_got_over(venue, server):
    server.answers.append((502, HTML, {}))
    assert abs(venue.server_time() - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize("answer", ["[]", "{}", '[{"universe": [{"name": null}]}, []]', "[null, null]"])
def test_contracts_that_are_none_take_nothing_away(venue, server, answer):
    known = venue.instruments()
    server.answers += [(200, answer, {})] * 2
    with pytest.raises(VenueDown):
        venue.instruments()
    assert venue.open_interest("ETHUSDC")
    assert venue.instruments() == known


def test_a_question_that_the_venue_cannot_read_is_refused_and_not_repeated(venue, server):
    server.asked.clear()
    server.answers.append((422, "Failed to deserialize the JSON body into the target type", {}))
    with pytest.raises(VenueRefused):
        venue.server_time()
    assert len(server.asked) == 1


def test_a_busy_venue_is_left_alone_until_the_time_it_names(python_with_ccxt, server):
    with venue_in(python_with_ccxt, "hyperliquid", server.address, environment()) as own:
        server.answers.append((429, "", {"Retry-After": "90"}))
        with pytest.raises(VenueBusy) as first:
            own.server_time()
        assert timedelta(seconds=60) < first.value.until - datetime.now(UTC) <= timedelta(seconds=90)
        server.asked.clear()
        with pytest.raises(VenueBusy) as second:
            own.quotes(["BTCUSDC"])
        assert second.value.until == first.value.until
        assert server.asked == []


def test_a_venue_that_nobody_answers_for_is_down(python_with_ccxt):
    with (
        venue_in(python_with_ccxt, "hyperliquid", "http://127.0.0.1:1", environment()) as nobody,
        pytest.raises(VenueDown),
    ):
        nobody.server_time()


def test_no_order_no_fee_approval_and_no_referral_was_ever_sent(venue, server):
    venue.instruments()
    assert server.exchange_calls == 0


# Binance USD-M, over the test exchange


@contextmanager
def struck(exchange: Served, kind: str) -> Iterator[None]:
    """Let every answer be this fault until the block ends."""
    exchange.control.fault(kind)
    try:
        yield
    finally:
        exchange.control.clear()


def test_binance_tells_its_contracts(binance, direct):
    theirs, ours = binance.instruments(), direct.instruments()
    assert [spec.symbol for spec in theirs] == [spec.symbol for spec in ours]
    assert len(theirs) == len(DEFAULT_SYMBOLS)
    names = (
        "base", "quote", "tick_size", "step_size", "min_quantity", "max_quantity", "min_notional", "min_price", "max_price",
        "market_min_quantity", "market_max_quantity", "status", "margin_asset", "contract_type", "asset_class",
        "funding_interval_hours", "liquidation_fee",
    )  # fmt: skip
    for one, other in zip(theirs, ours, strict=True):
        assert {name: getattr(one, name) for name in names} == {name: getattr(other, name) for name in names}
        assert (one.venue, one.maker_fee, one.taker_fee) == ("binance_usdm", Decimal("0.0002"), Decimal("0.0005"))


def test_binance_reads_every_recorded_contract_whatever_its_status(python_with_ccxt, shared_data):
    info = shared_data / "exchange/aster/exchangeInfo_full_2025-12-24.json.gz"
    with serve_in_thread(simulated_markets(exchange_info=info, history_days=2), weight_limit=999_999) as many:
        with venue_in(python_with_ccxt, "binance_usdm", many.http, environment()) as remote:
            theirs = {spec.symbol: spec for spec in remote.instruments()}
        with AsterHttp(many.http, Unmetered(), Purpose.BACKFILL) as http:
            ours = {spec.symbol: spec for spec in AsterPublic(http).instruments()}
    assert set(theirs) == set(ours)
    assert len(theirs) == 263
    for name in ("tick_size", "step_size", "min_notional", "status", "asset_class"):
        assert {symbol: getattr(spec, name) for symbol, spec in theirs.items()} == {
            symbol: getattr(ours[symbol], name) for symbol in theirs
        }


@pytest.mark.parametrize("interval", ["1m", "5m", "1h", "4h"])
def test_binance_tells_its_candles_with_the_forming_one(binance, direct, exchange, interval):
    now = exchange.server.markets.now_ms()
    window = {"since_ms": now - 2 * 24 * HOUR, "until_ms": now + HOUR}
    one, other = binance.candles("ETHUSDT", interval, **window), direct.candles("ETHUSDT", interval, **window)
    assert len(one) == min(len(other), binance.page) > 10
    for name in ("open_time", "open", "high", "low", "close", "volume"):
        assert getattr(one, name).tolist() == getattr(other, name).tolist()


def test_binance_gives_the_earliest_page_of_a_long_window(binance, exchange):
    now = exchange.server.markets.now_ms()
    first = binance.candles("BTCUSDT", "1m", since_ms=now - 2 * 24 * HOUR, until_ms=now)
    since = -(-(now - 2 * 24 * HOUR) // MINUTE) * MINUTE
    assert first.open_time.tolist() == list(range(since, since + binance.page * MINUTE, MINUTE))


def test_a_start_of_zero_is_the_beginning_and_not_the_end(binance, exchange):
    first = binance.candles("BTCUSDT", "1h", since_ms=0, until_ms=exchange.server.markets.now_ms())
    assert first.open_time[0] < exchange.server.markets.now_ms() - 29 * 24 * HOUR


def test_binance_is_asked_for_no_more_candles_than_there_are(binance, exchange):
    now = exchange.server.markets.now_ms() // MINUTE * MINUTE
    assert len(binance.candles("BTCUSDT", "1m", since_ms=now - 3 * MINUTE, until_ms=now + MINUTE)) == 4
    assert "limit=4" in exchange.server.log[-1].query


def test_binance_tells_its_prices(binance, direct, exchange):
    symbols = [*DEFAULT_SYMBOLS, "NOUSDT"]
    one = {quote.symbol: quote for quote in binance.quotes(symbols)}
    other = {quote.symbol: quote for quote in direct.quotes(symbols)}
    assert list(one) == list(DEFAULT_SYMBOLS)
    now = from_ms(exchange.server.markets.now_ms())
    for symbol, quote in one.items():
        for name in ("bid", "ask", "last", "mark", "funding_rate", "next_funding_at", "mark_at"):
            assert getattr(quote, name) == getattr(other[symbol], name), (symbol, name)
        assert quote.changed_at <= quote.at == now
        assert quote.bid < quote.ask


def test_binance_tells_the_price_of_a_single_symbol(binance):
    assert [quote.symbol for quote in binance.quotes(["SOLUSDT"])] == ["SOLUSDT"]
    assert binance.quotes(["NOUSDT"]) == []


def test_binance_tells_its_settlements(binance, direct, exchange):
    until = from_ms(exchange.server.markets.now_ms())
    for symbol in ("BTCUSDT", "ETHUSDT"):
        one, other = (
            client.funding(symbol, since=until - timedelta(days=20), until=until) for client in (binance, direct)
        )
        assert len(one) >= 60
        assert [(settled.at, settled.rate) for settled in one] == [(settled.at, settled.rate) for settled in other]
        assert all(settled.at.microsecond == 0 for settled in one)


def test_binance_tells_its_open_interest_and_its_clock(binance, direct):
    one, other = binance.open_interest("BTCUSDT"), direct.open_interest("BTCUSDT")
    assert (one.symbol, one.value, one.at) == (other.symbol, other.value, other.at)
    assert binance.server_time() == direct.server_time()


@pytest.mark.parametrize("symbol_and_interval", [("NOUSDT", "1m"), ("BTCUSDC", "1m"), ("BTCUSDT", "7m")])
def test_binance_refuses_what_it_does_not_have(binance, symbol_and_interval):
    with pytest.raises(VenueRefused):
        binance.candles(*symbol_and_interval, since_ms=0, until_ms=MINUTE)


@pytest.mark.parametrize("kind", ["200-html", "403", "404", "500", "503", "-1001", "drop"])
def test_binance_is_down_when_it_gives_no_answer(binance, exchange, kind):
    with struck(exchange, kind), pytest.raises(VenueDown):
        binance.candles("BTCUSDT", "1m", since_ms=MINUTE, until_ms=2 * MINUTE)
    assert binance.server_time()


@pytest.mark.parametrize("kind", ["429", "429-empty", "418"])
def test_binance_is_left_alone_when_it_is_busy(python_with_ccxt, exchange, kind):
    with venue_in(python_with_ccxt, "binance_usdm", exchange.http, environment()) as own, struck(exchange, kind):
        with pytest.raises(VenueBusy) as first:
            own.server_time()
        assert timedelta(seconds=1) < first.value.until - datetime.now(UTC) <= timedelta(seconds=125)
        asked = len(exchange.server.log)
        with pytest.raises(VenueBusy):
            own.instruments()
        assert len(exchange.server.log) == asked
