"""A tradable contract and its rules. Prices and quantities are rounded by tick and step, never by a precision."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from typing import Final

CRYPTO: Final = "crypto"
TRADITIONAL: Final = "traditional"
"""Asset classes: perpetuals on stocks, funds, metals and currencies are kept apart from those on coins."""


@dataclass(frozen=True, slots=True)
class Bracket:
    """One step of the maintenance-margin table: from `floor` to `cap` quote units of notional."""

    floor: Decimal
    cap: Decimal
    max_leverage: int
    maintenance_rate: Decimal
    cum: Decimal
    """Amount subtracted so that maintenance margin is continuous: notional × rate − cum."""


DEFAULT_BRACKETS: tuple[Bracket, ...] = (
    Bracket(Decimal(0), Decimal(100_000), 100, Decimal("0.005"), Decimal(0)),
    Bracket(Decimal(100_000), Decimal(1_000_000), 50, Decimal("0.01"), Decimal(500)),
    Bracket(Decimal(1_000_000), Decimal(5_000_000), 20, Decimal("0.025"), Decimal(15_500)),
    Bracket(Decimal(5_000_000), Decimal(20_000_000), 10, Decimal("0.05"), Decimal(140_500)),
    Bracket(Decimal(20_000_000), Decimal("1e12"), 5, Decimal("0.1"), Decimal(1_140_500)),
)
"""Used where a venue has not told its own (research: aster.md 5.5)."""


@dataclass(frozen=True, slots=True)
class InstrumentSpec:
    """Rules of one contract at one venue. Fees are fractions of notional, sizes are in the base asset."""

    venue: str
    symbol: str
    base: str
    quote: str
    tick_size: Decimal
    step_size: Decimal
    min_quantity: Decimal
    max_quantity: Decimal
    min_notional: Decimal
    max_leverage: int = 100
    maker_fee: Decimal = Decimal("0.00005")
    taker_fee: Decimal = Decimal("0.0004")
    liquidation_fee: Decimal = Decimal("0.025")
    funding_interval_hours: int = 8
    group: str = "crypto"
    """Symbols of one group move together; their exposure is capped together."""
    brackets: tuple[Bracket, ...] = field(default=DEFAULT_BRACKETS)
    status: str = "TRADING"
    min_price: Decimal = Decimal(0)
    """Prices are whole ticks above it, as the venue's own rule says: (price − min_price) % tick_size = 0."""
    max_price: Decimal = Decimal(0)
    """Zero where the venue sets none; the same holds for every limit below."""
    market_step_size: Decimal = Decimal(0)
    market_min_quantity: Decimal = Decimal(0)
    market_max_quantity: Decimal = Decimal(0)
    """The three of market orders; zero means as for limit orders."""
    band_up: Decimal = Decimal(0)
    band_down: Decimal = Decimal(0)
    """A buy may cost at most mark × band_up, a sale must bring at least mark × band_down."""
    market_take_bound: Decimal = Decimal(0)
    """How far from mark a market order may fill, as a fraction."""
    trigger_protect: Decimal = Decimal(0)
    """Distance of last and mark beyond which a protected trigger does not fire, as a fraction."""
    max_orders: int = 200
    max_stop_orders: int = 100
    """Most working orders of the symbol, and most of them that wait for a trigger."""
    margin_asset: str = "USDT"
    contract_type: str = "PERPETUAL"
    """Empty while the venue has not opened trading."""
    asset_class: str = CRYPTO
    """`crypto`, or `traditional` for perpetuals on stocks, funds, metals and currencies."""
    order_types: tuple[str, ...] = ()
    times_in_force: tuple[str, ...] = ()

    @property
    def tradable(self) -> bool:
        """Whether the venue takes orders for it now."""
        return self.status == "TRADING"

    def quantity_down(self, quantity: Decimal) -> Decimal:
        """Round a quantity down to the step. The result may be zero."""
        return (quantity / self.step_size).to_integral_value(ROUND_FLOOR) * self.step_size

    def price_down(self, price: Decimal) -> Decimal:
        """Round a price down to the tick."""
        return self._on_tick(price, ROUND_FLOOR)

    def price_up(self, price: Decimal) -> Decimal:
        """Round a price up to the tick."""
        return self._on_tick(price, ROUND_CEILING)

    def price_near(self, price: Decimal) -> Decimal:
        """Round a price to the nearest tick."""
        return self._on_tick(price, ROUND_HALF_EVEN)

    def _on_tick(self, price: Decimal, rounding: str) -> Decimal:
        ticks = ((price - self.min_price) / self.tick_size).to_integral_value(rounding)
        return self.min_price + ticks * self.tick_size

    def bracket_for(self, notional: Decimal) -> Bracket:
        """Return the bracket that holds `notional` (quote units, not negative)."""
        for bracket in self.brackets:
            if notional <= bracket.cap:
                return bracket
        return self.brackets[-1]

    def maintenance_margin(self, notional: Decimal) -> Decimal:
        """Return the margin below which a position of this notional is liquidated."""
        bracket = self.bracket_for(notional)
        return notional * bracket.maintenance_rate - bracket.cum
