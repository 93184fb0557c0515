"""The adapter says of every failure what is certain: nothing was done, it was refused, or nobody knows."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal as D
from types import SimpleNamespace

import httpx2
import pytest
from django.db import OperationalError
from hypothesis import given
from hypothesis import strategies as st

from marketdata.venues.public import Purpose, VenueBusy
from trading.domain.venue import OrderType, VenueStatus
from trading.exchange.aster import payloads
from trading.exchange.aster.form import order_form
from trading.exchange.base import Ambiguous, Refusal, Refused, Unavailable
from trading.tests.aster_kit import (
    NOW,
    Purse,
    Script,
    held_row,
    order_row,
    over,
    page,
    refusal,
    risk_row,
)  # fmt: skip
from trading.tests.matching_kit import BTC, order, stop, target
from vibex.lib.clock import SimulatedClock
from vibex.lib.errors import NeedsOperator, Retryable

ENTRY = order("BUY", "LIMIT", "10", id="vx1", price="100.20", tif="IOC")
NO_SUCH_ORDER = refusal(-2013, text="Order does not exist.")
NOBODY_KNOWS = [
    pytest.param(httpx2.ReadTimeout("slow"), id="timeout after sending"),
    pytest.param(httpx2.WriteTimeout("slow"), id="timeout while sending"),
    pytest.param(httpx2.RemoteProtocolError("peer closed connection"), id="disconnect"),
    pytest.param(httpx2.ReadError("reset"), id="reset"),
    pytest.param(page(503), id="503 page"),
    pytest.param(refusal(-1001, 503), id="503 with a code"),
    pytest.param(refusal(-1006), id="-1006"),
    pytest.param(refusal(-1007, 408), id="-1007"),
    pytest.param(refusal(-1001, 500), id="-1001"),
    pytest.param(page(200), id="HTML with 200"),
    pytest.param(page(403), id="403 page"),
    pytest.param(page(404), id="404 page"),
    pytest.param(refusal(408, 408, "Request Timeout"), id="JSON of a gateway"),
    pytest.param(refusal(403, 403, "Forbidden"), id="JSON of a firewall"),
    pytest.param(httpx2.Response(400, text='{"code": -Infinity}'), id="a code that is no number"),
    pytest.param(httpx2.Response(429), id="empty 429"),
    pytest.param(httpx2.Response(418), id="empty 418"),
    pytest.param(httpx2.Response(200), id="empty 200"),
    pytest.param(httpx2.Response(200, json=[]), id="empty list"),
    pytest.param(httpx2.Response(200, json=order_row(status="?")), id="an order that cannot be read"),
    pytest.param(httpx2.Response(200, json=order_row("another")), id="another order"),
]
NEVER_LEFT = [
    pytest.param(httpx2.ConnectError("refused"), id="connection refused"),
    pytest.param(httpx2.ConnectTimeout("slow"), id="no connection in time"),
    pytest.param(httpx2.PoolTimeout("busy"), id="no free connection"),
    pytest.param(refusal(-1003, 429), id="429 of the exchange"),
    pytest.param(refusal(-1015, 429), id="too many orders"),
    pytest.param(refusal(-1003, 418, "Way too many requests; IP banned"), id="ban by the exchange"),
    pytest.param(refusal(-4225), id="nonce expired"),
    pytest.param(refusal(-1021), id="outside of recvWindow"),
]
KEYS = [-1022, -2014, -2015]


@pytest.fixture
def script():
    return Script()


# Placing


@pytest.mark.parametrize("generation", ["v3", "v1"])
def test_an_entry_goes_out_once_with_exact_numbers(script, generation):
    script.on("POST order", order_row())
    report = over(script, generation).place(ENTRY)
    assert (report.status, report.filled, report.average_price) == (VenueStatus.FILLED, D(10), D(100))
    assert script.paths == [f"/fapi/{generation}/order"]
    assert script.given("POST order") == [
        {
            "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "IOC", "quantity": "10",
            "price": "100.2", "newClientOrderId": "vx1", "newOrderRespType": "RESULT",
        }
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("new", "form"),
    [
        (order("BUY", quantity="0.010", id="a"), {"type": "MARKET", "quantity": "0.01"}),
        (order("SELL", quantity="3E+1", id="a", reduce_only=True),
         {"type": "MARKET", "quantity": "30", "reduceOnly": "true"}),
        (order("SELL", "LIMIT", "1", id="a", price="1E+2", tif="GTX"),
         {"type": "LIMIT", "quantity": "1", "price": "100", "timeInForce": "GTX"}),
        (order("SELL", "LIMIT", "1", id="a", price="99.9"),
         {"type": "LIMIT", "quantity": "1", "price": "99.9", "timeInForce": "GTC"}),
        (stop("SELL", "95.0", id="a"),
         {"type": "STOP_MARKET", "stopPrice": "95", "workingType": "MARK_PRICE", "closePosition": "true"}),
        (target("SELL", "110.5", id="a"),
         {"type": "TAKE_PROFIT_MARKET", "stopPrice": "110.5", "workingType": "MARK_PRICE", "closePosition": "true"}),
        (order("SELL", "STOP_MARKET", "2", id="a", trigger="95", reduce_only=True),
         {"type": "STOP_MARKET", "quantity": "2", "stopPrice": "95", "workingType": "MARK_PRICE",
          "reduceOnly": "true"}),
    ],
)  # fmt: skip
def test_every_kind_of_order_has_only_the_fields_that_belong_to_it(script, new, form):
    script.on("POST order", order_row("a", type=new.type.value, origType=new.type.value))
    over(script).place(new)
    (sent,) = script.given("POST order")
    always = {"symbol", "side", "newClientOrderId", "newOrderRespType"}
    assert {name: value for name, value in sent.items() if name not in always} == form


@pytest.mark.parametrize("answer", NOBODY_KNOWS)
@pytest.mark.parametrize("new", [ENTRY, stop("SELL", "95", id="vx1")], ids=["entry", "stop"])
def test_what_may_have_arrived_is_ambiguous_and_never_sent_again(script, answer, new):
    script.on("POST order", answer)
    with pytest.raises(Ambiguous):
        over(script).place(new)
    assert len(script.asked) == 1


@pytest.mark.parametrize("answer", NEVER_LEFT)
def test_what_certainly_did_nothing_is_unavailable_and_not_sent_again_here(script, answer):
    script.on("POST order", answer)
    with pytest.raises(Unavailable):
        over(script).place(ENTRY)
    assert len(script.asked) == 1


def test_a_budget_that_is_used_up_lets_nothing_leave(script):
    purse = Purse()
    purse.fault = VenueBusy("used up", until=NOW)
    with pytest.raises(Unavailable):
        over(script, purse=purse).place(ENTRY)
    assert script.asked == []


def test_a_database_that_is_gone_is_told_by_whether_the_order_had_left(script):
    script.on("POST order", httpx2.Response(200, json=order_row(), headers={"X-MBX-USED-WEIGHT-1M": "5"}))
    before, after = Purse(), Purse()
    before.fault = after.fault_after = OperationalError("gone")
    with pytest.raises(Unavailable):
        over(script, purse=before).place(ENTRY)
    assert script.asked == []
    with pytest.raises(Ambiguous):
        over(script, purse=after).place(ENTRY)
    assert len(script.asked) == 1


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (-2021, Refusal.WOULD_TRIGGER), (-2022, Refusal.REDUCE_ONLY), (-2019, Refusal.MARGIN),
        (-2027, Refusal.MARGIN), (-4164, Refusal.FILTER), (-1111, Refusal.FILTER), (-4014, Refusal.FILTER),
        (-1121, Refusal.UNKNOWN_SYMBOL), (-2025, Refusal.OTHER),
    ],
)  # fmt: skip
def test_a_clean_no_is_refused_with_its_reason(script, code, expected):
    script.on("POST order", refusal(code))
    new = stop("SELL", "95", id="vx1") if code == -2021 else ENTRY
    with pytest.raises(Refused) as caught:
        over(script).place(new)
    assert caught.value.refusal is expected


MEANT = [
    pytest.param(order("BUY", "LIMIT", "10", id="vx1", price="100.20", tif="GTC"), {"status": "NEW"}, id="limit"),
    pytest.param(
        stop("SELL", "95", id="vx1"),
        {"side": "SELL", "type": "STOP_MARKET", "origType": "STOP_MARKET", "stopPrice": "95.0", "price": "0",
         "origQty": "0", "executedQty": "0", "status": "NEW", "closePosition": True},
        id="stop",
    ),
    pytest.param(
        stop("SELL", "95", id="vx1"),
        {"side": "SELL", "type": "MARKET", "origType": "STOP_MARKET", "stopPrice": "95.0", "price": "0",
         "origQty": "10", "executedQty": "10", "status": "FILLED", "closePosition": True, "reduceOnly": True},
        id="a stop that has fired since",
    ),
    pytest.param(
        order("SELL", "STOP_MARKET", "2", id="vx1", trigger="95", reduce_only=True),
        {"side": "SELL", "type": "STOP_MARKET", "origType": "STOP_MARKET", "stopPrice": "95", "price": "0",
         "origQty": "2", "executedQty": "0", "status": "NEW", "reduceOnly": True},
        id="stop by quantity",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("new", "row"), MEANT)
def test_an_order_that_had_arrived_before_is_found_and_not_refused(script, new, row):
    script.on("POST order", refusal(-4116)).on("GET order", order_row("vx1", **row))
    purse = Purse()
    report = over(script, purse=purse).place(new)
    assert (report.client_order_id, report.type, report.trigger) == ("vx1", new.type, new.trigger)
    assert [call for call, _ in script.asked] == ["POST order", "GET order"]
    assert purse.taken[1] == (1, Purpose.CLOSING)


@pytest.mark.parametrize(
    "other",
    [
        {"side": "SELL"},
        {"type": "MARKET", "origType": "MARKET", "price": "0"},
        {"origQty": "9"},
        {"price": "100.3"},
        {"reduceOnly": True},
        {"type": "STOP_MARKET", "origType": "STOP_MARKET", "stopPrice": "95"},
        {"type": "STOP_MARKET", "origType": "STOP_MARKET", "stopPrice": "95", "closePosition": True},
    ],
)
def test_another_order_of_the_same_client_id_is_a_refusal(script, other):
    script.on("POST order", refusal(-4116)).on("GET order", order_row("vx1", **other))
    with pytest.raises(Refused) as caught:
        over(script).place(ENTRY)
    assert caught.value.refusal is Refusal.DUPLICATE_ID


@pytest.mark.parametrize("trigger", ["94.9", "95.1"])
def test_a_stop_elsewhere_is_not_the_stop_that_was_meant(script, trigger):
    row = MEANT[1].values[1] | {"stopPrice": trigger}
    script.on("POST order", refusal(-4116)).on("GET order", order_row("vx1", **row))
    with pytest.raises(Refused) as caught:
        over(script).place(stop("SELL", "95", id="vx1"))
    assert caught.value.refusal is Refusal.DUPLICATE_ID


@pytest.mark.parametrize(
    "answer", [NO_SUCH_ORDER, page(503), httpx2.ConnectError("refused"), refusal(-2015, 401), refusal(-1003, 429)]
)
def test_an_order_of_this_client_id_that_cannot_be_had_leaves_nothing_certain(script, answer):
    script.on("POST order", refusal(-4116)).on("GET order", answer)
    with pytest.raises(Ambiguous):
        over(script).place(ENTRY)
    assert [call for call, _ in script.asked] == ["POST order", "GET order"]


@pytest.mark.parametrize("code", KEYS)
def test_keys_that_do_not_work_need_a_person(script, code):
    script.on("POST order", refusal(code, 401)).on("GET order", refusal(code, 401))
    exchange = over(script)
    with pytest.raises(NeedsOperator):
        exchange.place(ENTRY)
    with pytest.raises(NeedsOperator):
        exchange.order(symbol="BTCUSDT", client_order_id="vx1")


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (order("BUY", quantity="1", symbol="NOPEUSDT"), Refusal.UNKNOWN_SYMBOL),
        (order("BUY", quantity="0.0001"), Refusal.FILTER),
        (order("BUY", "LIMIT", "1", price="100.01"), Refusal.FILTER),
        (order("BUY", quantity="-1"), Refusal.FILTER),
        (order("BUY", "LIMIT", "1"), Refusal.OTHER),
        (order("BUY", quantity="1", trigger="5"), Refusal.OTHER),
        (order("BUY", quantity="1", tif="IOC"), Refusal.OTHER),
        (order("BUY", quantity="1", id="with a blank"), Refusal.OTHER),
        (order("BUY", quantity="1", id="x" * 37), Refusal.OTHER),
        (order("BUY"), Refusal.OTHER),
        (order("SELL", quantity="1", close_position=True), Refusal.OTHER),
        (order("SELL", close_position=True), Refusal.OTHER),
    ],
)
def test_what_could_only_be_refused_is_not_sent(script, new, expected):
    with pytest.raises(Refused) as caught:
        over(script).place(new)
    assert caught.value.refusal is expected
    assert script.asked == []


def test_prices_are_whole_ticks_above_the_lowest_price():
    spec = replace(BTC, min_price=D("0.05"), tick_size=D("0.10"), market_step_size=D("0.01"))
    assert order_form(order("BUY", "LIMIT", "0.001", price="100.15"), spec)["price"] == "100.15"
    for wrong in (order("BUY", "LIMIT", "0.001", price="100.1"), order("BUY", quantity="0.001")):
        with pytest.raises(Refused) as caught:
            order_form(wrong, spec)
        assert caught.value.refusal is Refusal.FILTER, "a market order has a step of its own"


def test_no_tick_and_no_step_of_ours_stands_in_the_way_of_a_close(script):
    script.on("POST order", order_row("out", type="MARKET", origType="MARKET"))
    over(script).place(order("SELL", quantity="0.00015", id="out", reduce_only=True))
    assert script.given("POST order")[0]["quantity"] == "0.00015"


def test_rules_that_cannot_be_had_now_hold_an_entry_and_no_close(script):
    exchange = over(script)

    def gone(symbol):
        raise Retryable("no list of instruments yet")

    exchange._specs = gone
    with pytest.raises(Unavailable):
        exchange.place(ENTRY)
    assert script.asked == []
    script.on("POST order", order_row("out", type="MARKET", origType="MARKET"))
    exchange.place(order("SELL", quantity="1", id="out", reduce_only=True))
    assert len(script.asked) == 1, "no rule of ours is needed to get out"


def test_closing_may_take_what_is_kept_for_it_and_entering_may_not(script):
    script.on("POST order", lambda given: order_row(given["newClientOrderId"]))
    script.on("DELETE order", order_row()).on("GET order", order_row())
    purse = Purse()
    exchange = over(script, purse=purse)
    exchange.place(ENTRY)
    exchange.place(stop("SELL", "95"))
    exchange.place(order("SELL", quantity="1", reduce_only=True))
    exchange.cancel(symbol="BTCUSDT", client_order_id="vx1")
    exchange.order(symbol="BTCUSDT", client_order_id="vx1")
    assert purse.taken == [(1, Purpose.FEED)] + [(1, Purpose.CLOSING)] * 4


def test_a_view_for_closing_takes_what_is_kept_for_it_whatever_is_asked(script):
    script.on("GET openOrders", []).on("GET positionRisk", []).on("GET balance", [])
    script.on("POST order", order_row())
    purse = Purse()
    exchange = over(script, purse=purse)
    urgent = exchange.urgent()
    assert (exchange.urgent(), urgent.urgent()) == (urgent, urgent)
    urgent.account()
    urgent.place(ENTRY)
    assert purse.taken == [(weight, Purpose.CLOSING) for weight in (40, 5, 5, 1)]
    purse.taken.clear()
    exchange.account()
    assert {purpose for _, purpose in purse.taken} == {Purpose.FEED}, "the exchange itself stays as it is"


@pytest.mark.parametrize("code", [-4225, -1021])
def test_a_question_out_of_time_is_asked_once_more_and_a_change_is_not(script, code):
    doubts = []
    clock = SimpleNamespace(doubt=lambda: doubts.append(code))
    exchange = over(script, venue_clock=clock)
    script.on("GET order", refusal(code), order_row()).on("POST order", refusal(code))
    assert exchange.order(symbol="BTCUSDT", client_order_id="vx1").status is VenueStatus.FILLED
    script.on("GET order", refusal(code))
    with pytest.raises(Unavailable):
        exchange.order(symbol="BTCUSDT", client_order_id="vx1")
    assert len(script.asked) == 4
    with pytest.raises(Unavailable):
        exchange.place(ENTRY)
    assert len(script.asked) == 5
    assert len(doubts) == 4, "the clocks are compared before the next, also after a second no"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*order_row(), "code", "msg"]), inner),
    max_leaves=8,
)


@given(status=st.sampled_from([200, 201, 302, 400, 401, 403, 404, 408, 418, 429, 451, 500, 502, 503]), body=JSON)
def test_no_answer_whatever_it_is_makes_an_order_certain_that_is_not(status, body):
    exchange = over(Script().on("POST order", httpx2.Response(status, json=body)))
    with pytest.raises((Ambiguous, Refused, Unavailable)) as caught:
        exchange.place(ENTRY)
    said_no = isinstance(body, dict) and "code" in body
    assert said_no or caught.type is Ambiguous, "only a code of the exchange says that nothing was done"


def test_a_fault_of_our_own_after_sending_does_not_look_as_if_nothing_had_left(script, monkeypatch):
    script.on("POST order", order_row())
    monkeypatch.setattr(payloads, "order_of", lambda payload: {}["missing"])
    with pytest.raises(Ambiguous, match="KeyError"):
        over(script).place(ENTRY)


def test_a_fault_of_our_own_before_sending_stays_what_it_is(script):
    purse = Purse()
    purse.fault = RuntimeError("inside a transaction")
    with pytest.raises(RuntimeError):
        over(script, purse=purse).place(ENTRY)
    assert script.asked == []


# Asking for an order, and cancelling it


def test_only_a_clean_no_such_order_is_none(script):
    script.on("GET order", NO_SUCH_ORDER)
    assert over(script).order(symbol="BTCUSDT", client_order_id="vx1") is None
    assert script.given("GET order") == [{"symbol": "BTCUSDT", "origClientOrderId": "vx1"}]


@pytest.mark.parametrize("answer", [*NOBODY_KNOWS, *NEVER_LEFT, refusal(-1121), refusal(-2011), refusal(-9999)])
def test_every_other_failure_of_a_question_proves_nothing(script, answer):
    script.on("GET order", answer)
    with pytest.raises(Unavailable):
        over(script).order(symbol="BTCUSDT", client_order_id="vx1")


def test_a_lost_reply_is_found_by_asking(script):
    script.on("POST order", httpx2.ReadTimeout("slow")).on("GET order", order_row())
    exchange = over(script)
    with pytest.raises(Ambiguous):
        exchange.place(ENTRY)
    assert exchange.order(symbol="BTCUSDT", client_order_id="vx1").status is VenueStatus.FILLED


@pytest.mark.parametrize("answer", NOBODY_KNOWS)
def test_a_cancel_that_may_have_arrived_is_ambiguous(script, answer):
    script.on("DELETE order", answer)
    with pytest.raises(Ambiguous):
        over(script).cancel(symbol="BTCUSDT", client_order_id="vx1")
    assert len(script.asked) == 1


@pytest.mark.parametrize("answer", NEVER_LEFT)
def test_a_cancel_that_never_left_is_unavailable(script, answer):
    script.on("DELETE order", answer)
    with pytest.raises(Unavailable):
        over(script).cancel(symbol="BTCUSDT", client_order_id="vx1")


def test_an_order_that_is_not_open_cannot_be_cancelled(script):
    script.on("DELETE order", refusal(-2011))
    with pytest.raises(Refused) as caught:
        over(script).cancel(symbol="BTCUSDT", client_order_id="vx1")
    assert caught.value.refusal is Refusal.UNKNOWN_ORDER


# Account


def test_an_account_is_three_questions_and_orders_come_first(script):
    script.on("GET openOrders", [order_row(status="NEW", executedQty="0"), order_row("web_abc", orderId="9")])
    script.on("GET positionRisk", [risk_row(symbol="SOLUSDT"), held_row(markPrice="101", unRealizedProfit="1")])
    script.on("GET balance", [{"asset": "USDT", "balance": "1000", "availableBalance": "995"},
                              {"asset": "USDF", "balance": "7", "availableBalance": "7"}])  # fmt: skip
    purse = Purse()
    account = over(script, purse=purse).account()
    assert [call for call, _ in script.asked] == ["GET openOrders", "GET positionRisk", "GET balance"]
    assert sum(weight for weight, _ in purse.taken) == 50
    assert (account.wallet, account.unrealised, account.equity) == (D(1000), D(1), D(1001))
    assert (account.margin, account.available, account.at) == (D(5), D(995), NOW)
    assert [one.symbol for one in account.positions] == ["BTCUSDT"]
    assert [one.client_order_id for one in account.orders] == ["vx1", "web_abc"]
    assert [(one.asset, one.balance) for one in account.others] == [("USDF", D(7))]


def test_an_account_is_of_the_moment_before_the_first_question(script):
    """A fill that comes while the venue is slow to answer must not look older than what was read."""
    clock = SimulatedClock(NOW)

    def slowly(given):
        clock.move_to(clock.at + timedelta(seconds=20))
        return []

    script.on("GET openOrders", slowly).on("GET positionRisk", slowly).on("GET balance", slowly)
    assert over(script, clock=clock).account().at == NOW


@pytest.mark.parametrize("generation", ["v3", "v1"])
def test_each_generation_is_asked_at_its_own_paths(script, generation):
    script.on("GET openOrders", []).on("GET positionRisk", []).on("GET balance", [])
    over(script, generation).account()
    second = "v3" if generation == "v3" else "v2"
    base = f"/fapi/{generation}"
    assert script.paths == [f"{base}/openOrders", f"/fapi/{second}/positionRisk", f"/fapi/{second}/balance"]


def test_a_position_in_hedge_mode_needs_a_person(script):
    script.on("GET openOrders", []).on("GET positionRisk", [held_row(positionSide="LONG")]).on("GET balance", [])
    with pytest.raises(NeedsOperator, match="hedge mode"):
        over(script).account()


@pytest.mark.parametrize("call", ["GET openOrders", "GET positionRisk", "GET balance"])
@pytest.mark.parametrize("answer", [page(200), httpx2.Response(429), refusal(-1001, 500), {"rows": "?"}])
def test_an_account_that_is_not_told_whole_is_not_told_at_all(script, call, answer):
    script.on("GET openOrders", []).on("GET positionRisk", []).on("GET balance", []).on(call, answer)
    with pytest.raises(Unavailable):
        over(script).account()


def test_a_fired_stop_is_reported_as_the_stop_that_it_was(script):
    script.on("GET order", order_row(type="MARKET", origType="STOP_MARKET", stopPrice="95"))
    assert over(script).order(symbol="BTCUSDT", client_order_id="vx1").type is OrderType.STOP_MARKET
