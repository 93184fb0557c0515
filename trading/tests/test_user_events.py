"""What a venue tells ends in the same books as asking, whatever came twice, late, in another order or not at all."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal as D

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import Account, Incident
from decisions.domain.portfolio import Role
from decisions.domain.proposal import Side
from trading.domain.orders import OrderState
from trading.domain.venue import NewOrder, OrderReport, OrderSide, OrderType, Trade, VenueStatus
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
from trading.models import Fill, Lock, Order, Position
from trading.services.fills import trades_book
from trading.services.journal.orm import OrmJournal
from trading.services.journal.rows import order_create
from trading.services.user_events import takeovers_note, venue_event_apply
from trading.tests.builders import make_account

pytestmark = pytest.mark.django_db

START = datetime(2025, 10, 10, 12, tzinfo=UTC)
SYMBOL = "BTCUSDT"


def at(second):
    return START + timedelta(seconds=second)


def our_order(account, name, role, side="BUY", quantity="5", **more):
    """Put an order of ours on record as one that stands on the exchange."""
    kind = {Role.STOP: OrderType.STOP_MARKET, Role.TARGET: OrderType.TAKE_PROFIT_MARKET}.get(role, OrderType.LIMIT)
    quantity = None if more.get("close_position") else D(quantity)
    order = NewOrder(name, SYMBOL, OrderSide(side), kind, quantity, **more)
    row = order_create(account=account, order=order, role=role)
    Order.objects.filter(pk=row.pk).update(state=OrderState.LIVE.value)
    return row


def report(name, status, filled="0", *, side="BUY", quantity="5", close_position=False, price="100"):
    filled = D(filled)
    return OrderReport(
        client_order_id=name, exchange_id=f"x-{name}", symbol=SYMBOL, side=OrderSide(side), type=OrderType.LIMIT,
        status=VenueStatus(status), quantity=D(quantity), filled=filled,
        average_price=D(price) if filled else None, close_position=close_position,
    )  # fmt: skip


def trade(number, name, quantity, *, side="BUY", price="100", realised="0"):
    return Trade(
        trade_id=str(number), client_order_id=name, exchange_id=f"x-{name}", symbol=SYMBOL, side=OrderSide(side),
        quantity=D(quantity), price=D(price), fee=D("0.1"), realised=D(realised), maker=False, at=at(number),
    )  # fmt: skip


def told(second, execution, shown, made=None, taken_by=TakenBy.NOBODY):
    return OrderChanged(at(second), Execution(execution), shown, made, taken_by)


def moved(second, quantity, side=Side.LONG, reason="ORDER"):
    return AccountChanged(at(second), reason, D(1000), (PositionTold(SYMBOL, side, D(quantity), D(100)),))


def filled(number, name, quantity, total, status="PARTIALLY_FILLED", **more):
    """Return the event of an execution: `total` of the order is filled with it."""
    shown = {key: value for key, value in more.items() if key in ("side", "close_position", "price")}
    made = {key: value for key, value in more.items() if key in ("side", "price", "realised")}
    return told(
        number,
        "TRADE" if "taken_by" not in more else "CALCULATED",
        report(name, status, total, quantity=more.get("of", "5"), **shown),
        trade(number, name, quantity, **made),
        more.get("taken_by", TakenBy.NOBODY),
    )


@pytest.fixture
def account():
    return make_account("live", venue="aster", mode=Account.Mode.LIVE, network=Account.Network.TESTNET)


def apply(account, *events):
    return [venue_event_apply(account=account, event=event) for event in events]


def books(account):
    """Return everything that was booked, as plain values."""
    columns = (
        "symbol", "side", "quantity", "peak_quantity", "cost", "bought", "bought_value", "sold", "sold_value",
        "entry_price", "exit_price", "realised", "fees", "opened", "closed", "exit_reason", "bracket",
    )  # fmt: skip
    fills = Fill.objects.filter(account=account).order_by("exchange_trade_id")
    orders = Order.objects.filter(account=account).order_by("client_order_id")
    return {
        "positions": list(Position.objects.filter(account=account).order_by("opened", "closed").values_list(*columns)),
        "fills": list(fills.values_list("exchange_trade_id", "order__client_order_id", "position__opened", "quantity")),
        "orders": list(
            orders.values_list("client_order_id", "state", "origin", "filled", "average_price", "position__opened")
        ),
    }


def incidents(account):
    return sorted(Incident.objects.filter(account=account).values_list("kind", "severity"))


# One life, and any way in which its events may come


ENDS = [
    report("e1", "FILLED", "5"),
    report("t1", "CANCELED", "2", side="SELL"),
    report("s1", "FILLED", "3", side="SELL", quantity="3", close_position=True),
    report("e2", "FILLED", "4", side="SELL", quantity="4"),
    report("s2", "CANCELED", side="BUY", close_position=True, quantity="0"),
]
LIFE = [
    told(0, "NEW", report("e1", "NEW")),
    filled(1, "e1", "2", "2"),
    moved(1, "2"),
    filled(2, "e1", "3", "5", "FILLED"),
    moved(2, "5"),
    told(3, "NEW", report("s1", "NEW", side="SELL", quantity="0", close_position=True)),
    told(3, "NEW", report("t1", "NEW", side="SELL")),
    filled(4, "t1", "2", "2", side="SELL", realised="4"),
    moved(4, "3"),
    filled(5, "s1", "3", "3", "FILLED", side="SELL", of="3", close_position=True, realised="-9"),
    moved(5, "0"),
    told(6, "CANCELED", ENDS[1]),
    told(7, "NEW", report("e2", "NEW", side="SELL", quantity="4")),
    filled(8, "e2", "4", "4", "FILLED", side="SELL", of="4"),
    moved(8, "4", Side.SHORT),
    told(9, "CANCELED", ENDS[4]),
    filled(10, "autoclose-77", "4", "4", "FILLED", of="4", realised="-50", taken_by=TakenBy.LIQUIDATION),
    moved(10, "0"),
    Gap(at(11), "connected"),
]
TRADES = [event.trade for event in LIFE if isinstance(event, OrderChanged) and event.trade]


SECOND = 12
"""Where the second position of the life begins: its entry is planned once a cycle has found the account flat."""


def first_orders(account):
    our_order(account, "e1", Role.ENTRY)
    our_order(account, "s1", Role.STOP, "SELL", close_position=True)
    our_order(account, "t1", Role.TARGET, "SELL", reduce_only=True)


def second_orders(account):
    our_order(account, "e2", Role.ENTRY, "SELL", "4")
    our_order(account, "s2", Role.STOP, "BUY", close_position=True)


def look(account, seen=len(TRADES), *, orders=False):
    """Do what a look at the account does for the books: read trades in their order, and how orders ended."""
    if orders:
        for end in ENDS:
            OrmJournal(account).observe(end.client_order_id, end)
    trades_book(account=account, trades=TRADES[:seen])
    takeovers_note(account=account)


def truth(account):
    """Return the books of who only asks."""
    with transaction.atomic():
        first_orders(account)
        second_orders(account)
        look(account, orders=True)
        found = books(account)
        transaction.set_rollback(True)
    return found


def test_told_in_order_everything_is_booked_at_once_and_nothing_differs_from_asking(account):
    wanted = truth(account)
    first_orders(account)
    for number, event in enumerate(LIFE[:-1]):
        if number == SECOND:
            second_orders(account)
        made = event.trade if isinstance(event, OrderChanged) else None
        ended = isinstance(event, OrderChanged) and event.execution is Execution.CANCELED
        assert venue_event_apply(account=account, event=event) == (made is not None or ended), number
        assert not made or Fill.objects.filter(exchange_trade_id=made.trade_id).exists(), number
    assert apply(account, LIFE[-1]) == [True]
    assert books(account) == wanted
    assert incidents(account) == [("liquidation", "critical")]
    assert [lock.symbol for lock in Lock.objects.filter(account=account)] == [SYMBOL]


@st.composite
def ways(draw):
    """Return how the events of both halves come: mixed, twice, late by a whole position, never; looks in between."""
    halves = [list(range(SECOND)), list(range(SECOND, len(LIFE)))]
    late = draw(st.sets(st.sampled_from(halves[0]), max_size=4))
    lost = draw(st.sets(st.sampled_from(range(len(LIFE))), max_size=6))
    steps = []
    for number, half in enumerate(halves):
        there = [place for place in half if place not in lost and (number or place not in late)]
        there += draw(st.lists(st.sampled_from(half), max_size=3)) + (sorted(late) if number else [])
        if draw(st.booleans()):
            there = draw(st.permutations(there))
        seen = draw(st.lists(st.tuples(st.integers(0, len(there)), st.integers(0, 4 + 2 * number)), max_size=2))
        for place, trades in sorted(seen, reverse=True):
            there.insert(place, -1 - trades)
        steps.append(there)
    return steps


@pytest.mark.ci
@given(way=ways())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_way_in_which_events_come_ends_in_the_books_of_asking(account, way):
    wanted = truth(account)
    with transaction.atomic():
        first_orders(account)
        go(account, way[0], 0)
        look(account, 4)
        second_orders(account)
        go(account, way[1], 4)
        look(account, orders=True)
        found, opened = books(account), incidents(account)
        locks = Lock.objects.filter(account=account).count()
        transaction.set_rollback(True)
    assert found == wanted
    assert opened == [("liquidation", "critical")]
    assert locks == 1


def go(account, steps, seen):
    """Let events come, and looks that see so many trades, never fewer than the one before."""
    for step in steps:
        if step >= 0:
            venue_event_apply(account=account, event=LIFE[step])
        else:
            seen = max(seen, -1 - step)
            look(account, seen)


# Single events


def test_a_fill_of_which_an_earlier_one_is_missing_is_left_to_a_look(account):
    our_order(account, "e1", Role.ENTRY)
    assert apply(account, filled(2, "e1", "3", "5", "FILLED")) == [True]
    assert not Fill.objects.exists()
    assert Order.objects.get().filled == 5, "the order itself is known to be filled"
    assert apply(account, filled(1, "e1", "2", "2")) == [True]
    assert Fill.objects.get().quantity == 2


def test_a_closing_fill_that_comes_before_the_entry_opens_nothing(account):
    our_order(account, "e1", Role.ENTRY)
    our_order(account, "s1", Role.STOP, "SELL", close_position=True)
    stop = filled(5, "s1", "5", "5", "FILLED", side="SELL", close_position=True)
    assert apply(account, stop) == [True]
    assert not Position.objects.exists()


def test_a_stop_that_does_not_take_the_whole_position_is_not_booked(account):
    our_order(account, "e1", Role.ENTRY)
    our_order(account, "s1", Role.STOP, "SELL", close_position=True)
    apply(account, filled(1, "e1", "5", "5", "FILLED"))
    stop = filled(5, "s1", "3", "3", "FILLED", side="SELL", of="3", close_position=True)
    assert apply(account, stop) == [True]
    assert Position.objects.get().quantity == 5, "something else took 2 of it, and nobody has told of that"


def test_a_fill_is_not_booked_while_another_order_may_have_been_filled_before(account):
    our_order(account, "e1", Role.ENTRY)
    our_order(account, "e2", Role.ENTRY)
    assert apply(account, filled(1, "e1", "5", "5", "FILLED")) == [True]
    assert not Fill.objects.exists()


def test_a_fill_that_is_older_than_what_is_booked_is_left_to_a_look(account):
    our_order(account, "e1", Role.ENTRY)
    our_order(account, "c1", Role.CLOSE, "SELL", "2", reduce_only=True)
    OrmJournal(account).observe("c1", report("c1", "CANCELED", side="SELL", quantity="2"))
    apply(account, filled(5, "e1", "5", "5", "FILLED"))
    late = told(6, "TRADE", report("c1", "CANCELED", "2", side="SELL", quantity="2"), trade(4, "c1", "2", side="SELL"))
    assert apply(account, late) == [True]
    assert Position.objects.get().quantity == 5


def test_an_entry_that_adds_to_a_position_is_left_to_a_look(account):
    our_order(account, "e1", Role.ENTRY)
    apply(account, filled(1, "e1", "5", "5", "FILLED"))
    our_order(account, "e2", Role.ENTRY)
    assert apply(account, filled(2, "e2", "5", "5", "FILLED")) == [True]
    assert Position.objects.get().quantity == 5


def test_a_fill_by_hand_is_left_to_a_look_and_then_it_is_external(account):
    event = filled(1, "web_abc", "5", "5", "FILLED")
    assert apply(account, event) == [True]
    assert not Fill.objects.exists()
    trades_book(account=account, trades=[event.trade])
    assert Fill.objects.get().order.origin == Order.Origin.EXTERNAL
    assert apply(account, event) == [False], "it is booked already"


def test_orders_of_others_that_come_and_go_demand_nothing(account):
    events = [told(1, "NEW", report("web_1", "NEW")), told(2, "CANCELED", report("web_1", "CANCELED"))]
    assert apply(account, *events) == [False, False]
    assert not Order.objects.exists()


@pytest.mark.parametrize(
    ("before", "execution", "status", "demands"),
    [
        ("live", "CANCELED", "CANCELED", True),
        ("live", "EXPIRED", "EXPIRED", True),
        ("unknown", "NEW", "NEW", True),
        ("cancelling", "CANCELED", "CANCELED", False),
        ("sending", "NEW", "NEW", False),
        ("sending", "EXPIRED", "EXPIRED", False),
        ("done", "CANCELED", "CANCELED", False),
        ("live", "NEW", "NEW", False),
        ("live", "AMENDMENT", "NEW", True),
    ],
)
def test_what_happens_to_an_order_without_our_asking_demands_a_look(account, before, execution, status, demands):
    row = our_order(account, "s1", Role.STOP, "SELL", close_position=True)
    Order.objects.filter(pk=row.pk).update(state=before, reason="cancelled" if before == "done" else "")
    assert apply(account, told(1, execution, report("s1", status, side="SELL"))) == [demands]


def test_an_order_of_another_account_is_not_touched(account):
    other = make_account("other", venue="aster", mode=Account.Mode.LIVE, network=Account.Network.TESTNET)
    our_order(other, "e1", Role.ENTRY)
    assert apply(account, told(1, "CANCELED", report("e1", "CANCELED"))) == [False]
    assert Order.objects.get().state == OrderState.LIVE.value


def test_auto_deleveraging_has_its_own_reason_and_locks_nothing(account):
    our_order(account, "e1", Role.ENTRY)
    apply(account, filled(1, "e1", "5", "5", "FILLED"))
    part = filled(2, "adl_autoclose_9", "2", "2", "FILLED", side="SELL", of="2", taken_by=TakenBy.ADL)
    rest = filled(3, "adl_autoclose_10", "3", "3", "FILLED", side="SELL", of="3", taken_by=TakenBy.ADL)
    assert apply(account, part, part, rest, part) == [True, False, True, False]
    assert Position.objects.get().exit_reason == Position.Exit.ADL
    assert incidents(account) == [("adl", "critical")] * 2
    assert not Lock.objects.exists()


def test_a_liquidation_that_was_not_told_is_noted_after_it_was_read(account):
    our_order(account, "e1", Role.ENTRY)
    apply(account, filled(1, "e1", "5", "5", "FILLED"))
    trades_book(account=account, trades=[trade(2, "autoclose-5", "5", side="SELL", realised="-50")])
    takeovers_note(account=account)
    assert Position.objects.get().exit_reason == Position.Exit.LIQUIDATION
    assert incidents(account) == [("liquidation", "critical")]
    lock = Lock.objects.get()
    assert (lock.symbol, lock.until) == (SYMBOL, None)


def test_what_a_person_has_resolved_and_lifted_does_not_come_back(account):
    event = filled(1, "autoclose-5", "5", "5", "FILLED", side="SELL", taken_by=TakenBy.LIQUIDATION)
    apply(account, event)
    Incident.objects.update(resolved=START)
    Lock.objects.update(lifted=START)
    apply(account, event)
    trades_book(account=account, trades=[event.trade])
    takeovers_note(account=account)
    assert Incident.objects.count() == Lock.objects.count() == 1


def test_a_margin_call_is_a_critical_incident_once_and_demands_a_look(account):
    call = MarginCalled(START, ("BTCUSDT", "ETHUSDT"))
    assert apply(account, call, call) == [True, True]
    incident = Incident.objects.get()
    assert (incident.kind, incident.severity) == ("liquidation-near", Incident.Severity.CRITICAL)
    assert "BTCUSDT, ETHUSDT" in incident.text


@pytest.mark.parametrize("reason", ["DEPOSIT", "WITHDRAW", "FUNDING_FEE", "MARGIN_TYPE_CHANGE", "ADMIN_DEPOSIT"])
def test_money_that_moved_for_another_reason_than_a_trade_demands_a_look(account, reason):
    assert apply(account, AccountChanged(START, reason, D(5))) == [True]


@pytest.mark.parametrize(
    ("position", "demands"),
    [(moved(2, "5"), False), (moved(2, "4"), True), (moved(2, "5", Side.SHORT), True), (moved(2, "0"), True)],
)
def test_a_position_that_differs_from_our_books_demands_a_look(account, position, demands):
    our_order(account, "e1", Role.ENTRY)
    apply(account, filled(1, "e1", "5", "5", "FILLED"))
    assert apply(account, position) == [demands]


def test_both_sides_of_a_symbol_at_once_demand_a_look(account):
    our_order(account, "e1", Role.ENTRY)
    apply(account, filled(1, "e1", "5", "5", "FILLED"))
    sides = tuple(PositionTold(SYMBOL, side, D(5), D(100)) for side in Side)
    assert apply(account, AccountChanged(START, "ORDER", None, sides)) == [True]
    assert apply(account, AccountChanged(START, "ORDER", None, ())) == [False]


@pytest.mark.parametrize("event", [Gap(START, "connected"), ConfigChanged(START, "the leverage of BTCUSDT is 50")])
def test_gaps_and_settings_demand_a_look(account, event):
    assert apply(account, event) == [True]
