"""The size arithmetic against hand-worked numbers and against the engine that will carry the orders out."""

from dataclasses import replace

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from decisions.domain.proposal import Side, Verdict
from trading.domain.matching import Engine, EngineSettings
from trading.domain.sizing import (
    exposure_of,
    largest_notional,
    liquidation_of_entry,
    loss_per_unit,
    margin_per_unit,
)
from trading.domain.venue import NewOrder, OrderSide, OrderType, TimeInForce, VenueStatus
from trading.tests.risk_kit import (
    AT,
    BTC,
    ETH,
    GOLD,
    INSTRUMENT,
    LIMITS,
    LONG,
    PORTFOLIO,
    QUOTE,
    SHORT,
    D,
    position,
    rule,
)

PLAIN = EngineSettings(spread=D(0), stop_slippage_range=D(0))
SIDES = st.sampled_from([LONG, SHORT])


def test_a_unit_loses_the_distance_both_fees_and_the_slip_of_the_stop():
    loss = loss_per_unit(touch=D(100), stop=D(98), taker_fee=D("0.0005"), slippage=D("0.002"))
    assert loss == D("2") + D("0.05") + D("0.049") + D("0.196")


def test_a_short_loses_as_much_above_as_a_long_below_but_for_the_dearer_exit():
    below = loss_per_unit(touch=D(100), stop=D(98), taker_fee=D("0.0005"), slippage=D(0))
    above = loss_per_unit(touch=D(100), stop=D(102), taker_fee=D("0.0005"), slippage=D(0))
    assert above - below == D("0.0005") * 4


def test_a_unit_takes_margin_fee_and_what_is_lost_at_once():
    each = margin_per_unit(price=D(100), leverage=5, taker_fee=D("0.0005"), lost_at_once=D("0.3"))
    assert each == D("20.35")


def test_exposure_adds_up_by_group_net_and_gross():
    held = [position(BTC, Side.LONG, "30"), position(ETH, Side.SHORT, "10"), position(GOLD, Side.SHORT, "5")]
    seen = exposure_of(held, {BTC: "crypto", ETH: "crypto", GOLD: "metals"}, "crypto")
    assert (seen.group, seen.net, seen.gross) == (4000, 1500, 4500)


def test_a_position_of_an_unknown_group_counts_into_every_group():
    held = [position("FOOUSDT", Side.LONG, "30")]
    assert exposure_of(held, {}, "crypto").group == exposure_of(held, {}, "metals").group == 3000


def test_nothing_open_is_no_exposure():
    seen = exposure_of([], {}, "crypto")
    assert (seen.group, seen.net, seen.gross) == (0, 0, 0)


def test_liquidation_comes_where_hand_arithmetic_has_it():
    # margin 10 of 100: (10 − 100) ÷ (0.005 − 1) = 90.4523 for the long, (10 + 100) ÷ (0.005 + 1) = 109.4527 for the short
    at_ten = {"price": D(100), "quantity": D(1), "leverage": 10, "at": AT}
    assert round(liquidation_of_entry(INSTRUMENT, Side.LONG, **at_ten), 4) == D("90.4523")
    assert round(liquidation_of_entry(INSTRUMENT, Side.SHORT, **at_ten), 4) == D("109.4527")


def test_a_larger_position_is_liquidated_earlier():
    prices = [
        liquidation_of_entry(INSTRUMENT, Side.LONG, price=D(100), quantity=D(size), leverage=10, at=AT)
        for size in (1, 5_000, 100_000)
    ]
    assert prices == sorted(prices)
    assert prices[0] < prices[1] < prices[2]


def test_nothing_liquidates_a_long_without_leverage():
    assert liquidation_of_entry(INSTRUMENT, Side.LONG, price=D(100), quantity=D(1), leverage=1, at=AT) is None


@pytest.mark.parametrize(("leverage", "most"), [(100, 100_000), (50, 1_000_000), (6, 20_000_000), (5, 10**12)])
def test_the_brackets_say_how_much_the_venue_carries(leverage, most):
    assert largest_notional(INSTRUMENT, leverage) == most


# -- against the engine ----------------------------------------------------------------------------------------------


def venue(deposit=D(10_000), leverage=5):
    """An engine with the market and the money of the usual entry."""
    made = Engine(instruments={ETH: INSTRUMENT}, settings=PLAIN)
    made.deposit(deposit, AT)
    made.on_quote(QUOTE)
    made.set_leverage(ETH, leverage)
    return made


def entered(made, ruling, limits):
    """Send what was ruled as an entry goes out: LIMIT IOC at the touch plus or minus the slippage allowed."""
    side = ruling.proposal.side
    long = side is Side.LONG
    price = (
        INSTRUMENT.price_down(QUOTE.ask * (1 + limits.max_slippage))
        if long
        else INSTRUMENT.price_up(QUOTE.bid * (1 - limits.max_slippage))
    )
    return made.place(
        NewOrder(
            client_order_id="entry",
            symbol=ETH,
            side=OrderSide.to_open(side),
            type=OrderType.LIMIT,
            quantity=ruling.quantity,
            price=price,
            time_in_force=TimeInForce.IOC,
        ),
        at=AT,
    )


@given(
    wish=SIDES,
    quantity=st.decimals(D("0.01"), D(3000), places=2),
    leverage=st.integers(1, 5),
    equity=st.decimals(D(20), D(50_000), places=2),
    share=st.decimals(D("0.001"), D(1), places=3),
)
def test_the_venue_takes_what_risk_allows_at_the_leverage_asked(wish, quantity, leverage, equity, share):
    limits = replace(
        LIMITS, risk_per_trade=share, max_margin_use=D(1), max_group=D(9), max_gross=D(9), max_position=D(2)
    )
    limits = replace(limits, max_net=D(9))
    account = replace(PORTFOLIO, wallet=equity, available=equity)
    [ruling] = rule(replace(wish, quantity=quantity, leverage=leverage), portfolio=account, limits=limits)
    event(str(ruling.verdict))
    if ruling.verdict is Verdict.REFUSED:
        return
    report = entered(venue(equity, leverage), ruling, limits)
    assert (report.status, report.filled) == (VenueStatus.FILLED, ruling.quantity)


@given(wish=SIDES, distance=st.decimals(D("0.6"), D(9), places=2), slip=st.decimals(D(0), D("0.002"), places=4))
def test_a_stop_that_slips_as_far_as_allowed_loses_no_more_than_the_risk_per_trade(wish, distance, slip):
    limits = replace(LIMITS, max_position=D(9), max_group=D(9), max_net=D(9), max_gross=D(9), max_margin_use=D(1))
    long = wish.side is Side.LONG
    stop = D(100) - distance if long else D("99.8") + distance
    [ruling] = rule(replace(wish, quantity=D(900), stop_loss=stop), limits=limits)
    assert ruling.verdict is Verdict.REDUCED
    made = venue()
    entered(made, ruling, limits)
    made.place(
        NewOrder(
            client_order_id="stop",
            symbol=ETH,
            side=OrderSide.to_close(wish.side),
            type=OrderType.STOP_MARKET,
            trigger=stop,
            close_position=True,
        ),
        at=AT,
    )
    fill = INSTRUMENT.price_up(stop * (1 - slip)) if long else INSTRUMENT.price_down(stop * (1 + slip))
    made.on_quote(replace(QUOTE, bid=fill, ask=fill, mark=stop, last=fill))
    after = made.account_state(AT)
    assert after.positions == ()
    lost = 10_000 - after.wallet
    assert 0 < lost <= 100
    if ruling.rule_ids == ("size.risk",) and slip == D("0.002"):
        assert lost > 99, "the size is the largest that keeps within the risk"


@pytest.mark.parametrize("wish", [LONG, SHORT], ids=["long", "short"])
@pytest.mark.parametrize("leverage", [2, 3, 5, 8, 10])
@pytest.mark.parametrize("size", ["1", "90", "999"])
def test_the_engine_liquidates_where_risk_expects_it(wish, leverage, size):
    limits = replace(LIMITS, max_slippage=D(0))
    [ruling] = rule(wish)
    made = venue(D(100_000), leverage)
    entered(made, replace(ruling, quantity=D(size)), limits)
    held = made.account_state(AT).position(ETH)
    expected = liquidation_of_entry(
        INSTRUMENT, wish.side, price=held.entry_price, quantity=D(size), leverage=leverage, at=AT
    )
    assert abs(held.liquidation_price - expected) < D("1e-7"), "the engine books margin to 8 decimals"
