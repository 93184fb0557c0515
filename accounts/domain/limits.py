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
    sides: str = "both"
    """What may be opened: both | long | short."""
    traditional: bool = False
    """Whether perpetuals on stocks, funds, metals and currencies may be opened."""
    pyramiding: bool = False
    """Whether a position may be added to on its own side."""
    target_required: bool = False
    min_reward_risk: Decimal = Decimal("1.5")
    """Way to the target ÷ way to the stop, after fees and the funding that is expected."""
    min_confidence: Decimal = Decimal("0.5")
    max_spread: Decimal = Decimal("0.002")
    """(ask − bid) ÷ mid."""
    min_depth: Decimal = Decimal(3)
    """Notional that rests within `max_slippage` of the touch ÷ notional of the order; 0: the book is not looked at."""
    max_mark_gap: Decimal = Decimal("0.01")
    """|last − mark| ÷ mark."""
    max_funding: Decimal = Decimal("0.001")
    """Share of the notional that an entry may have to pay at the next settlement."""
    opens_per_hour: int = 6
    opens_per_day: int = 30
    min_hold_minutes: int = 15
    """Age that a position has before it may be reversed."""
    cooldown_minutes: int = 15
    """Between the end of a position and the next entry on its symbol."""
    losing_streak: int = 4
    """Losses in a row after which nothing is opened for `losing_pause_minutes`; 0: none are counted."""
    losing_pause_minutes: int = 240
    daily_loss: Decimal = Decimal("0.03")
    """Share of the equity at the start of the day."""
    max_drawdown: Decimal = Decimal("0.15")
    """Share of the highest value of a unit of the account."""
    equity_floor: Decimal | None = None
    """Amount in quote units below which nothing is opened."""
    flatten_on_loss: bool = False
    """Whether all is closed when a loss limit is reached, or only nothing opened any more."""
    min_liquidation_distance: Decimal = Decimal("0.03")
    """Way to the liquidation price ÷ mark at which a person is told."""


DEFAULTS = Limits()
