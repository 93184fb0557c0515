"""The venues through ccxt keep the rules of the port: the suite that every venue passes, read in another process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from marketdata.tests import test_venue_compliance as suite
from marketdata.tests.test_venue_compliance import *  # noqa: F403 - every test of the suite is one of this module
from marketdata.tests.test_venue_compliance import MINUTE, NOW, SYMBOLS, Subject
from tests.oracles.environments import environment
from tests.oracles.hyperliquid_server import hyperliquid_in_thread, now_ms
from tests.oracles.venue_process import venue_in
from trading.exchange_server.build import simulated_markets
from trading.exchange_server.server import serve_in_thread
from vibex.lib.clock import from_ms

pytestmark = [pytest.mark.ci, pytest.mark.timeout(300)]
COINS = ("BTCUSDC", "ETHUSDC", "HYPEUSDC", "KPEPEUSDC")


@pytest.fixture(scope="module", params=["binance_usdm", "hyperliquid"])
def subject(request: Any, python_with_ccxt: Path) -> Iterator[Subject]:
    yield from (binance if request.param == "binance_usdm" else hyperliquid)(python_with_ccxt)


def binance(python_with_ccxt: Path) -> Iterator[Subject]:
    markets = simulated_markets(SYMBOLS, seed=7, start=NOW, history_days=30)
    markets.clock.stand()
    with (
        serve_in_thread(markets, weight_limit=999_999) as served,
        venue_in(python_with_ccxt, "binance_usdm", served.http, environment()) as venue,
    ):
        yield Subject(venue, SYMBOLS, NOW)


def hyperliquid(python_with_ccxt: Path) -> Iterator[Subject]:
    """Hyperliquid keeps 5,000 candles up to today, so its clock stands at the moment at which the suite began."""
    now = now_ms() // 1000 * 1000
    with (
        hyperliquid_in_thread(stands_at=now) as server,
        venue_in(python_with_ccxt, "hyperliquid", server.address, environment()) as venue,
    ):
        yield Subject(venue, COINS, from_ms(now), unknown="NOSUCHUSDC", funding_hours=1)


def test_a_span_longer_than_a_page_gives_its_earliest_candles(subject):
    if subject.venue.venue != "hyperliquid":
        return suite.test_a_span_longer_than_a_page_gives_its_earliest_candles(subject)
    return whole_page(subject)


def test_pages_put_together_have_every_candle_once(subject):
    if subject.venue.venue != "hyperliquid":
        return suite.test_pages_put_together_have_every_candle_once(subject)
    return whole_page(subject)


def whole_page(subject):
    """One page is all that is kept: a longer span begins with the oldest candle that there is."""
    since, until = suite.window(subject, "1m", 2 * subject.venue.page)
    opens = subject.venue.candles("ETHUSDC", "1m", since_ms=since, until_ms=until).open_time.tolist()
    assert opens == list(range(opens[0], until, MINUTE))
    assert subject.venue.page - 10 < len(opens) <= subject.venue.page


del test_a_venue_that_is_gone_is_down_and_not_empty  # noqa: F821 - of our own client; test_ccxt_venues.py has theirs
