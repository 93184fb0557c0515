"""What a fault of the way to Hyperliquid is told as: nothing that was placed is ever told as refused, or as not there."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from decimal import Decimal as D
from pathlib import Path

import pytest

from accounts.domain.credentials import WalletKeys
from tests.oracles.hyperliquid_house import SYMBOL, House, hyperliquid
from tests.oracles.hyperliquid_signatures import TESTNET
from trading.domain.venue import VenueStatus
from trading.exchange.base import Ambiguous, Held, Refusal, Refused, Unavailable
from trading.tests.matching_kit import START, order
from vibex.lib.errors import NeedsOperator

pytestmark = [pytest.mark.ci, pytest.mark.timeout(300)]

HTML = "<html><body>Checking your browser</body></html>"
WAYS = {
    "dropped": {"status": 0},
    "slow": {"status": 200, "seconds": 1.6},
    "500": {"status": 500, "text": "null"},
    "502 page": {"status": 502, "text": HTML},
    "200 page": {"status": 200, "text": HTML},
    "200 null": {"status": 200, "text": "null"},
    "200 nothing said": {"status": 200, "text": "{}"},
    "403 page": {"status": 403, "text": HTML},
    "429": {"status": 429, "text": "null"},
}
_ids = itertools.count(1)


@pytest.fixture(scope="module")
def house(python_with_ccxt: Path) -> Iterator[House]:
    with hyperliquid(python_with_ccxt, made={"timeout_ms": 800}) as running:
        running.exchange.place(order("BUY", quantity="10", symbol=SYMBOL, id="held"))
        yield running


@pytest.fixture(autouse=True)
def _no_fault_left(house: House) -> Iterator[None]:
    yield
    house.venue.faults.clear()


def entry(name: str):
    return order("BUY", "LIMIT", "0.2", price="90", id=name, symbol=SYMBOL)


def protection(name: str):
    return order("SELL", "STOP_MARKET", "1", trigger="50", reduce_only=True, id=name, symbol=SYMBOL)


def count(house: House, name: str) -> int:
    """Return how many orders of this id the venue ever took."""
    cloid = next((one["orders"][0]["c"] for one in reversed(house.sent()) if _named(house, one, name)), None)
    return sum(1 for one in house.truth.sent.values() if one.wire.get("c") == cloid) if cloid else 0


def _named(house: House, action, name: str) -> bool:
    from trading.exchange.through_ccxt.hyperliquid.names import Names

    return action["orders"][0]["c"] == Names(lambda: "none").cloid(name)


KINDS = pytest.mark.parametrize("make", [entry, protection], ids=["entry", "stop"])
DONE = pytest.mark.parametrize("done", [True, False], ids=["done", "not done"])


@KINDS
@DONE
@pytest.mark.parametrize("way", WAYS)
def test_an_order_without_its_answer_is_ambiguous_and_asking_tells(house, make, done, way):
    name = f"o{next(_ids)}"
    house.venue.fault("order", done=done, **WAYS[way])
    with pytest.raises(Ambiguous):
        house.exchange.place(make(name))
    # A slow answer is a true one, whatever the venue did after we had stopped waiting.
    assert count(house, name) == int(done)
    report = house.exchange.order(symbol=SYMBOL, client_order_id=name)
    assert (report.status if report else None) is (VenueStatus.NEW if done else None)
    if done:
        assert house.exchange.cancel(symbol=SYMBOL, client_order_id=name).status is VenueStatus.CANCELED


@DONE
@pytest.mark.parametrize("way", WAYS)
def test_a_close_without_its_answer_is_ambiguous_and_asking_tells(house, done, way):
    name, before = f"x{next(_ids)}", house.exchange.account().position(SYMBOL).quantity
    house.venue.fault("order", done=done, **WAYS[way])
    with pytest.raises(Ambiguous):
        house.exchange.place(order("SELL", quantity="0.1", reduce_only=True, id=name, symbol=SYMBOL))
    report = house.exchange.order(symbol=SYMBOL, client_order_id=name)
    assert (report.status if report else None) is (VenueStatus.FILLED if done else None)
    assert house.exchange.account().position(SYMBOL).quantity == before - (D("0.1") if done else 0)


@DONE
@pytest.mark.parametrize("way", WAYS)
def test_a_cancellation_without_its_answer_is_ambiguous(house, done, way):
    name = f"c{next(_ids)}"
    house.exchange.place(entry(name))
    house.venue.fault("cancelByCloid", done=done, **WAYS[way])
    with pytest.raises(Ambiguous):
        house.exchange.cancel(symbol=SYMBOL, client_order_id=name)
    told = house.exchange.order(symbol=SYMBOL, client_order_id=name).status
    assert told is (VenueStatus.CANCELED if done else VenueStatus.NEW)


@pytest.mark.parametrize("way", WAYS)
def test_a_cancelled_order_that_cannot_be_read_back_is_ambiguous(house, way):
    name = f"b{next(_ids)}"
    house.exchange.place(entry(name))
    house.venue.fault("orderStatus", **WAYS[way])
    with pytest.raises(Ambiguous):
        house.exchange.cancel(symbol=SYMBOL, client_order_id=name)
    assert house.exchange.order(symbol=SYMBOL, client_order_id=name).status is VenueStatus.CANCELED


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("question", ["frontendOpenOrders", "clearinghouseState"])
def test_an_account_is_whole_or_not_told(house, question, way):
    house.venue.fault(question, **WAYS[way])
    with pytest.raises(Unavailable):
        house.exchange.account()


@pytest.mark.parametrize("way", WAYS)
def test_no_answer_is_never_no_such_order(house, way):
    house.venue.fault("orderStatus", **WAYS[way])
    with pytest.raises(Unavailable):
        house.exchange.order(symbol=SYMBOL, client_order_id="never")
    assert house.exchange.order(symbol=SYMBOL, client_order_id="never") is None


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("question", ["l2Book", "clearinghouseState", "orderStatus"])
def test_what_cannot_be_looked_up_beforehand_certainly_did_not_leave(house, question, way):
    new = {
        "l2Book": order("SELL", quantity="1", reduce_only=True, symbol=SYMBOL),
        "clearinghouseState": order("SELL", "STOP_MARKET", trigger="50", close_position=True, symbol=SYMBOL),
        "orderStatus": entry(f"n{next(_ids)}"),
    }[question]
    sent = len(house.sent())
    house.venue.fault(question, **WAYS[way])
    with pytest.raises(Unavailable):
        house.exchange.place(new)
    assert len(house.sent()) == sent


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("question", ["userFillsByTime", "userFunding", "userNonFundingLedgerUpdates"])
def test_a_history_is_whole_or_not_told(house, question, way):
    house.venue.fault(question, **WAYS[way])
    with pytest.raises(Unavailable):
        house.exchange.income(since=START)


def test_a_position_that_is_gone_leaves_no_stop_to_place(house):
    with pytest.raises(Refused) as caught:
        house.exchange.place(order("BUY", "STOP_MARKET", trigger="150", close_position=True, symbol=SYMBOL))
    assert caught.value.refusal is Refusal.REDUCE_ONLY


@pytest.mark.parametrize(
    ("said", "raised"),
    [
        ("Only post-only orders allowed immediately after a network upgrade", Unavailable),
        ("Too many cumulative requests sent (2 > 1) for cumulative volume traded $1.", Unavailable),
        ("Invalid nonce: duplicate nonce 1700000000000", Ambiguous),
        ("Something that nobody has ever read", Refused),
    ],
)
def test_a_no_of_the_whole_action_has_its_meaning(house, said, raised):
    house.venue.fault("order", status=200, text=f'{{"status":"err","response":"{said}"}}')
    with pytest.raises(raised):
        house.exchange.place(entry(f"w{next(_ids)}"))


def test_an_order_that_the_venue_cannot_read_is_refused(house):
    house.venue.fault("order", status=422, text="Failed to deserialize the JSON body into the target type")
    with pytest.raises(Refused):
        house.exchange.place(entry(f"r{next(_ids)}"))


def test_a_wallet_that_is_not_the_accounts_holds_it(python_with_ccxt):
    with hyperliquid(python_with_ccxt) as house:
        house.venue.agents.pop(house.agent.address.lower())  # its owner took the permission away
        with pytest.raises(Held) as caught:
            house.exchange.place(entry("e1"))
        assert house.agent.private_key[2:] not in str(caught.value)
        with pytest.raises(Held):
            house.exchange.cancel(symbol=SYMBOL, client_order_id="e1")
        with pytest.raises(NeedsOperator, match="may not sign for"):
            house.exchange.prepare({SYMBOL: 1})
        assert house.exchange.check([SYMBOL]).can_trade is False
        assert house.exchange.order(symbol=SYMBOL, client_order_id="e1") is None


def test_an_action_for_the_other_network_is_nobodys(python_with_ccxt):
    with hyperliquid(python_with_ccxt, prepared=False, source=TESTNET) as house:
        with pytest.raises(Held, match="does not exist"):
            house.exchange.place(entry("e1"))
        assert house.venue.actions == []
    with hyperliquid(python_with_ccxt, source=TESTNET, made={"network": "testnet"}) as house:
        assert house.exchange.place(entry("e1")).status is VenueStatus.NEW


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("0x12", "0x" + "11" * 32),
        ("0x" + "ab" * 20, "11" * 31),
        ("0x" + "ab" * 20, "00" * 32),
        ("0x" + "ab" * 20, ""),
    ],
)
def test_keys_that_are_none_are_for_a_person(python_with_ccxt, address, key):
    with pytest.raises(NeedsOperator), hyperliquid(python_with_ccxt, made={"keys": WalletKeys(address, key)}):
        pass
