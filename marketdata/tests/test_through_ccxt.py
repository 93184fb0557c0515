"""Venues through ccxt where ccxt is not installed: said with the remedy. Weights are counted as the venue counts."""

import sys
from dataclasses import replace

import pytest

from marketdata.venues.ccxt_client import KINDS, exchange_of, hyperliquid_weight, kind_of, urls_at
from marketdata.venues.through_ccxt import ccxt_venue
from vibex.lib.errors import Rejected

MINUTE = 60_000


@pytest.fixture
def _without_ccxt(monkeypatch):
    monkeypatch.setitem(sys.modules, "ccxt", None)


@pytest.mark.usefixtures("_without_ccxt")
@pytest.mark.parametrize("make", [ccxt_venue, exchange_of])
@pytest.mark.parametrize("venue", KINDS)
def test_without_the_extra_a_venue_says_how_to_get_it(make, venue):
    with pytest.raises(Rejected, match="uv sync --extra ccxt"):
        make(venue)


@pytest.mark.parametrize("name", ["aster", "kraken", ""])
def test_other_venues_are_not_read_through_ccxt(name):
    with pytest.raises(Rejected, match="binance_usdm, hyperliquid"):
        kind_of(name)


def test_every_section_moves_to_another_address():
    assert urls_at("binance_usdm", "http://127.0.0.1:8089/") == {
        "fapiPublic": "http://127.0.0.1:8089/fapi/v1",
        "fapiPublicV2": "http://127.0.0.1:8089/fapi/v2",
        "fapiPublicV3": "http://127.0.0.1:8089/fapi/v3",
    }


@pytest.mark.parametrize(
    ("question", "weight"),
    [
        ({"type": "l2Book"}, 2),
        ({"type": "exchangeStatus"}, 2),
        ({"type": "metaAndAssetCtxs"}, 20),
        ({"type": "fundingHistory"}, 45),
        ({"type": "candleSnapshot", "req": {"interval": "1m", "startTime": 0, "endTime": 600 * MINUTE}}, 30),
        ({"type": "candleSnapshot", "req": {"interval": "1h", "startTime": 0, "endTime": 600 * MINUTE}}, 20 + 10 / 60),
        ({"type": "candleSnapshot", "req": {"interval": "1m", "startTime": 0, "endTime": 10**12}}, 20 + 5000 / 60),
    ],
)
def test_a_question_to_hyperliquid_weighs_what_its_documents_say(question, weight):
    assert hyperliquid_weight(question) == pytest.approx(weight)


def test_a_minute_at_full_pace_leaves_room_for_another_process():
    allowed = {"binance_usdm": 2400, "hyperliquid": 1200}
    shares = {name: 60_000 / KINDS[name].milliseconds / most for name, most in allowed.items()}
    assert shares == {"binance_usdm": 0.5, "hyperliquid": pytest.approx(0.7, abs=0.01)}


@pytest.mark.parametrize("name", ["binance_usdm", "hyperliquid"])
def test_a_testnet_differs_from_its_mainnet_by_the_address_only(name):
    main, test = kind_of(name), kind_of(f"{name}_testnet")
    assert replace(test, address=main.address) == main
    assert test.address != main.address
    assert "test" in test.address or "demo" in test.address
