"""A trigger that waits for the last price fires on that and not on the mark. Only the test exchange asks for it."""

import pytest

from trading.domain.matching import EngineRefusal, state_from_plain, state_to_plain
from trading.tests.matching_kit import HOUR, START, bar, opened, quote, stop, target


def waits(engine, order, *, on_last=True):
    engine.place(order, at=START, on_last=on_last)
    return order.client_order_id


def closed(engine, name):
    return engine.order("BTCUSDT", name) is None


@pytest.mark.parametrize("on_last", [True, False])
def test_a_quote_fires_it_by_its_own_price_only(on_last):
    engine = opened()
    name = waits(engine, stop("SELL", "95"), on_last=on_last)
    engine.on_quote(quote(94, mark="96", hour=1))
    assert closed(engine, name) is on_last
    engine.on_quote(quote(96, mark="94", hour=2))
    assert closed(engine, name)


@pytest.mark.parametrize("on_last", [True, False])
def test_a_bar_fires_it_by_its_own_extremes_only(on_last):
    engine = opened()
    name = waits(engine, stop("SELL", "95"), on_last=on_last)
    engine.on_bar(bar(100, 101, 96, 100, hour=1, mark=(100, 101, 94, 100)))
    assert closed(engine, name) is not on_last
    engine.on_bar(bar(100, 101, 94, 100, hour=2, mark=(100, 101, 96, 100)))
    assert closed(engine, name)


def test_where_both_prices_agree_it_makes_no_difference():
    fills = []
    for on_last in (True, False):
        engine = opened()
        waits(engine, stop("SELL", "95", id="s"), on_last=on_last)
        waits(engine, target("SELL", "105", id="t"), on_last=on_last)
        engine.on_bar(bar(100, 106, 94, 101, hour=1))
        fills.append([(trade.client_order_id, trade.price) for trade in engine.drain().trades][1:])
    assert fills[0] == fills[1]
    assert [name for name, _ in fills[0]] == ["s"]  # the stop first, whatever the path says


def test_a_target_of_a_bar_yields_only_to_a_stop_that_its_own_price_reaches():
    engine = opened()
    name = waits(engine, stop("SELL", "95", id="s"))
    aim = waits(engine, target("SELL", "105", id="t"), on_last=False)
    engine.on_bar(bar(100, 106, 96, 101, hour=1, mark=(100, 106, 94, 101)))
    assert closed(engine, aim)
    assert not closed(engine, name)


def test_one_that_would_fire_at_once_is_refused():
    engine = opened()
    engine.on_quote(quote(100, mark="94", hour=1))
    engine.place(stop("SELL", "95"), at=START + HOUR, on_last=True)
    engine.on_quote(quote(90, mark="100", hour=2))
    with pytest.raises(EngineRefusal, match="last price 90") as refused:
        engine.place(stop("SELL", "91"), at=START + 2 * HOUR, on_last=True)
    assert refused.value.code == "would_trigger"


def test_it_is_part_of_what_is_written_down():
    engine = opened()
    waits(engine, stop("SELL", "95"))
    waits(engine, stop("SELL", "94"), on_last=False)
    state = engine.state()
    assert state_from_plain(state_to_plain(state)) == state
    assert [order.on_last for order in state.orders] == [True, False]
