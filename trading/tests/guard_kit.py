"""Accounts on paper at a market in the tables whose clock moves only when it is told to, for tests of the guard."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
from django.utils import timezone

from accounts.models import Account
from decisions.domain.portfolio import Role
from decisions.domain.proposal import Side
from marketdata.domain.builtin import builtin_spec
from marketdata.domain.candles import Candles
from marketdata.domain.snapshot import Quote
from marketdata.models import Feed, FundingRate
from marketdata.services.candles import candles_upsert
from marketdata.services.prices import instruments_upsert, ticker_put
from trading.domain.orders import new_client_order_id
from trading.domain.venue import NewOrder, OrderSide, OrderType, TimeInForce
from trading.services.live import world_for
from trading.services.orders import book, send
from trading.services.protection import Protection, protect
from trading.tests.builders import make_account
from vibex.lib.clock import to_ms

VENUE = "still"
PRICES = {"BTCUSDT": Decimal(100_000), "ETHUSDT": Decimal(4_000), "SOLUSDT": Decimal(200)}
START = datetime(2025, 10, 1, 12, tzinfo=UTC)
AT_REST = 1e-9
"""Market seconds in a second: the market counts as running, and its clock stands."""
MINUTE = timedelta(minutes=1)
CENT = Decimal("0.01")


class StillMarket:
    """Prices as a feed would write them: one candle of a minute and a quote for every step."""

    def __init__(self) -> None:
        self.at, self.prices = START, dict(PRICES)
        instruments_upsert(specs=[builtin_spec(VENUE, symbol, price=float(price)) for symbol, price in PRICES.items()])
        Feed.objects.create(venue=VENUE, kind=Feed.Kind.RECORDED, market_at=START, speed=AT_REST, running=True)
        self.step()

    def step(self, prices: Mapping[str, Decimal | int] | None = None, *, wick: Mapping[str, int] | None = None) -> None:
        """Let a minute pass, at whose end these are the prices; `wick` is a price that it touched in between."""
        opened, before = self.at, dict(self.prices)
        self.at += MINUTE
        self.prices |= {symbol: Decimal(price).quantize(CENT) for symbol, price in (prices or {}).items()}
        candles = [_candle(one, opened, before[one], self.prices[one], (wick or {}).get(one)) for one in self.prices]
        candles_upsert(venue=VENUE, candles=candles, closed=True)
        self.quote()
        Feed.objects.filter(venue=VENUE).update(market_at=self.at, wall_at=timezone.now())

    def quote(self, *, at: datetime | None = None) -> None:
        """Let the newest prices be told again, without a candle."""
        quotes = [Quote(one, at or self.at, price, price, price + 1, price) for one, price in self.prices.items()]
        ticker_put(venue=VENUE, quotes=quotes)

    def settle_funding(self, symbol: str, rate: str) -> None:
        FundingRate.objects.create(venue=VENUE, symbol=symbol, at=self.at, rate=Decimal(rate), mark=self.prices[symbol])


def make_paper(name: str = "paper") -> Account:
    """Return a paper account on the still market."""
    return Account.objects.select_related("limits").get(pk=make_account(name, venue=VENUE).pk)


def open_position(
    account: Account,
    symbol: str = "BTCUSDT",
    *,
    side: Side = Side.LONG,
    notional: int = 1_000,
    leverage: int = 2,
    stop: Decimal | None = None,
    target: Decimal | None = None,
) -> None:
    """Open a position as a cycle does, with stop 3 % and target 6 % away, and look after it."""
    world = world_for(account)
    spec, quote = world.market.instrument(symbol), world.market.quote(symbol, at=world.clock.now())
    price = quote.ask if side is Side.LONG else quote.bid
    if world.exchange.account().position(symbol) is None:
        world.exchange.set_leverage(symbol=symbol, leverage=leverage)
    order = NewOrder(
        client_order_id=new_client_order_id(world.installation),
        symbol=symbol,
        side=OrderSide.to_open(side),
        type=OrderType.LIMIT,
        quantity=spec.quantity_down(Decimal(notional) / price),
        price=spec.price_near(price * (1 + side.sign * Decimal("0.002"))),
        time_in_force=TimeInForce.IOC,
    )
    send(world, order, role=Role.ENTRY)
    book(world, symbol)
    account.positions.filter(symbol=symbol, closed__isnull=True).update(adopted=timezone.now())
    position = next(one for one in world.journal.positions() if one.symbol == symbol)
    stop = stop or spec.price_near(price * (1 - side.sign * Decimal("0.03")))
    target = target or spec.price_near(price * (1 + side.sign * Decimal("0.06")))
    assert protect(world, position, stop=stop, target=target, leverage=leverage) is Protection.ARMED
    world.journal.release(symbol)


def _candle(symbol: str, opened: datetime, start: Decimal, end: Decimal, wick: int | None) -> Candles:
    path = [float(start), float(end), *([float(wick)] if wick is not None else [])]
    columns = (path[0], max(path), min(path), path[1], 100.0)
    return Candles(symbol, "1m", np.array([to_ms(opened)]), *(np.array([value]) for value in columns))
