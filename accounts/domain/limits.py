"""What an account may risk, as plain numbers. The database row of the same name is made from these."""

from dataclasses import dataclass
from decimal import Decimal

LEVERAGE_CEILING = 10
"""No account may ever set a higher leverage; the database refuses it too."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one account. Shares are fractions of equity or of price: Decimal("0.01") is one per cent."""

    max_leverage: int = 5
    risk_per_trade: Decimal = Decimal("0.01")
    max_position: Decimal = Decimal("1.0")
    max_group: Decimal = Decimal("1.5")
    max_net: Decimal = Decimal("1.5")
    max_gross: Decimal = Decimal("2.0")
    max_positions: int = 3
    min_stop_distance: Decimal = Decimal("0.002")
    max_stop_distance: Decimal = Decimal("0.10")
    max_slippage: Decimal = Decimal("0.002")
    max_margin_use: Decimal = Decimal("0.5")
    margin_buffer: Decimal = Decimal("0.0025")
    trailing_stop: Decimal | None = None
    """Distance ÷ mark price at which stops follow; None: they stand still."""


DEFAULTS = Limits()
