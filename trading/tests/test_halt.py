"""The emergency stop: one row from the latch to the proof, kept positions, pieces, presses that meet, failures that go on."""

from __future__ import annotations

import threading
from dataclasses import replace
from decimal import Decimal as D

import pytest
from django.db import connections, transaction

from accounts.models import Account, Alert, AuditEntry, Incident, User
from decisions.deciders import rules
from trading.exchange.base import Unavailable
from trading.models import Halt, Order
from trading.services import flattening
from trading.services.closing import market_piece
from trading.services.guard import guard_run
from trading.services.halt import UNNAMED, account_halt, halt_latch
from trading.services.halt_all import accounts_halt
from trading.services.resume import account_resume
from trading.services.standing import account_activate
from trading.tests.builders import make_account
from trading.tests.guard_kit import StillMarket, make_paper
from trading.tests.live_kit import BUY, SYMBOL, LiveHouse, books_tie_out, live_house, nothing_hangs
from trading.tests.matching_kit import BTC
from vibex.lib.errors import Rejected
from vibex.lib.masking import register_secret

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def house(monkeypatch):
    with live_house(monkeypatch) as house:
        yield house


def by_hand(house: LiveHouse, **form: str) -> None:
    house.served.control.order(house.user, **{"symbol": SYMBOL, **form})


def row() -> Halt:
    return Halt.objects.get()


def is_flat(house: LiveHouse) -> bool:
    return house.state.positions == () and house.truth.working() == []


# One row


def test_a_halt_keeps_in_one_row_what_it_did_and_what_it_took(house):
    house.cycle(BUY)
    stop = Order.objects.get(role="stop").client_order_id
    told = []
    done = account_halt(
        account=house.account,
        reason="a fire in the data centre",
        actor=house.account.owner,
        tell=lambda kind, text: told.append(kind),
    )
    halt = row()
    assert (halt.reason, halt.actor, halt.keep_positions) == ("a fire in the data centre", house.account.owner, False)
    assert halt.closed == ["BTCUSDT long 0.02"]
    assert (halt.flat_at is not None, halt.problem, halt.lifted) == (True, "", None)
    assert halt.seconds == pytest.approx((halt.flat_at - halt.pressed).total_seconds(), abs=0.01)
    assert (done.flat, done.latched, done.closed, done.rounds) == (True, True, ("BTCUSDT long 0.02",), halt.rounds)
    assert told == ["latched", "closed", "cancelled", "cancelled", "flat"]
    assert set(halt.cancelled) == set(
        Order.objects.filter(role__in=["stop", "target"]).values_list("client_order_id", flat=True)
    )
    assert Order.objects.get(client_order_id=stop).state == "done"
    account = house.account
    assert (account.state, account.state_reason, account.epoch) == ("halted", "a fire in the data centre", 1)
    assert AuditEntry.objects.filter(action="account-halt", actor=account.owner).count() == 1
    house.guard()
    books_tie_out(house)
    nothing_hangs(house)


def test_an_account_on_which_nothing_is_open_is_proved_too(house):
    done = account_halt(account=house.account, reason="")
    assert (done.flat, done.closed, done.cancelled, row().reason) == (True, (), (), UNNAMED)


def test_whoever_presses_again_adds_to_the_halt_in_force_and_finds_what_was_opened_since(house):
    assert account_halt(account=house.account, reason="first").latched
    by_hand(house, side="BUY", type="MARKET", quantity="0.01")
    by_hand(house, side="BUY", type="LIMIT", timeInForce="GTC", price="90000", quantity="0.01", newClientOrderId="hand")
    done = account_halt(account=house.account, reason="second")
    assert (done.latched, done.flat, is_flat(house)) == (False, True, True)
    assert (row().reason, row().closed, row().cancelled) == ("first; second", ["BTCUSDT long 0.01"], ["hand"])
    assert house.account.state_reason == "first", "why it was halted, not why somebody pressed again"


def test_a_position_opened_by_hand_on_a_halted_account_is_closed_by_the_guard_and_the_proof_is_a_new_one(house):
    account_halt(account=house.account, reason="test")
    proved = row().flat_at
    by_hand(house, side="BUY", type="MARKET", quantity="0.01")
    house.guard()
    assert is_flat(house)
    assert row().flat_at > proved
    assert row().closed == ["BTCUSDT long 0.01"]


@pytest.mark.ci
def test_the_owner_is_told_of_the_halt_and_once_that_it_is_not_flat(house, monkeypatch):
    house.cycle(BUY)
    house.fault("503", path="*", count=10_000)
    for _ in range(2):
        account_halt(account=house.account, reason="test")
    told = Alert.objects.filter(type="halt", user=house.account.owner).order_by("created")
    assert [(alert.severity, alert.count) for alert in told] == [("warning", 1), ("critical", 1)]
    assert told[1].incident.kind == "halt"
    assert row().flat_at is None
    assert row().problem
    house.served.control.clear()
    _the_minute_is_over()
    house.guard()
    assert is_flat(house)
    assert (row().flat_at is not None, row().problem) == (True, "")
    assert "halt" not in house.incidents()


def test_a_halt_soon_after_one_that_was_lifted_is_told_anew(house):
    for reason in ("first", "second"):
        account_halt(account=house.account, reason=reason)
        account_activate(account=house.account, actor=house.account.owner, reason="test")
    assert [alert.message.rpartition(": ")[2] for alert in Alert.objects.filter(type="halt").order_by("pk")] == [
        "first",
        "second",
    ]


def test_no_trouble_with_telling_holds_up_a_halt(house, monkeypatch):
    def broken(**_: object) -> None:
        raise RuntimeError("no alert can be stored")

    house.cycle(BUY)
    monkeypatch.setattr("trading.services.halt.alert_raise", broken)
    assert account_halt(account=house.account, reason="test").flat


def test_a_fault_that_nobody_thought_of_is_told_and_tried_again(house, monkeypatch):
    house.cycle(BUY)

    def bug(*_: object, **__: object) -> bool:
        raise ZeroDivisionError("a bug of secret-of-the-halt-0815")

    register_secret("secret-of-the-halt-0815")
    with monkeypatch.context() as broken:
        broken.setattr(flattening, "flatten", bug)
        done = account_halt(account=house.account, reason="test")
    assert done.problem.startswith("ZeroDivisionError: a bug of ")
    assert not done.flat
    assert "0815" not in done.problem + Incident.objects.get(kind="halt").text
    assert "halt" in house.incidents()
    house.guard()
    assert is_flat(house)


def test_one_symbol_that_cannot_be_closed_keeps_nobody_from_closing_the_others(house, monkeypatch):
    for symbol, quantity in ((SYMBOL, "0.01"), ("ETHUSDT", "0.1")):
        by_hand(house, symbol=symbol, side="BUY", type="MARKET", quantity=quantity)
    close = flattening.flatten

    def stuck(world, symbol, **options):
        if symbol == SYMBOL:
            raise Unavailable("it hangs")
        return close(world, symbol, **options)

    monkeypatch.setattr(flattening, "flatten", stuck)
    done = account_halt(account=house.account, reason="test")
    assert (done.flat, done.closed) == (False, ("ETHUSDT long 0.1",))
    assert done.problem == "BTCUSDT: it hangs"


# Positions that are kept


@pytest.mark.ci
def test_a_halt_that_keeps_positions_cancels_what_could_open_and_the_guard_goes_on_protecting(house):
    house.cycle(BUY)
    by_hand(house, side="BUY", type="LIMIT", timeInForce="GTC", price="90000", quantity="0.01", newClientOrderId="hand")
    by_hand(house, side="SELL", type="LIMIT", timeInForce="GTC", price="120000", quantity="0.01", reduceOnly="true")
    done = account_halt(account=house.account, reason="test", keep_positions=True)
    assert (done.flat, done.cancelled, done.closed, done.keep_positions) == (True, ("hand",), (), True)
    assert (house.held(), house.stops()) == (D("0.02"), [BUY.stop_loss])
    assert house.account.halt_keeps_positions
    stop = Order.objects.get(role="stop")
    house.world.exchange.cancel(symbol=SYMBOL, client_order_id=stop.client_order_id)
    house.guard()
    assert (house.held(), house.stops()) == (D("0.02"), [BUY.stop_loss]), "the stop that was gone is back"
    house.cycle(replace(BUY, symbol="ETHUSDT", stop_loss=D(90_000)))
    assert len(house.state.positions) == 1, "nothing is opened"
    assert account_halt(account=house.account, reason="all of it").flat
    assert is_flat(house)
    assert not house.account.halt_keeps_positions


def test_who_keeps_the_positions_of_a_halt_that_closes_them_keeps_nothing(house):
    house.cycle(BUY)
    halt_latch(account=house.account, reason="close it")
    assert account_halt(account=house.account, reason="keep it", keep_positions=True).flat
    assert is_flat(house)
    assert not row().keep_positions


def test_with_positions_kept_the_guard_protects_also_while_an_opener_cannot_be_cancelled(house):
    house.cycle(BUY)
    by_hand(house, side="BUY", type="LIMIT", timeInForce="GTC", price="90000", quantity="0.01")
    house.fault("503", path="*/order", method="DELETE", count=10_000)
    assert not account_halt(account=house.account, reason="test", keep_positions=True).flat
    stop = next(one for one in house.truth.working() if one.type == "STOP_MARKET")
    house.served.control.clear()
    house.world.exchange.cancel(symbol=SYMBOL, client_order_id=stop.client_order_id)
    house.fault("503", path="*/order", method="DELETE", count=10_000)
    house.guard()
    assert house.stops() == [BUY.stop_loss]


# In pieces


@pytest.mark.parametrize(
    ("limits", "quantity", "piece"),
    [
        ({}, "5", "5"),
        ({"max_quantity": D(2)}, "5", "2"),
        ({"market_max_quantity": D(1)}, "5", "1"),
        ({"market_max_quantity": D("1.0005"), "step_size": D("0.001")}, "5", "1"),
        ({"market_max_quantity": D(1), "market_step_size": D("0.3")}, "5", "0.9"),
        ({"market_max_quantity": D(1), "market_min_quantity": D("0.2")}, "1.1", "0.9"),
        ({"market_max_quantity": D(1)}, "1", "1"),
        ({"market_max_quantity": D(1), "market_min_quantity": D("0.8")}, "1.1", "1"),
    ],
)
def test_no_market_order_is_larger_than_the_venue_takes_and_none_is_left_that_is_too_small(limits, quantity, piece):
    assert market_piece(replace(BTC, **limits), D(quantity)) == D(piece)


def test_a_position_beyond_the_largest_market_order_is_closed_in_pieces(house, monkeypatch):
    house.cycle(BUY)
    rules_of = house.market.instrument
    small = lambda symbol: replace(rules_of(symbol), market_max_quantity=D("0.008"))  # noqa: E731
    monkeypatch.setattr(house.market, "instrument", small)
    assert account_halt(account=house.account, reason="test").flat
    closes = [one.quantity for one in house.truth.orders if one.side.value == "SELL" and one.type == "MARKET"]
    assert closes == [D("0.008"), D("0.008"), D("0.004")]


@pytest.mark.ci
def test_what_a_thin_book_did_not_take_at_once_is_closed_when_it_has_filled_again(monkeypatch):
    def refilled(_: float) -> None:
        house.served.control.set_depth(SYMBOL, bids=[("100000", "0.008"), ("50000", "10")], asks=[("100001", "10")])

    with live_house(monkeypatch, sleep=refilled) as house:
        house.cycle(BUY)
        refilled(0)
        assert account_halt(account=house.account, reason="test").flat
        sold = [one.filled for one in house.truth.orders if one.side.value == "SELL" and one.filled]
        assert sold == [D("0.008"), D("0.008"), D("0.004")]
        assert is_flat(house)


# Presses that meet


def test_a_halt_that_meets_a_second_press_goes_on_with_what_is_wanted_now(house, monkeypatch):
    house.cycle(BUY)
    plan = flattening.flatten
    pressed = []

    def press_first(world, symbol, **options):
        if not pressed:
            pressed.append(halt_latch(account=house.account, reason="again"))
        return plan(world, symbol, **options)

    monkeypatch.setattr(flattening, "flatten", press_first)
    done = account_halt(account=house.account, reason="first")
    assert (done.flat, is_flat(house), pressed) == (True, True, [False])
    assert house.account.epoch == 2


def test_a_decision_in_flight_is_discarded_at_the_intent(house, monkeypatch):
    def halted_meanwhile(question):
        account_halt(account=house.account, reason="while the model thinks")
        return (BUY,)

    house.guard()
    monkeypatch.setitem(rules.RULES, "scripted", halted_meanwhile)
    run = house.cycle()
    assert not house.truth.orders, run.text
    assert is_flat(house)


# Several accounts


def test_all_are_latched_before_any_exchange_is_called(monkeypatch):
    order = []
    accounts = [make_account(name) for name in ("one", "two", "three")]
    monkeypatch.setattr("trading.services.halt_all.halt_latch", lambda *, account, **_: bool(order.append("latch")))
    monkeypatch.setattr("trading.services.halt_all._Press.work", lambda self, account: order.append("work"))
    accounts_halt(accounts=accounts, reason="test", wait=5)
    assert order == ["latch"] * 3 + ["work"] * 3


def test_one_that_cannot_be_latched_keeps_nobody_from_halting_the_others(monkeypatch):
    from trading.services import halt_all

    accounts = [make_account(name) for name in ("one", "two")]
    latch = halt_latch

    def locked(*, account, **options):
        if account.name == "one":
            raise RuntimeError("database is locked")
        return latch(account=account, **options)

    monkeypatch.setattr(halt_all, "halt_latch", locked)
    monkeypatch.setattr(halt_all._Press, "work", lambda self, account: None)
    one, two = accounts_halt(accounts=accounts, reason="test", wait=1)
    assert (one.halted, one.flat, one.problem) == (False, False, "it could not be latched: database is locked")
    assert two.halted


@pytest.mark.ci
@pytest.mark.postgres
def test_a_process_that_stands_still_and_holds_one_account_holds_up_no_other(monkeypatch):
    monkeypatch.setattr("trading.services.halt.PATIENCE", "200ms")
    StillMarket()
    one, two = make_paper("one"), make_paper("two")
    holds, ends, latched = threading.Event(), threading.Event(), []

    def holding():
        with transaction.atomic():
            Account.objects.select_for_update().get(pk=one.pk)
            holds.set()
            ends.wait(20)
        connections.close_all()

    def tell(account, kind, text):
        if kind == "latched":
            latched.append(account.name)
            ends.set()  # who stood still goes on once the other account is latched

    thread = threading.Thread(target=holding)
    thread.start()
    assert holds.wait(20)
    done = accounts_halt(accounts=[one, two], reason="test", wait=30, tell=tell)
    thread.join(20)
    assert [account.flat for account in done] == [True, True]
    assert latched == ["two", "one"]


# Lifting


def test_a_halt_is_lifted_by_a_person_with_the_permission_a_reason_and_the_proof(house):
    account_halt(account=house.account, reason="test")
    stranger = User.objects.create_user("stranger@example.org")
    operator = User.objects.create_superuser("operator@example.org")
    for actor, reason, code in ((stranger, "why not", "permission"), (operator, " ", "reason")):
        with pytest.raises(Rejected) as refusal:
            account_resume(account=house.account, actor=actor, reason=reason)
        assert refusal.value.code == code
    Halt.objects.update(flat_at=None)
    with pytest.raises(Rejected, match="has not shown it flat"):
        account_resume(account=house.account, actor=operator, reason="looked at")
    house.guard()
    account_resume(account=house.account, actor=operator, reason="looked at")
    assert house.account.state == Account.State.ACTIVE
    assert (row().lifted_by, row().lifted is not None) == (operator, True)
    house.cycle(BUY)
    assert house.held() == D("0.02")
    account_halt(account=house.account, reason="another")
    assert Halt.objects.count() == 2


def test_a_halt_that_was_lifted_past_its_row_leaves_none_in_force(house):
    account_halt(account=house.account, reason="first")
    account_activate(account=house.account, actor=house.account.owner, reason="by a script")
    assert account_halt(account=house.account, reason="second").reason == "second"
    assert Halt.objects.filter(lifted=None).count() == 1


def test_an_account_that_was_halted_before_halts_had_rows_gets_one(house):
    Account.objects.filter(pk=house.account.pk).update(state="halted", state_reason="long ago")
    guard_run(account_id=house.account.pk)
    assert (row().reason, row().flat_at is not None) == ("long ago", True)


def _the_minute_is_over() -> None:
    from marketdata.models import VenueBudget

    VenueBudget.objects.update(blocked_until=None, told_until=None, used=0)
