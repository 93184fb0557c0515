"""A month of real candles, 10 October 2025 included, at leverage 10 with stops of 1 to 10 per cent."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal as D
from pathlib import Path

import pytest

from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.snapshot import Quote
from trading.domain.matching import Engine, EngineSettings
from trading.domain.venue import Bar
from trading.tests.matching_kit import order, stop, target
from vibex.lib.clock import from_ms

SETTINGS = EngineSettings(spread=D("0.0002"))
FROM_MS, TO_MS = 1_757_894_400_000, 1_760_486_400_000  # 2025-09-15 to 2025-10-15
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT", "BNBUSDT")


def month(folder: Path, symbol: str) -> Iterator[Bar]:
    with gzip.open(folder / f"{symbol}-1h.csv.gz", "rt") as file:
        for row in csv.DictReader(file):
            if FROM_MS <= (ms := int(row["ts_ms"])) < TO_MS:
                prices = (D(row[name]) for name in ("open", "high", "low", "close"))
                yield Bar(symbol, from_ms(ms), from_ms(ms) + timedelta(hours=1), *prices)


def trader(symbol: str) -> Engine:
    tick = D("0.00001") if symbol == "DOGEUSDT" else D("0.0001") if symbol == "XRPUSDT" else D("0.01")
    spec = InstrumentSpec("recorded", symbol, symbol[:3], "USDT", tick, D("0.001"), D("0.001"), D(100_000_000), D(5))
    made = Engine(instruments={symbol: spec}, settings=SETTINGS)
    made.deposit(D(1_000_000), from_ms(FROM_MS))
    made.set_leverage(symbol, 10)
    return made


def enter(made: Engine, symbol: str, bar: Bar, number: int) -> None:
    """Open at the open of a bar, in turns long and short, with a stop 1 to 10 % away and a target at twice that."""
    side, out, sign = ("BUY", "SELL", 1) if number % 2 else ("SELL", "BUY", -1)
    share = D(number % 10 + 1) / 100
    made.on_quote(Quote(symbol, bar.opened_at, bar.open, bar.open, bar.open, bar.open), span=bar.high - bar.low)
    made.place(order(side, quantity=f"{D(1000) / bar.open:.3f}", id=f"e{number}", symbol=symbol), at=bar.opened_at)
    for new in (stop(out, level(bar.open * (1 - sign * share)), id=f"s{number}", symbol=symbol),
                target(out, level(bar.open * (1 + 2 * sign * share)), id=f"t{number}", symbol=symbol)):  # fmt: skip
        made.place(new, at=bar.opened_at)


def level(price: D) -> str:
    return str(price.quantize(D("0.0001") if price < 1 else D("0.01")))


def flatten(made: Engine, symbol: str, bar: Bar, number: int) -> None:
    """Close at the open of a bar what is held for a day, and cancel what is left."""
    made.on_quote(Quote(symbol, bar.opened_at, bar.open, bar.open, bar.open, bar.open), span=bar.high - bar.low)
    for held in made.account_state(bar.opened_at).positions:
        made.place(
            order("SELL" if held.side.sign > 0 else "BUY", quantity=str(held.quantity), id=f"c{number}", symbol=symbol,
                  reduce_only=True), at=bar.opened_at)  # fmt: skip
    for left in made.account_state(bar.opened_at).orders:
        made.cancel(symbol, left.client_order_id, at=bar.opened_at)


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_stops_slip_enough_and_liquidations_only_come_where_no_stop_could_fill(shared_data: Path, symbol: str) -> None:
    made, number, fired, income = trader(symbol), 0, 0, D(0)
    for hour, bar in enumerate(month(shared_data / "candles" / "binance_um_2025_1h", symbol)):
        if hour % 24 == 0 or not made.account_state(bar.opened_at).positions:
            flatten(made, symbol, bar, number)
            number += 1
            enter(made, symbol, bar, number)
        before = made.account_state(bar.opened_at)
        income += sum((entry.amount for entry in made.drain().income), D(0))
        made.on_bar(bar)
        changes = made.drain()
        income += sum((entry.amount for entry in changes.income), D(0))
        assert income == made.account_state(bar.closed_at).wallet
        (held,), armed = before.positions, next(o for o in before.orders if o.client_order_id == f"s{number}")
        for trade in changes.trades:
            if trade.client_order_id == armed.client_order_id:
                fired += 1
                slip = (armed.trigger - trade.price) * held.side.sign
                assert slip >= max(SETTINGS.spread * bar.open, (bar.high - bar.low) * SETTINGS.stop_slippage_range)
            elif trade.client_order_id.startswith("autoclose"):
                nearer = (armed.trigger - held.liquidation_price) * held.side.sign > 0
                assert not nearer, "the stop could have filled"
    assert number >= 30
    assert fired >= 3
