"""Margin, maintenance and liquidation price against hand arithmetic and a recorded live account.

The cases stand in `data/margin_cases.json`, each with its working; no figure there was made by this code.
"""

import json
from dataclasses import replace
from decimal import Decimal as D
from pathlib import Path

import pytest

from marketdata.domain.instruments import Bracket
from trading.domain.matching import Engine, EngineSettings, EngineState, MarginMode, PositionRecord, Prices
from trading.domain.matching.margin import maintenance_margin
from trading.tests.matching_kit import SPECS, START

CASES = json.loads((Path(__file__).parent / "data" / "margin_cases.json").read_text())


def specs(case):
    if "maintenance_rate" not in case:
        return SPECS
    flat = (Bracket(D(0), D("1e12"), 100, D(case["maintenance_rate"]), D(0)),)
    return {symbol: replace(spec, brackets=flat) for symbol, spec in SPECS.items()}


def engine_of(case):
    positions = tuple(
        PositionRecord(p["symbol"], D(p["quantity"]), D(p["cost"]), D(p["margin"]), p["leverage"], START)
        for p in case["positions"]
    )
    prices = {p["symbol"]: Prices(D(p["mark"]), D(p["mark"])) for p in case["positions"]}
    state = EngineState(wallet=D(case["wallet"]), positions=positions, prices=prices)
    return Engine(instruments=specs(case), settings=EngineSettings(margin_mode=MarginMode(case["mode"])), state=state)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_the_engine_agrees_with_the_hand_calculation(case):
    account = engine_of(case).account_state(START)
    position, expect = account.positions[0], case["expect"]
    liquidation = position.liquidation_price
    notional = position.quantity * position.mark_price
    assert {
        "notional": notional,
        "margin": account.margin,
        "maintenance": maintenance_margin(specs(case)[position.symbol], notional),
        "unrealised": account.unrealised,
        "equity": account.equity,
        "available": account.available,
        "liquidation": None if liquidation is None else round(liquidation, 4),
    } == {name: None if value is None else D(value) for name, value in expect.items()}


def test_the_case_of_the_live_account_is_what_was_recorded(shared_data):
    recorded = json.loads((shared_data / "exchange/aster/live/account_2025-12.json").read_text())
    sol = next(p for p in recorded["positions"] if p["symbol"] == "SOLUSDT" and D(p["positionAmt"]))
    case = CASES[0]
    assert D(sol["positionAmt"]) * D(sol["entryPrice"]) == D(case["positions"][0]["cost"])
    assert {
        "notional": D(sol["notional"]),
        "margin": D(sol["initialMargin"]),
        "maintenance": D(sol["maintMargin"]),
        "unrealised": D(sol["unrealizedProfit"]),
        "equity": D(recorded["totalMarginBalance"]),
        "available": D(recorded["availableBalance"]),
    } == {name: D(value) for name, value in case["expect"].items() if name != "liquidation"}


def test_the_liquidation_price_is_where_margin_and_loss_meet_the_maintenance_margin():
    for case in CASES:
        if case["mode"] == "isolated" and case["expect"]["liquidation"]:
            held = engine_of(case)
            (first, *_) = held.account_state(START).positions
            price = first.liquidation_price
            signed = first.quantity * first.side.sign
            left = first.margin + signed * (price - first.entry_price)
            needed = maintenance_margin(SPECS[first.symbol], first.quantity * price)
            assert left == pytest.approx(needed, rel=D("1e-6"))
