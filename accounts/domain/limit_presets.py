"""Limits to begin with: the usual ones, and careful ones for who wants to lose less while finding out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

from accounts.domain.limits import DEFAULTS, Limits

_CAREFUL: Final[Mapping[str, Any]] = {
    "risk_per_trade": Decimal("0.005"),
    "daily_loss": Decimal("0.015"),
    "max_drawdown": Decimal("0.08"),
    "max_leverage": 2,
    "max_position": Decimal("0.5"),
    "max_group": Decimal("0.75"),
    "max_net": Decimal("0.75"),
    "max_gross": Decimal("1.0"),
    "max_positions": 2,
    "opens_per_hour": 3,
    "opens_per_day": 12,
    "losing_streak": 3,
    "target_required": True,
}
"""What differs from the usual."""


@dataclass(frozen=True, slots=True)
class Preset:
    """Limits under a name. `changed` is what differs from those that a new account has."""

    key: str
    title: str
    limits: Limits
    changed: Mapping[str, Any]


PRESETS: Final[Mapping[str, Preset]] = {
    preset.key: preset
    for preset in (
        Preset("careful", "Careful", replace(DEFAULTS, **_CAREFUL), _CAREFUL),
        Preset("usual", "Usual", DEFAULTS, {}),
    )
}
