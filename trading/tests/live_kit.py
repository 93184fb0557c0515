"""A live account in the database that trades at the running test exchange: real requests, real keys, real books."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from django.conf import settings

from accounts.domain.credentials import AsterV1Keys, AsterV3Keys
from accounts.models import Account, Bot, Incident
from accounts.services.credentials import credentials_save
from decisions.deciders import rules
from decisions.domain.proposal import Action, Proposal
from marketdata.aster.clock import VenueClock
from trading.domain.venue import AccountState, IncomeKind
from trading.exchange_server.accounts import TestAccount, Truth
from trading.exchange_server.auth import TESTNET, ApiKey, new_agent, new_key
from trading.exchange_server.build import simulated_markets
from trading.exchange_server.server import Served, serve_in_thread
from trading.models import Fill, IncomeEntry, Order, Position
from trading.services import exchanges, live
from trading.services.guard import guard_run
from trading.services.live import CycleRun, cycle_run, world_for
from trading.services.world import World
from trading.tests.aster_server_kit import _without_spread
from trading.tests.builders import make_bot
from trading.tests.exchange_kit import START
from trading.tests.venue_support import StillMarket
from vibex.lib.clock import SimulatedClock

SYMBOL = "BTCUSDT"
USER = "0x" + "ef" * 20
BUY = Proposal(SYMBOL, Action.BUY, Decimal("0.02"), 2, Decimal(98_000), Decimal(104_000), justification="it rises")
CLOSE = Proposal(SYMBOL, Action.CLOSE)


@dataclass
class LiveHouse:
    """A bot on a live account, what it proposes, and the exchange that its orders go to."""

    served: Served
    bot: Bot
    market: StillMarket
    clock: SimulatedClock
    proposals: list[tuple[Proposal, ...]] = field(default_factory=list)
    key: ApiKey = field(default_factory=new_key)
    """A second way into the account at the exchange, for whoever trades there by hand."""
    user: str = USER

    @property
    def account(self) -> Account:
        return Account.objects.select_related("limits").get(pk=self.bot.account_id)

    @property
    def truth(self) -> Truth:
        return self.served.control.account(self.user)

    @property
    def state(self) -> AccountState:
        return self.truth.state

    @property
    def world(self) -> World:
        return world_for(self.account)

    def at(self, price: int | str) -> None:
        """Let a second pass and the price go to `price`, on the exchange and for the bot."""
        self.clock.move_to(self.clock.at + timedelta(seconds=1))
        self.market.price = Decimal(price)
        self.served.control.clock(at=self.clock.at.isoformat())
        self.served.control.set_price(SYMBOL, last=float(price), mark=float(price))

    def cycle(self, *proposals: Proposal) -> CycleRun:
        """Let the bot decide on the next candle, and propose these."""
        self.clock.move_to(self.clock.at + timedelta(minutes=3))
        self.at(self.market.price)
        self.proposals.append(proposals)
        return cycle_run(bot_id=self.bot.pk, scheduled_for=self.clock.at)

    def guard(self, times: int = 1) -> None:
        for _ in range(times):
            self.at(self.market.price)
            guard_run(account_id=self.account.pk)

    def fault(self, kind: str, **more: Any) -> None:
        """Let the next request fail in this way."""
        self.served.control.fault(kind, **{"count": 1, **more})

    def held(self) -> Decimal:
        position = self.state.position(SYMBOL)
        return position.side.sign * position.quantity if position else Decimal(0)

    def stops(self) -> list[Decimal | None]:
        """Triggers of the working stops on the exchange."""
        return [one.trigger for one in self.truth.working(SYMBOL) if one.type == "STOP_MARKET"]

    def incidents(self) -> set[str]:
        return set(Incident.objects.filter(resolved__isnull=True).values_list("kind", flat=True))

    def sent_twice(self) -> list[str]:
        """Client ids that more than one order on the exchange has had."""
        ids = [one.client_order_id for one in self.truth.orders]
        return sorted({one for one in ids if ids.count(one) > 1})


class SteadyClock(VenueClock):
    """The exchange's market clock is moved by the test, while requests are stamped by the clock on the wall."""

    def ahead(self) -> float:
        return 0.0

    def clock_alarm(self) -> None:
        return None

    def clock_problem(self) -> None:
        return None


@contextmanager
def live_exchange(*, start: datetime = START) -> Iterator[Served]:
    """Run the exchange as a testnet without accounts, for many houses one after the other."""
    markets = simulated_markets([SYMBOL, "ETHUSDT"], start=start, history_days=1)
    markets.clock.stand()
    _without_spread(markets)
    with serve_in_thread(markets, pulse=3600, weight_limit=10**9, chain_id=TESTNET) as served:
        yield served


@contextmanager
def live_house(
    monkeypatch: pytest.MonkeyPatch,
    *,
    generation: str = "v3",
    price: int = 100_000,
    venue_clock: type[VenueClock] = SteadyClock,
    start: datetime = START,
    name: str = "live",
    served: Served | None = None,
    sleep: Callable[[float], None] = lambda _: None,
    **account: Any,
) -> Iterator[LiveHouse]:
    """Run the exchange as a testnet with one account of 10,000 USDT, and a bot whose keys are sealed in the database.

    `name` is that of bot and account: several houses may follow one another on one database. With `served` the account
    is one more at an exchange that runs. `sleep` is told how long our code would have waited.
    """
    agent, key = new_agent(), new_key()
    user = USER if served is None and name == "live" else f"0x{secrets.token_hex(20)}"
    opened = TestAccount(user, agents=(agent.address,), keys=(key,), **account)
    with nullcontext(served) if served else live_exchange(start=start) as running:
        running.control.open_account(opened)
        start = running.control.now()
        clock, market = SimulatedClock(start), StillMarket(Decimal(price), venue="aster_testnet")
        house_proposals: list[tuple[Proposal, ...]] = []
        monkeypatch.setitem(rules.RULES, "scripted", lambda question: house_proposals.pop(0) if house_proposals else ())
        for module in (live, exchanges):
            monkeypatch.setattr(module, "market_for", lambda venue: market)
            monkeypatch.setattr(module, "market_clock", lambda venue: clock)
        monkeypatch.setattr(exchanges, "VenueClock", venue_clock)
        monkeypatch.setattr(live, "World", partial(World, sleep=sleep))
        monkeypatch.setattr(settings, "ASTERDEX_TESTNET_REST_URL", running.http)
        monkeypatch.setattr(settings, "ASTERDEX_TESTNET_STREAM_URL", running.ws)
        bot = make_bot(name, model="rules/scripted", account=_account(name))
        Account.objects.filter(pk=bot.account_id).update(created=start)  # the market's clock, not that of the wall
        keys = (
            AsterV3Keys(user, agent.address, agent.private_key)
            if generation == "v3"
            else AsterV1Keys(key.key, key.secret)
        )
        credentials_save(account=bot.account, keys=keys, actor=None)
        exchanges.exchanges_forget()
        house = LiveHouse(running, bot, market, clock, house_proposals, key, user)
        house.at(price)
        try:
            yield house
        finally:
            exchanges.exchanges_forget()


def _account(name: str) -> Account:
    from trading.tests.builders import make_account

    return make_account(name, venue="aster", mode="live", network="testnet")


def books_tie_out(house: LiveHouse) -> None:
    """Promise 8: positions, trades, fees and ledger are the exchange's own, to the last digit."""
    truth, account = house.truth, house.account
    booked = {(fill.exchange_trade_id, fill.quantity, fill.price, fill.fee, fill.realised) for fill in _fills(account)}
    assert booked == {(one.trade_id, one.quantity, one.price, one.fee, one.realised) for one in truth.trades}
    lines = Counter(IncomeEntry.objects.filter(account=account).values_list("kind", "amount"))
    assert lines == income_of(truth)
    ours = {row.symbol: (row.side, row.quantity) for row in Position.objects.filter(account=account, closed=None)}
    assert ours == {one.symbol: (one.side.value, one.quantity) for one in truth.state.positions}
    closed = Position.objects.filter(account=account)
    assert sum((row.realised for row in closed), Decimal(0)) == sum((one.realised for one in truth.trades), Decimal(0))
    assert sum((row.fees for row in closed), Decimal(0)) == sum((one.fee for one in truth.trades), Decimal(0))


def income_of(truth: Truth) -> Counter[tuple[str, Decimal]]:
    """Return the ledger as the venue tells it: the fee of a liquidation goes to its insurance fund."""
    told = {IncomeKind.LIQUIDATION_FEE: IncomeKind.INSURANCE_CLEAR}
    return Counter((told.get(one.kind, one.kind).value, one.amount) for one in truth.income)


def nothing_hangs(house: LiveHouse) -> None:
    """Every order is known to be over or working, and our working orders are those of the exchange."""
    rows = Order.objects.filter(account=house.account, origin="ours")
    assert not rows.filter(state__in=["planned", "sending", "unknown", "cancelling"]).exists()
    working = set(rows.filter(state="live").values_list("client_order_id", flat=True))
    assert working == {one.client_order_id for one in house.truth.working()}


def _fills(account: Account) -> Sequence[Fill]:
    return list(Fill.objects.filter(account=account))
