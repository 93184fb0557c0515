"""How much of an address's weight at AsterDEX one live account takes, and how many accounts it carries.

Venues count by address (`marketdata/services/budget.py`). What is asked without a person waiting may take 70 % of a
minute; the rest is kept for closing. `python -m trading.exchange.aster.load` prints the table of docs/guard.md.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from trading.domain.screen import FULL_EVERY
from trading.exchange.aster.calls import weight_of

ALLOWED: Final = 2_400
"""Weight a minute of an address (research: aster.md 1.3)."""
SHARE: Final = 0.7
"""Of it for all that is no close: `Purpose.FEED`."""
STATED: Final = ("GET openOrders", "GET positionRisk", "GET balance", "GET income")
"""What every look asks; the trades of each symbol with a position come on top."""
PASS_EVERY: Final = timedelta(seconds=30)
COMPARED_WITHIN: Final = timedelta(minutes=10)
"""The hourly comparisons of all accounts are spread over so much."""
MINUTE: Final = timedelta(minutes=1)


def look_weight(positions: int) -> int:
    """Return the weight of a look that finds nothing to do. A cycle that holds asks the same."""
    return sum(weight_of(call, {}) for call in STATED) + positions * weight_of("GET userTrades", {})


def comparison_weight(positions: int) -> int:
    """Return the weight of the hourly comparison of books and exchange that finds nothing to do."""
    return 2 * look_weight(positions)


def minutes(positions: int = 1) -> Mapping[str, float]:
    """Return the weight that one account takes in different minutes, by what happens in them."""
    look = look_weight(positions)
    heard, compared = look * (MINUTE / FULL_EVERY), comparison_weight(positions) * (MINUTE / COMPARED_WITHIN)
    return {
        "heard: a look in five minutes": heard,
        "heard, in the ten minutes of each hour in which all are compared": heard + compared,
        "heard, and its bot decides in this minute": heard + look,
        "not heard: a look with each pass": look * (MINUTE / PASS_EVERY),
    }


def accounts_of(weight: float) -> int:
    """Return how many accounts one address carries that each take this weight in the same minute."""
    return int(ALLOWED * SHARE / weight)


def table() -> str:
    """Return a Markdown table of how many accounts with one position each an address carries."""
    rows = (f"| {what} | {weight:g} | {accounts_of(weight)} |" for what, weight in minutes().items())
    return "\n".join(["| an account with one position | weight a minute | accounts |", "|---|---|---|", *rows])


if __name__ == "__main__":
    sys.stdout.write(f"{table()}\n")
