"""Before it decides, a model is told what would refuse every entry now, in the words of the rule that would."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from decisions.domain.proposal import Side
from trading.domain.barred import barred
from trading.domain.history import History
from trading.domain.risk import Standing
from trading.tests.risk_kit import BOT, BTC, ETH, GOLD, LIMITS, LONG, PORTFOLIO, ended, market, position, rule, view


def bars(standing: Standing | None = None, **changes):
    given = {"snapshot": market(), "portfolio": PORTFOLIO, "limits": LIMITS, "bot": BOT}
    return barred(**(given | changes), standing=standing or Standing())


def test_nothing_is_said_while_nothing_bars():
    assert bars() == ()


def test_what_bars_all_symbols_is_said_once():
    (told,) = bars(Standing(blocked={"": "the day lost 3.20 %, 3 % are allowed"}))
    assert told == (
        "standing.blocked (all symbols): Entries on them are blocked: the day lost 3.20 %, 3 % are allowed."
    )


def test_what_bars_one_symbol_names_it():
    (told,) = bars(Standing(blocked={BTC: "two stops in a row, until 2025-10-10 16:00 UTC"}))
    assert told.startswith(f"standing.blocked ({BTC}): Entries on {BTC} are blocked: two stops in a row")


@pytest.mark.parametrize(
    ("standing", "said"),
    [
        (Standing(state="halted"), "account.state (all symbols): The account is halted"),
        (Standing(bot="paused"), "bot.state (all symbols): The bot is paused"),
        (
            Standing(history=History(ended=tuple(ended(-5, at=60 + n, symbol=GOLD) for n in range(4)))),
            "nothing is opened until 2025-10-10 15:00 UTC",
        ),
        (
            Standing(history=History(opened=tuple(market().at - timedelta(minutes=n) for n in range(1, 7)))),
            "6 entries were made within the last hour, and 6 are allowed",
        ),
    ],
)
def test_states_pauses_and_pace_are_told_with_when_they_end(standing, said):
    (told,) = bars(standing)
    assert said in told


def test_the_rest_after_a_position_bars_its_symbol_alone():
    (told,) = bars(Standing(history=History(ended=(ended(5, at=5),))))
    assert told.startswith(f"entry.cooldown ({ETH} buy_to_enter): "), "a turn after a long hold is no entry anew"
    (told,) = bars(Standing(history=History(ended=(ended(5, at=5, held=5),))))
    assert told.startswith(f"entry.cooldown ({ETH}): A long in {ETH} ended 5 minutes ago")


def test_what_other_numbers_in_a_proposal_could_mend_bars_nothing():
    held = position(ETH, Side.LONG, "1")
    assert bars(portfolio=PORTFOLIO, limits=replace(LIMITS, sides="short", min_confidence=Decimal(1))) == ()
    assert bars(portfolio=type(PORTFOLIO)(PORTFOLIO.at, *[Decimal(10_000)] * 4, (held,))) == ()
    assert bars(snapshot=market(view(ETH, bid=Decimal("NaN")))) == ()


def test_what_is_told_is_what_the_rule_says_to_an_entry():
    standing = Standing(blocked={ETH: "its stop was refused twice"})
    (told,) = bars(standing)
    (ruling,) = rule(LONG, standing=standing)
    assert told == f"{ruling.hits[0].rule} ({ETH}): {ruling.hits[0].text}"
