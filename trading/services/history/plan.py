"""How large a made history is, and what its numbers are drawn from. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

END: Final = datetime(2026, 10, 1, tzinfo=UTC)
"""When it ends, whenever it is made: the same seed gives the same rows."""
EVERY: Final = timedelta(minutes=3)
"""A bot decides so often."""
PRICES: Final = {
    "BTCUSDT": 110_000.0, "ETHUSDT": 4_000.0, "SOLUSDT": 200.0, "BNBUSDT": 1_000.0, "XRPUSDT": 3.0, "DOGEUSDT": 0.25,
    "ADAUSDT": 0.8, "LINKUSDT": 20.0, "AVAXUSDT": 30.0, "LTCUSDT": 110.0,
}  # fmt: skip
"""Symbols, and what they cost at the beginning."""

CANDLES: Final = 10_000_000
CYCLES: Final = 1_000_000
ACCOUNTS: Final = 100
ORDERS_PER_CYCLE = FILLS_PER_CYCLE = 5
DECISIONS_PER_CYCLE = ENTRIES_PER_CYCLE = EVENTS_PER_ORDER = 2
LINES_PER_CYCLE: Final = 8
"""Of the ledger: a fee for each fill, a result for each of the three that close."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is made. At scale 1: ten million candles, a million cycles and calls, five million orders and fills each."""

    scale: float
    seed: int
    accounts: int
    cycles: int
    """Of each account."""
    minutes: int
    """Candles of each symbol: enough for all cycles, which at scales below 0.0009 is more than the scale asks for."""

    @classmethod
    def of(cls, scale: float, seed: int) -> Plan:
        """Return the plan of a scale: accounts grow with its root, and so does the history of each."""
        accounts = max(1, round(ACCOUNTS * math.sqrt(scale)))
        cycles = max(1, round(CYCLES * scale / accounts))
        needed = (cycles + 1) * int(EVERY.total_seconds() // 60)
        return cls(
            scale=scale, seed=seed, accounts=accounts, cycles=cycles,
            minutes=max(round(CANDLES * scale / len(PRICES)), needed),
        )  # fmt: skip

    @property
    def began(self) -> datetime:
        """When the first cycle decides."""
        return END - self.cycles * EVERY

    @property
    def rows(self) -> dict[str, int]:
        """Rows of the tables that grow."""
        all_cycles = self.accounts * self.cycles
        orders = all_cycles * ORDERS_PER_CYCLE
        return {
            "candles": self.minutes * len(PRICES),
            "cycles": all_cycles,
            "interactions": all_cycles,
            "decisions": all_cycles * DECISIONS_PER_CYCLE,
            "diary": all_cycles * ENTRIES_PER_CYCLE,
            "positions": all_cycles,
            "orders": orders,
            "order events": orders * EVENTS_PER_ORDER,
            "fills": all_cycles * FILLS_PER_CYCLE,
            "ledger": all_cycles * LINES_PER_CYCLE + self.accounts,
            "equity": all_cycles,
        }

    def account_name(self, number: int) -> str:
        return f"history-{number:04}"

    @property
    def source(self) -> str:
        """What the feed of such a database says of where its data comes from."""
        return f"make_history --scale {self.scale:g} --seed {self.seed}"


STARTING: Final = Decimal(1_000_000)
"""What each account begins with: losses of a made life never use it up."""
