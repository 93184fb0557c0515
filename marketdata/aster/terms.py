"""What AsterDEX does not tell in public: fees and brackets. Signed calls give an account's own; until then, the worst.

Published fees disagree (research: aster.md 1.9): maker 0.01 % and taker 0.035 % in guides of 2025, maker 0.005 % and
taker 0.04 % on the fee page. Here stands the dearer one of each, so that no result is shown better than it will be.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Final

from marketdata.domain.instruments import DEFAULT_BRACKETS, Bracket

MAKER_FEE: Final = Decimal("0.0001")
TAKER_FEE: Final = Decimal("0.0004")
LIQUIDATION_FEE: Final = Decimal("0.025")
"""Where exchangeInfo has none: the highest that it has for any symbol."""
MAINTENANCE: Final = Decimal("0.025")
"""Where exchangeInfo has no maintMarginPercent: what it has for most symbols."""
MOST_MAINTENANCE: Final = Decimal("0.5")
FUNDING_HOURS: Final = 8
MIN_NOTIONAL: Final = Decimal(5)
"""For a symbol without a filter of its own: what all 263 recorded ones have."""


def brackets_of(maintenance: Decimal) -> tuple[Bracket, ...]:
    """Return the usual brackets with no maintenance rate below `maintenance` (a fraction), continuous in the notional.

    A recorded live account was held to 2 % where exchangeInfo says 2.5 % and the usual table 0.5 %: with the dearer one,
    no liquidation comes nearer than it is shown. Initial margin is twice the maintenance, as exchangeInfo has it for
    every symbol (requiredMarginPercent), so the highest leverage is 1 ÷ (2 × rate).
    """
    floor = min(maintenance, MOST_MAINTENANCE)
    made, cum, below = list[Bracket](), Decimal(0), Decimal(0)
    for bracket in DEFAULT_BRACKETS:
        rate = max(bracket.maintenance_rate, floor)
        cum += bracket.floor * (rate - below)
        leverage = min(bracket.max_leverage, max(1, int(1 / (2 * rate))))
        made.append(replace(bracket, maintenance_rate=rate, cum=cum, max_leverage=leverage))
        below = rate
    return tuple(made)
