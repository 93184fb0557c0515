"""A record is looked at once: what was found of it holds for that very record, and for no other that looks like it."""

from __future__ import annotations

import gc
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D

import pytest

from accounts.domain.limits import DEFAULTS, Limits
from decisions.domain.proposal import Side
from trading.domain.history import Ended
from trading.domain.remembered import MOST, remembered
from trading.domain.risk.standing import unusable

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_a_record_is_looked_at_once_and_its_equal_anew():
    looked: list[Limits] = []

    @remembered
    def look(limits: Limits) -> int:
        looked.append(limits)
        return limits.max_positions

    other = replace(DEFAULTS)
    assert [look(DEFAULTS), look(DEFAULTS), look(other), look(other)] == [3, 3, 3, 3]
    assert [one is DEFAULTS for one in looked] == [True, False]


def test_however_many_come_and_go_each_gets_its_own_answer():
    @remembered
    def look(limits: Limits) -> int:
        return limits.max_positions

    for most in range(3 * MOST):  # nothing but the memory holds the earlier ones, and so their numbers are free again
        assert look(replace(DEFAULTS, max_positions=most)) == most
        if most % 2_000 == 0:
            gc.collect()


def test_limits_that_were_usable_do_not_hide_those_that_are_not():
    assert unusable(DEFAULTS) == ()
    assert unusable(replace(DEFAULTS, max_gross=D("NaN"), sides="up")) == ("max_gross", "sides")
    assert unusable(DEFAULTS) == ()


@pytest.mark.parametrize(
    ("changed", "sound"),
    [
        ({}, True),
        ({"net": D(0)}, True),
        ({"net": D("NaN")}, False),
        ({"net": D("1e40")}, False),
        ({"net": 3}, False),
        ({"ended_at": NOON.replace(tzinfo=None)}, False),
        ({"opened_at": None}, False),
    ],
)
def test_a_position_that_ended_knows_whether_it_can_be_compared(changed, sound):
    ended = Ended("BTCUSDT", Side.LONG, NOON - timedelta(hours=1), NOON, D("-5"))
    again = replace(ended, **changed)
    assert again.sound is sound
    assert (again == ended) is not bool(changed)
