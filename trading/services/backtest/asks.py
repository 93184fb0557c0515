"""How a model is asked in a backtest: as a bot would ask it, and which time it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

from decisions.domain.question import Asking
from trading.services.world import DECISION_SECONDS


@dataclass(frozen=True, slots=True)
class Asks:
    """What is sent besides the market and the account. Rules are asked without any of it."""

    asking: Asking = field(default_factory=Asking)
    prompt_template: str = "arena"
    """Name of the template."""
    template: str | None = None
    """Its text; without one a model is asked nothing."""
    template_version: int | None = None
    """None: the newest, or the one that comes with the house."""
    repeat: int = 1
    """Which time the same is asked: each time has answers of its own."""
    seconds: float = DECISION_SECONDS
    """Of wall time that a model has for an answer."""


def decision_id_of(at: datetime) -> str:
    """Return what has to come back with a reply of a moment: the same in each run, so that the same prompt is sent."""
    return sha256(f"backtest {at.isoformat()}".encode()).hexdigest()[:16]
