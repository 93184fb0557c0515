"""What trades make of a position: the books agree with the trades, whatever their order and size."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from decisions.domain.portfolio import Role
from decisions.domain.proposal import Side
from trading.domain.books import BookedPosition, apply_funding, apply_trade, exit_reason
from trading.domain.venue import OrderSide, Trade

NOON = datetime(2025, 10, 10, 12, tzinfo=UTC)


def trade(side: OrderSide, quantity: str, price: str, *, realised: str = "0", fee: str = "0", number: int = 1) -> Trade:
    return Trade(
        str(number),
        f"vx{number}",
        str(number),
        "BTCUSDT",
        side,
        Decimal(quantity),
        Decimal(price),
        Decimal(fee),
        Decimal(realised),
        False,
        NOON + timedelta(seconds=number),
    )


def test_a_first_trade_opens_a_position_at_its_price():
    (position,) = apply_trade(None, trade(OrderSide.SELL, "0.5", "100", fee="0.02"))
    assert (position.side, position.quantity, position.entry_price) == (Side.SHORT, Decimal("0.5"), Decimal(100))
    assert position.fees == Decimal("0.02")


def test_an_add_moves_the_average_entry_by_cost():
    (opened,) = apply_trade(None, trade(OrderSide.BUY, "1", "100"))
    (added,) = apply_trade(opened, trade(OrderSide.BUY, "3", "200"))
    assert (added.quantity, added.entry_price) == (Decimal(4), Decimal(175))


def test_a_partial_close_keeps_the_entry_and_takes_the_exchanges_result():
    (opened,) = apply_trade(None, trade(OrderSide.BUY, "4", "100"))
    (reduced,) = apply_trade(opened, trade(OrderSide.SELL, "1", "110", realised="10"))
    assert (reduced.quantity, reduced.cost, reduced.entry_price) == (Decimal(3), Decimal(300), Decimal(100))
    assert (reduced.realised, reduced.exit_price, reduced.closed_at) == (Decimal(10), Decimal(110), None)


def test_a_trade_through_zero_closes_one_position_and_opens_the_other():
    (opened,) = apply_trade(None, trade(OrderSide.BUY, "1", "100"))
    closed, turned = apply_trade(opened, trade(OrderSide.SELL, "3", "90", realised="-10", fee="0.3", number=2))
    assert (closed.quantity, closed.realised, closed.fees) == (0, Decimal(-10), Decimal("0.1"))
    assert closed.closed_at == NOON + timedelta(seconds=2)
    assert (turned.side, turned.quantity, turned.fees) == (Side.SHORT, Decimal(2), Decimal("0.2"))


def test_funding_counts_in_the_net_result():
    (opened,) = apply_trade(None, trade(OrderSide.BUY, "1", "100", fee="0.1"))
    assert apply_funding(opened, Decimal("-0.05")).net == Decimal("-0.15")


def test_the_exit_reason_follows_from_the_order_that_closed_it():
    closing = trade(OrderSide.SELL, "1", "1")
    assert exit_reason(Role.STOP, closing, "") == "stop"
    assert exit_reason(Role.CLOSE, closing, "flatten") == "flatten"
    assert exit_reason(Role.CLOSE, closing, "") == "close"
    assert exit_reason(None, closing, "") == "external"


trades = st.lists(
    st.tuples(
        st.sampled_from(OrderSide),
        st.decimals("0.001", "5", places=3),
        st.decimals("1", "1000", places=2),
        st.decimals("0", "2", places=4),
    ),
    max_size=30,
)


@given(trades)
def test_quantities_fees_and_results_of_all_positions_add_up_to_the_trades(deals):
    position: BookedPosition | None = None
    closed: list[BookedPosition] = []
    signed, fees, realised = Decimal(0), Decimal(0), Decimal(0)
    for number, (side, quantity, price, fee) in enumerate(deals):
        result = Decimal(number)
        for changed in apply_trade(position, trade(side, quantity, price, realised=result, fee=fee, number=number)):
            position = changed
            if changed.closed_at:
                closed.append(changed)
                position = None
        reducing = signed and (signed > 0) != (side is OrderSide.BUY)
        realised += result if reducing else 0
        signed += side.sign * quantity
        fees += fee
        held = position.side.sign * position.quantity if position else Decimal(0)
        assert held == signed
        everything = [*closed, position] if position else closed
        assert sum((one.fees for one in everything), Decimal(0)) == fees
        assert sum((one.realised for one in everything), Decimal(0)) == realised
