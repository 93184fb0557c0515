"""Trades and income are told whole, once and oldest first, or not at all."""

from datetime import timedelta

import pytest

from trading.exchange.aster import adapter as adapter_module
from trading.exchange.aster import paging
from trading.exchange.base import Unavailable
from trading.tests.aster_kit import (
    NOW,
    Script,
    order_row,
    over,
    page,
    refusal,
)  # fmt: skip
from vibex.lib.clock import to_ms

NO_SUCH_ORDER = refusal(-2013, text="Order does not exist.")


@pytest.fixture
def script():
    return Script()


def trade_row(number, at, **more):
    row = {
        "id": number, "orderId": 1_000 + number, "symbol": "BTCUSDT", "side": "BUY", "price": "100", "qty": "1",
        "quoteQty": "100", "commission": "0.04", "commissionAsset": "USDT", "realizedPnl": "0", "maker": False,
        "buyer": True, "positionSide": "BOTH", "time": to_ms(at),
    }  # fmt: skip
    return row | more


def income_row(number, at, **more):
    row = {
        "symbol": "BTCUSDT", "incomeType": "FUNDING_FEE", "income": "-0.5", "asset": "USDT", "info": "",
        "time": str(to_ms(at)), "tranId": number, "tradeId": "",
    }  # fmt: skip
    return row | more


def shelf(rows, newest=False, number="fromId", key="id"):
    """A list of the venue: a span of it, or from a number on, the first or the last `limit` rows."""

    def answer(given):
        limit = int(given["limit"])
        if number in given:
            return [row for row in rows if int(row[key]) >= int(given[number])][:limit]
        start, end = int(given["startTime"]), int(given["endTime"])
        assert end - start < 7 * 86_400_000
        found = [row for row in rows if start <= int(row["time"]) <= end]
        return found[-limit:] if newest else found[:limit]

    return answer


def named(given):
    return order_row(f"vx{given['orderId']}", orderId=int(given["orderId"]))


@pytest.fixture
def small_pages(monkeypatch):
    monkeypatch.setattr(adapter_module, "LIMIT", 3)
    ask = paging.rows_since
    monkeypatch.setattr(adapter_module, "rows_since", lambda *given, **named: ask(*given, **named, limit=3))


@pytest.mark.parametrize("days", [20, 70])
@pytest.mark.parametrize("newest", [False, True], ids=["first rows", "last rows"])
@pytest.mark.usefixtures("small_pages")
def test_all_trades_come_oldest_first_whichever_end_a_full_page_shows(script, newest, days):
    rows = [trade_row(n, NOW - timedelta(days=days) + timedelta(hours=9 * n)) for n in range(1, 45)]
    orders = [order_row(f"vx{row['orderId']}", orderId=row["orderId"]) for row in rows]
    script.on("GET userTrades", shelf(rows, newest))
    script.on("GET allOrders", shelf(orders, number="orderId", key="orderId")).on("GET order", named)
    since = NOW - timedelta(days=days) + timedelta(hours=45)
    found = over(script).trades(symbol="BTCUSDT", since=since)
    assert [trade.trade_id for trade in found] == [str(number) for number in range(5, 45)]
    assert [trade.client_order_id for trade in found] == [f"vx{1_000 + number}" for number in range(5, 45)]
    assert script.given("GET order") == [], "many orders are named in pages"


def test_a_few_orders_are_named_one_by_one_and_only_once(script):
    rows = [trade_row(n, NOW - timedelta(minutes=n)) for n in (1, 2)]
    script.on("GET userTrades", rows).on("GET order", named)
    exchange = over(script)
    for _ in range(2):
        found = exchange.trades(symbol="BTCUSDT", since=NOW - timedelta(hours=1))
    assert [trade.client_order_id for trade in found] == ["vx1002", "vx1001"]
    assert script.given("GET order") == [{"symbol": "BTCUSDT", "orderId": str(1_000 + n)} for n in (1, 2)]


def test_an_order_that_the_venue_has_forgotten_leaves_its_trade_without_a_name(script):
    script.on("GET userTrades", [trade_row(1, NOW)]).on("GET order", NO_SUCH_ORDER)
    (trade,) = over(script).trades(symbol="BTCUSDT", since=NOW)
    assert (trade.client_order_id, trade.exchange_id) == ("", "1001")


def test_trades_whose_orders_cannot_be_asked_for_are_not_told(script):
    script.on("GET userTrades", [trade_row(1, NOW)]).on("GET order", page(503))
    with pytest.raises(Unavailable):
        over(script).trades(symbol="BTCUSDT", since=NOW)


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("newest", [False, True], ids=["first rows", "last rows"])
def test_all_income_comes_once_and_oldest_first(script, newest):
    # Two at a moment, of which a full page may show one only; and two kinds that share a number.
    rows = [income_row(n, NOW - timedelta(days=30) + timedelta(hours=20 * (n // 2))) for n in range(60)]
    rows.append(income_row(59, NOW - timedelta(hours=1), incomeType="COMMISSION", tradeId="7"))
    script.on("GET income", shelf(rows, newest))
    since = NOW - timedelta(days=30)
    found = over(script).income(since=since)
    assert [int(line.transaction_id) for line in found] == [*range(60), 59]
    assert found[0].at == since


def test_income_of_all_times_is_asked_for_back_to_the_reach_only(script):
    script.on("GET income", shelf([income_row(1, NOW - timedelta(days=400)), income_row(2, NOW - timedelta(days=80))]))
    found = over(script).income(since=NOW - timedelta(days=20_000))
    assert [line.transaction_id for line in found] == ["2"]
    assert len(script.asked) <= 14


@pytest.mark.usefixtures("small_pages")
def test_more_rows_in_one_moment_than_a_page_holds_are_a_fault_not_a_loss(script):
    rows = [income_row(n, NOW) for n in range(4)]
    script.on("GET income", shelf(rows))
    with pytest.raises(Unavailable, match="one moment"):
        over(script).income(since=NOW - timedelta(days=1))


def test_rows_of_another_time_are_a_fault(script):
    script.on("GET income", [income_row(1, NOW - timedelta(days=30))])
    with pytest.raises(Unavailable, match="another time"):
        over(script).income(since=NOW)
