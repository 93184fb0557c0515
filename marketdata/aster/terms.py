"""What AsterDEX does not tell in public: fees and brackets. Signed calls give an account's own; until then, the worst.

Published fees disagree (research: aster.md 1.9): maker 0.01 % and taker 0.035 % in guides of 2025, maker 0.005 % and
taker 0.04 % on the fee page. Here stands the dearer one of each, so that no result is shown better than it will be.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from marketdata.domain.instruments import DEFAULT_BRACKETS

MAKER_FEE: Final = Decimal("0.0001")
TAKER_FEE: Final = Decimal("0.0004")
LIQUIDATION_FEE: Final = Decimal("0.025")
"""Where exchangeInfo has none: the highest that it has for any symbol."""
MAX_LEVERAGE: Final = 100
BRACKETS: Final = DEFAULT_BRACKETS
FUNDING_HOURS: Final = 8
MIN_NOTIONAL: Final = Decimal(5)
"""For a symbol without a filter of its own: what all 263 recorded ones have."""
