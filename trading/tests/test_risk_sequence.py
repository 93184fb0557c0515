"""Proposals are ruled in their order, each against what the earlier ones would leave."""

from dataclasses import replace
from decimal import getcontext

import pytest

from decisions.domain.proposal import Action, Proposal, Side, Verdict
from trading.domain.history import History
from trading.domain.risk import Standing, rulebook
from trading.tests.risk_kit import BTC, ETH, GOLD, LIMITS, LONG, PORTFOLIO, SHORT, D, ago, ended, position, rule

CLOSE = Proposal(ETH, Action.CLOSE)
LOOSE = replace(LIMITS, risk_per_trade=D("0.05"))
HELD = replace(
    PORTFOLIO,
    margin=D(2000),
    available=D(8000),
    positions=(position(ETH, Side.LONG, "100", "99.9", margin=D(2000)),),
)


def outcome(*proposals, **more):
    return [(ruling.verdict, ruling.quantity, ruling.rule_ids) for ruling in rule(*proposals, **more)]


def test_rules_reckon_with_fifty_digits_and_nobody_else_in_the_process_does(monkeypatch):
    """Threads of one request share the object of their context: it is never changed, not even for a moment."""
    shared, inside = getcontext(), []
    ruled = rulebook._rule

    def looked_at(ask):
        inside.append((getcontext().prec, shared.prec))
        return ruled(ask)

    monkeypatch.setattr(rulebook, "_rule", looked_at)
    rule(LONG, SHORT)
    assert inside == [(50, 28)] * 2
    assert getcontext() is shared
    monkeypatch.setattr(rulebook, "_rule", lambda ask: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        rule(LONG)
    assert getcontext() is shared


def test_a_close_and_an_entry_on_the_same_symbol_are_a_reversal():
    assert outcome(CLOSE, SHORT, portfolio=HELD) == [
        (Verdict.ACCEPTED, 100, ()),
        (Verdict.ACCEPTED, 1, ()),
    ]


def test_an_entry_before_the_close_is_no_reversal():
    assert outcome(SHORT, CLOSE, portfolio=HELD) == [
        (Verdict.REFUSED, None, ("position.exists",)),
        (Verdict.ACCEPTED, 100, ()),
    ]


def test_a_reversal_in_a_halted_account_only_closes():
    rulings = outcome(CLOSE, SHORT, portfolio=HELD, standing=Standing("halted"))
    assert [verdict for verdict, _, _ in rulings] == [Verdict.ACCEPTED, Verdict.REFUSED]


def test_a_second_close_finds_nothing():
    assert outcome(CLOSE, CLOSE, portfolio=HELD)[1] == (Verdict.REFUSED, None, ("position.none",))


def test_a_second_entry_on_the_symbol_meets_the_first():
    assert outcome(LONG, LONG)[1] == (Verdict.REFUSED, None, ("position.exists",))


def test_a_refused_entry_leaves_the_place_to_the_next():
    one_place = replace(LIMITS, max_positions=1)
    refused = replace(LONG, symbol=BTC, leverage=6)
    assert outcome(refused, LONG, limits=one_place)[1] == (Verdict.ACCEPTED, 1, ())


def test_entries_fill_the_places_in_their_order():
    wishes = [replace(LONG, symbol=symbol) for symbol in (GOLD, BTC, ETH)]
    assert outcome(*wishes, limits=replace(LIMITS, max_positions=2)) == [
        (Verdict.ACCEPTED, 1, ()),
        (Verdict.ACCEPTED, 1, ()),
        (Verdict.REFUSED, None, ("positions.max",)),
    ]


def test_a_close_frees_a_place_and_its_exposure():
    big = replace(LONG, symbol=BTC, quantity=D(99))
    tight = replace(LOOSE, max_positions=1, max_gross=D("1.0"))
    assert outcome(big, portfolio=HELD, limits=tight)[0][2] == ("positions.max",)
    assert outcome(CLOSE, big, portfolio=HELD, limits=tight)[1] == (Verdict.ACCEPTED, 99, ())


def test_each_entry_fits_but_not_all_together():
    wishes = [replace(LONG, symbol=symbol, quantity=D(90)) for symbol in (ETH, BTC)]
    assert outcome(*wishes, limits=LOOSE) == [
        (Verdict.ACCEPTED, 90, ()),
        (Verdict.REDUCED, D("59.93"), ("cap.group",)),
    ]


def test_each_entry_finds_margin_but_not_all_together():
    little = replace(PORTFOLIO, available=D(1025))
    wishes = [replace(LONG, symbol=symbol, quantity=D(30)) for symbol in (ETH, GOLD)]
    assert outcome(*wishes, portfolio=little, limits=LOOSE) == [
        (Verdict.ACCEPTED, 30, ()),
        (Verdict.REDUCED, D("19.04"), ("margin.available",)),
    ]


def test_the_margin_of_earlier_entries_is_in_use():
    wishes = [replace(LONG, symbol=symbol, quantity=D(30)) for symbol in (ETH, GOLD)]
    assert outcome(*wishes, limits=replace(LOOSE, max_margin_use=D("0.1"))) == [
        (Verdict.ACCEPTED, 30, ()),
        (Verdict.REDUCED, D("19.89"), ("margin.use",)),
    ]


def test_a_close_frees_the_margin_in_use():
    wish, tight = replace(LONG, symbol=BTC, quantity=D(30)), replace(LOOSE, max_margin_use=D("0.1"))
    assert outcome(wish, portfolio=HELD, limits=tight)[0][2] == ("margin.use", "size.minimum")
    assert outcome(CLOSE, wish, portfolio=HELD, limits=tight)[1] == (Verdict.ACCEPTED, 30, ())


def test_the_profit_of_a_closed_position_is_not_margin_before_it_is_booked():
    winner = position(ETH, Side.LONG, "1", "99.9", margin=D(20), unrealised=D(5000))
    account = replace(PORTFOLIO, unrealised=D(5000), margin=D(20), available=D(30), positions=(winner,))
    wish = replace(LONG, symbol=BTC, quantity=D(40))
    # 30 + 20 − fee 0.05, less the buffer of 25 bp of 14,999.95, ÷ 20.3901: the 5,000 are equity, and not yet margin
    assert outcome(CLOSE, wish, portfolio=account, limits=LOOSE)[1] == (
        Verdict.REDUCED,
        D("0.61"),
        ("margin.available",),
    )


def test_the_loss_of_a_closed_position_is_taken_off_at_once():
    loser = position(ETH, Side.LONG, "100", "99.9", margin=D(2000), unrealised=D(-1990))
    account = replace(
        PORTFOLIO, wallet=D(12_000), unrealised=D(-1990), margin=D(2000), available=D(1500), positions=(loser,)
    )
    wish = replace(LONG, symbol=BTC, quantity=D(100))
    # 1,500 + 2,000 − 1,990 − fee 4.995, less the buffer of 25 bp of 10,005.005, ÷ (100.2 ÷ 5 + 100.2 × 0.0005 + 0.3)
    assert outcome(CLOSE, wish, portfolio=account, limits=LOOSE)[1] == (
        Verdict.REDUCED,
        D("72.58"),
        ("margin.available",),
    )


def test_holds_and_refusals_change_nothing_for_the_others():
    hold = Proposal(ETH, Action.HOLD)
    bad = replace(SHORT, stop_loss=None, symbol=GOLD)
    alone = outcome(LONG)[0]
    assert outcome(hold, bad, replace(CLOSE, symbol=BTC), LONG)[-1] == alone


def test_no_proposals_no_rulings():
    assert rule() == ()


@pytest.mark.parametrize("wish", [LONG, SHORT], ids=["long", "short"])
def test_a_ruling_carries_the_proposal_the_leverage_and_the_numbers(wish):
    [ruling] = rule(replace(wish, quantity=D(500)))
    assert ruling.proposal.quantity == 500
    assert ruling.leverage == 5
    [hit] = ruling.hits
    assert hit.effect is Verdict.REDUCED
    assert hit.numbers["from"] == "500"
    assert D(hit.numbers["allowed"]) == ruling.quantity
    assert hit.numbers["equity"] == "10000"


# -- what an earlier ruling of the same decision leaves ------------------------------------------------------------------


def test_entries_of_one_decision_count_towards_the_hour():
    wishes = [replace(LONG, symbol=symbol) for symbol in (ETH, BTC, GOLD)]
    lately = Standing(history=History(opened=(ago(10), ago(20))))
    assert outcome(*wishes, limits=replace(LIMITS, opens_per_hour=4), standing=lately) == [
        (Verdict.ACCEPTED, 1, ()),
        (Verdict.ACCEPTED, 1, ()),
        (Verdict.REFUSED, None, ("entries.hour",)),
    ]


def test_an_entry_that_is_refused_does_not_count_towards_the_day():
    refused = replace(LONG, symbol=BTC, leverage=6)
    assert outcome(refused, LONG, limits=replace(LIMITS, opens_per_day=1))[1] == (Verdict.ACCEPTED, 1, ())


def test_a_loss_that_this_decision_takes_completes_the_streak():
    losses = Standing(history=History(ended=tuple(ended("-5", at=at, symbol=BTC) for at in (300, 200, 100))))
    loser = position(ETH, Side.LONG, "1", unrealised=D(-5))
    account = replace(PORTFOLIO, unrealised=D(-5), positions=(loser,))
    wish = replace(LONG, symbol=GOLD)
    assert outcome(wish, portfolio=account, standing=losses)[0][0] is Verdict.ACCEPTED
    assert outcome(CLOSE, wish, portfolio=account, standing=losses)[1] == (Verdict.REFUSED, None, ("streak.losing",))


def test_fees_make_a_close_at_the_price_of_entry_a_loss():
    losses = Standing(history=History(ended=tuple(ended("-5", at=at, symbol=BTC) for at in (300, 200, 100))))
    account = replace(PORTFOLIO, positions=(position(ETH, Side.LONG, "1"),))
    assert outcome(CLOSE, replace(LONG, symbol=GOLD), portfolio=account, standing=losses)[1][2] == ("streak.losing",)


def test_a_streak_says_until_when_nothing_is_opened():
    losses = Standing(history=History(ended=tuple(ended("-5", at=at, symbol=BTC) for at in (100, 90, 80, 70))))
    [ruling] = rule(LONG, standing=losses)
    assert "nothing is opened until 2025-10-10 14:50 UTC" in ruling.hits[0].text


def test_the_close_of_a_reversal_stands_when_its_entry_is_refused():
    young = replace(PORTFOLIO, positions=(position(ETH, Side.LONG, "1", opened_at=ago(3)),))
    assert outcome(CLOSE, SHORT, portfolio=young) == [
        (Verdict.ACCEPTED, 1, ()),
        (Verdict.REFUSED, None, ("hold.reversal",)),
    ]


def test_another_symbol_may_be_entered_whatever_was_closed():
    young = replace(PORTFOLIO, positions=(position(ETH, Side.LONG, "1", opened_at=ago(3)),))
    assert outcome(CLOSE, replace(LONG, symbol=BTC), portfolio=young)[1] == (Verdict.ACCEPTED, 1, ())


def test_a_second_entry_adds_to_the_first_and_both_keep_within_one_position():
    grows = replace(LOOSE, pyramiding=True)
    wishes = [replace(LONG, quantity=D(70)), replace(LONG, quantity=D(70), stop_loss=D("98.5"))]
    first, second = rule(*wishes, limits=grows)
    assert (first.verdict, first.quantity, first.adds) == (Verdict.ACCEPTED, 70, False)
    assert (second.verdict, second.quantity, second.rule_ids, second.adds) == (
        Verdict.REDUCED,
        D("29.96"),  # the fee of the first is off the equity: (9,996.4929 − 7,000) ÷ 100
        ("cap.position",),
        True,
    )


def test_an_addition_after_another_is_held_to_the_nearer_stop():
    grows = replace(LIMITS, pyramiding=True)
    nearer = replace(LONG, stop_loss=D("98.5"))
    assert outcome(LONG, nearer, LONG, limits=grows)[2] == (Verdict.REFUSED, None, ("stop.loosened",))


def test_a_reward_that_is_too_small_is_told_with_both_numbers():
    [ruling] = rule(replace(LONG, profit_target=D(102)))
    [hit] = ruling.hits
    assert hit.text == (
        "After costs a unit gains 1.899 at the target and loses 2.295 at the stop: 0.83 to 1, where 1.5 is asked."
    )
    assert (hit.numbers["reward"], hit.numbers["risk"], hit.numbers["limit"]) == ("1.899", "2.295", "1.5")
    [hit] = rule(replace(LONG, profit_target=D("101.37")))[0].hits
    assert hit.numbers["reward"] == "1.269315"
    assert "gains 1.26932 at the target" in hit.text, "a person reads six digits"
