"""Leverage and modes are what was read back; what cannot be brought about needs a person."""

from decimal import Decimal as D

import httpx2
import pytest

from marketdata.domain.instruments import Bracket
from trading.exchange.base import Refusal, Refused, Unavailable
from trading.tests.aster_kit import (
    Script,
    held_row,
    order_row,
    over,
    page,
    refusal,
    risk_row,
)  # fmt: skip
from vibex.lib.errors import NeedsOperator


@pytest.fixture
def script():
    return Script()


def test_leverage_that_is_so_already_is_not_sent(script):
    script.on("GET positionRisk", risk_row(leverage="5"))
    assert over(script).set_leverage(symbol="BTCUSDT", leverage=5) == 5
    assert script.given("POST leverage") == []


def leverage_script(after, *answers):
    script = Script().on("GET positionRisk", [risk_row(leverage="20")], [risk_row(leverage=after)])
    return script.on("GET openOrders", []).on("POST leverage", *answers)


def test_leverage_is_what_is_read_back(script):
    told = {"symbol": "BTCUSDT", "leverage": 5, "maxNotionalValue": "1000"}
    assert over(leverage_script("4", told)).set_leverage(symbol="BTCUSDT", leverage=5) == 4


def test_a_lost_answer_to_leverage_is_settled_by_reading_back(script):
    assert over(leverage_script("5", httpx2.ReadTimeout("slow"))).set_leverage(symbol="BTCUSDT", leverage=5) == 5
    with pytest.raises(Unavailable):
        over(leverage_script("20", httpx2.ReadTimeout("slow"))).set_leverage(symbol="BTCUSDT", leverage=5)


@pytest.mark.parametrize("code", [-4028, -2030, -4161])
def test_leverage_that_the_venue_refuses_is_refused(script, code):
    with pytest.raises(Refused) as caught:
        over(leverage_script("20", refusal(code))).set_leverage(symbol="BTCUSDT", leverage=5)
    assert caught.value.refusal is Refusal.LEVERAGE


@pytest.mark.parametrize(("held", "orders"), [(held_row(), []), (risk_row(), [order_row(status="NEW")])])
def test_leverage_stands_still_while_something_is_open(script, held, orders):
    script.on("GET positionRisk", [held]).on("GET openOrders", orders)
    with pytest.raises(Refused) as caught:
        over(script).set_leverage(symbol="BTCUSDT", leverage=5)
    assert caught.value.refusal is Refusal.LEVERAGE
    assert script.given("POST leverage") == []


def test_a_stop_alone_does_not_hold_the_leverage(script):
    script = leverage_script("5", {}).on("GET openOrders", [order_row(status="NEW", closePosition=True)])
    assert over(script).set_leverage(symbol="BTCUSDT", leverage=5) == 5


class Settings:
    """How an account at the venue is set; what refuses to change is named."""

    def __init__(self, *, hedge=False, multi=False, margin="isolated", stuck=(), open_orders=(), held="0", lose=False):
        self.hedge, self.multi, self.margin, self.leverage = hedge, multi, margin, "20"
        self.stuck, self.lose = stuck, lose
        sent = {"dual": self._dual, "multi": self._multi, "margin": self._margin, "leverage": self._leverage}
        self.script = Script()
        self.script.on("GET positionSide/dual", lambda given: {"dualSidePosition": self.hedge})
        self.script.on("GET multiAssetsMargin", lambda given: {"multiAssetsMargin": self.multi})
        self.script.on("GET positionRisk", lambda given: [
            risk_row(marginType=self.margin, leverage=self.leverage, positionAmt=held, entryPrice="100")
        ])  # fmt: skip
        self.script.on("GET openOrders", list(open_orders))
        for name, call in zip(sent, ("positionSide/dual", "multiAssetsMargin", "marginType", "leverage"), strict=True):
            self.script.on(f"POST {call}", self._taker(name, sent[name]))

    def _taker(self, name, change):
        def take(given):
            if name in self.stuck:
                return refusal(self.stuck[name]) if isinstance(self.stuck, dict) else {"code": 200, "msg": "success"}
            change(given)
            return httpx2.ReadTimeout("slow") if self.lose else {"code": "200", "msg": "success"}

        return take

    def _dual(self, given):
        self.hedge = given["dualSidePosition"] == "true"

    def _multi(self, given):
        self.multi = given["multiAssetsMargin"] == "true"

    def _margin(self, given):
        self.margin = {"ISOLATED": "isolated", "CROSSED": "cross"}[given["marginType"]]

    def _leverage(self, given):
        self.leverage = given["leverage"]

    @property
    def changes(self):
        return [call for call, _ in self.script.asked if call.startswith("POST")]


@pytest.mark.parametrize("lose", [False, True], ids=["answered", "every answer lost"])
def test_an_account_is_brought_into_its_modes_and_read_back(lose):
    settings = Settings(hedge=True, multi=True, margin="cross", lose=lose)
    over(settings.script).prepare({"BTCUSDT": 5})
    assert (settings.hedge, settings.multi, settings.margin, settings.leverage) == (False, False, "isolated", "5")
    assert len(settings.changes) == 4


def test_an_account_that_is_right_is_not_touched():
    settings = Settings()
    over(settings.script).prepare({"BTCUSDT": 20})
    assert settings.changes == []


@pytest.mark.parametrize("stuck", ["dual", "multi", "margin"])
@pytest.mark.parametrize("code", [None, -4067, -4047, -4168])
def test_a_mode_that_cannot_be_switched_needs_a_person(stuck, code):
    settings = Settings(hedge=True, multi=True, margin="cross", stuck={stuck: code} if code else (stuck,))
    with pytest.raises(NeedsOperator):
        over(settings.script).prepare({"BTCUSDT": 5})


@pytest.mark.parametrize("change", [{"hedge": True}, {"multi": True}, {"margin": "cross"}])
@pytest.mark.parametrize("what", [{"held": "1"}, {"open_orders": [order_row(status="NEW")]}])
def test_nothing_is_switched_while_anything_is_open(change, what):
    settings = Settings(**change, **what)
    with pytest.raises(NeedsOperator):
        over(settings.script).prepare({"BTCUSDT": 20})
    assert settings.changes == []


@pytest.mark.parametrize(("stuck", "code"), [("margin", -4046), ("dual", -4059)])
def test_nothing_to_change_is_a_success_where_reading_back_agrees(stuck, code):
    settings = Settings(hedge=stuck == "dual", margin="cross" if stuck == "margin" else "isolated")

    def already(given):
        settings.hedge, settings.margin = False, "isolated"
        return refusal(code, text="No need to change.")

    settings.script.on("POST positionSide/dual", already).on("POST marginType", already)
    over(settings.script).prepare({"BTCUSDT": 20})


def test_leverage_that_is_read_back_differently_needs_a_person():
    with pytest.raises(NeedsOperator, match="leverage 5"):
        over(Settings(stuck=("leverage",)).script).prepare({"BTCUSDT": 5})


def test_an_instrument_gets_the_accounts_own_fees_and_brackets(script):
    script.on("GET commissionRate", {"symbol": "BTCUSDT", "makerCommissionRate": "0", "takerCommissionRate": 0.00035})
    bracket = {"bracket": 1, "initialLeverage": 75, "notionalCap": 10000, "notionalFloor": 0,
               "maintMarginRatio": 0.0065, "cum": 0.0}  # fmt: skip
    script.on("GET leverageBracket", {"symbol": "BTCUSDT", "brackets": [bracket]})
    spec = over(script).terms("BTCUSDT")
    assert (spec.maker_fee, spec.taker_fee, spec.max_leverage) == (D(0), D("0.00035"), 75)
    assert spec.brackets == (Bracket(D(0), D(10000), 75, D("0.0065"), D(0)),)
    assert spec.tick_size == D("0.1")


TABLE = {"symbol": "BTCUSDT", "brackets": [{"initialLeverage": 75, "notionalCap": 10000, "notionalFloor": 0,
         "maintMarginRatio": 0.0065, "cum": 0.0}]}  # fmt: skip


@pytest.mark.parametrize(
    "missing", [page(404), page(200), httpx2.Response(404, json={"error": "Not Found"}), refusal(-5000, 404)]
)
def test_brackets_are_asked_for_by_either_name_and_the_one_that_answers_is_remembered(script, missing):
    script.on("GET commissionRate", {"symbol": "BTCUSDT", "makerCommissionRate": "0", "takerCommissionRate": "0"})
    script.on("GET leverageBracket", missing).on("GET leverageBrackets", [TABLE])
    exchange = over(script)
    for _ in range(2):
        assert exchange.terms("BTCUSDT").max_leverage == 75
    names = [call for call, _ in script.asked if "leverage" in call]
    assert names == ["GET leverageBracket", "GET leverageBrackets", "GET leverageBrackets"]
    script.on("GET leverageBrackets", missing).on("GET leverageBracket", TABLE)
    assert exchange.terms("BTCUSDT").max_leverage == 75


def test_brackets_that_nobody_has_are_not_made_up(script):
    script.on("GET commissionRate", {"symbol": "BTCUSDT", "makerCommissionRate": "0", "takerCommissionRate": "0"})
    script.on("GET leverageBracket", page(404)).on("GET leverageBrackets", page(404))
    with pytest.raises(Unavailable):
        over(script).terms("BTCUSDT")


@pytest.mark.parametrize("answer", [refusal(-1121), page(503), httpx2.ReadTimeout("slow")])
def test_a_no_and_an_outage_are_not_taken_for_another_name(script, answer):
    script.on("GET commissionRate", {"symbol": "BTCUSDT", "makerCommissionRate": "0", "takerCommissionRate": "0"})
    script.on("GET leverageBracket", answer)
    with pytest.raises((Unavailable, Refused)):
        over(script).terms("BTCUSDT")
    assert [call for call, _ in script.asked if "leverage" in call] == ["GET leverageBracket"]
