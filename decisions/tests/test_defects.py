"""The nine known defects of Alpha Arena's prompt, each looked for in both layouts (research: llm.md 2.3)."""

import re
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest

from decisions.domain.layouts import COMPACT, LAYOUTS
from decisions.domain.prompt import build_prompt
from decisions.domain.proposal import Side
from decisions.domain.question import Asking
from decisions.services import SEEDS
from decisions.tests.builders import AT, BTC, ETH, UPTREND, position, question, timeframe, view

SEED = (SEEDS / "arena.txt").read_text(encoding="utf-8")
pytestmark = pytest.mark.parametrize("layout", LAYOUTS)


def prompt_of(asked, layout):
    return build_prompt(replace(asked, bot=replace(asked.bot, asking=Asking(layout=layout))), SEED)


def distinct():
    """A symbol on which no two numbers are alike."""
    frames = {}
    for place, interval in enumerate(("1h", "4h")):
        frame = timeframe("ETHUSDT", interval, UPTREND)
        frame.candles.close[:] = 4300 + place * 50 + np.arange(30) * 0.7
        frame.candles.volume[:] = 7000 + place * 100 + np.arange(30)
        for step, name in enumerate(sorted(frame.indicators)):
            frame.indicators[name][:] = 5000 + place * 1000 + step * 70 + np.arange(30) * 1.3
        frames[interval] = frame
    return replace(view(ETH), timeframes=frames)


def test_1_the_newest_value_of_a_series_stands_in_it_alone(layout):
    given = distinct()
    text = prompt_of(question(given), layout).user
    for name in ("ema20", "macd", "rsi7"):
        newest = given.timeframes["1h"].indicators[name][-1]
        assert len(re.findall(rf"\b{newest:.0f}(?:\.\d+)?\b", text)) <= 1, name
    assert "current_" not in text


def test_2_every_section_of_series_names_its_timeframe(layout):
    headings = re.findall(r"^### (.*)$", prompt_of(question(), layout).user, re.MULTILINE)
    assert headings
    assert all(re.search(r"\b(1h|4h) candles$", one) or one == "Quotes" for one in headings)


def test_3_volume_is_that_of_a_closed_candle_beside_the_average_of_closed_ones(layout):
    given = distinct()
    frame = given.timeframes["4h"]
    text = prompt_of(question(given), layout).user
    last, average = frame.candles.volume[-1], frame.indicators["volume_average"][-1]
    between = " vs. average of 20: " if layout == "arena" else " "
    assert f"{last:.0f}{between}{average:.0f}" in text
    assert layout != "compact" or "the volume of the last closed candle, its average of 20" in COMPACT.legend


def test_4_a_coin_of_cents_keeps_its_digits(layout):
    doge = replace(ETH, symbol="BTCUSDT", base="DOGE", tick_size=Decimal("0.00001"))
    frame = timeframe("DOGE", "1h", {})
    frame.candles.close[:] = 0.199 + np.arange(30) * 0.00003
    frame.indicators["macd"][:] = -0.00004 + np.arange(30) * 0.000002
    quote = replace(view(doge).quote, last=Decimal("0.2"), bid=Decimal("0.19999"), ask=Decimal("0.20001"))
    text = prompt_of(question(replace(view(doge), quote=quote, timeframes={"1h": frame, "4h": frame})), layout).user
    for label in (r"Closes \(USDT\): \[", r"MACD \(USDT\): \[") if layout == "arena" else ("c ", "m "):
        shown = re.findall(rf"^{label}(.*?)\]?$", text, re.MULTILINE)[-1]
        assert len({float(value) for value in re.split(r",? ", shown)}) == 10, label


def test_5_funding_has_unit_period_and_the_time_to_the_next(layout):
    prompt = prompt_of(question(), layout)
    if layout == "arena":
        assert "Funding rate: 0.00125 % per 8 h, next settlement in 4 h 00 min" in prompt.user
    else:
        assert re.search(r"^BTCUSDT .* 0\.125 4h00m ", prompt.user, re.MULTILINE)
        assert "funding rate in bp per settlement, time to the next settlement" in prompt.system
        assert re.search(r"^BTCUSDT BTC .* 8$", prompt.system, re.MULTILINE)


def test_6_protection_is_what_rests_on_the_exchange_whatever_was_planned(layout):
    unprotected = position(stop=None, target=None, plan="stop at 4070, target 4310")
    text = prompt_of(question(positions=(unprotected,)), layout).user
    line = next(one for one in text.splitlines() if one.lstrip("- ").startswith("ETHUSDT") and "long" in one)
    bare = line.partition('"')[0]
    assert "4070" not in bare
    assert "stop on the exchange none, target on the exchange none" in bare if layout == "arena" else " - - " in bare


def test_7_a_short_has_a_positive_quantity_and_its_side(layout):
    text = prompt_of(question(positions=(position(side=Side.SHORT),)), layout).user
    assert "side short, quantity 1.5," in text if layout == "arena" else "ETHUSDT short 1.5 3 " in text
    assert "-1.5" not in text


def test_8_fees_spread_and_the_time_to_the_next_decision_are_stated(layout):
    prompt = prompt_of(question(view(BTC)), layout)
    assert "0.040 % taker" in prompt.system if layout == "arena" else "taker_fee_bp maker_fee_bp" in prompt.system
    assert "spread: 0.02 bp" in prompt.user if layout == "arena" else " 112000 0.02 " in prompt.user
    assert "The next decision is in 1 h 00 min." in prompt.user


def test_9_what_is_constant_comes_first_and_the_time_last(layout):
    now = question()
    later = replace(now, invocation=99, snapshot=replace(now.snapshot, at=AT + timedelta(minutes=3)))
    first, second = prompt_of(now, layout), prompt_of(later, layout)
    assert first.system == second.system
    assert "2025-10-10" not in first.system
    assert first.user.index("It is 2025-10-10") > first.user.index("## WHAT BECAME OF YOUR LAST DECISIONS")
    assert first.user.splitlines()[-2].startswith("It is ")
