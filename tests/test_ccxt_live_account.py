"""A bot on a live account at Binance through ccxt, from its keys to its books: entry, bracket, reconcile, halt."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from decimal import Decimal as D
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from accounts.domain.credentials import ApiKeys
from accounts.services.credentials import credentials_save
from decisions.deciders import rules
from tests.oracles.environments import environment
from tests.oracles.exchange_process import exchange_in
from trading.domain.orders import ARRIVES_WITHIN
from trading.exchange import through_ccxt
from trading.exchange_server.accounts import TestAccount
from trading.exchange_server.auth import new_key
from trading.exchange_server.binance import binance_in_thread
from trading.exchange_server.build import simulated_markets
from trading.models import AccountTerms, Order, Position
from trading.services import exchanges, live
from trading.services.halt import account_halt
from trading.services.reconcile import reconcile, reconcile_dry
from trading.services.world import World
from trading.tests.aster_server_kit import _without_spread
from trading.tests.builders import make_account, make_bot
from trading.tests.exchange_kit import START
from trading.tests.live_kit import BUY, CLOSE, SYMBOL, USER, LiveHouse, books_tie_out, nothing_hangs
from trading.tests.venue_support import StillMarket
from vibex.lib.clock import SimulatedClock

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.ci, pytest.mark.timeout(300)]


@contextmanager
def binance_house(monkeypatch: pytest.MonkeyPatch, python: Path) -> Iterator[LiveHouse]:
    """Run Binance's demo trading with one account of 10,000 USDT, and a bot whose keys are sealed in the database."""
    key = new_key()
    markets = simulated_markets([SYMBOL, "ETHUSDT"], start=START, history_days=1)
    markets.clock.stand()
    _without_spread(markets)
    clock, market = SimulatedClock(START), StillMarket(D(100_000), venue="binance_usdm_testnet")
    proposals: list[Any] = []
    with (
        binance_in_thread(markets, accounts=[TestAccount(USER, keys=(key,))], pulse=3600, weight_limit=10**9) as served,
        ExitStack() as stack,
    ):

        def made(venue: str, network: str, keys: Any, *, specs: Any, clock: Any) -> Any:
            """Make in the other process what the wiring asks for here."""
            child = exchange_in(
                python, environment(), clock=clock, venue=venue, network=network, keys=keys, address=served.http,
                specs={symbol: specs(symbol) for symbol in (SYMBOL, "ETHUSDT")},
            )  # fmt: skip
            return stack.enter_context(child)

        monkeypatch.setitem(rules.RULES, "scripted", lambda question: proposals.pop(0) if proposals else ())
        for module in (live, exchanges):
            monkeypatch.setattr(module, "market_for", lambda venue: market)
            monkeypatch.setattr(module, "market_clock", lambda venue: clock)
        monkeypatch.setattr(live, "World", partial(World, sleep=lambda _: None))
        monkeypatch.setattr(through_ccxt, "ccxt_exchange", made)
        account = make_account("live", venue="binance_usdm", mode="live", network="testnet")
        bot = make_bot("live", model="rules/scripted", account=account)
        credentials_save(account=account, keys=ApiKeys(key.key, key.secret), actor=None)
        exchanges.exchanges_forget()
        house = LiveHouse(served, bot, market, clock, proposals)
        house.at(100_000)
        try:
            yield house
        finally:
            exchanges.exchanges_forget()


@pytest.fixture
def house(monkeypatch, python_with_ccxt) -> Iterator[LiveHouse]:
    with binance_house(monkeypatch, python_with_ccxt) as made:
        yield made


def test_a_position_lives_from_its_entry_to_flat_and_everything_ties_out(house):
    run = house.cycle(BUY)
    assert run.status == "done", run.text
    assert house.held() == D("0.02")
    assert house.stops() == [D(98_000)]
    truth = house.truth
    assert (truth.margin_types[SYMBOL], truth.leverages[SYMBOL]) == ("ISOLATED", 2)
    assert AccountTerms.objects.get(symbol=SYMBOL).taker_fee == D("0.0004")
    books_tie_out(house)
    nothing_hangs(house)
    house.cycle(CLOSE)
    assert (house.held(), house.truth.working()) == (0, [])
    books_tie_out(house)
    assert reconcile(house.account, trigger="test").agreed
    assert house.incidents() == set()
    assert house.sent_twice() == []


@pytest.mark.parametrize(("price", "reason"), [(97_900, "stop"), (104_100, "target")])
def test_what_fires_between_two_looks_is_booked_under_our_id_and_its_sibling_goes(house, price, reason):
    house.cycle(BUY)
    house.at(price)
    assert house.held() == 0
    house.guard()
    assert house.truth.working() == []
    assert Position.objects.get().exit_reason == reason
    books_tie_out(house)
    nothing_hangs(house)
    assert house.incidents() == set()


def test_reconcile_mends_a_stop_that_is_gone_and_a_dry_run_touches_nothing(house):
    house.cycle(BUY)
    stop = Order.objects.get(role="stop")
    house.world.exchange.cancel(symbol=SYMBOL, client_order_id=stop.client_order_id)
    sent = len(house.truth.orders)
    assert {one.kind.value for one in reconcile_dry(house.account).differences} == {"order", "no stop"}
    assert len(house.truth.orders) == sent
    done = reconcile(house.account, trigger="test")
    assert done.agreed, done.left
    assert house.stops() == [D(98_000)]
    assert reconcile_dry(house.account).differences == []


def test_a_halt_latches_closes_everything_and_proves_it(house):
    house.cycle(BUY)
    done = account_halt(account=house.account, reason="test")
    assert (done.latched, done.flat, done.problem) == (True, True, "")
    assert (house.state.positions, house.truth.working()) == ((), [])
    house.guard()
    books_tie_out(house)
    house.cycle(BUY)
    assert house.held() == 0


@pytest.mark.parametrize("path", ["*/order", "*/algoOrder"])
@pytest.mark.parametrize("kind", ["503-after", "-1007-after", "drop-after", "503", "429-empty", "200-html", "418"])
def test_a_fault_on_the_way_leaves_a_position_protected_or_none_and_nothing_twice(house, kind, path):
    house.guard()
    house.fault(kind, method="POST", path=path)
    house.cycle(BUY)
    house.served.control.clear()
    house.guard()
    assert (house.held() > 0) == bool(house.stops()), "protected or flat at the next look"
    # Only after the time in which it could still arrive, by the wall, is an order proven never to have been there.
    Order.objects.update(sent_at=timezone.now() - 2 * ARRIVES_WITHIN)
    house.guard(4)
    assert house.sent_twice() == []
    assert (house.held() > 0) == bool(house.stops())
    if house.held():
        assert house.held() == D("0.02")
        assert len(house.stops()) == 1
    else:
        assert house.truth.working() == []
    books_tie_out(house)
    nothing_hangs(house)
