"""The matching engine: one account at a simulated venue. `docs/matching.md` says how it fills, charges and liquidates."""

from trading.domain.matching.depth import Depth
from trading.domain.matching.engine import Engine
from trading.domain.matching.types import (
    Changes,
    EngineRefusal,
    EngineSettings,
    EngineState,
    MarginMode,
    OrderRecord,
    Orphans,
    PositionRecord,
    Prices,
    Terms,
    state_from_plain,
    state_to_plain,
)

__all__ = [
    "Changes",
    "Depth",
    "Engine",
    "EngineRefusal",
    "EngineSettings",
    "EngineState",
    "MarginMode",
    "OrderRecord",
    "Orphans",
    "PositionRecord",
    "Prices",
    "Terms",
    "state_from_plain",
    "state_to_plain",
]
