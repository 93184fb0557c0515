"""Numbers that are said twice: whatever happens to one character of such a reply, no opening changes.

The market here has the ticks of real venues, where a price that lost its last decimal is still a price on the tick.
"""

import json
import random

import pytest

from decisions.domain.gate import read_text
from decisions.domain.schema import response_schema
from decisions.tests.builders import HOLD, OPEN, question, reply
from decisions.tests.gate_kit import (
    ALL_AT_ONCE,
    FINE,
    HOLDS_AND_ONE,
    LIKE_MODELS,
    WITH,
    WITHOUT,
    changed_openings,
    checked,
    deletions,
    mutated,
    openings,
    replacements,
    truncations,
    unsaid,
)

REPLIES = {**WITH, "all at once": ALL_AT_ONCE, "holds and one": HOLDS_AND_ONE}
every_reply = pytest.mark.parametrize("text", REPLIES.values(), ids=REPLIES)


@every_reply
def test_the_replies_that_are_damaged_open_something(text):
    said = json.loads(text)["decisions"]
    assert len(openings(text)) == sum(item["signal"] != "hold" for item in said)


@every_reply
def test_no_truncation_opens_anything(text):
    assert changed_openings(truncations(text), []) == []


@every_reply
def test_no_deleted_character_changes_an_opening(text):
    assert changed_openings(deletions(text), openings(text)) == []


@pytest.mark.parametrize("text", WITH.values(), ids=WITH)
def test_no_character_written_over_changes_an_opening(text):
    assert changed_openings(replacements(text), openings(text)) == []


@pytest.mark.parametrize("text", WITH.values(), ids=WITH)
def test_no_two_neighbours_swapped_change_an_opening(text):
    swapped = [text[:spot] + text[spot + 1] + text[spot] + text[spot + 2 :] for spot in range(len(text) - 1)]
    assert changed_openings(swapped, openings(text)) == []


@pytest.mark.parametrize("name", WITHOUT)
def test_without_them_some_deleted_digits_go_unseen_and_none_enlarges_the_loss_by_a_quarter(name):
    """Why they are said again, and what still covers a reply that leaves them out: the stated risk."""
    text = WITHOUT[name]
    (meant,) = openings(text)
    unseen = [one for damaged in changed_openings(deletions(text), [meant]) for one in openings(damaged)]
    assert unseen
    for one in unseen:
        assert one.quantity <= meant.quantity * 5 / 4
        assert one.leverage <= meant.leverage


@pytest.mark.parametrize(
    "check",
    [
        "2.5 4400.0 4100.0",
        "2.5 4400.0 4100.0 5 5",
        "2.5 4100.0 4400.0 5",
        "2.5, 4400.0, 4100.0, 5",
        "2.4 4400.0 4100.0 5",
        "2.5 4400.0 4100.0 05",
        "\uff12.5 4400.0 4100.0 5",
        "2.5 4_400.0 4100.0 5",
        "2.5 4400.0 4100.0 5e0 NaN",
        "yes",
    ],
)
def test_what_contradicts_holds_the_symbol_and_nothing_else(check):
    reading = read_text(reply(HOLD, OPEN | {"check": check}), question())
    assert reading.held == {"ETHUSDT": "check.contradicts"}
    assert [proposal.symbol for proposal in reading.proposals] == ["BTCUSDT"]


@pytest.mark.parametrize("check", ["2.5 4400.0 4100.0 5", " 2.50  4400 4.1e3\t5 ", "", " ", None])
def test_what_agrees_in_value_or_says_nothing_is_taken(check):
    assert len(openings(reply(HOLD, OPEN | {"check": check}), question())) == 1


def test_every_model_is_asked_to_say_them_again():
    item = response_schema(("ETHUSDT",))["properties"]["decisions"]["items"]
    assert "check" in item["required"]
    assert "quantity profit_target stop_loss leverage" in item["properties"]["check"]["description"]


@pytest.mark.parametrize("rounds", [3_000, pytest.param(200_000, marks=pytest.mark.soak)])
def test_random_damage_opens_nothing_that_the_text_does_not_say(rounds):
    chance = random.Random(20251128)
    texts = [*WITH.values(), *WITHOUT.values(), ALL_AT_ONCE, HOLDS_AND_ONE, f"```json\n{ALL_AT_ONCE}\n```"]
    opened = 0
    for _ in range(rounds):
        text = mutated(chance.choice(texts), chance)
        for proposal in read_text(text, FINE).proposals:
            if proposal.action.opens:
                assert unsaid(proposal, text, FINE) == []
                opened += 1
    assert opened > rounds / 100


def test_the_reader_of_the_tests_sees_what_is_not_said():
    (opening,) = openings(WITH["SOL long"])
    assert unsaid(opening, WITH["SOL long"], FINE) == ["risk_usd"]
    assert "quantity" in unsaid(opening, WITH["SOL long"].replace("13.37", "13.38"), FINE)
    assert "symbol" in unsaid(opening, WITH["ETH long"], FINE)


def test_the_kit_writes_what_a_model_would():
    assert checked(LIKE_MODELS["SOL long"])["check"] == "13.37 197.15 182.35 12"
