"""The worst hours on record (10 October and 3 February 2025), walked through the matching engine as a backtest walks them."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal as D
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketdata.domain.bars import Bar
from marketdata.domain.snapshot import Quote
from marketdata.recorded_market import RecordedMarket
from marketdata.venues.recorded import read_folder
from tests.quirks.kit import ASTER, BINANCE, look, series, store, utc
from trading.domain.matching import Engine, EngineSettings
from trading.domain.venue import AccountState, Trade
from trading.tests.matching_kit import order, stop
from vibex.lib.clock import from_ms, to_ms

CASCADE, WASHOUT = utc("2025-10-10 21:00"), utc("2025-02-03 02:00")
RANGES = {
    ("BTCUSDT", CASCADE): "11.9",
    ("SOLUSDT", CASCADE): "31.8",
    ("BNBUSDT", CASCADE): "31.7",
    ("XRPUSDT", CASCADE): "54.9",
    ("DOGEUSDT", CASCADE): "62.7",
    ("ETHUSDT", WASHOUT): "19.4",
}
"""Widest hour of each symbol: high − low in per cent of the open."""
DEPOSIT = D(100_000)
SETTINGS = EngineSettings()


@pytest.fixture(scope="module")
def market(shared_data: Path) -> RecordedMarket:
    return RecordedMarket(read_folder(shared_data / BINANCE).recordings.values())


each_of_the_worst = pytest.mark.parametrize("worst", RANGES, ids=lambda key: f"{key[0]}-{key[1]:%m-%d}")


def held(market: RecordedMarket, bar: Bar, side: str, *, leverage: int = 10, stop_at: D | None = None) -> Engine:
    """Return an engine that opens a position worth 10,000 at the open of the bar, with a stop if one is given."""
    spec = market.instrument(bar.symbol)
    made = Engine(instruments={bar.symbol: spec}, settings=SETTINGS)
    made.deposit(DEPOSIT, bar.opened_at)
    made.set_leverage(bar.symbol, leverage)
    made.on_quote(Quote(bar.symbol, bar.opened_at, bar.open, bar.open, bar.open, bar.mark_open or bar.open))
    quantity = spec.quantity_down(D(10_000) / bar.open)
    made.place(order(side, quantity=str(quantity), symbol=bar.symbol), at=bar.opened_at)
    if stop_at is not None:
        out = "SELL" if side == "BUY" else "BUY"
        made.place(stop(out, str(stop_at), id="stop", symbol=bar.symbol), at=bar.opened_at)
    return made


def walked(made: Engine, bar: Bar) -> tuple[AccountState, list[Trade]]:
    """Let the hour pass. Whatever happens in it, the wallet is the sum of its ledger and nobody owes the venue."""
    before = made.drain()
    made.on_bar(bar)
    after = made.drain()
    state = made.account_state(bar.closed_at)
    assert sum((entry.amount for entry in (*before.income, *after.income)), D(0)) == state.wallet
    assert state.wallet >= 0
    return state, list(after.trades)


@pytest.mark.parametrize(("key", "percent"), RANGES.items(), ids=lambda value: str(value)[:30])
def test_the_widest_hours_are_as_wide_as_recorded_and_are_no_faults(market, key, percent):
    bar = market.base_bar(key[0], at=key[1])
    assert round((bar.high - bar.low) / bar.open * 100, 1) == D(percent)


@each_of_the_worst
def test_without_a_stop_a_long_at_leverage_20_is_liquidated_and_loses_its_margin_and_no_more(market, worst):
    worst = market.base_bar(worst[0], at=worst[1])
    made = held(market, worst, "BUY", leverage=20)
    margin = made.account_state(worst.opened_at).margin
    paid = DEPOSIT - made.account_state(worst.opened_at).wallet
    state, trades = walked(made, worst)
    assert state.positions == ()
    assert [trade.client_order_id.startswith("autoclose") for trade in trades] == [True]
    assert state.wallet == DEPOSIT - paid - margin


@each_of_the_worst
@settings(max_examples=25)
@given(percent=st.integers(5, 95), side=st.sampled_from(["BUY", "SELL"]))
def test_a_stop_that_the_mark_reached_closes_worse_than_its_trigger_and_before_any_liquidation(
    market, worst, percent, side
):
    """Stops 0.5 to 9.5 % away at leverage 10: nearer than liquidation, which lies at 9.5 %."""
    worst = market.base_bar(worst[0], at=worst[1])
    spec, sign = market.instrument(worst.symbol), 1 if side == "BUY" else -1
    trigger = spec.price_near(worst.open * (1 - sign * D(percent) / 1000))
    made = held(market, worst, side, stop_at=trigger)
    liquidation = made.account_state(worst.opened_at).positions[0].liquidation_price
    if (trigger - liquidation) * sign <= 0:
        return
    state, trades = walked(made, worst)
    low, high = worst.mark_low or worst.low, worst.mark_high or worst.high
    if low <= trigger if sign > 0 else high >= trigger:
        assert [trade.client_order_id for trade in trades] == ["stop"]
        assert state.positions == ()
        slip = (trigger - trades[0].price) * sign
        assert slip >= max(SETTINGS.spread * worst.open, (worst.high - worst.low) * SETTINGS.stop_slippage_range)
    else:
        assert trades == []
        assert len(state.positions) == 1


def test_a_stop_between_the_lows_of_mark_and_last_does_not_fire(market):
    """ETH fell to 2080 where the mark stopped at 2157: stops trigger on the mark."""
    bar = market.base_bar("ETHUSDT", at=WASHOUT)
    assert (bar.low, bar.mark_low.quantize(D("0.01"))) == (D("2080.19"), D("2157.66"))
    state, trades = walked(held(market, bar, "BUY", leverage=3, stop_at=D("2100.00")), bar)
    assert trades == []
    assert len(state.positions) == 1
    state, trades = walked(held(market, bar, "BUY", leverage=3, stop_at=D("2160.00")), bar)
    assert [trade.client_order_id for trade in trades] == ["stop"]


@pytest.mark.django_db
def test_in_the_cascade_last_and_mark_too_far_apart_hold_and_after_the_hour_no_more(shared_data, market):
    """The lowest recorded prices of ETH in each of the two hours, as a feed would have written them."""
    hours = series(shared_data / BINANCE, "ETHUSDT-1h")
    hours = hours.slice(
        *(int(hours.open_time.searchsorted(to_ms(utc(day)))) for day in ("2025-01-20 00:00", "2025-02-10 00:00"))
    )
    bar = market.base_bar("ETHUSDT", at=WASHOUT)
    bid, ask = bar.low - D("0.01"), bar.low
    store(hours, WASHOUT, last=bar.low, bid=bid, ask=ask, mark=bar.mark_low)
    assert look("ETHUSDT", WASHOUT, "1h").problem == f"last 2080.19 and mark {bar.mark_low} are more than 1 % apart"
    store(hours, bar.closed_at, mark=bar.mark_close)
    assert look("ETHUSDT", bar.closed_at, "1h").problem is None


def test_a_snapshot_after_the_cascade_has_its_hour_in_every_value(market):
    for symbol in market.symbols:
        view = market.snapshot(symbols=[symbol], timeframes=["1h", "4h"], at=utc("2025-10-10 22:00")).symbols[symbol]
        candles = view.timeframes["1h"].candles
        assert view.problem is None
        assert from_ms(int(candles.open_time[-1])) == CASCADE
        assert view.timeframes["1h"].indicators["atr14"][-1] > 0


@pytest.mark.parametrize(
    ("symbol", "at", "close", "opened"),
    [
        ("DOTUSDT", "2025-10-12 01:00", "2.969", "2.924"),
        ("AAPLUSDT", "2025-09-23 12:00", "251.1", "261"),
    ],
)
def test_a_stop_that_a_bar_opens_beyond_is_filled_at_the_open_or_worse(shared_data, symbol, at, close, opened):
    """AsterDEX's bars do not begin where the one before ended: a stop in between is jumped over."""
    market = RecordedMarket(read_folder(shared_data / ASTER, [symbol]).recordings.values())
    before, bar = (market.base_bar(symbol, at=utc(at) - timedelta(hours=back)) for back in (1, 0))
    assert (before.close, bar.open) == (D(close), D(opened))
    falls = bar.open < before.close
    side, sign = ("BUY", 1) if falls else ("SELL", -1)
    spec = market.instrument(symbol)
    trigger = spec.price_near((before.close + bar.open) / 2)
    made = held(market, replace(before, open=before.close), side, leverage=3, stop_at=trigger)
    state, trades = walked(made, bar)
    assert [trade.client_order_id for trade in trades] == ["stop"]
    assert (bar.open - trades[0].price) * sign >= 0
    assert state.positions == ()
