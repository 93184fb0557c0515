"""Liquidation: what it costs, what it cancels, and that a stop in reach always comes first."""

from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.domain.matching import EngineSettings, MarginMode
from trading.domain.venue import IncomeKind, VenueStatus
from trading.tests.matching_kit import START, bar, engine, opened, order, quote, stop, wallet_is_its_income

CROSS = EngineSettings(margin_mode=MarginMode.CROSS, spread=D(0), stop_slippage_range=D(0), margin_buffer=D(0))


def amounts(changes, kind):
    return sum((entry.amount for entry in changes.income if entry.kind is kind), D(0))


@pytest.mark.parametrize("side", ["BUY", "SELL"])
@pytest.mark.parametrize("leverage", [2, 5, 10, 25, 100])
def test_an_isolated_liquidation_costs_exactly_the_isolated_margin(side, leverage):
    made = opened(side, quantity="10", leverage=leverage)
    before = made.account_state(START)
    made.drain()
    made.on_quote(quote(1 if side == "BUY" else 1000))
    changes, after = made.drain(), made.account_state(START)
    assert after.wallet == before.wallet - before.positions[0].margin
    assert after.positions == ()
    assert [trade.client_order_id.startswith("autoclose-") for trade in changes.trades] == [True]


def test_on_the_way_the_fee_is_what_the_mark_leaves_of_the_margin():
    made = opened(leverage=10)  # margin 100, liquidation at 90.4523: 10 × 0.4523 = 4.52 is left, 2.5 % would be 22.6
    made.drain()
    made.on_bar(bar(100, 100, 85, 86))
    changes = made.drain()
    fee, loss = amounts(changes, IncomeKind.LIQUIDATION_FEE), amounts(changes, IncomeKind.REALIZED_PNL)
    assert fee == D("-4.52261307")
    assert fee + loss == D(-100)


def test_a_gap_beyond_bankruptcy_leaves_no_fee_and_the_rest_to_the_insurance_fund():
    made = opened(leverage=10)
    made.drain()
    made.on_bar(bar(80, 82, 79, 81))
    changes = made.drain()
    assert amounts(changes, IncomeKind.LIQUIDATION_FEE) == 0
    assert changes.trades[0].price == D(90), "the bankruptcy price"


def test_a_liquidation_cancels_the_open_orders_of_its_symbol_only():
    made = opened(leverage=10)
    made.place(stop("SELL", "85", id="here"), at=START)
    made.place(order("BUY", "LIMIT", "1", price="50", id="there", symbol="SOLUSDT"), at=START)
    made.on_quote(quote(90))
    ended = {record.client_order_id: record.status for record in made.drain().orders}
    assert ended["here"] is VenueStatus.CANCELED
    assert [report.client_order_id for report in made.account_state(START).orders] == ["there"]


@pytest.mark.parametrize("ohlc", [(100, 101, 60, 65), (70, 71, 60, 65), (100, 130, 60, 129)])
def test_a_stop_nearer_than_the_liquidation_price_comes_first_even_in_a_gap(ohlc):
    made = opened(leverage=10)
    made.place(stop("SELL", "91", id="s"), at=START)
    made.drain()
    made.on_bar(bar(*ohlc))
    assert [trade.client_order_id for trade in made.drain().trades] == ["s"]


def test_a_stop_beyond_the_liquidation_price_comes_too_late():
    made = opened(leverage=10)
    made.place(stop("SELL", "90", id="s"), at=START)
    made.drain()
    made.on_bar(bar(100, 101, 60, 65))
    assert made.drain().trades[0].client_order_id.startswith("autoclose-")


def test_a_target_and_the_liquidation_in_one_bar_follow_the_path():
    made = opened(leverage=10)
    made.place(order("SELL", "TAKE_PROFIT_MARKET", trigger="105", close_position=True, id="t"), at=START)
    made.drain()
    made.on_bar(bar(100, 106, 80, 101))  # closes above the open: down first
    assert made.drain().trades[0].client_order_id.startswith("autoclose-")


def test_a_wallet_below_zero_is_cleared_by_the_insurance_fund():
    made = opened(quantity="10", leverage=100, deposit="20")  # margin 10, all losses beyond the wallet are forgiven
    made.place(stop("SELL", "99.6"), at=START)
    made.drain()
    made.on_bar(bar(50, 51, 49, 50))
    changes = made.drain()
    assert amounts(changes, IncomeKind.INSURANCE_CLEAR) > 0
    assert made.account_state(START).equity == 0


def test_cross_margin_carries_a_position_with_the_whole_equity():
    made = opened(leverage=10, settings=CROSS, deposit="900")
    made.on_bar(bar(100, 100, 50, 50))
    assert made.account_state(START).positions, "isolated, it would have gone at 90"
    made.on_bar(bar(50, 50, 0.1, 1, hour=1))
    assert made.account_state(START).positions == ()
    assert made.account_state(START).wallet == 0
    assert wallet_is_its_income(made)


def test_cross_margin_closes_others_until_the_rest_is_covered():
    made = engine(deposit="1000", settings=CROSS)
    for symbol in ("BTCUSDT", "SOLUSDT"):
        made.set_leverage(symbol, 20)
        made.place(order("BUY", quantity="60", symbol=symbol), at=START)
    made.on_quote(quote(83))
    account = made.account_state(START)
    assert account.wallet + account.unrealised >= 0
    assert account.positions == () or account.equity > sum(p.quantity * p.mark_price for p in account.positions) * D(
        "0.005"
    )


def test_a_funding_payment_can_exhaust_cross_margin():
    made = engine(deposit="110", settings=CROSS)
    made.set_leverage("BTCUSDT", 10)
    made.place(order("BUY", quantity="10"), at=START)
    made.on_funding("BTCUSDT", D("0.2"), D(100), START)
    assert made.account_state(START).positions == ()
    assert made.account_state(START).wallet == 0


prices = st.integers(200, 3000).map(lambda tenths: D(tenths) / 10)


@given(
    long=st.booleans(),
    leverage=st.integers(2, 10),
    nearness=st.integers(1, 99),
    bars=st.lists(st.tuples(prices, prices, prices, prices), min_size=1, max_size=6),
    mode=st.sampled_from([MarginMode.ISOLATED, MarginMode.CROSS]),
)
def test_no_liquidation_ever_while_a_stop_in_front_of_it_could_fill(long, leverage, nearness, bars, mode):
    """Any bars, any gaps: a closePosition stop between mark and liquidation price always fires first."""
    side, out, sign = ("BUY", "SELL", 1) if long else ("SELL", "BUY", -1)
    made = opened(side, quantity="1", leverage=leverage, settings=EngineSettings(margin_mode=mode))
    liquidation = made.account_state(START).positions[0].liquidation_price or D(1)
    room = min(abs(100 - liquidation), D(99))
    trigger = (100 - sign * room * nearness / 100).quantize(D("0.1"))
    if (trigger - liquidation) * sign <= 0 or (100 - trigger) * sign <= 0:
        return
    made.place(stop(out, str(trigger), id="s"), at=START)
    made.drain()
    for hour, ohlc in enumerate(bars):
        opening, *_, close = ohlc
        made.on_bar(bar(opening, max(ohlc), min(ohlc), close, hour=hour))
    trades = made.drain().trades
    assert [trade.client_order_id for trade in trades] in ([], ["s"])
    for trade in trades:
        assert (trigger - trade.price) * sign > 0, "worse than its trigger, by the slip"
