"""Limits in sentences: every limit is in them, written as people write numbers."""

from dataclasses import fields, replace
from decimal import Decimal

import pytest

from accounts.domain.limit_words import KINDS, entry_summary, groups, minutes, summary, words
from accounts.domain.limits import DEFAULTS, Limits

OTHER = {
    int: lambda value: value + 1,
    bool: lambda value: not value,
    Decimal: lambda value: value + Decimal("0.001"),
    type(None): lambda _: Decimal("0.05"),
    str: lambda _: "short",
}
NAMES = [limit.name for limit in fields(Limits)]


def test_every_limit_has_a_kind():
    assert set(KINDS) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_limit_is_in_the_sentences(name):
    value = getattr(DEFAULTS, name)
    assert summary(replace(DEFAULTS, **{name: OTHER[type(value)](value)})) != summary(DEFAULTS)


def test_the_first_sentence_is_what_may_be_lost():
    assert summary(DEFAULTS)[0] == (
        "May lose at most 3 % of equity a day and 15 % from its peak, 1 % in a trade, fees included."
    )
    assert summary(DEFAULTS)[2] == "At most 3 open positions, leverage at most 5."


def test_what_a_model_is_told_leaves_out_only_what_does_not_bear_on_entries():
    left = [sentence for sentence in summary(DEFAULTS) if sentence not in entry_summary(DEFAULTS)]
    assert left == ["You are told when liquidation is closer than 3 % to the mark price."]


def test_what_is_switched_off_is_said_to_be_off():
    text = " ".join(summary(replace(DEFAULTS, losing_streak=0, min_depth=Decimal(0))))
    assert "Losses in a row are not counted." in text
    assert "The order book is not looked at." in text
    assert "0 losses" not in text


def test_one_is_no_plural():
    text = " ".join(summary(replace(DEFAULTS, max_positions=1, losing_streak=1)))
    assert "At most 1 open position, " in text
    assert "After a loss nothing is opened" in text


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("daily_loss", Decimal("0.030000"), "3 %"),
        ("margin_buffer", Decimal("0.0025"), "0.25 %"),
        ("risk_per_trade", Decimal("0.000001"), "0.0001 %"),
        ("max_gross", Decimal("2E+1"), "20 × equity"),
        ("max_leverage", 5, "5×"),
        ("cooldown_minutes", 90, "1 h 30 min"),
        ("equity_floor", Decimal("12345.50000000"), "12,345.5"),
        ("equity_floor", None, "none"),
        ("pyramiding", False, "no"),
        ("sides", "short", "short only"),
        ("sides", "sideways", "sideways"),
        ("opens_per_day", 30, "30"),
        ("unheard_of", "x", "x"),
    ],
)
def test_values_are_written_as_people_write_them(name, value, said):
    assert words(name, value) == said


@pytest.mark.parametrize(("length", "said"), [(0, "0 min"), (15, "15 min"), (240, "4 h"), (2881, "2 d 1 min")])
def test_times_are_written_in_their_largest_units(length, said):
    assert minutes(length) == said


def test_groups_are_the_sentences_by_what_they_are_about():
    assert [group.name for group in groups(DEFAULTS)] == [
        "Losses", "Size", "What may be opened", "Stops and targets", "The market", "Pace", "Told",
    ]  # fmt: skip
