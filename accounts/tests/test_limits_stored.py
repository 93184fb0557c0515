"""Limits are checked wherever they are written: by the services with the field, by the database whoever writes."""

from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.db import DataError, IntegrityError

from accounts.models import AuditEntry, RiskLimits
from accounts.services import limits_change
from tests.support.demo import account_of, person
from vibex.lib.errors import Rejected

pytestmark = pytest.mark.django_db

D = Decimal


@pytest.fixture
def limits():
    return account_of(person()).limits


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_leverage": 0},
        {"max_leverage": 11},
        {"risk_per_trade": D(0)},
        {"risk_per_trade": D("1.000001")},
        {"max_positions": 0},
        {"max_net": D(0)},
        {"max_margin_use": D("1.1")},
        {"max_slippage": D("-0.001")},
        {"margin_buffer": D(1)},
        {"min_stop_distance": D("0.2")},
        {"max_stop_distance": D(1)},
        {"trailing_stop": D("0.0009")},
        {"daily_loss": D(0)},
        {"max_drawdown": D(1)},
        {"daily_loss": D("0.15")},
        {"equity_floor": D(0)},
        {"sides": "none"},
        {"min_confidence": D("1.01")},
        {"min_reward_risk": D("-1")},
        {"min_depth": D("-1")},
        {"max_spread": D(0)},
        {"max_mark_gap": D(1)},
        {"max_funding": D("-0.001")},
        {"min_liquidation_distance": D(1)},
        {"opens_per_hour": 0},
        {"opens_per_hour": 31},
        {"opens_per_day": 100_001},
        {"max_position": D("1.6")},
        {"max_group": D("2.1")},
        {"max_net": D("2.1")},
        {"losing_pause_minutes": 0},
        {"cooldown_minutes": 525_601},
        {"min_hold_minutes": 525_601},
        {"losing_streak": 1001},
    ],
    ids=str,
)
def test_the_database_takes_no_limits_that_cannot_be_meant(limits, wrong):
    for name, value in wrong.items():
        setattr(limits, name, value)
    with pytest.raises((IntegrityError, DataError)):
        RiskLimits.objects.bulk_update([limits], list(wrong))


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"risk_per_trade": "0.04"}, "risk_per_trade"),
        ({"risk_per_trade": "NaN"}, "risk_per_trade"),
        ({"max_position": D("1.6")}, "max_position"),
        ({"max_slippage": D("0.2")}, "max_slippage"),
        ({"trailing_stop": D("0.5")}, "trailing_stop"),
        ({"max_spread": D(2)}, "max_spread"),
        ({"max_leverage": 11}, "max_leverage"),
        ({"sides": "none"}, "sides"),
        ({"opens_per_day": None}, "opens_per_day"),
    ],
    ids=str,
)
def test_a_service_says_at_which_field_what_is_wrong_and_writes_nothing(limits, wrong, field):
    for name, value in wrong.items():
        setattr(limits, name, value)
    with pytest.raises(Rejected, match=rf"^{field}: ") as refusal:
        limits_change(limits=limits, actor=None)
    assert isinstance(refusal.value.__cause__, ValidationError)
    assert set(refusal.value.__cause__.message_dict) == {field}, "each fault is told once"
    assert getattr(RiskLimits.objects.get(), field) != getattr(limits, field)
    assert not AuditEntry.objects.exists()


def test_the_record_of_a_change_holds_the_fields_that_changed(limits):
    limits.daily_loss, limits.losing_streak = D("0.02"), 5
    limits_change(limits=limits, actor=None)
    entry = AuditEntry.objects.get()
    assert entry.before == {"daily_loss": "0.030000", "losing_streak": 4}
    assert entry.after == {"daily_loss": "0.020000", "losing_streak": 5}


def test_a_new_floor_above_the_equity_of_now_is_refused_and_one_that_has_fired_is_no_obstacle(limits):
    limits.equity_floor = D(9000)
    with pytest.raises(Rejected, match=r"^equity_floor: Equity is 8,500.00"):
        limits_change(limits=limits, actor=None, equity=D(8500))
    limits_change(limits=limits, actor=None, equity=D(9500))
    limits.max_leverage = 2
    limits_change(limits=limits, actor=None, equity=D(8500))
    assert RiskLimits.objects.get().max_leverage == 2
