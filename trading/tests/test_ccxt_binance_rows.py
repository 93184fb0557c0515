"""Binance's rows, codes and services without ccxt: what it says, in the words of the port, and what is never guessed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal as D
from typing import Any

import pytest

from accounts.domain.credentials import ApiKeys, WalletKeys
from decisions.domain.proposal import Side
from marketdata.venues.public import VenueDown, VenueRefused
from trading.domain.venue import IncomeKind, OrderType, VenueStatus
from trading.exchange.aster_codes import Call
from trading.exchange.base import Ambiguous, Held, Refusal, Refused, Unavailable
from trading.exchange.through_ccxt import ccxt_exchange
from trading.exchange.through_ccxt.adapter import CcxtExchange
from trading.exchange.through_ccxt.binance.codes import meaning
from trading.exchange.through_ccxt.binance.dialect import Binance, conditional_form
from trading.exchange.through_ccxt.binance.payloads import (
    conditional_of,
    holdings_of,
    income_of,
    modes_of,
    open_orders,
    order_of,
)
from trading.tests.aster_kit import specs
from trading.tests.matching_kit import order, stop
from vibex.lib.clock import SimulatedClock, to_ms
from vibex.lib.errors import NeedsOperator, Rejected

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def plain(**more: Any) -> dict[str, Any]:
    """An order of the order service."""
    row = {
        "orderId": 405, "clientOrderId": "vx1", "symbol": "BTCUSDT", "status": "FILLED", "side": "SELL",
        "type": "MARKET", "origType": "MARKET", "timeInForce": "GTC", "price": "0", "avgPrice": "94.00000",
        "origQty": "10", "executedQty": "10", "cumQuote": "940", "stopPrice": "0", "reduceOnly": True,
        "closePosition": False, "time": to_ms(NOW), "updateTime": to_ms(NOW),
    }  # fmt: skip
    return row | more


def waiting(**more: Any) -> dict[str, Any]:
    """A conditional order as the documents show it."""
    row = {
        "algoId": 2146760, "clientAlgoId": "stop", "algoType": "CONDITIONAL", "orderType": "STOP_MARKET",
        "symbol": "BTCUSDT", "side": "SELL", "positionSide": "BOTH", "timeInForce": "GTC", "quantity": None,
        "algoStatus": "NEW", "actualOrderId": "", "actualPrice": "0.00000", "triggerPrice": "95.000", "price": "0",
        "workingType": "MARK_PRICE", "closePosition": True, "priceProtect": False, "reduceOnly": False,
        "createTime": to_ms(NOW) - 1000, "updateTime": to_ms(NOW), "triggerTime": 0,
    }  # fmt: skip
    return row | more


def risk(**more: Any) -> dict[str, Any]:
    """A position as positionRisk of the third version shows it: how the symbol is set is not in it."""
    row = {
        "symbol": "BTCUSDT", "positionSide": "BOTH", "positionAmt": "-0.5", "entryPrice": "100.0",
        "markPrice": "98.00000000", "unRealizedProfit": "1.00000000", "liquidationPrice": "120",
        "isolatedMargin": "11.00000000", "isolatedWallet": "10.00000000", "marginAsset": "USDT", "updateTime": 1,
    }  # fmt: skip
    return row | more


def setting(**more: Any) -> dict[str, Any]:
    return {"symbol": "BTCUSDT", "marginType": "ISOLATED", "isAutoAddMargin": "false", "leverage": 5} | more


class Told:
    """Calls to a venue that answers each with what was prepared for it."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def ask(self, name: str, params: Any = None) -> Any:
        return self._answer(name, params)

    def send(self, method: str, name: str, params: Any, *, closing: bool = False) -> Any:
        return self._answer(f"{method}_{name}", params)

    def _answer(self, name: str, params: Any) -> Any:
        self.asked.append((name, dict(params or {})))
        answer = self.answers[name]
        if isinstance(answer, Callable):  # type: ignore[arg-type]
            answer = answer(params)
        if isinstance(answer, Exception):
            raise answer
        return answer


def over(told: Told) -> CcxtExchange:
    clock = SimulatedClock(NOW)
    return CcxtExchange(Binance(told, clock), specs=specs, clock=clock)  # type: ignore[arg-type]


def refused(code: str) -> VenueRefused:
    return VenueRefused("no", code=code)


NONE = refused("-2013")


# Rows


def test_a_waiting_stop_is_an_order_under_our_id():
    report = conditional_of(waiting())
    assert (report.client_order_id, report.exchange_id, report.type) == ("stop", "2146760", OrderType.STOP_MARKET)
    assert (report.status, report.trigger, report.close_position) == (VenueStatus.NEW, D("95.000"), True)
    assert (report.quantity, report.filled, report.price) == (0, 0, None)


def test_what_a_stop_became_tells_status_and_fills():
    report = conditional_of(waiting(algoStatus="FINISHED", actualOrderId="405"), order_of(plain()))
    assert (report.client_order_id, report.type, report.status) == ("stop", OrderType.STOP_MARKET, VenueStatus.FILLED)
    assert (report.quantity, report.filled, report.average_price) == (D(10), D(10), D(94))


@pytest.mark.parametrize("told", ["TRIGGERED", "FINISHED", "SOMETHING_NEW"])
def test_a_stop_that_fired_and_whose_order_is_not_known_is_never_waiting_nor_gone(told):
    with pytest.raises(VenueDown, match="Binance sent a algo order"):
        conditional_of(waiting(algoStatus=told))


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ("TRIGGERING", VenueStatus.NEW),
        ("CANCELED", VenueStatus.CANCELED),
        ("EXPIRED", VenueStatus.EXPIRED),
        ("REJECTED", VenueStatus.REJECTED),
    ],
)
def test_the_other_ends_of_a_stop(told, status):
    assert conditional_of(waiting(algoStatus=told)).status is status


def test_an_order_that_met_its_own_account_has_expired():
    assert order_of(plain(status="EXPIRED_IN_MATCH", executedQty="0")).status is VenueStatus.EXPIRED


@pytest.mark.parametrize(
    "broken", [{"orderId": None}, {"clientOrderId": ""}, {"status": "NONSENSE"}, {"side": None}, {"executedQty": "x"}]
)
def test_an_order_that_cannot_be_read_makes_the_answer_unusable(broken):
    with pytest.raises(VenueDown, match="Binance sent"):
        order_of(plain(**broken))


def test_open_orders_of_both_services_are_one_list_without_the_order_that_a_stop_became():
    fired = waiting(algoStatus="TRIGGERED", actualOrderId=405)
    child = plain(status="PARTIALLY_FILLED", executedQty="4", clientOrderId="theirs")
    reports = open_orders([waiting(clientAlgoId="other"), fired], [child, plain(orderId=9, clientOrderId="rests")])
    assert [(one.client_order_id, one.filled) for one in reports] == [("other", 0), ("stop", 4), ("rests", 10)]


def test_a_stop_that_ended_between_the_two_questions_still_stands():
    (report,) = open_orders([waiting(algoStatus="FINISHED", actualOrderId="405")], [])
    assert report.status is VenueStatus.NEW


def test_trap_8_the_side_of_a_position_comes_from_its_amount_and_its_settings_from_their_own_list():
    (holding,) = holdings_of([risk()], [setting()])
    assert (holding.position.side, holding.position.quantity) == (Side.SHORT, D("0.5"))
    assert (holding.leverage, holding.isolated, holding.position.margin) == (5, True, D(10))
    (crossed,) = holdings_of([risk(isolatedWallet="0")], [setting(marginType="CROSSED", leverage="4")])
    assert (crossed.isolated, crossed.position.margin) == (False, D("12.25"))


def test_a_position_whose_settings_are_not_told_makes_the_answer_unusable():
    with pytest.raises(VenueDown, match="symbolConfig of 'BTCUSDT'"):
        holdings_of([risk()], [setting(symbol="ETHUSDT")])
    with pytest.raises(VenueDown, match="marginType"):
        holdings_of([risk()], [setting(marginType="SOMETHING")])


@pytest.mark.parametrize(
    ("told", "kind", "number"),
    [
        ("COMMISSION", IncomeKind.COMMISSION, "7"),
        ("STRATEGY_UMFUTURES_TRANSFER", IncomeKind.TRANSFER, "STRATEGY_UMFUTURES_TRANSFER:7"),
        ("COIN_SWAP_DEPOSIT", IncomeKind.TRANSFER, "COIN_SWAP_DEPOSIT:7"),
        ("REFERRAL_KICKBACK", IncomeKind.OTHER, "REFERRAL_KICKBACK:7"),
    ],
)
def test_money_that_comes_and_goes_is_never_profit(told, kind, number):
    row = {"symbol": "", "incomeType": told, "income": "-1", "asset": "USDT", "time": 1, "tranId": 7, "tradeId": ""}
    line = income_of(row)
    assert (line.kind, line.transaction_id) == (kind, number)


def test_modes_that_are_not_told_are_not_taken_for_off():
    with pytest.raises(VenueDown):
        modes_of({"dualSidePosition": False, "canTrade": True})


def test_the_form_of_a_conditional_order_has_the_names_of_its_service():
    assert conditional_form({"symbol": "BTCUSDT", "stopPrice": "95", "newClientOrderId": "vx1"}) == {
        "algoType": "CONDITIONAL", "symbol": "BTCUSDT", "triggerPrice": "95", "clientAlgoId": "vx1",
    }  # fmt: skip


# Codes


@pytest.mark.parametrize(
    ("code", "call", "kind", "refusal"),
    [
        ("-2021", Call.PROTECTIVE, Refused, Refusal.WOULD_TRIGGER),
        ("-2022", Call.CLOSE, Refused, Refusal.REDUCE_ONLY),
        ("-2019", Call.ENTRY, Refused, Refusal.MARGIN),
        ("-4164", Call.ENTRY, Refused, Refusal.FILTER),
        ("-4116", Call.ENTRY, Refused, Refusal.DUPLICATE_ID),
        ("-20132", Call.PROTECTIVE, Refused, Refusal.DUPLICATE_ID),
        ("-4117", Call.CANCEL, Refused, Refusal.UNKNOWN_ORDER),
        ("-4120", Call.PROTECTIVE, Refused, Refusal.OTHER),
        ("-4209", Call.LEVERAGE, Refused, Refusal.LEVERAGE),
        ("-4192", Call.ENTRY, Held, Refusal.OTHER),
        ("-4400", Call.ENTRY, Held, Refusal.OTHER),
        ("-2015", Call.ENTRY, Held, Refusal.OTHER),
        ("-99999", Call.ENTRY, Held, Refusal.OTHER),
    ],
)
def test_a_refusal_of_binance_in_the_words_of_the_port(code, call, kind, refusal):
    error = meaning(refused(code), call)
    assert type(error) is kind
    assert error.refusal is refusal


@pytest.mark.parametrize("code", ["-1000", "-1006", "-1007", "-1008", "451"])
def test_what_broke_inside_is_ambiguous_for_a_change(code):
    assert type(meaning(refused(code), Call.ENTRY)) is Ambiguous


@pytest.mark.parametrize("code", ["-1021", "-5028"])
def test_a_wrong_clock_is_certainly_not_done(code):
    assert type(meaning(refused(code), Call.ENTRY)) is Unavailable


@pytest.mark.parametrize("code", ["-2015", "-4192", "451"])
def test_a_question_that_only_a_person_can_help_with(code):
    assert type(meaning(refused(code), Call.READ)) is NeedsOperator


def test_a_mode_that_is_so_already_is_well():
    assert meaning(refused("-4171"), Call.POSITION_MODE) is None


# Both services


def test_no_such_order_is_the_word_of_both():
    assert over(Told(order=NONE, algoOrder=NONE)).order(symbol="BTCUSDT", client_order_id="vx1") is None


@pytest.mark.parametrize("fault", [VenueDown("no answer"), refused("-1007"), refused("-99999")])
@pytest.mark.parametrize("silent", ["order", "algoOrder"])
def test_one_service_that_does_not_say_is_no_none(silent, fault):
    told = Told(**{"order": NONE, "algoOrder": NONE, silent: fault})
    with pytest.raises(Unavailable):
        over(told).order(symbol="BTCUSDT", client_order_id="vx1")


@pytest.mark.parametrize("answer", [[], {}, None, "", [plain(), plain()], {"orderId": None}])
def test_trap_12_an_answer_without_an_order_is_no_order_and_no_none(answer):
    with pytest.raises(Unavailable):
        over(Told(order=answer, algoOrder=NONE)).order(symbol="BTCUSDT", client_order_id="vx1")
    with pytest.raises(Ambiguous):
        over(Told(POST_order=answer)).place(order("BUY", quantity="1", id="vx1"))
    with pytest.raises(Ambiguous):
        over(Told(POST_algoOrder=answer)).place(stop("SELL", "95", id="vx1"))


def test_an_answer_about_another_order_is_ambiguous():
    with pytest.raises(Ambiguous, match="another order"):
        over(Told(POST_order=plain(clientOrderId="other"))).place(order("BUY", quantity="1", id="vx1"))
    cancelled = {"algoId": 1, "clientAlgoId": "other", "code": "200", "msg": "success"}
    told = Told(DELETE_order=refused("-2011"), DELETE_algoOrder=cancelled)
    with pytest.raises(Ambiguous, match="another order"):
        over(told).cancel(symbol="BTCUSDT", client_order_id="vx1")


def test_a_fault_of_our_own_after_an_order_has_left_is_ambiguous():
    def surprise(_params: Any) -> Any:
        raise ZeroDivisionError

    with pytest.raises(Ambiguous):
        over(Told(POST_order=surprise)).place(order("BUY", quantity="1", id="vx1"))


def test_an_order_that_stands_already_is_the_one_that_was_meant_or_a_duplicate():
    there = waiting(clientAlgoId="vx1", triggerPrice="95")
    told = Told(POST_algoOrder=refused("-4116"), algoOrder=there, order=NONE)
    assert over(told).place(stop("SELL", "95", id="vx1")).status is VenueStatus.NEW
    with pytest.raises(Refused) as other:
        over(told).place(stop("SELL", "96", id="vx1"))
    assert other.value.refusal is Refusal.DUPLICATE_ID
    told.answers["order"] = VenueDown("no answer")
    with pytest.raises(Ambiguous):
        over(told).place(stop("SELL", "95", id="vx1"))


def test_a_stop_that_the_venue_still_shows_after_it_cancelled_it_is_cancelled():
    cancelled = {"algoId": 2146760, "clientAlgoId": "stop", "code": "200", "msg": "success"}
    told = Told(DELETE_order=refused("-2011"), DELETE_algoOrder=cancelled, algoOrder=waiting())
    assert over(told).cancel(symbol="BTCUSDT", client_order_id="stop").status is VenueStatus.CANCELED


def test_fills_of_a_stop_that_is_firing_are_not_given_to_anybody():
    trade = {
        "id": 1, "orderId": 405, "symbol": "BTCUSDT", "side": "SELL", "price": "94", "qty": "10", "realizedPnl": "-60",
        "commission": "0.376", "commissionAsset": "USDT", "time": to_ms(NOW) - 500, "maker": False,
    }  # fmt: skip
    told = Told(
        userTrades=[trade], allAlgoOrders=[waiting(algoStatus="TRIGGERED")], order=plain(clientOrderId="theirs")
    )
    exchange = over(told)
    with pytest.raises(Unavailable, match="is firing"):
        exchange.trades(symbol="BTCUSDT", since=NOW.replace(hour=11))
    told.answers["allAlgoOrders"] = [waiting(algoStatus="FINISHED", actualOrderId="405")]
    assert [one.client_order_id for one in exchange.trades(symbol="BTCUSDT", since=NOW.replace(hour=11))] == ["stop"]


def test_an_account_in_hedge_mode_that_holds_something_is_for_a_person():
    told = Told(
        openAlgoOrders=[], openOrders=[], positionRisk=[risk(positionSide="SHORT")], symbolConfig=[setting()],
        balance=[{"asset": "USDT", "balance": "10", "availableBalance": "0", "crossUnPnl": "0"}],
    )  # fmt: skip
    with pytest.raises(NeedsOperator, match="hedge mode"):
        over(told).account()


def test_profit_in_another_asset_is_in_no_sum():
    told = Told(
        openAlgoOrders=[], openOrders=[], positionRisk=[risk(), risk(symbol="BTCUSDC", marginAsset="USDC")],
        symbolConfig=[setting(), setting(symbol="BTCUSDC")],
        balance=[{"asset": "USDT", "balance": "10", "availableBalance": "0", "crossUnPnl": "0"}],
    )  # fmt: skip
    account = over(told).account()
    assert (len(account.positions), account.unrealised) == (2, D(1))


# Making it


@pytest.mark.skipif("ccxt" in sys.modules, reason="ccxt is installed")
def test_without_the_extra_the_remedy_is_told():
    with pytest.raises(Rejected, match="uv sync --extra ccxt") as rejected:
        made("binance_usdm", "mainnet", ApiKeys("k", "s"))
    assert rejected.value.code == "extra"


@pytest.mark.parametrize(
    ("venue", "network", "keys", "kind"),
    [
        ("binance_usdm", "mainnet", WalletKeys("0x1", "0x2"), NeedsOperator),
        ("hyperliquid", "mainnet", ApiKeys("k", "s"), NeedsOperator),
        ("kraken", "mainnet", ApiKeys("k", "s"), Rejected),
        ("binance_usdm", "moon", ApiKeys("k", "s"), Rejected),
    ],
)
def test_a_venue_a_network_or_keys_that_are_none_are_told(venue, network, keys, kind):
    with pytest.raises(kind):
        made(venue, network, keys)


def made(venue: str, network: str, keys: Any) -> Any:
    return ccxt_exchange(venue, network, keys, specs=specs, clock=SimulatedClock(NOW))
