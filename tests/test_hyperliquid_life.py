"""Hyperliquid through ccxt: what is sent to the letter, a life, a halt, another process, how an account is made ready."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest

from accounts.domain.credentials import WalletKeys
from decisions.domain.portfolio import Role
from tests.oracles.environments import environment
from tests.oracles.exchange_process import exchange_in
from tests.oracles.hyperliquid_house import FEES, SPECS, SYMBOL, House, hyperliquid
from tests.oracles.hyperliquid_signatures import action_hash, signer_of
from trading.domain.orders import new_client_order_id
from trading.domain.venue import IncomeKind, NewOrder, OrderSide, OrderType, VenueStatus
from trading.exchange.base import Refusal, Refused
from trading.services.flattening import Work, account_flatten
from trading.services.journal.memory import MemoryJournal
from trading.services.orders import book, send
from trading.services.protection import Protection, protect
from trading.services.stops import Moved, move_stop
from trading.services.world import World
from trading.tests.matching_kit import START, order
from trading.tests.venue_support import StillMarket
from vibex.lib.env import ROOT
from vibex.lib.errors import NeedsOperator
from vibex.lib.installation import installation_tag

pytestmark = [pytest.mark.ci, pytest.mark.timeout(300)]


@pytest.fixture
def house(python_with_ccxt: Path) -> Iterator[House]:
    with hyperliquid(python_with_ccxt) as running:
        yield running


def new(side: str, type_: str = "MARKET", quantity: str | None = None, **more: Any) -> NewOrder:
    return order(side, type_, quantity, **{"symbol": SYMBOL, **more})


def bracketed(house: House, *, entry: str = "entry", stop: str = "stop", target: str = "target") -> None:
    house.exchange.set_leverage(symbol=SYMBOL, leverage=5)
    house.exchange.place(new("BUY", "LIMIT", "10", id=entry, price="100.2", tif="IOC"))
    house.exchange.place(new("SELL", "STOP_MARKET", "10", id=stop, trigger="95", reduce_only=True))
    house.exchange.place(new("SELL", "TAKE_PROFIT_MARKET", "10", id=target, trigger="110", reduce_only=True))


def halted(house: House) -> None:
    """Cancel everything, close reduce-only, read again, through the port and nothing else: what a halt has to do."""
    urgent = house.exchange.urgent()
    for held in urgent.account().positions:
        side = OrderSide.to_close(held.side)
        urgent.place(NewOrder("halt-1", held.symbol, side, OrderType.MARKET, held.quantity, reduce_only=True))
    for one in urgent.account().orders:
        urgent.cancel(symbol=one.symbol, client_order_id=one.client_order_id)
    account = urgent.account()
    assert (account.positions, account.orders) == ((), ())


def another(house: House, python: Path) -> Any:
    """The same account in a client that knows nothing of what was done before."""
    return exchange_in(
        python, environment(DJANGO_SETTINGS_MODULE="vibex.settings.testing"), clock=house.clock, venue="hyperliquid",
        network="mainnet", keys=WalletKeys(house.wallet.address, house.agent.private_key), specs=SPECS,
        address=house.venue.address,
    )  # fmt: skip


def test_the_servers_check_of_signatures_agrees_with_the_venues_own_library():
    """The two examples of the tests of hyperliquid-python-sdk: the hash of production, a signature of the mainnet."""
    sent = {"a": 4, "b": True, "p": "1670.1", "s": "0.0147", "r": False, "t": {"limit": {"tif": "Ioc"}}}
    action = {"type": "order", "orders": [sent], "grouping": "na"}
    assert action_hash(action, 1677777606040).hex() == (
        "0fcbeda5ae3c4950a548021552a4fea2226858c4453571bf3f24ba017eac2908"
    )
    sent = {"a": 1, "b": True, "p": "100", "s": "100", "r": False, "t": {"limit": {"tif": "Gtc"}}}
    signature = {
        "r": "0xd65369825a9df5d80099e513cce430311d7d26ddf477f5b3a33d2806b100d78e",
        "s": "0x2b54116ff64054968aa237c20ca9ff68000f977c93289157748a3162b6ea940e",
        "v": 28,
    }
    connection = action_hash({"type": "order", "orders": [sent], "grouping": "na"}, 0)
    assert signer_of(connection, signature, "a") == "0x14791697260e4c9a71f18484c9f997b308e59325"
    assert signer_of(connection, signature, "b") != "0x14791697260e4c9a71f18484c9f997b308e59325"


def test_no_builder_no_approval_no_referral_is_ever_sent(house):
    bracketed(house)
    house.trade_at("94")
    halted(house)
    assert {one["type"] for one in house.venue.actions} == {"updateLeverage", "order", "cancelByCloid"}
    allowed = {"type", "orders", "grouping", "nonce", "expiresAfter"}
    assert all(set(one) == allowed and one["grouping"] == "na" for one in house.sent())
    assert house.venue.exchange_calls == len(house.venue.actions)


def test_what_is_sent_is_exact(house):
    bracketed(house)
    house.exchange.place(new("SELL", quantity="0.123", reduce_only=True))
    rows = [action["orders"][0] for action in house.sent()]
    assert [(one["a"], one["b"], one["p"], one["s"], one["r"], one["t"]) for one in rows] == [
        (0, True, "100.2", "10", False, {"limit": {"tif": "Ioc"}}),
        (0, False, "76", "10", True, {"trigger": {"isMarket": True, "triggerPx": "95", "tpsl": "sl"}}),
        (0, False, "88", "10", True, {"trigger": {"isMarket": True, "triggerPx": "110", "tpsl": "tp"}}),
        (0, False, "95", "0.123", True, {"limit": {"tif": "Ioc"}}),
    ]
    assert all(len(one["c"]) == 34 for one in rows)


def test_what_opens_is_worth_nothing_late_and_what_protects_is_always_taken(house):
    bracketed(house)
    entry, *rest = house.sent()
    assert entry["expiresAfter"] - entry["nonce"] == 15_000
    assert [one["expiresAfter"] for one in rest] == [None, None]
    numbers = [one["nonce"] for one in house.venue.actions]
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize(("price", "fired", "left"), [("94", "stop", "target"), ("111", "target", "stop")])
def test_a_whole_life_ties_out_to_the_books_of_the_venue(house, price, fired, left):
    bracketed(house)
    house.venue.settle("BTC", "0.0001")
    house.clock.move_to(house.venue.account(house.wallet.address).now())
    house.trade_at(price)
    assert house.exchange.account().positions == ()
    assert house.exchange.order(symbol=SYMBOL, client_order_id=fired).average_price == D(price)
    assert house.exchange.cancel(symbol=SYMBOL, client_order_id=left).status is VenueStatus.CANCELED
    account, truth = house.exchange.account(), house.truth
    trades, income = house.exchange.trades(symbol=SYMBOL, since=START), house.exchange.income(since=START)
    assert account.wallet == truth.engine.account_state(truth.now()).wallet == sum(one.amount for one in income)
    assert [one.client_order_id for one in trades] == ["entry", fired]
    assert [(one.price, one.fee, one.realised) for one in trades] == [
        (theirs.price, theirs.fee, theirs.realised) for theirs in truth.trades
    ]
    paid = {kind: sum(one.amount for one in income if one.kind is kind) for kind in IncomeKind}
    assert paid[IncomeKind.FUNDING_FEE] == D("-0.1")
    assert len({(one.kind, one.transaction_id, one.symbol) for one in income}) == len(income)


def test_money_that_comes_and_goes_is_a_transfer(house):
    for amount in ("250", "-100"):
        house.truth.engine.deposit(D(amount), house.clock.at)
    house.truth.collect()
    moved = [one.amount for one in house.exchange.income(since=START) if one.kind is IncomeKind.TRANSFER]
    assert moved == [D(10_000), D(250), D(-100)]
    assert house.exchange.account().wallet == D(10_150)


def test_a_halt_closes_reduce_only_cancels_everything_and_reads_that_it_is_flat(house):
    bracketed(house)
    house.exchange.place(new("BUY", "LIMIT", "1", price="80"))
    halted(house)
    closing = [one["orders"][0] for one in house.sent() if one["orders"][0]["s"] == "10" and not one["orders"][0]["b"]]
    assert [row["r"] for row in closing] == [True, True, True]
    assert {name for _, name in house.exchange.purse().taken} == {"FEED", "CLOSING"}


def test_orders_of_others_are_seen_and_a_halt_cancels_them(house):
    wire = {"a": 0, "b": True, "p": "80", "s": "1", "r": False, "t": {"limit": {"tif": "Gtc"}}}
    rules = {"refuses_twice": False, "remembers": False}
    bare = house.truth.place(wire, **rules)["resting"]["oid"]
    house.truth.place({**wire, "c": "0x" + "ab" * 16}, **rules)
    assert [one.client_order_id for one in house.exchange.account().orders] == [f"oid:{bare}", "0x" + "ab" * 16]
    halted(house)


def test_another_process_knows_our_ids_again(house, python_with_ccxt):
    ids = [new_client_order_id(installation_tag()) for _ in range(3)]
    bracketed(house, entry=ids[0], stop=ids[1], target=ids[2])
    with another(house, python_with_ccxt) as fresh:
        assert [one.client_order_id for one in fresh.account().orders] == ids[1:]
        house.trade_at("94")
        assert [one.client_order_id for one in fresh.trades(symbol=SYMBOL, since=START)] == ids[:2]
        assert fresh.order(symbol=SYMBOL, client_order_id=ids[1]).status is VenueStatus.FILLED


def test_histories_are_whole_over_many_pages(house, monkeypatch):
    monkeypatch.setattr(house.venue, "most_fills", 500)
    for number in range(1_100):
        house.truth.place(
            {"a": 0, "b": number % 2 == 0, "p": "100", "s": "0.1", "r": False, "t": {"limit": {"tif": "Ioc"}}},
            refuses_twice=False,
            remembers=False,
        )
        house.venue.stands_at += 10
    house.clock.move_to(house.truth.now())
    house.venue.asked.clear()
    trades = house.exchange.trades(symbol=SYMBOL, since=START)
    assert len({one.trade_id for one in trades}) == len(trades) == 1_100
    assert house.venue.asked == ["userFillsByTime"] * 3 + ["historicalOrders"]
    assert sum(one.amount for one in house.exchange.income(since=START)) == house.exchange.account().wallet


def test_an_order_that_meets_nobody_has_expired(house):
    report = house.exchange.place(new("BUY", "LIMIT", "1", price="99", tif="IOC", id="ioc"))
    assert (report.status, report.filled) == (VenueStatus.EXPIRED, D(0))
    assert house.exchange.order(symbol=SYMBOL, client_order_id="ioc").status is VenueStatus.EXPIRED
    report = house.exchange.place(new("BUY", "LIMIT", "1", price="100", tif="GTX", id="alo"))
    assert report.status is VenueStatus.EXPIRED
    assert house.exchange.account().positions == ()


def test_a_close_of_more_than_is_held_closes_what_is_there(house):
    house.exchange.place(new("BUY", quantity="1"))
    report = house.exchange.place(new("SELL", quantity="3", reduce_only=True, id="close"))
    assert (report.status, report.filled) == (VenueStatus.EXPIRED, D(1))
    assert house.exchange.account().positions == ()
    again = house.exchange.order(symbol=SYMBOL, client_order_id="close")
    assert (again.status, again.filled, again.average_price) == (VenueStatus.EXPIRED, D(1), D(100))


def test_a_stop_for_the_whole_position_is_one_over_what_is_held_now(house):
    assert house.exchange.supports_close_position is False
    house.exchange.place(new("BUY", quantity="2.5"))
    report = house.exchange.place(new("SELL", "STOP_MARKET", trigger="95", close_position=True))
    assert (report.quantity, report.reduce_only, report.close_position) == (D("2.5"), True, False)


def test_a_refused_order_that_the_venue_remembers_is_told_as_refused(house):
    house.venue.remembers_refused = True
    with pytest.raises(Refused) as caught:
        house.exchange.place(new("BUY", quantity="900", id="rich"))
    assert caught.value.refusal is Refusal.MARGIN
    assert house.exchange.order(symbol=SYMBOL, client_order_id="rich").status is VenueStatus.REJECTED


def test_a_venue_that_refuses_an_id_twice_is_understood(house):
    house.venue.refuses_twice = True
    house.exchange.place(new("BUY", quantity="1"))
    house.exchange.place(new("SELL", "STOP_MARKET", "1", trigger="90", reduce_only=True, id="same"))
    with pytest.raises(Refused) as caught:
        house.exchange.place(new("SELL", "STOP_MARKET", "1", trigger="91", reduce_only=True, id="same"))
    assert caught.value.refusal is Refusal.DUPLICATE_ID


def test_a_stop_between_two_prices_of_the_venue_fires_no_later(house):
    house.exchange.place(new("BUY", quantity="1"))
    report = house.exchange.place(new("SELL", "STOP_MARKET", "1", trigger="95.1234", reduce_only=True, id="odd"))
    assert house.sent()[-1]["orders"][0]["t"]["trigger"]["triggerPx"] == "95.124"
    read = house.exchange.order(symbol=SYMBOL, client_order_id="odd")
    assert report.trigger == read.trigger == D("95.1234")


def test_an_account_is_made_ready_and_everything_is_read_back(python_with_ccxt):
    with hyperliquid(python_with_ccxt, prepared=False) as house:
        before = house.exchange.check([SYMBOL])
        assert (before.can_trade, before.can_withdraw, before.one_way, before.single_asset) == (True, False, True, True)
        assert (before.wallet, before.available) == (D(10_000), D(10_000))
        assert [(one.isolated, one.leverage, one.taker_fee) for one in before.symbols] == [(False, 20, D("0.0004"))]
        house.exchange.prepare({SYMBOL: 3})
        assert [(one.isolated, one.leverage) for one in house.exchange.check([SYMBOL]).symbols] == [(True, 3)]
        assert len(house.sent("updateLeverage")) == 1
        house.exchange.prepare({SYMBOL: 3})
        assert len(house.sent("updateLeverage")) == 1


def test_what_cannot_be_switched_is_for_a_person(python_with_ccxt):
    with hyperliquid(python_with_ccxt, prepared=False) as house:
        house.exchange.place(new("BUY", "LIMIT", "1", price="90"))
        with pytest.raises(NeedsOperator, match="cross margin"):
            house.exchange.prepare({SYMBOL: 3})
        assert house.sent("updateLeverage") == []
    with (
        hyperliquid(python_with_ccxt, prepared=False, abstraction="unifiedAccount") as house,
        pytest.raises(NeedsOperator, match="unifiedAccount"),
    ):
        house.exchange.prepare({SYMBOL: 3})


def test_a_leverage_that_the_venue_does_not_have_is_refused(house):
    with pytest.raises(Refused) as caught:
        house.exchange.set_leverage(symbol=SYMBOL, leverage=51)
    assert caught.value.refusal is Refusal.LEVERAGE


@pytest.mark.parametrize("done", [True, False])
def test_a_leverage_whose_answer_is_lost_is_read_back(house, done):
    house.venue.fault("updateLeverage", done=done)
    if done:
        assert house.exchange.set_leverage(symbol=SYMBOL, leverage=7) == 7
    else:
        with pytest.raises(Exception, match="updateLeverage"):
            house.exchange.set_leverage(symbol=SYMBOL, leverage=7)
    assert [one.leverage for one in house.exchange.check([SYMBOL]).symbols] == [7 if done else 1]


def test_the_terms_are_those_of_the_account(house):
    terms = house.exchange.terms(SYMBOL)
    assert (terms.maker_fee, terms.taker_fee, terms.max_leverage) == (*FEES, 50)
    assert [(one.floor, one.max_leverage, one.maintenance_rate) for one in terms.brackets] == [
        (D(0), 50, D("0.01")),
        (D(1_000_000), 25, D("0.02")),
    ]
    assert terms.maintenance_margin(D(2_000_000)) == D(30_000)


def test_every_weight_is_paid(house):
    before = len(house.exchange.purse().taken)
    house.exchange.account()
    house.exchange.order(symbol=SYMBOL, client_order_id="never")
    assert house.exchange.purse().taken[before:] == [(20, "FEED"), (2, "FEED"), (2, "FEED")]


def desk_of(house: House) -> World:
    """Return the services' world around this account, its books in memory."""

    class Listed(StillMarket):
        def instrument(self, symbol: str) -> Any:
            return SPECS[symbol]

    return World(
        house.clock, Listed(), None, house.exchange, MemoryJournal(), installation=installation_tag(), sleep=lambda _: None  # type: ignore[arg-type]
    )  # fmt: skip


def test_the_services_protect_resize_move_and_halt_here_as_everywhere(house):
    world = desk_of(house)
    world.exchange.set_leverage(symbol=SYMBOL, leverage=5)
    entry = new("BUY", "LIMIT", "10", price="100.2", tif="IOC", id=new_client_order_id(installation_tag()))
    send(world, entry, role=Role.ENTRY)
    book(world, SYMBOL)
    (position,) = world.journal.positions()
    assert protect(world, position, stop=D(95), target=D(110)) is Protection.ARMED
    shown = {(one.type, one.trigger, one.quantity, one.reduce_only) for one in house.exchange.account().orders}
    assert shown == {
        (OrderType.STOP_MARKET, D(95), D(10), True),
        (OrderType.TAKE_PROFIT_MARKET, D(110), D(10), True),
    }
    house.trade_at("101")
    assert move_stop(world, SYMBOL, D(97)) is Moved.MOVED
    stops = [one for one in house.exchange.account().orders if one.type is OrderType.STOP_MARKET]
    assert [(one.trigger, one.quantity) for one in stops] == [(D(97), D(10))]
    protecting = {one.client_order_id for one in house.exchange.account().orders}
    house.exchange.place(new("BUY", "LIMIT", "1", price="80", id="by-hand"))
    done = Work()
    account_flatten(world, done)
    assert (done.flat, done.problem) == (True, "")
    assert set(done.cancelled) == {"by-hand", *protecting}  # what went with its position counts as cancelled, too
    account = house.exchange.account()
    assert (account.positions, account.orders) == ((), ())
    assert world.journal.incidents == {}


def test_budget_and_nonces_come_from_the_database_that_all_share(python_with_ccxt, tmp_path):
    script = ROOT / "tests" / "oracles" / "hyperliquid_with_database.py"
    settings = environment(DJANGO_SETTINGS_MODULE="vibex.settings.testing")
    done = subprocess.run(
        [python_with_ccxt, script],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=settings,
        input=json.dumps(str(tmp_path / "shared.sqlite3")),
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["faults"], told["entry"], told["held"]) == ([], "FILLED", "0.5")
    assert told["actions"] == told["nonces"] == 17  # leverage, entry, fifteen closes of three threads
    assert (told["last"], told["signer"], told["used"], told["limit"]) == (True, True, True, 1200)
