"""What AsterDEX tells of an account is read as it was meant: every recorded message, and none that is broken."""

import copy
import json
from datetime import UTC, datetime
from decimal import Decimal as D

import pytest

from decisions.domain.proposal import Side
from marketdata.venues.public import VenueDown
from trading.domain.venue import OrderSide, OrderType, VenueStatus
from trading.domain.venue_events import (
    AccountChanged,
    ConfigChanged,
    Execution,
    Gap,
    MarginCalled,
    OrderChanged,
    PositionTold,
    TakenBy,
)
from trading.exchange.aster.user_events import READERS, event_of

FILES = (
    "aster/docs_v3_examples.json",
    "aster/ws_futures_aster_net.json",
    "aster/live/go_aster_fragments.json",
    "binance/go_binance_futures_tests.json",
    "binance/nautilus_futures_rest_and_ws.json",
)
EVENT_TIME = datetime(2019, 9, 19, 7, 51, 5, 651000, tzinfo=UTC)


def messages(value):
    """Yield every message of a stream that lies anywhere in a recorded file."""
    if isinstance(value, dict):
        if isinstance(value.get("e"), str):
            yield value
        for one in value.values():
            yield from messages(one)
    elif isinstance(value, list):
        for one in value:
            yield from messages(one)


@pytest.fixture(scope="module")
def recorded(shared_data):
    found = [
        message
        for name in FILES
        for message in messages(json.loads((shared_data / "exchange" / name).read_text(encoding="utf-8")))
    ]
    assert len(found) > 80
    return found


@pytest.fixture(scope="module")
def named(shared_data):
    """Return recorded messages by the name that they were recorded under."""
    told = json.loads((shared_data / "exchange" / "binance" / "nautilus_futures_rest_and_ws.json").read_text())
    return {name.rpartition("/")[2]: message for name, message in told.items() if "user_data_json" in name}


def test_every_recorded_message_is_an_event_or_none(recorded):
    events = [event_of(message) for message in recorded]
    counted = {kind: sum(isinstance(event, kind) for event in events) for kind in (OrderChanged, AccountChanged)}
    assert counted[OrderChanged] >= 12
    assert counted[AccountChanged] >= 4
    for message, event in zip(recorded, events, strict=True):
        assert (event is not None) == (message["e"] in READERS), message["e"]


def test_what_came_wrapped_is_the_same(recorded):
    for message in recorded:
        assert event_of({"stream": "key", "data": message}) == event_of(message)


def test_an_execution_has_price_fee_result_and_side_of_the_book(named):
    event = event_of(named["order_update_trade"])
    assert (event.execution, event.taken_by, event.at) == (Execution.TRADE, TakenBy.NOBODY, EVENT_TIME)
    report, trade = event.report, event.trade
    assert (report.client_order_id, report.exchange_id, report.symbol) == ("TEST", "8886774", "BTCUSDT")
    assert (report.side, report.type, report.status) == (OrderSide.BUY, OrderType.LIMIT, VenueStatus.PARTIALLY_FILLED)
    assert (report.filled, report.average_price, report.price) == (D("0.001"), D("7100.50"), D("7100.50"))
    assert (trade.trade_id, trade.client_order_id, trade.exchange_id) == ("12345678", "TEST", "8886774")
    assert (trade.quantity, trade.price, trade.side) == (D("0.001"), D("7100.50"), OrderSide.BUY)
    assert (trade.fee, trade.fee_asset, trade.realised, trade.maker) == (D("0.01"), "USDT", D("12.34"), True)
    assert trade.at == EVENT_TIME


@pytest.mark.parametrize(
    ("name", "taken", "quantity"),
    [
        ("order_update_calculated", TakenBy.LIQUIDATION, D("0.014")),
        ("order_update_insurance", TakenBy.LIQUIDATION, D("0.020")),
        ("order_update_adl", TakenBy.ADL, D("0.005")),
        ("order_update_calculated_pending", TakenBy.LIQUIDATION, None),
        ("order_update_settlement", TakenBy.NOBODY, D("0.010")),
        ("order_update_delivery", TakenBy.NOBODY, D(1)),
        ("order_update_new", TakenBy.NOBODY, None),
    ],
)
def test_who_closed_a_position_is_told(named, name, taken, quantity):
    event = event_of(named[name])
    assert event.taken_by is taken
    assert (event.trade and event.trade.quantity) == quantity


@pytest.mark.parametrize(
    ("changes", "taken"),
    [
        ({"c": "web_1", "x": "TRADE", "X": "NEW_ADL"}, TakenBy.ADL),
        ({"c": "web_1", "x": "TRADE", "X": "NEW_INSURANCE"}, TakenBy.LIQUIDATION),
        ({"c": "web_1", "x": "CALCULATED", "X": "FILLED"}, TakenBy.LIQUIDATION),
        ({"c": "web_1", "x": "TRADE", "X": "FILLED", "o": "LIQUIDATION", "ot": "LIQUIDATION"}, TakenBy.LIQUIDATION),
        ({"c": "vxdemo1", "x": "TRADE", "X": "FILLED"}, TakenBy.NOBODY),
    ],
)
def test_a_takeover_is_known_by_name_status_execution_or_type(named, changes, taken):
    message = copy.deepcopy(named["order_update_calculated"])
    message["o"] |= changes
    assert event_of(message).taken_by is taken


def test_a_stop_that_fired_stays_a_stop(named):
    message = copy.deepcopy(named["order_update_trade"])
    message["o"] |= {"o": "MARKET", "ot": "STOP_MARKET", "sp": "7000", "cp": True, "X": "FILLED"}
    report = event_of(message).report
    assert (report.type, report.trigger, report.close_position) == (OrderType.STOP_MARKET, D(7000), True)


def test_a_fee_that_is_not_sent_is_none_and_one_in_another_asset_is_named(named):
    assert event_of(named["order_update_delivery"]).trade.fee == 0
    message = copy.deepcopy(named["order_update_trade"])
    message["o"] |= {"N": "ASTER", "n": "-0.5"}
    trade = event_of(message).trade
    assert (trade.fee, trade.fee_asset) == (D("0.5"), "ASTER")


def test_an_unknown_execution_is_an_event_all_the_same(named):
    message = copy.deepcopy(named["order_update_new"])
    message["o"]["x"] = "TRADE_PREVENTION"
    assert event_of(message).execution is Execution.OTHER


def test_the_account_tells_balance_and_positions(named):
    event = event_of(named["account_update"])
    assert (event.reason, event.wallet) == ("ORDER", D("122624.12345678"))
    assert event.positions == (
        PositionTold("BTCUSDT", Side.LONG, D(0), D(0)),
        PositionTold("BTCUSDT", Side.LONG, D(20), D("6563.6")),
        PositionTold("BTCUSDT", Side.SHORT, D(10), D("6563.8")),
    )
    assert event_of(named["account_update_bnfcr"]).wallet is None


def test_one_way_positions_have_the_side_of_their_sign(named):
    message = copy.deepcopy(named["account_update"])
    message["a"]["P"] = [{"s": "BTCUSDT", "pa": "-0.5", "ep": "60000.123456789012345", "ps": "BOTH"}]
    (position,) = event_of(message).positions
    assert (position.side, position.quantity, position.entry_price) == (Side.SHORT, D("0.5"), D("60000.1234567890"))


def test_margin_calls_settings_and_expiry(recorded):
    events = [event_of(message) for message in recorded]
    assert {event.symbols for event in events if isinstance(event, MarginCalled)} == {("ETHUSDT",)}
    assert {event.text for event in events if isinstance(event, ConfigChanged)} == {
        "the leverage of BTCUSDT is 25",
        "multi-assets mode is on",
    }
    expired = [event for event in events if isinstance(event, Gap)]
    assert {event.reason for event in expired} == {"the listen key expired"}
    assert {event.at for event in expired} == {datetime(2016 + 3, 12, 18, 7, 23, 44, 250000, tzinfo=UTC)}


@pytest.mark.parametrize("field", ["c", "i", "s", "S", "x", "X", "q", "l", "L", "t", "rp", "m", "T"])
@pytest.mark.parametrize("value", ["absent", None, "", [], "?" * 61])
def test_an_execution_that_cannot_be_read_is_never_left_out(named, field, value):
    message = copy.deepcopy(named["order_update_trade"])
    if value == "absent":
        del message["o"][field]
    else:
        message["o"][field] = value
    with pytest.raises(VenueDown, match="AsterDEX sent a"):
        event_of(message)


@pytest.mark.parametrize("amount", ["NaN", "-1", "Infinity", "1e30", True])
@pytest.mark.parametrize("field", ["q", "z", "l", "L"])
def test_amounts_that_cannot_be_are_refused(named, field, amount):
    message = copy.deepcopy(named["order_update_trade"])
    message["o"][field] = amount
    with pytest.raises(VenueDown):
        event_of(message)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("a",), None), (("a", "m"), None), (("a", "B"), "x"), (("a", "B", 0, "wb"), "x"), (("a", "B", 0, "a"), 5),
        (("a", "P"), {"s": "BTCUSDT"}), (("a", "P", 1, "pa"), ""), (("a", "P", 1, "s"), ""), (("a", "P", 1, "ep"), "-1"),
        (("E",), 0), (("E",), "soon"),
    ],
)  # fmt: skip
def test_an_account_event_that_cannot_be_read_is_never_left_out(named, path, value):
    message = copy.deepcopy(named["account_update"])
    inside = message
    for step in path[:-1]:
        inside = inside[step]
    inside[path[-1]] = value
    with pytest.raises(VenueDown):
        event_of(message)


@pytest.mark.parametrize("message", [None, [], "text", 5])
def test_what_is_no_object_is_refused(message):
    with pytest.raises(VenueDown):
        event_of(message)


@pytest.mark.parametrize("message", [{}, {"e": 5}, {"e": "announcement"}, {"result": None, "id": 1}, {"e": ["x"]}])
def test_what_says_nothing_of_the_account_is_none(message):
    assert event_of(message) is None


@pytest.mark.parametrize(
    "message",
    [
        {"e": "MARGIN_CALL", "E": 1, "p": None},
        {"e": "MARGIN_CALL", "E": 1, "p": [{"s": 5}]},
        {"e": "ACCOUNT_CONFIG_UPDATE", "E": 1},
        {"e": "ACCOUNT_CONFIG_UPDATE", "E": 1, "ac": {"s": "BTCUSDT", "l": "0"}},
        {"e": "listenKeyExpired"},
        {"e": "ORDER_TRADE_UPDATE", "E": 1},
    ],
)
def test_other_events_that_cannot_be_read_are_refused(message):
    with pytest.raises(VenueDown):
        event_of(message)
