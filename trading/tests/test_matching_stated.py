"""What the engine says of an account is kept until something changes: it is never older than what happened last."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta

import pytest

from trading.domain.matching import Depth, Engine, EngineRefusal, EngineSettings, MarginMode
from trading.domain.venue import Income, IncomeKind
from trading.exchange.simulated import InTime
from trading.tests.matching_kit import HOUR, SPECS, START, D, bar, order, quote, stop, target


def deeds(engine: Engine, chance: random.Random, hour: int) -> list[Callable[[], object]]:
    """Everything that can be done to an account at an hour, around a price that wanders."""
    at, price = START + hour * HOUR, 100 + chance.randrange(-4, 5)
    side, other = chance.choice((("BUY", "SELL"), ("SELL", "BUY")))
    resting = price - 3 if side == "BUY" else price + 3
    away = 8 if side == "SELL" else -8
    known = [report.client_order_id for report in engine.account_state(START).orders] or ["none"]
    return [
        lambda: engine.deposit(D(chance.randrange(-5, 50)), at),
        lambda: engine.set_leverage("BTCUSDT", chance.randrange(1, 20)),
        lambda: engine.place(order(side, quantity="1"), at=at),
        lambda: engine.place(order(side, "LIMIT", "1", price=str(resting)), at=at),
        lambda: engine.place(order(other, quantity="1", reduce_only=True), at=at),
        lambda: engine.place(stop(side, str(price - away)), at=at),
        lambda: engine.place(target(side, str(price + away)), at=at),
        lambda: engine.cancel("BTCUSDT", chance.choice(known), at=at),
        lambda: engine.on_quote(quote(price, hour=hour)),
        lambda: engine.on_bar(bar(price, price + 5, price - 5, price + 1, hour=hour)),
        lambda: engine.on_funding("BTCUSDT", D("0.001"), None, at),
        lambda: engine.set_depth("BTCUSDT", Depth.of(bids=[(D(price), D(2))], asks=[(D(price + 1), D(2))]), at=at),
        lambda: engine.set_depth("BTCUSDT", None, at=at),
        lambda: engine.take_over("BTCUSDT", at=at, deleveraged=chance.random() < 0.5),
    ]


@pytest.mark.parametrize("mode", MarginMode)
@pytest.mark.parametrize("seed", range(4))
def test_the_account_is_stated_as_an_engine_would_that_begins_here(mode, seed):
    chance = random.Random(seed)
    settings = EngineSettings(margin_mode=mode)
    engine = Engine(instruments=SPECS, settings=settings)
    engine.deposit(D(1_000), START)
    engine.on_quote(quote(100))
    done = 0
    for hour in range(1, 250):
        try:
            chance.choice(deeds(engine, chance, hour))()
            done += 1
        except EngineRefusal:
            pass
        fresh = Engine(instruments=SPECS, settings=settings, state=engine.state())
        assert engine.account_state(START) == fresh.account_state(
            START
        )  # of one moment, so that nothing but deeds renew it
    assert done > 120


def test_an_order_is_reported_as_it_is_now():
    engine = Engine(instruments=SPECS)
    engine.deposit(D(1_000), START)
    engine.on_quote(quote(100))
    placed = engine.place(order("BUY", "LIMIT", "1", id="a", price="90"), at=START)
    engine.on_bar(bar(100, 101, 89, 90))
    (changed,) = engine.drain().orders
    assert (placed.status, placed.filled) == ("NEW", 0)
    assert (changed.report.status, changed.report.filled) == ("FILLED", 1)


def test_what_became_known_late_stands_where_it_belongs():
    def paid(number: str, minutes: int) -> Income:
        return Income(number, IncomeKind.FUNDING_FEE, "BTCUSDT", D(1), START + timedelta(minutes=minutes))

    entries: InTime[Income] = InTime()
    for number, minutes in (("1", 5), ("2", 10), ("3", 5), ("4", 0), ("5", 10)):
        entries.add(paid(number, minutes))
    assert [entry.transaction_id for entry in entries.since(START)] == ["4", "1", "3", "2", "5"]
    assert [entry.transaction_id for entry in entries.since(START + timedelta(minutes=5))] == ["1", "3", "2", "5"]
    assert entries.since(START + timedelta(minutes=11)) == []
