"""Then and now, side by side: what counts as a difference, and how it is told."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from accounts.domain.limits import DEFAULTS
from decisions.domain.proposal import Action, Proposal, RuleHit, Ruling, Verdict
from trading.domain.replayed import Spoken, Told, agreements, changes_of, compared, limits_changed, told_of

BUY = Told("buy_to_enter", "accepted", Decimal("0.020"), 2, Decimal(98), Decimal(105), Decimal(2), 0.7, Decimal("0.02"))
HOLD = Told("hold", "accepted")


def said(*changes) -> list[str]:
    return [str(change) for change in changes]


def test_numbers_that_are_written_otherwise_are_the_same():
    assert changes_of(BUY, replace(BUY, quantity=Decimal("0.02"), allowed=Decimal("0.0200000000"))) == ()


def test_every_field_of_one_wish_is_compared():
    now = replace(BUY, verdict="reduced", allowed=Decimal("0.01"), stop_loss=Decimal(97), leverage=3)
    assert said(*changes_of(BUY, now)) == [
        "leverage: 2 → 3",
        "stop_loss: 98 → 97",
        "verdict: accepted → reduced",
        "allowed: 0.02 → 0.01",
    ]


def test_of_another_wish_its_numbers_are_not_told():
    assert said(*changes_of(BUY, HOLD)) == ["action: buy_to_enter → hold"]


def test_a_rule_that_speaks_compares_otherwise_or_falls_silent_is_told_with_its_numbers():
    old = replace(BUY, hits=(Spoken("size.risk", "reduced", "", {"allowed": "1"}), Spoken("size.step", "reduced", "")))
    new = replace(BUY, hits=(Spoken("size.risk", "reduced", "in other words", {"allowed": "2"}),))
    assert said(*changes_of(old, new)) == [
        "size.risk: reduced (allowed 1) → reduced (allowed 2)",
        "size.step: reduced → silent",
    ]
    assert changes_of(old, replace(old, hits=tuple(replace(hit, text="new words") for hit in old.hits))) == ()


def test_decisions_on_one_symbol_are_paired_in_their_order():
    close = Told("close_position", "accepted")
    rows = compared(
        [("BTC", close), ("BTC", BUY), ("ETH", HOLD)],
        [("BTC", close)],
        held_then={},
        held_now={"ETH": "stop_loss.side"},
    )
    assert [(row.symbol, row.same) for row in rows] == [("BTC", True), ("BTC", False), ("ETH", False)]
    assert said(*rows[1].changes) == ["decision: buy_to_enter accepted → nothing"]
    assert said(*rows[2].changes) == ["gate: nothing → stop_loss.side", "decision: hold accepted → nothing"]


def test_a_ruling_is_told_in_the_digits_that_are_stored():
    wish = Proposal("BTC", Action.BUY, Decimal("0.1234567890123456789"), 2, Decimal("1e18"), risk_usd=Decimal("NaN"))
    told = told_of(Ruling(wish, Verdict.REFUSED, hits=(RuleHit("a", Verdict.REFUSED, "no", {"is": "1"}),)))
    assert (told.quantity, told.stop_loss, told.risk_usd) == (Decimal("0.123456789012346"), None, None)
    assert told.hits == (Spoken("a", "refused", "no", {"is": "1"}),)


def test_limits_that_changed_are_named():
    assert said(*limits_changed(DEFAULTS, replace(DEFAULTS, max_leverage=3, equity_floor=Decimal(500)))) == [
        "max_leverage: 5 → 3",
        "equity_floor: nothing → 500",
    ]
    assert said(*limits_changed(DEFAULTS, replace(DEFAULTS, losing_streak=0))) == ["losing_streak: 4 → 0"]


def test_a_symbol_that_an_answer_leaves_out_is_a_hold_in_the_agreement():
    (btc, eth) = agreements([{"BTC": "buy_to_enter"}, {"BTC": "buy_to_enter", "ETH": "hold"}, {}], ("BTC", "ETH"))
    assert (btc.action, btc.times, btc.of) == ("buy_to_enter", 2, 3)
    assert (eth.action, eth.times) == ("hold", 3)
