"""The way of a cycle: where it stopped is said at the right station, and nothing behind a stop is said to be passed."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.domain.way import Kind, Request, station_of, way_of
from trading.domain.way_rows import After, Item, Life, Run, Sent, State, Station

DONE = Run("done", "publish", timings={"ask": 900.0, "read": 1.0, "rule": 0.5, "execute": 20.0})
MODEL = "deepseek/deepseek-v4-flash"
GOOD = Request(MODEL, "answered", used=True, tokens=1200)
FILLED = (Sent("done", "filled", Decimal(2), Decimal(2)),)


def buy(symbol="BTCUSDT", **fields):
    return Item(symbol, "buy_to_enter", **{"verdict": "accepted", "orders": FILLED, **fields})


def states(way):
    return {mark.station.value: mark.state.name for mark in way.stations}


def mark(way, station):
    return way.stations[list(Station).index(Station(station))]


def stopped_at(way):
    return next((mark.station.value for mark in way.stations if mark.state is State.STOPPED), None)


@pytest.mark.parametrize(
    ("code", "station"),
    [
        ("envelope.finish", "parsed"),
        ("text.fences", "parsed"),
        ("json.nan", "parsed"),
        ("reply.decision_id", "parsed"),
        ("gate_fault", "parsed"),
        ("text.salvaged", "parsed"),
        ("reply.unknown_symbol", "parsed"),
        ("signal.unknown", "schema"),
        ("coin.unknown", "schema"),
        ("quantity.greater_than", "schema"),
        ("stop_loss_pct.extra_forbidden", "schema"),
        ("justification.string_too_long", "schema"),
        ("stop_loss.side", "meaning"),
        ("profit_target.off_tick", "meaning"),
        ("stop_loss.implausible", "meaning"),
        ("risk_usd.contradicts", "meaning"),
        ("market.no_price", "meaning"),
    ],
)
def test_every_code_of_the_gate_has_its_station(code, station):
    assert station_of(code) is Station(station)
    row = way_of(DONE, [GOOD], [], {"BTCUSDT": code}).rows[0]
    at = next(one for one in row.marks if one.state is State.STOPPED)
    assert (at.station, at.code) == (Station(station), code)


def test_an_entry_that_filled_and_was_closed_goes_all_the_way():
    way = way_of(DONE, [GOOD], [buy(life=Life(True, "target", Decimal("12.4")))], {})
    assert set(states(way).values()) == {"PASSED"}
    assert mark(way, "result").text == "1 closed: +12.40 net"
    assert mark(way, "answered").ms == 900.0


def test_losses_carry_a_minus():
    way = way_of(DONE, [GOOD], [buy(life=Life(True, "stop", Decimal("-3.1")))], {})
    assert way.rows[0].mark(Station.RESULT).text == "−3.10 net by stop"


@pytest.mark.parametrize(
    ("requests", "station", "code"),
    [
        ([Request(MODEL, "no_answer", "timeout: nothing came")], "answered", "timeout"),
        ([Request(MODEL, "no_answer", "http.503: host answered 503", used=True)], "answered", "http.503"),
        ([Request(MODEL, "rejected", "json.syntax: it ends", used=True)], "parsed", "json.syntax"),
        (
            [Request(MODEL, "rejected", "text.fences: two"), Request(MODEL, "no_answer", "timeout: x", used=True)],
            "parsed",
            "text.fences",
        ),
        ([Request(MODEL, "no_answer", "rate: no turn", used=True, sent=False)], "asked", "rate"),
    ],
)
def test_a_reply_that_does_not_come_or_cannot_be_read_stops_the_whole_cycle(requests, station, code):
    way = way_of(DONE, requests, [], {})
    assert (stopped_at(way), mark(way, station).code) == (station, code)
    behind = way.stations[list(Station).index(Station(station)) + 1 :]
    assert {one.state for one in behind} == {State.UNREACHED}


def test_a_second_request_that_is_used_is_told():
    way = way_of(DONE, [Request(MODEL, "rejected", "json.syntax: x"), GOOD], [buy()], {})
    assert mark(way, "answered").text.startswith("Request 2 of 2 is used")
    assert (mark(way, "parsed").state, mark(way, "parsed").text) == (
        State.PASSED, "After 1 reply that could not be read",
    )  # fmt: skip


def test_one_symbol_holds_alone_and_the_others_go_on():
    way = way_of(DONE, [GOOD], [buy()], {"ETHUSDT": "stop_loss.side", "SOLUSDT": "signal.unknown"})
    assert mark(way, "schema").state is State.PARTLY
    assert mark(way, "schema").text == "2 as it should be, 1 held"
    assert (mark(way, "meaning").text, mark(way, "meaning").code) == ("1 make sense, 1 held", "stop_loss.side")
    assert mark(way, "orders").state is State.PASSED


def test_all_symbols_that_hold_for_their_numbers_stop_there():
    way = way_of(DONE, [GOOD], [], {"ETHUSDT": "stop_loss.side", "BTCUSDT": "risk_usd.contradicts"})
    assert stopped_at(way) == "meaning"
    assert states(way)["risk"] == "UNREACHED"


def test_entries_that_hold_behind_prose_are_told_where_the_text_is_read():
    way = way_of(
        DONE, [GOOD], [Item("BTCUSDT", "close_position", "accepted", orders=FILLED)], {"ETHUSDT": "text.salvaged"}
    )
    assert (mark(way, "parsed").state, mark(way, "parsed").code) == (State.PARTLY, "text.salvaged")


@pytest.mark.parametrize(
    ("item", "risk", "orders"),
    [
        (buy(verdict="refused", rule="cap.gross", orders=()), "STOPPED", "UNREACHED"),
        (buy(verdict="reduced", rule="size.risk"), "PARTLY", "PASSED"),
        (buy(orders=()), "PASSED", "STOPPED"),
        (buy(orders=(Sent("denied", "locked"),)), "PASSED", "STOPPED"),
        (buy(orders=(Sent("done", "expired", Decimal(0), Decimal(2)),)), "PASSED", "STOPPED"),
        (buy(orders=(Sent("done", "expired", Decimal(1), Decimal(2)),)), "PASSED", "PARTLY"),
        (buy(orders=(Sent("unknown", ""),)), "PASSED", "WAITING"),
        (buy(orders=(), approval="awaiting"), "PASSED", "WAITING"),
        (buy(orders=(), approval="rejected"), "PASSED", "STOPPED"),
        (buy(orders=(), approval="expired"), "PASSED", "STOPPED"),
        (buy(orders=(), approval="approved", ruled_again=True), "PASSED", "PASSED"),
        (buy(orders=(), approval="approved"), "PASSED", "STOPPED"),
        (Item("BTCUSDT", "hold", "accepted"), "PASSED", "UNNEEDED"),
    ],
)
def test_risk_and_orders_of_one_symbol(item, risk, orders):
    row = way_of(DONE, [GOOD], [item], {}).rows[0]
    assert (row.mark(Station.RISK).state.name, row.mark(Station.ORDERS).state.name) == (risk, orders)


def test_what_was_not_traded_says_what_the_market_did():
    item = buy(verdict="refused", rule="cap.gross", orders=(), after=After("stop", -1.0))
    assert way_of(DONE, [GOOD], [item], {}).rows[0].mark(Station.RESULT).text == "not traded: stop, −1.00 × risk"


def test_rules_need_no_model():
    way = way_of(DONE, [], [buy()], {})
    assert [states(way)[name] for name in ("asked", "answered", "parsed", "schema", "meaning")] == ["UNNEEDED"] * 5
    assert states(way)["risk"] == "PASSED"


def test_nobody_asked_says_why_once():
    way = way_of(Run("done", unasked="no_data: every symbol holds"), [], [], {})
    assert (mark(way, "asked").text, mark(way, "asked").code) == ("Every symbol holds", "no_data")
    assert {one.state for one in way.stations[1:]} == {State.UNREACHED}


def test_a_symbol_that_the_reply_does_not_speak_of_has_a_row():
    run = Run("done", symbols=("BTCUSDT", "ETHUSDT"))
    rows = way_of(run, [GOOD], [buy()], {}).rows
    assert [row.symbol for row in rows] == ["BTCUSDT", "ETHUSDT"]
    assert rows[1].mark(Station.SCHEMA).text == "not in the reply"


@pytest.mark.parametrize(
    ("stage", "station"),
    [
        ("snapshot", "asked"),
        ("prompt", "asked"),
        ("ask", "answered"),
        ("read", "parsed"),
        ("rule", "risk"),
        ("", "asked"),
    ],
)
def test_a_cycle_that_ended_early_stops_at_its_step(stage, station):
    way = way_of(Run("failed", stage, "Retryable: no prices"), [], [], {})
    assert stopped_at(way) == station
    assert (mark(way, station).text, mark(way, station).code) == ("Retryable: no prices", "failed")
    assert {one.state for one in way.stations[list(Station).index(Station(station)) + 1 :]} == {State.UNREACHED}


def test_a_cycle_that_ended_among_its_orders_keeps_what_was_done():
    way = way_of(Run("abandoned", "execute", "the process ended"), [GOOD], [buy(), buy("ETHUSDT", orders=())], {})
    assert mark(way, "orders").state is State.PARTLY
    assert "ended early" in mark(way, "orders").text


def test_a_cycle_under_way_waits_at_its_step():
    way = way_of(Run("running", "ask"), [], [], {})
    assert mark(way, "answered").state is State.WAITING
    assert states(way)["orders"] == "UNREACHED"


def test_members_that_do_not_answer_leave_the_others():
    members = [
        Request("a", "answered", used=True, kind=Kind.TOGETHER),
        Request("b", "no_answer", "http.503: x", kind=Kind.TOGETHER),
        Request("c", "rejected", "json.syntax: x", used=True, kind=Kind.TOGETHER),
    ]
    way = way_of(DONE, members, [buy()], {})
    assert (mark(way, "answered").state, mark(way, "answered").code) == (State.PARTLY, "http.503")
    assert (mark(way, "parsed").state, mark(way, "parsed").code) == (State.PARTLY, "json.syntax")


codes = st.sampled_from(["json.syntax", "reply.keys", "signal.unknown", "stop_loss.side", "text.salvaged", "x", ""])
requests = st.builds(
    Request, st.sampled_from(["a", "b"]), st.sampled_from(["answered", "rejected", "no_answer", "late", "?"]), codes,
    st.booleans(), st.sampled_from(Kind), st.integers(0, 10), st.booleans(),
)  # fmt: skip
sent = st.builds(
    Sent, st.sampled_from(["planned", "live", "done", "unknown", "denied"]), st.just(""),
    st.sampled_from([Decimal(0), Decimal(1), Decimal(2)]), st.sampled_from([None, Decimal(2)]),
)  # fmt: skip
items = st.builds(
    Item, st.sampled_from(["BTC", "ETH"]), st.sampled_from(["hold", "buy_to_enter", "close_position"]),
    st.sampled_from(["", "accepted", "reduced", "refused"]), st.just("r"),
    st.sampled_from(["", "awaiting", "approved", "void"]), st.just(""), st.booleans(), st.lists(sent, max_size=2).map(tuple),
    st.none() | st.just(Life(True, "stop", Decimal(1))), st.none() | st.just(After("stop", 1.0)),
)  # fmt: skip
runs = st.builds(
    Run, st.sampled_from(["done", "failed", "abandoned", "skipped", "running", "awaiting"]),
    st.sampled_from(["", "snapshot", "ask", "read", "rule", "execute", "publish"]), st.just("why"), st.just({"ask": 1.0}),
    st.just(("BTC", "SOL")), codes,
)  # fmt: skip


@given(
    runs,
    st.lists(requests, max_size=4),
    st.lists(items, max_size=4),
    st.dictionaries(st.sampled_from(["XRP", ""]), codes),
)
def test_whatever_is_on_record_there_are_eight_stations_and_nothing_behind_a_stop_is_passed(
    run, asked, proposals, held
):
    way = way_of(run, asked, proposals, held)
    assert [one.station for one in way.stations] == list(Station)
    stops = [place for place, one in enumerate(way.stations) if one.state is State.STOPPED]
    if stops and not run.broken:
        assert {one.state for one in way.stations[stops[0] + 1 :]} <= {State.UNREACHED, State.WAITING}
    for row in way.rows:
        assert [one.station for one in row.marks] == list(Station)
        assert sum(one.state is State.STOPPED for one in row.marks) <= 1
