"""Fees, profit, funding, liquidation and insurance against hand arithmetic: what is booked, in its order and amount.

The cases stand in `data/money_cases.json`, each with its working; no figure there was made by this code. Fees are
0.01 % as maker and 0.04 % as taker, maintenance is 0.5 %, a liquidation costs 2 % unless a case says otherwise.
"""

import json
from dataclasses import replace
from decimal import Decimal as D
from pathlib import Path

import pytest

from marketdata.domain.instruments import Bracket
from trading.domain.matching import Depth, Engine, EngineSettings, MarginMode
from trading.tests.matching_kit import SPECS, START, order, quote, stop

CASES = json.loads((Path(__file__).parent / "data" / "money_cases.json").read_text())
FLAT = (Bracket(D(0), D("1e12"), 100, D("0.005"), D(0)),)


def engine_of(case):
    specs = {
        symbol: replace(
            spec, maker_fee=D("0.0001"), taker_fee=D("0.0004"), brackets=FLAT,
            liquidation_fee=D(case.get("liquidation_fee", "0.02")),
        )
        for symbol, spec in SPECS.items()
    }  # fmt: skip
    settings = EngineSettings(
        margin_mode=MarginMode(case["mode"]), spread=D(0), stop_slippage_range=D(0), margin_buffer=D(0),
        default_leverage=case["leverage"],
    )  # fmt: skip
    made = Engine(instruments=specs, settings=settings)
    made.deposit(D(case["deposit"]), START)
    return made


def act(made, kind, symbol, *given):
    match kind:
        case "quote":
            made.on_quote(quote(given[0], symbol=symbol))
        case "market":
            made.place(order(given[0], "MARKET", given[1], symbol=symbol), at=START)
        case "limit":
            made.place(order(given[0], "LIMIT", given[1], price=given[2], symbol=symbol), at=START)
        case "stop":
            made.place(stop(given[0], given[1], symbol=symbol), at=START)
        case "funding":
            made.on_funding(symbol, D(given[0]), D(given[1]), START)
        case "asks":
            made.set_depth(symbol, Depth.of(asks=[(D(price), D(size)) for price, size in given[0]]), at=START)
        case "adl":
            made.take_over(symbol, at=START, deleveraged=True)
        case _:
            raise AssertionError(kind)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_what_is_booked_is_what_was_counted_by_hand(case):
    made = engine_of(case)
    for step in case["steps"]:
        act(made, *step)
    booked = [[one.kind.value, one.amount] for one in made.drain().income]
    assert booked == [[kind, D(amount)] for kind, amount in case["income"]]
    assert made.account_state(START).wallet == D(case["wallet"]) == sum(D(amount) for _, amount in case["income"])
    assert {one.symbol: one.cost for one in made.state().positions} == {
        symbol: D(cost) for symbol, cost in case.get("costs", {}).items()
    }
