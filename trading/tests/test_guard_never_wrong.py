"""Never a wrong "fine": what the pass finds to be fine, a look at the exchange leaves as it is, whatever happened."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import Account, Incident
from decisions.domain.proposal import Side
from marketdata.models import Ticker
from trading.domain.orders import OrderState, new_client_order_id
from trading.domain.venue import NewOrder, OrderSide, OrderType
from trading.exchange.base import Refused
from trading.models import (
    Fill,
    GuardState,
    IncomeEntry,
    Lock,
    Order,
    OrderEvent,
    PaperIncome,
    PaperOrder,
    PaperPosition,
    PaperTrade,
    Position,
)
from trading.services.guard import guard_run
from trading.services.guard_pass import guard_pass
from trading.services.live import world_for
from trading.tests.guard_kit import PRICES, StillMarket, make_paper, open_position

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.ci]

ACCOUNTS, LOOKS = 4, 4
CLOCKS = {"protected_at", "updated"}
"""Columns that only say when somebody looked."""
TABLES = (Position, Order, Fill, IncomeEntry, Lock, Incident)
OF_THE_VENUE = (PaperOrder, PaperPosition, PaperTrade, PaperIncome)


class Life:
    """An account to which things happen by chance: on the exchange, in the books, on the market."""

    def __init__(self, seed: int) -> None:
        self.chance, self.market = random.Random(seed), StillMarket()
        self.happenings: tuple[Callable[[], object], ...] = (
            self.nothing, self.nothing, self.quiet_minute, self.quiet_minute, self.quiet_minute, self.rough_minute,
            self.wick, self.funding, self.cancelled_by_hand, self.traded_by_hand, self.stop_by_hand, self.stop_moved_in_books,
            self.target_gone_in_books, self.bracket_left, self.order_unanswered, self.incident, self.price_lost, self.halted,
        )  # fmt: skip

    def begin(self, name: str) -> None:
        """Open an account with one to three positions, and look at it until it is fine."""
        Ticker.objects.all().delete()
        self.account = make_paper(name)
        self.market.step()
        for symbol in self.chance.sample(sorted(PRICES), self.chance.randint(1, 3)):
            side, leverage = self.chance.choice(list(Side)), self.chance.randint(1, 10)
            open_position(self.account, symbol, side=side, leverage=leverage)
        for _ in range(2):
            guard_run(account_id=self.account.pk)

    def nothing(self) -> None: ...

    def quiet_minute(self) -> None:
        self.market.step({one: price * self._near(0.004) for one, price in self.market.prices.items()})

    def rough_minute(self) -> None:
        self.market.step({one: price * self._near(0.06) for one, price in self.market.prices.items()})

    def wick(self) -> None:
        """Prices touch what waits and come back before anybody looks."""
        symbol = self._symbol()
        self.market.step(wick={symbol: int(self.market.prices[symbol] * self._near(0.08))})

    def funding(self) -> None:
        self.market.settle_funding(self._symbol(), self.chance.choice(["0.0001", "-0.0003", "0"]))
        self.market.step()

    def cancelled_by_hand(self) -> None:
        waiting = PaperOrder.objects.filter(status="NEW", paper__account=self.account)
        if order := self._one(waiting):
            self._exchange().cancel(symbol=order.symbol, client_order_id=order.client_order_id)

    def traded_by_hand(self) -> None:
        symbol = self._symbol()
        self._by_hand(symbol, OrderType.MARKET, quantity=self._size(symbol))

    def stop_by_hand(self) -> None:
        symbol = self._symbol()
        trigger = (self.market.prices[symbol] * Decimal("0.9")).quantize(Decimal("0.1"))
        self._by_hand(symbol, OrderType.STOP_MARKET, quantity=self._size(symbol), trigger=trigger, reduce_only=True)

    def stop_moved_in_books(self) -> None:
        for held in self._held().exclude(stop=None):
            self._held().filter(pk=held.pk).update(stop=held.stop + 1)

    def target_gone_in_books(self) -> None:
        self._held().update(target=None)

    def bracket_left(self) -> None:
        self._held().update(bracket=self.chance.choice(["none", "arming", "adjusting", "released"]))
        Order.objects.filter(account=self.account).update(updated=self.market.at)

    def order_unanswered(self) -> None:
        state = self.chance.choice([OrderState.UNKNOWN, OrderState.SENDING, OrderState.CANCELLING])
        if order := self._one(Order.objects.filter(state="live", account=self.account)):
            Order.objects.filter(pk=order.pk).update(state=state.value)

    def incident(self) -> None:
        Incident.objects.create(
            account=self.account, kind="guard-blind", text="it could not be read", opened=self.market.at
        )

    def price_lost(self) -> None:
        Ticker.objects.update(at=self.market.at + self.chance.choice([-1, 1]) * timedelta(minutes=1))

    def halted(self) -> None:
        Account.objects.filter(pk=self.account.pk).update(state=Account.State.HALTED)

    def _one(self, rows: Any) -> Any:
        found = list(rows.order_by("pk"))
        return self.chance.choice(found) if found else None

    def _near(self, share: float) -> Decimal:
        return Decimal(str(round(1 + self.chance.uniform(-share, share), 4)))

    def _symbol(self) -> str:
        return self.chance.choice(sorted(PRICES))

    def _size(self, symbol: str) -> Decimal:
        spec = world_for(self.account).market.instrument(symbol)
        return spec.quantity_down(500 / self.market.prices[symbol])

    def _held(self) -> Any:
        return Position.objects.filter(account=self.account, closed__isnull=True)

    def _exchange(self) -> Any:
        return world_for(self.account).exchange

    def _by_hand(self, symbol: str, kind: OrderType, **more: Any) -> None:
        side = self.chance.choice(list(OrderSide))
        order = NewOrder(new_client_order_id("hand"), symbol, side, kind, **more)
        try:
            self._exchange().place(order)
        except Refused:
            return


def picture(account: Account) -> dict[str, list[dict[str, Any]]]:
    """Everything that a look could change, but when it was looked at."""
    rows = {table.__name__: table.objects.filter(account=account) for table in TABLES}
    rows |= {table.__name__: table.objects.filter(paper__account=account) for table in OF_THE_VENUE}
    rows |= {
        "events": OrderEvent.objects.filter(order__account=account),
        "account": Account.objects.filter(pk=account.pk),
    }
    return {
        table: [
            {name: value for name, value in row.items() if name not in CLOCKS} for row in found.order_by("pk").values()
        ]
        for table, found in rows.items()
    }


@pytest.mark.parametrize("seed", range(2))
def test_what_a_pass_finds_to_be_fine_a_look_leaves_as_it_is(seed: int) -> None:
    life, found = Life(seed), Counter[str]()
    for number in range(ACCOUNTS):
        life.begin(f"paper{number}")
        for _ in range(LOOKS):
            happened = life.chance.choice(life.happenings)
            happened()
            GuardState.objects.update(full_at=timezone.now())  # nobody's turn has come
            passed = guard_pass()
            if life.account.pk not in passed.fine:
                found["doubt"] += 1
                guard_run(account_id=life.account.pk)  # and life goes on
                guard_run(account_id=life.account.pk)
                continue
            found["fine"] += 1
            before = picture(life.account)
            settled = guard_run(account_id=life.account.pk)
            assert settled is not None
            assert (settled.mended, settled.left, settled.blocked) == ([], [], {}), happened.__name__
            assert picture(life.account) == before, happened.__name__
    assert min(found["fine"], found["doubt"]) >= ACCOUNTS // 2, "what is always in doubt, or never, proves nothing"
