"""Limits that contradict themselves are refused at the field to change; what is only unwise is told."""

from dataclasses import fields, replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.domain.limit_clashes import PARTS, RANGES, cautions, clashes
from accounts.domain.limit_words import summary
from accounts.domain.limits import DEFAULTS, Limits

D = Decimal


def clashing(**changes):
    return clashes(replace(DEFAULTS, **changes))


def names(found):
    return [clash.fields[0] for clash in found]


def test_the_defaults_clash_with_nothing_and_are_not_unwise():
    assert clashes(DEFAULTS) == cautions(DEFAULTS) == ()


def test_every_number_has_a_range_here_or_at_its_column():
    numbers = {limit.name for limit in fields(Limits) if limit.type not in ("bool", "str", bool, str)}
    assert numbers - RANGES.keys() == {"max_leverage", "max_positions"}


@pytest.mark.parametrize("name", RANGES)
def test_what_lies_outside_of_its_range_is_named_with_the_range(name):
    span = RANGES[name]
    for value in (span.least - 1, span.most + 1, D("NaN"), D("Infinity"), D("-Infinity")):
        if not value.is_finite() and not isinstance(getattr(DEFAULTS, name), Decimal | None):
            continue
        (clash,) = clashing(**{name: value})
        assert clash.fields == (name,)
        assert clash.text.startswith("Must be ")


@pytest.mark.parametrize("name", [name for name, span in RANGES.items() if span.above])
def test_an_edge_that_is_excluded_is_outside(name):
    assert names(clashing(**{name: RANGES[name].least})) == [name]


def test_more_digits_than_a_database_keeps_are_refused():
    assert names(clashing(equity_floor=D("1234567890.12345678"))) == ["equity_floor"]


@pytest.mark.parametrize(
    ("field", "edge", "beyond"),
    [
        ("max_position", {"max_position": D("1.5")}, {"max_position": D("1.500001")}),
        ("max_group", {"max_group": D(2)}, {"max_group": D("2.000001")}),
        ("max_net", {"max_net": D(2)}, {"max_net": D("2.000001")}),
        ("risk_per_trade", {"risk_per_trade": D("0.03")}, {"risk_per_trade": D("0.030001")}),
        ("daily_loss", {"daily_loss": D("0.149999")}, {"daily_loss": D("0.15")}),
        ("opens_per_hour", {"opens_per_hour": 30}, {"opens_per_hour": 31}),
        ("losing_pause_minutes", {"losing_pause_minutes": 1}, {"losing_pause_minutes": 0}),
        ("min_stop_distance", {"min_stop_distance": D("0.099999")}, {"min_stop_distance": D("0.1")}),
        ("trailing_stop", {"trailing_stop": D("0.002")}, {"trailing_stop": D("0.001999")}),
        ("trailing_stop", {"trailing_stop": D("0.1")}, {"trailing_stop": D("0.100001")}),
        ("max_slippage", {"max_slippage": D("0.1")}, {"max_slippage": D("0.100001")}),
        (
            "min_reward_risk",
            {"min_reward_risk": D("9.99"), "min_stop_distance": D("0.09")},
            {"min_reward_risk": D("12"), "min_stop_distance": D("0.09")},
        ),
    ],
)
def test_a_contradiction_is_refused_from_its_edge_on(field, edge, beyond):
    assert clashing(**edge) == ()
    (clash,) = clashing(**beyond)
    assert clash.fields[0] == field
    assert clash.text.endswith(".")


def test_losses_that_are_not_counted_need_no_pause():
    assert clashing(losing_streak=0, losing_pause_minutes=0) == ()


def test_all_contradictions_are_told_at_once():
    found = clashing(max_position=D(5), daily_loss=D("0.5"), opens_per_day=1)
    assert names(found) == ["max_position", "daily_loss", "opens_per_hour"]


def test_a_floor_is_below_the_equity_of_now_where_that_is_known():
    limits = replace(DEFAULTS, equity_floor=D(5000))
    assert clashes(limits) == clashes(limits, equity=D("5000.01")) == ()
    (clash,) = clashes(limits, equity=D(5000))
    assert "bar every entry" in clash.text
    (clash,) = clashes(replace(limits, flatten_on_loss=True), equity=D("4999.5"))
    assert "Equity is 4,999.50" in clash.text
    assert "close everything" in clash.text


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"risk_per_trade": D("0.06"), "daily_loss": D("0.18"), "max_drawdown": D("0.3")}, "risk_per_trade"),
        ({"daily_loss": D("0.21"), "max_drawdown": D("0.3")}, "daily_loss"),
        ({"max_drawdown": D("0.51")}, "max_drawdown"),
        ({"max_gross": D(6)}, "max_gross"),
        ({"max_leverage": 1}, "max_position"),
        ({"max_positions": 4}, "max_positions"),
        ({"max_leverage": 10}, "max_stop_distance"),
        ({"min_liquidation_distance": D("0.2")}, "min_liquidation_distance"),
        ({"min_stop_distance": D("0.0009"), "max_slippage": D(0), "max_spread": D("0.0005")}, "min_stop_distance"),
        ({"max_slippage": D("0.003")}, "max_slippage"),
        ({"max_spread": D("0.003")}, "max_spread"),
        ({"min_reward_risk": D("0.9")}, "min_reward_risk"),
        ({"min_confidence": D(1)}, "min_confidence"),
        ({"cooldown_minutes": 1441}, "cooldown_minutes"),
    ],
)
def test_what_is_only_unwise_is_told_and_not_refused(changes, field):
    assert clashing(**changes) == ()
    assert names(cautions(replace(DEFAULTS, **changes))) == [field]


def test_limits_that_clash_are_not_called_unwise_as_well():
    assert cautions(replace(DEFAULTS, max_spread=D("0.5"), daily_loss=D("0.9"))) == ()


shares = st.decimals("0.000001", "0.999999", places=6)


@given(
    max_position=st.decimals("0.1", "5", places=2),
    max_group=st.decimals("0.1", "5", places=2),
    max_net=st.decimals("0.1", "5", places=2),
    max_gross=st.decimals("0.1", "5", places=2),
    daily_loss=shares,
    max_drawdown=shares,
    risk_per_trade=shares,
    min_stop_distance=shares,
    max_stop_distance=shares,
    max_leverage=st.integers(1, 10),
)
def test_what_is_let_through_can_be_said_and_contradicts_nothing(**changes):
    limits = replace(DEFAULTS, **changes)
    if clashes(limits):
        return
    assert all(getattr(limits, part) <= getattr(limits, whole) for part, whole, *_ in PARTS)
    assert limits.risk_per_trade <= limits.daily_loss < limits.max_drawdown
    assert limits.min_stop_distance < limits.max_stop_distance
    assert all(caution.text for caution in cautions(limits))
    assert "E" not in "".join(summary(limits)).replace("Enters", "").replace("Every", "")
