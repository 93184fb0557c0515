"""Acceptance test 4: sibling cleanup and orphan audit.

A target fills, or the operator closes by hand at the exchange: within 5 s the other stop is cancelled, and no position of
the other side can open. A new entry in ETH never touches the stops of BTC, a full cycle leaves all stops in place, and an
answer that says "wrong version of the API" (−2014) is an incident.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal as D

import pytest

from accounts.models import Incident
from decisions.domain.proposal import Action, Proposal
from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.snapshot import MarketSnapshot, Quote
from tests.acceptance.kit import looked_at
from trading.domain.venue_events import OrderChanged
from trading.models import Position
from trading.services import exchanges, live
from trading.services.user_events import venue_event_apply
from trading.services.user_streams import look_by_guard, user_stream_for
from trading.tests.live_kit import BUY, SYMBOL, LiveHouse, books_tie_out, live_house, nothing_hangs
from trading.tests.venue_support import StillMarket

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.ci]
FIVE_SECONDS = 5.0
ETH = "ETHUSDT"


@pytest.fixture
def house(monkeypatch):
    with live_house(monkeypatch) as made:
        yield looked_at(made)


@pytest.mark.parametrize("ends", ["its target fills", "the operator closes it by hand"])
def test_4_sibling_cleanup(house, ends):
    stream = user_stream_for(house.account)
    assert stream is not None
    stream.start()
    try:
        assert stream.wait(10), "the stream says that it is connected"
        house.cycle(BUY)
        stream.drain()
        assert len(house.truth.working()) == 2
        if ends == "its target fills":
            house.at(104_100)
        else:
            by_hand = {"symbol": SYMBOL, "side": "SELL", "type": "MARKET", "quantity": "0.02", "reduceOnly": "true"}
            house.served.control.order(house.user, **by_hand)
        began = time.monotonic()
        while house.truth.working():
            assert time.monotonic() - began <= FIVE_SECONDS, "the other one stands for too long"
            stream.wait(0.1)
            for event in stream.drain():
                venue_event_apply(account=house.account, event=event)
                if isinstance(event, OrderChanged) and event.report.filled:
                    look_by_guard(house.account.pk)
    finally:
        stream.stop()
    assert house.held() == 0
    trades = len(house.truth.trades)
    for price in (97_900, 90_000, 104_100, 110_000):  # past where the stop and the target were
        house.at(price)
        house.guard()
    assert (house.held(), len(house.truth.trades)) == (0, trades), "no position of the other side can open"
    assert Position.objects.get().exit_reason == ("target" if ends == "its target fills" else "external")
    books_tie_out(house)
    nothing_hangs(house)


@dataclass
class TwoSymbols(StillMarket):
    """BTC and ETH, each at its price."""

    specs: dict[str, InstrumentSpec] = field(default_factory=dict)
    eth: D = D(4_000)

    def instrument(self, symbol: str) -> InstrumentSpec:
        return self.specs[symbol]

    def quote(self, symbol: str, *, at: datetime) -> Quote:
        last = self.price if symbol == SYMBOL else self.eth
        half = self.specs[symbol].tick_size
        return Quote(symbol, at, last, last - half, last + half, last)

    def snapshot(self, **asked) -> MarketSnapshot:
        seen = super().snapshot(**asked)
        views = {name: replace(view, instrument=self.specs[name]) for name, view in seen.symbols.items()}
        return replace(seen, symbols=views)


def test_4b_an_entry_in_one_symbol_never_touches_the_stops_of_another_and_a_cycle_leaves_all_in_place(
    house: LiveHouse, monkeypatch
):
    contracts = house.served.server.markets.contracts
    specs = {name: replace(contracts[name].spec, venue="aster_testnet") for name in (SYMBOL, ETH)}
    market = TwoSymbols(D(100_000), venue="aster_testnet", specs=specs)
    for module in (live, exchanges):
        monkeypatch.setattr(module, "market_for", lambda venue: market)
    exchanges.exchanges_forget()
    house.market = market
    house.served.control.set_price(ETH, last=4_000.0, mark=4_000.0)
    type(house.bot).objects.update(symbols=[SYMBOL, ETH])

    house.cycle(BUY)
    of_btc = standing(house, SYMBOL)
    assert len(of_btc) == 2
    house.cycle(Proposal(ETH, Action.BUY, D("0.2"), 2, D(3_900), D(4_300), justification="it rises too"))
    assert standing(house, SYMBOL) == of_btc
    of_eth = standing(house, ETH)
    assert len(of_eth) == 2
    for proposals in ((), (Proposal(SYMBOL, Action.HOLD), Proposal(ETH, Action.HOLD))):
        house.cycle(*proposals)
        house.guard()
        assert (standing(house, SYMBOL), standing(house, ETH)) == (of_btc, of_eth), "a full cycle leaves all in place"
    house.cycle(Proposal(ETH, Action.CLOSE))
    assert (standing(house, SYMBOL), standing(house, ETH)) == (of_btc, set())
    books_tie_out(house)
    nothing_hangs(house)


def standing(house: LiveHouse, symbol: str) -> set[tuple[int, D | None]]:
    """Return what stands on the exchange for a symbol: its own number and trigger of each order."""
    return {(one.exchange_id, one.trigger) for one in house.truth.working(symbol)}


def test_4c_an_answer_that_says_wrong_version_of_the_api_is_an_incident(house):
    house.cycle(BUY)
    before = standing(house, SYMBOL)
    house.fault("refuse", path="*", code=-2014, count=None)
    house.guard()
    incident = Incident.objects.get(resolved=None, kind="needs-operator")
    assert "-2014" in incident.text
    assert incident.severity == Incident.Severity.CRITICAL
    assert incident.alerts.filter(user=house.account.owner).exists(), "and a person is told"
    house.served.control.clear()
    assert standing(house, SYMBOL) == before, "what protects is where it was"
    house.guard()
    assert "needs-operator" not in house.incidents()
