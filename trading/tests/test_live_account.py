"""A bot on a live account, from its keys to its books, against the running test exchange."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal as D

import pytest

from accounts.models import Account
from decisions.deciders import rules
from trading.models import AccountTerms, Claim, EquityPoint, IncomeEntry, Order, Position
from trading.selectors.opening import opening_of
from trading.selectors.standing import standing_of
from trading.services.halt import account_halt, halt_latch
from trading.services.ledger import book_income
from trading.services.reconcile import reconcile, reconcile_dry
from trading.services.stops import Moved, move_stop, move_target
from trading.tests.live_kit import BUY, CLOSE, SYMBOL, LiveHouse, books_tie_out, live_house, nothing_hangs
from vibex.lib.errors import NeedsOperator, Retryable

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.ci]


@pytest.fixture(params=["v3", "v1"])
def house(request, monkeypatch) -> Iterator[LiveHouse]:
    with live_house(monkeypatch, generation=request.param) as made:
        yield made


def test_a_position_lives_from_its_entry_to_flat_and_everything_ties_out(house):
    run = house.cycle(BUY)
    assert run.status == "done", run.text
    assert house.held() == D("0.02")
    assert house.stops() == [D(98_000)]
    books_tie_out(house)
    nothing_hangs(house)
    house.cycle(CLOSE)
    assert (house.held(), house.truth.working()) == (0, [])
    books_tie_out(house)
    assert reconcile(house.account, trigger="test").agreed
    assert house.incidents() == set()


def test_before_the_first_order_modes_are_set_and_terms_are_read(house):
    house.cycle(BUY)
    truth = house.truth
    assert (truth.margin_types[SYMBOL], truth.leverages[SYMBOL]) == ("ISOLATED", 2)
    terms = AccountTerms.objects.get(symbol=SYMBOL)
    assert terms.taker_fee == D("0.0004")
    assert terms.brackets


def test_a_stop_that_fires_between_two_looks_is_booked_and_its_sibling_goes(house):
    house.cycle(BUY)
    house.at(97_900)
    assert house.held() == 0
    house.guard()
    assert house.truth.working() == []
    assert Position.objects.get().exit_reason == "stop"
    books_tie_out(house)
    nothing_hangs(house)


def test_that_a_position_could_not_be_closed_is_told_until_it_is_gone_whoever_closed_it(house):
    house.cycle(BUY)
    house.world.journal.incident("not-flat", f"{SYMBOL}: the position could not be closed", subject=SYMBOL)
    house.guard()
    assert house.incidents() == {"not-flat"}
    raw(house, side="SELL", type="MARKET", quantity="0.02", reduceOnly="true")
    house.guard()
    assert house.incidents() == set()


def test_funding_that_was_paid_before_anybody_knew_of_the_position_is_its_own(house):
    house.guard()
    by_hand(house, "0.02")
    house.clock.move_to(house.clock.at + timedelta(hours=9))
    house.at(100_000)
    raw(house, side="SELL", type="MARKET", quantity="0.02", reduceOnly="true")
    by_hand(house, "0.01")
    house.clock.move_to(house.clock.at + timedelta(hours=9))
    house.guard()  # reads the ledger first, and then the trades of two positions
    closed, opened = Position.objects.order_by("opened")
    paid = list(IncomeEntry.objects.filter(kind="FUNDING_FEE").order_by("at").values_list("amount", flat=True))
    assert len(paid) >= 2
    assert (closed.funding, opened.funding) == (paid[0], sum(paid[1:]))
    assert paid[0] != 0
    assert reconcile(house.account, trigger="test").money == []


def test_trades_that_could_not_be_read_when_the_ledger_told_of_them_are_read_later(house):
    house.guard()
    by_hand(house, "0.02")
    raw(house, side="SELL", type="MARKET", quantity="0.02", reduceOnly="true")
    assert book_income(house.world) == {SYMBOL}  # and there the process ended
    house.cycle(BUY)
    house.cycle(CLOSE)
    house.guard()
    books_tie_out(house)
    assert book_income(house.world) == set()


def test_trades_are_read_later_also_when_there_is_nothing_else_to_look_at(house):
    house.guard()
    by_hand(house, "0.02")
    raw(house, side="SELL", type="MARKET", quantity="0.02", reduceOnly="true")
    book_income(house.world)
    house.guard()
    books_tie_out(house)


def test_a_deposit_is_no_profit(house):
    house.cycle(BUY)
    before = EquityPoint.objects.latest("at")
    house.served.control.deposit(_user(), 500)
    house.guard()
    after = EquityPoint.objects.latest("at")
    assert after.transfers - before.transfers == 500
    assert IncomeEntry.objects.filter(kind="TRANSFER").count() == 2
    books_tie_out(house)


def test_reconcile_says_what_differs_mends_it_and_a_dry_run_touches_nothing(house):
    house.cycle(BUY)
    stop = Order.objects.get(role="stop")
    exchange = house.world.exchange
    exchange.cancel(symbol=SYMBOL, client_order_id=stop.client_order_id)
    sent = len(house.truth.orders)
    dry = reconcile_dry(house.account)
    assert {one.kind.value for one in dry.differences} == {"order", "no stop"}
    assert len(house.truth.orders) == sent
    assert Order.objects.get(role="stop").state == "live"
    done = reconcile(house.account, trigger="test")
    assert done.agreed, done.left
    assert any("no working stop" in text for text in done.mended)
    assert house.stops() == [D(98_000)]
    assert reconcile_dry(house.account).differences == []


@pytest.mark.parametrize("setting", ["adopt", "flatten", "flag"])
def test_a_position_opened_by_hand_is_attended_as_the_account_says(house, setting):
    house.guard()
    Account.objects.filter(pk=house.account.pk).update(foreign_positions=setting)
    by_hand(house, "0.01")
    house.guard()
    assert "foreign-position" in house.incidents()
    if setting == "adopt":
        (stop,) = house.stops()
        assert D(97_000) <= stop < D(100_000)
        position = Position.objects.get()
        assert (position.bracket, position.adopted is not None, position.bot) == ("armed", True, None)
        house.guard()
        assert len(house.stops()) == 1
    elif setting == "flatten":
        assert (house.held(), house.truth.working()) == (0, [])
        assert Position.objects.get().exit_reason == "flatten"
    else:
        assert (house.held(), house.stops()) == (D("0.01"), [])
    books_tie_out(house)


def test_somebody_elses_stop_on_his_own_position_is_respected(house):
    house.guard()
    by_hand(house, "0.01")
    raw(house, side="SELL", type="STOP_MARKET", stopPrice="95000", closePosition="true", workingType="MARK_PRICE")
    house.guard(2)
    assert house.stops() == [D(95_000)]
    assert Order.objects.get(origin="external", role="stop").state == "live"
    assert "foreign-position" in house.incidents()


def test_an_old_account_begins_with_what_it_held_before_the_ledger_tells(monkeypatch):
    with live_house(monkeypatch) as house:
        server_account = house.served.server.signed.accounts.of(_user())
        server_account.income[:] = []  # its only line lies further back than the venue tells
        house.guard()
        (line,) = IncomeEntry.objects.all()
        assert (line.kind, line.amount) == ("OPENING", D(10_000))
        assert house.incidents() == set()
        assert EquityPoint.objects.latest("at").transfers == 10_000
        house.cycle(BUY)
        assert house.incidents() == set()


def test_promise_6_halt_is_proved_it_latches_closes_everything_and_reads_until_flat(house):
    house.cycle(BUY)
    house.world.exchange.set_leverage(symbol="ETHUSDT", leverage=2)
    by_hand(house, "0.01", symbol="ETHUSDT")
    raw(house, symbol="ETHUSDT", side="BUY", type="LIMIT", timeInForce="GTC", price="2000", quantity="1")
    done = account_halt(account=house.account, reason="test")
    assert (done.latched, done.flat, done.problem) == (True, True, "")
    assert (house.state.positions, house.truth.working()) == ((), [])
    account = house.account
    assert (account.state, account.epoch) == ("halted", 1)
    house.guard()
    books_tie_out(house)
    run = house.cycle(BUY)
    assert house.held() == 0, run.text


def _user() -> str:
    from trading.tests.live_kit import USER

    return USER


def by_hand(house: LiveHouse, quantity: str, symbol: str = SYMBOL) -> None:
    raw(house, symbol=symbol, side="BUY", type="MARKET", quantity=quantity)


def raw(house: LiveHouse, **form: str) -> None:
    """Send an order as a person's own program would: with the same keys, and a client id of its own."""
    calls = house.world.exchange._calls
    calls.send("POST", "order", {"symbol": SYMBOL, **form})


def test_who_moves_a_stop_is_alone_at_it_and_lets_go(house):
    house.cycle(BUY)
    another, sent = house.world.journal, len(house.truth.orders)
    assert another.claim(SYMBOL)
    for move, to in ((move_stop, D(98_500)), (move_target, D(105_000))):
        with pytest.raises(Retryable):
            move(house.world, SYMBOL, to)
    assert len(house.truth.orders) == sent
    another.release(SYMBOL)
    assert move_stop(house.world, SYMBOL, D(98_500)) is Moved.MOVED
    move_target(house.world, SYMBOL, D(105_000))
    assert not Claim.objects.exists(), "the guard does not have to wait for it"
    nothing_hangs(house)


def test_a_live_account_began_with_what_the_exchange_stated_whatever_was_written_down(monkeypatch):
    with live_house(monkeypatch, deposit=D(523)) as house:
        house.served.control.deposit(_user(), 77)
        house.guard()
        standing = standing_of(house.account, now=house.clock.now(), rules={})
        assert (standing.equity, standing.total, standing.day) == (600, 0, 0)
        house.at(100_000)
        house.served.control.deposit(_user(), 100)
        house.guard()
        standing = standing_of(house.account, now=house.clock.now(), rules={})
        assert (standing.equity, standing.total, standing.day) == (700, 0, 0), "a deposit is no profit"
        assert opening_of(house.account).equity == 600


def test_a_process_without_the_keys_tells_it_and_changes_nothing_about_the_account(house, settings):
    from cryptography.fernet import Fernet

    house.guard()
    settings.CREDENTIALS_KEYS = (Fernet.generate_key().decode(),)
    with pytest.raises(NeedsOperator, match="CREDENTIALS_KEY"):
        reconcile(house.account, trigger="command")
    assert "needs-operator" in house.incidents()
    assert house.account.state == Account.State.ACTIVE


def test_keys_that_the_exchange_refuses_leave_the_account_reducing_only(house):
    house.guard()
    for agent in house.served.server.signed.accounts.of(_user()).opened.agents:
        house.served.control.dismiss_agent(agent)
    house.served.server.signed.gate._keys.clear()
    house.guard()
    assert (house.account.state, "needs-operator" in house.incidents()) == (Account.State.REDUCING, True)


def test_an_entry_that_lands_on_a_position_opened_by_hand_makes_it_one_that_is_looked_after(house, monkeypatch):
    house.guard()
    house.world.exchange.set_leverage(symbol=SYMBOL, leverage=2)
    monkeypatch.setitem(
        rules.RULES, "scripted", lambda question: by_hand(house, "0.01") or (replace(BUY, quantity=D("0.01")),)
    )
    house.cycle()
    assert house.held() == D("0.02")
    position = Position.objects.get()
    assert (position.adopted is not None, position.stop, position.bracket) == (True, D(98_000), "armed")
    house.guard(2)
    assert house.stops() == [D(98_000)]
    books_tie_out(house)


def test_a_difference_that_was_told_is_not_read_for_again_at_each_look_but_by_reconcile(house):
    house.guard()
    IncomeEntry.objects.all().update(amount=D(9_999))
    house.guard()
    assert "ledger-mismatch" in house.incidents()
    house.served.control.log(clear=True)
    house.guard()
    asked = [entry["path"].rpartition("/")[2] for entry in house.served.control.log()]
    assert asked.count("income") <= 2, "the lines since the last ones, not all of it"
    IncomeEntry.objects.all().update(amount=D(10_000))
    assert reconcile(house.account, trigger="test").agreed
    assert "ledger-mismatch" not in house.incidents()


def test_a_second_press_of_the_emergency_stop_voids_what_was_decided_since(house):
    house.guard()
    assert halt_latch(account=house.account, reason="first")
    assert not halt_latch(account=house.account, reason="again")
    assert house.account.epoch == 2
