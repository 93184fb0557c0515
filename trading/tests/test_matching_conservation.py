"""Money ties out after every event, whatever is done to the engine; and the engine is a function of its input."""

from __future__ import annotations

import contextlib
import json
import random
from collections import Counter, defaultdict
from decimal import Decimal as D

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading.domain.matching import (
    Depth,
    Engine,
    EngineRefusal,
    EngineSettings,
    MarginMode,
    Orphans,
    Terms,
    state_from_plain,
    state_to_plain,
)
from trading.domain.venue import IncomeKind, OrderSide, VenueStatus
from trading.tests.matching_kit import HOUR, SPECS, START, bar, order, quote

TICKS = st.integers(-400, 400)
symbols = st.sampled_from(sorted(SPECS))
sides = st.sampled_from(["BUY", "SELL"])
quantities = st.integers(1, 3000).map(lambda lots: str(D(lots) / 100))
levels = st.integers(500, 1500).map(lambda ticks: str(D(ticks) / 10))

events = st.one_of(
    st.tuples(st.just("market"), symbols, sides, quantities, st.booleans()),
    st.tuples(st.just("limit"), symbols, sides, quantities, levels, st.sampled_from(["GTC", "IOC", "GTX"]), st.booleans()),
    st.tuples(st.just("trigger"), symbols, sides, st.sampled_from(["STOP_MARKET", "TAKE_PROFIT_MARKET"]), levels,
              st.sampled_from(["close", "reduce", "open"]), quantities),
    st.tuples(st.just("cancel"), st.integers(0, 20)),
    st.tuples(st.just("quote"), symbols, levels, st.sampled_from(["0", "0.2", "1"])),
    st.tuples(st.just("bar"), symbols, levels, levels, levels, levels, st.booleans()),
    st.tuples(st.just("funding"), symbols, st.integers(-300, 300), levels),
    st.tuples(st.just("leverage"), symbols, st.sampled_from([1, 2, 3, 5, 10, 20, 50])),
)  # fmt: skip
told_by_server = st.one_of(
    st.tuples(st.just("depth"), symbols, st.lists(st.tuples(levels, quantities), max_size=3), st.booleans()),
    st.tuples(st.just("no depth"), symbols),
    st.tuples(st.just("terms"), symbols, sides, quantities, levels, levels,
              st.sampled_from(["trail", "limit", "whole", "protect"]), st.booleans()),
    st.tuples(st.just("taken"), symbols, st.booleans()),
)  # fmt: skip
"""What only the test exchange asks of an engine."""
styles = st.builds(
    EngineSettings,
    margin_mode=st.sampled_from(MarginMode),
    slippage=st.sampled_from([D(0), D("0.0007")]),
    orphans=st.sampled_from(Orphans),
)


def act(engine: Engine, event: tuple, number: int) -> None:
    """Do one event; a refusal is a fine outcome."""
    with contextlib.suppress(EngineRefusal):
        ACTS[event[0]](engine, START + number * HOUR, number, *event[1:])


def _market(engine, at, number, symbol, side, quantity, reduce):
    engine.place(order(side, "MARKET", quantity, id=f"o{number}", symbol=symbol, reduce_only=reduce), at=at)


def _limit(engine, at, number, symbol, side, quantity, price, tif, reduce):
    new = order(side, "LIMIT", quantity, id=f"o{number}", symbol=symbol, price=price, tif=tif, reduce_only=reduce)
    engine.place(new, at=at)


def _trigger(engine, at, number, symbol, side, type_, level, how, quantity):
    size, flags = (
        (None if how == "close" else quantity),
        {"reduce_only": how == "reduce", "close_position": how == "close"},
    )
    engine.place(order(side, type_, size, id=f"o{number}", symbol=symbol, trigger=level, **flags), at=at)


def _cancel(engine, at, number, which):
    if open_orders := engine.account_state(at).orders:
        chosen = open_orders[which % len(open_orders)]
        engine.cancel(chosen.symbol, chosen.client_order_id, at=at)


def _quote(engine, at, number, symbol, price, spread):
    engine.on_quote(quote(price, symbol=symbol, spread=spread, hour=number))


def _bar(engine, at, number, symbol, opening, one, other, close, marked):
    values = [D(opening), D(one), D(other), D(close)]
    prices = (values[0], max(values), min(values), values[3])
    mark = tuple(price + D("0.3") for price in prices) if marked else None
    engine.on_bar(bar(*prices, symbol=symbol, hour=number, mark=mark))


def _funding(engine, at, number, symbol, rate, mark):
    engine.on_funding(symbol, D(rate) / 10_000, D(mark), at)


def _leverage(engine, at, number, symbol, leverage):
    engine.set_leverage(symbol, leverage)


def _depth(engine, at, number, symbol, ladder, bids):
    made = [(D(price), D(size)) for price, size in ladder]
    engine.set_depth(symbol, Depth.of(bids=made) if bids else Depth.of(asks=made), at=at)


def _no_depth(engine, at, number, symbol):
    engine.set_depth(symbol, None, at=at)


def _terms(engine, at, number, symbol, side, quantity, level, other, what, reduce):
    kind = "LIMIT" if what == "whole" else "STOP_MARKET"
    terms = {
        "trail": Terms(trail=D("0.03"), activation=D(other) if number % 2 else None),
        "limit": Terms(),
        "whole": Terms(whole=True),
        "protect": Terms(protect=D("0.05")),
    }[what]
    new = order(side, kind, quantity, id=f"o{number}", symbol=symbol, reduce_only=reduce,
                trigger=level if what in ("limit", "protect") else None, price=other if what in ("limit", "whole") else None,
                tif="IOC" if what == "whole" else None)  # fmt: skip
    engine.place(new, at=at, terms=terms, on_last=number % 3 == 0)


def _taken(engine, at, number, symbol, deleveraged):
    engine.take_over(symbol, at=at, deleveraged=deleveraged)


ACTS = {
    "depth": _depth,
    "no depth": _no_depth,
    "terms": _terms,
    "taken": _taken,
    "market": _market,
    "limit": _limit,
    "trigger": _trigger,
    "cancel": _cancel,
    "quote": _quote,
    "bar": _bar,
    "funding": _funding,
    "leverage": _leverage,
}


class Auditor:
    """Keeps its own books from the trades and income alone, and compares them with what the engine states."""

    def __init__(self) -> None:
        self.total = self.deposits = self.realised = self.fees = self.other = D(0)
        self.quantity: dict[str, D] = defaultdict(D)
        self.cost: dict[str, D] = defaultdict(D)
        self.orders: dict[str, object] = {}
        self.seen: Counter[str] = Counter()

    def take(self, engine: Engine) -> None:
        changes = engine.drain()
        self.orders.update({record.client_order_id: record for record in changes.orders})
        for entry in changes.income:
            self._income(entry)
        for trade in changes.trades:
            self._trade(trade)
        for record in changes.orders:
            assert 0 <= record.filled <= record.quantity
            if record.close_position and record.status is VenueStatus.FILLED and len(changes.trades) == 1:
                assert self.quantity[record.symbol] == 0, "closePosition leaves flat"
        self._compare(engine)

    def _income(self, entry) -> None:
        self.total += entry.amount
        self.seen[entry.kind] += 1
        match entry.kind:
            case IncomeKind.TRANSFER:
                self.deposits += entry.amount
            case IncomeKind.REALIZED_PNL | IncomeKind.COMMISSION:
                assert entry.trade_id
            case _:
                self.other += entry.amount

    def _trade(self, trade) -> None:
        assert trade.quantity > 0
        assert trade.price > 0
        signed = trade.quantity if trade.side is OrderSide.BUY else -trade.quantity
        before = self.quantity[trade.symbol]
        after = before + signed
        record = self.orders[trade.client_order_id]
        if record.reduce_only or record.close_position:
            assert abs(after) < abs(before), "reduce-only must reduce"
            assert after * before >= 0, "and never flip"
        self.seen["flip"] += after * before < 0
        self.seen["maker"] += trade.maker
        self.quantity[trade.symbol] = after
        self.realised += trade.realised
        self.fees += trade.fee

    def _compare(self, engine: Engine) -> None:
        account = engine.account_state(START)
        assert account.wallet == self.total, "the wallet is the sum of its income"
        assert account.wallet == self.deposits + self.realised - self.fees + self.other
        unrealised = sum(
            (
                (p.mark_price * p.quantity * p.side.sign).quantize(D("1e-8")) - record.cost
                for p in account.positions
                for record in engine.state().positions
                if record.symbol == p.symbol
            ),
            D(0),
        )
        assert account.equity == self.deposits + self.realised + unrealised - self.fees + self.other
        held = {p.symbol: p.quantity * p.side.sign for p in account.positions}
        assert held == {symbol: quantity for symbol, quantity in self.quantity.items() if quantity}
        assert len({o.client_order_id for o in account.orders}) == len(account.orders)


def start(style: EngineSettings) -> Engine:
    engine = Engine(instruments=SPECS, settings=style)
    engine.deposit(D(1500), START)
    for symbol in SPECS:
        engine.on_quote(quote(100, symbol=symbol))
    return engine


@settings(max_examples=150, deadline=None)
@given(style=styles, script=st.lists(st.one_of(events, events, told_by_server), max_size=40))
def test_money_and_positions_tie_out_after_every_event(style, script):
    engine, auditor = start(style), Auditor()
    auditor.take(engine)
    for number, event in enumerate(script, start=1):
        act(engine, event, number)
        auditor.take(engine)


@settings(max_examples=60, deadline=None)
@given(style=styles, script=st.lists(events, max_size=25))
def test_an_engine_restored_from_plain_data_before_every_event_goes_on_identically(style, script):
    engine, other = start(style), start(style)
    for number, event in enumerate(script, start=1):
        plain = json.loads(json.dumps(state_to_plain(other.state())))
        other = Engine(instruments=SPECS, settings=style, state=state_from_plain(plain))
        engine.drain()
        act(engine, event, number)
        act(other, event, number)
        assert other.drain() == engine.drain()
        assert other.state() == engine.state()


@settings(max_examples=60, deadline=None)
@given(style=styles, script=st.lists(events, max_size=40))
def test_the_same_input_gives_the_same_events(style, script):
    first, second = start(style), start(style)
    for number, event in enumerate(script, start=1):
        act(first, event, number)
    for number, event in enumerate(script, start=1):
        act(second, event, number)
    assert first.drain() == second.drain()
    assert first.state() == second.state()


@pytest.mark.parametrize("mode", MarginMode)
def test_long_wild_runs_tie_out_and_meet_everything_that_can_happen(mode):
    seen: Counter[str] = Counter()
    for seed in range(5):
        rng = random.Random(seed)
        engine, auditor = start(EngineSettings(margin_mode=mode)), Auditor()
        for number in range(1, 1000):
            if number % 50 == 0:
                engine.deposit(D(1500), START)
            act(engine, wild(rng), number)
            auditor.take(engine)
        seen += auditor.seen
    rare = {IncomeKind.OTHER, IncomeKind.OPENING}  # of venues, and of our own books
    rare |= {IncomeKind.INSURANCE_CLEAR} if mode is MarginMode.ISOLATED else set()
    assert set(seen) >= {*IncomeKind, "flip", "maker"} - rare


def wild(rng: random.Random) -> tuple:
    """An event of the same shapes as above, weighted towards large positions and large moves."""
    symbol, side = rng.choice(sorted(SPECS)), rng.choice(["BUY", "SELL"])
    level, quantity = (lambda: str(D(rng.randint(500, 1500)) / 10)), str(D(rng.randint(1, 9000)) / 100)
    return rng.choice(
        [
            ("market", symbol, side, quantity, rng.random() < 0.3),
            ("limit", symbol, side, quantity, level(), rng.choice(["GTC", "GTC", "IOC", "GTX"]), rng.random() < 0.2),
            (
                "trigger",
                symbol,
                side,
                rng.choice(["STOP_MARKET", "TAKE_PROFIT_MARKET"]),
                level(),
                rng.choice(["close", "reduce", "open"]),
                quantity,
            ),
            ("cancel", rng.randint(0, 20)),
            ("quote", symbol, level(), "0.2"),
            ("bar", symbol, level(), level(), level(), level(), rng.random() < 0.5),
            ("funding", symbol, rng.randint(-300, 300), level()),
            ("leverage", symbol, rng.choice([5, 10, 20, 50])),
        ]
    )
