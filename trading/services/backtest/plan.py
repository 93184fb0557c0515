"""What a backtest is asked to do: one bot over a window of recorded candles, and how the venue treats it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from accounts.domain.limits import DEFAULTS, Limits
from trading.domain.matching import EngineSettings
from vibex.lib.errors import Rejected


@dataclass(frozen=True, slots=True)
class BacktestPlan:
    """What is tested: one bot over a window of recorded candles. The window is [start, end), UTC."""

    symbols: tuple[str, ...]
    start: datetime
    end: datetime
    interval: str = "1h"
    timeframes: tuple[str, ...] = ("1h", "4h")
    model: str = "rules/trend"
    capital: Decimal = Decimal(10_000)
    limits: Limits = field(default=DEFAULTS)
    approval: bool = False
    """Whether the bot asks a person before it enters."""
    fee: Decimal | None = None
    """Share of the notional that every fill costs; None: as each contract says."""
    fills: EngineSettings = field(default_factory=EngineSettings)
    """How orders are filled: spread, slippage and what else the venue does."""
    jump: bool = True
    """Whether steps are passed over at which nothing can happen. It changes how long a run takes, and nothing else."""

    def __post_init__(self) -> None:
        if self.start >= self.end:
            raise Rejected(
                f"--from {self.start:%F %H:%M} is not before --to {self.end:%F %H:%M}: swap them or choose a later end"
            )
