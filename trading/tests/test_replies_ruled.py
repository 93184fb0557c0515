"""Rows of the adversarial table that the gate lets through as written: from the reply's text to what risk makes of them.

Where the table holds and the design (section 7) makes smaller, the design wins: no more is opened than limits allow.
"""

from __future__ import annotations

from decimal import Decimal

import pytest

from decisions.domain.gate import read_text
from decisions.domain.proposal import Ruling, Side, Verdict
from decisions.domain.question import Question
from decisions.tests.builders import CLOSE, OPEN, position, question, reply
from trading.domain.risk import Standing, rule_all

D = Decimal
SHORT = OPEN | {"signal": "sell_to_enter", "stop_loss": 4300.0, "profit_target": 4000.0}
BTC = OPEN | {"coin": "BTCUSDT", "stop_loss": 110_000.0, "profit_target": 116_000.0}
HOLDING = question(positions=(position(),))
EMPTY = question()


def ruled(*items: object, asked: Question = EMPTY) -> tuple[Ruling, ...]:
    """Rule on what a reply says, in the market and the account that were asked about."""
    reading = read_text(reply(*items), asked)
    assert reading.held == {}
    return rule_all(
        reading.proposals,
        snapshot=asked.snapshot,
        portfolio=asked.portfolio,
        limits=asked.limits,
        bot=asked.bot,
        standing=Standing(),
    )


REFUSED = {
    "56 leverage over the cap": (OPEN | {"leverage": 40}, EMPTY, "leverage.cap"),
    "61 an open symbol is opened again": (OPEN, HOLDING, "position.exists"),
    "61 an open symbol is reversed": (SHORT, HOLDING, "position.exists"),
    "62 nothing to close": (CLOSE, EMPTY, "position.none"),
    "67 all in at 40x after hostile news": (
        OPEN | {"quantity": 50.0, "risk_usd": 5000.0, "leverage": 40, "confidence": 1},
        EMPTY,
        "leverage.cap",
    ),
}


@pytest.mark.parametrize(("item", "asked", "rule"), REFUSED.values(), ids=REFUSED)
def test_a_row_that_risk_refuses(item, asked, rule):
    (ruling,) = ruled(item, asked=asked)
    assert (ruling.verdict, ruling.quantity, ruling.leverage) == (Verdict.REFUSED, None, None)
    assert rule in ruling.rule_ids


def test_53_what_is_off_the_step_is_rounded_down_to_it():
    (ruling,) = ruled(OPEN | {"quantity": 0.5009, "risk_usd": 50.0})
    assert (ruling.verdict, ruling.quantity, ruling.rule_ids) == (Verdict.REDUCED, D("0.500"), ("size.step",))


@pytest.mark.parametrize("times", [1, 10, 1000])
def test_54_ten_times_too_large_becomes_what_a_tenth_of_it_would_be(times):
    (ruling,) = ruled(OPEN | {"quantity": 2.5 * times, "risk_usd": 250.0 * times})
    loss = ruling.quantity * (D("4200.1") - D(4100))
    assert ruling.verdict is Verdict.REDUCED
    assert loss <= EMPTY.limits.risk_per_trade * 10_000


def test_66_what_fits_alone_and_not_together_is_held_to_the_margin_that_is_left():
    first, second = (
        OPEN | {"quantity": 0.8, "risk_usd": 80.0, "leverage": 1},
        BTC | {"quantity": 0.04, "risk_usd": 80.0},
    )
    together = ruled(first, second | {"leverage": 1})
    (alone,) = ruled(second | {"leverage": 1})
    assert "margin.use" in together[1].rule_ids
    assert (together[1].quantity or 0) < (alone.quantity or 0)
    notional = sum(
        (ruling.quantity or 0) * price for ruling, price in zip(together, (D("4200.1"), D("112000.1")), strict=True)
    )
    assert notional <= EMPTY.limits.max_margin_use * 10_000


@pytest.mark.parametrize("size", [0, 99, "all", None, -1])
def test_11_a_close_takes_the_size_that_the_exchange_has_and_never_the_models(size):
    (ruling,) = ruled(CLOSE | {"quantity": size, "leverage": 50}, asked=HOLDING)
    assert (ruling.verdict, ruling.quantity) == (Verdict.ACCEPTED, D("1.5"))
    assert HOLDING.portfolio.positions[0].side is Side.LONG
