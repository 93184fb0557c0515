"""Orders, trades and positions in the words of an exchange. Shared by every adapter and by the matching engine."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

from decisions.domain.proposal import Side
from marketdata.domain.bars import Bar
from vibex.lib.records import record

__all__ = [
    "MOVED",
    "ONE",
    "SETTLED_IN",
    "ZERO",
    "AccountState",
    "Bar",
    "Collateral",
    "Income",
    "IncomeKind",
    "NewOrder",
    "OrderReport",
    "OrderSide",
    "OrderType",
    "TimeInForce",
    "Trade",
    "VenuePosition",
    "VenueStatus",
]

ZERO = Decimal(0)
ONE = Decimal(1)
"""Decimals are compared and calculated with Decimals: an int would first be turned into one."""
SETTLED_IN = "USDT"
"""The asset that wallet, margin, profit, fees and equity are told in. Amounts in any other are in no sum."""


class OrderSide(StrEnum):
    BUY = "BUY"
    SELL = "SELL"

    sign: int
    """1 for a buyer, −1 for a seller."""
    factor: Decimal
    """The same to be multiplied with a Decimal."""
    opens: Side
    """Side of the position that an order of this side opens."""
    word: str
    """As the exchange writes it: `value`, which takes longer to come by."""

    def __init__(self, word: str) -> None:
        self.word = word
        self.sign = 1 if word == "BUY" else -1
        self.opens = Side.LONG if word == "BUY" else Side.SHORT
        self.factor = self.opens.factor

    @classmethod
    def to_open(cls, side: Side) -> OrderSide:
        """Return the order side that adds to a position of `side`."""
        return cls.BUY if side is Side.LONG else cls.SELL

    @classmethod
    def to_close(cls, side: Side) -> OrderSide:
        """Return the order side that lowers a position of `side`."""
        return cls.SELL if side is Side.LONG else cls.BUY


class OrderType(StrEnum):
    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP_MARKET = "STOP_MARKET"
    TAKE_PROFIT_MARKET = "TAKE_PROFIT_MARKET"

    conditional: bool
    """Whether it waits for a trigger."""
    word: str

    def __init__(self, word: str) -> None:
        self.word = word
        self.conditional = word in ("STOP_MARKET", "TAKE_PROFIT_MARKET")


class TimeInForce(StrEnum):
    GTC = "GTC"
    IOC = "IOC"
    GTX = "GTX"
    """Post only: expires instead of taking."""


class VenueStatus(StrEnum):
    """Status of an order as the exchange states it."""

    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"

    open: bool
    """Whether it may still be filled."""

    def __init__(self, word: str) -> None:
        self.open = word in ("NEW", "PARTIALLY_FILLED")


@record()
class NewOrder:
    """An order to be placed. Quantity in the base asset; `trigger` is compared with the mark price."""

    client_order_id: str
    symbol: str
    side: OrderSide
    type: OrderType
    quantity: Decimal | None = None
    """None only with `close_position`, which takes the whole position when it fires."""
    price: Decimal | None = None
    trigger: Decimal | None = None
    time_in_force: TimeInForce | None = None
    reduce_only: bool = False
    close_position: bool = False


@record()
class OrderReport:
    """What the exchange says of one order. `filled` is cumulative."""

    client_order_id: str
    exchange_id: str
    symbol: str
    side: OrderSide
    type: OrderType
    status: VenueStatus
    quantity: Decimal
    filled: Decimal = ZERO
    average_price: Decimal | None = None
    price: Decimal | None = None
    trigger: Decimal | None = None
    reduce_only: bool = False
    close_position: bool = False
    updated_at: datetime | None = None


@record()
class Trade:
    """One execution. `fee` is positive when paid, in `fee_asset`; `realised` is profit or loss before the fee."""

    trade_id: str
    client_order_id: str
    exchange_id: str
    symbol: str
    side: OrderSide
    quantity: Decimal
    price: Decimal
    fee: Decimal
    realised: Decimal
    maker: bool
    at: datetime
    fee_asset: str = SETTLED_IN


class IncomeKind(StrEnum):
    """Why the wallet changed."""

    TRANSFER = "TRANSFER"
    REALIZED_PNL = "REALIZED_PNL"
    COMMISSION = "COMMISSION"
    FUNDING_FEE = "FUNDING_FEE"
    LIQUIDATION_FEE = "LIQUIDATION_FEE"
    INSURANCE_CLEAR = "INSURANCE_CLEAR"
    OPENING = "OPENING"
    """Ours: what the wallet held before the oldest line that the venue still tells."""
    OTHER = "OTHER"
    """For a reason that has no name here; the venue's own stands in front of the transaction's number."""


MOVED: Final = (IncomeKind.TRANSFER, IncomeKind.OPENING)
"""Money that came and went besides trading: never profit, never loss."""


@record()
class Income:
    """One change of the wallet; the sum of all amounts in USDT is the wallet balance."""

    transaction_id: str
    kind: IncomeKind
    symbol: str
    amount: Decimal
    at: datetime
    trade_id: str = ""
    asset: str = SETTLED_IN


@record()
class VenuePosition:
    """An open position as the exchange states it. `quantity` is positive."""

    symbol: str
    side: Side
    quantity: Decimal
    entry_price: Decimal
    mark_price: Decimal
    leverage: int
    unrealised: Decimal
    margin: Decimal
    liquidation_price: Decimal | None = None
    opened_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Collateral:
    """Another asset of the account than the one it trades in. It carries no position."""

    asset: str
    balance: Decimal


@record()
class AccountState:
    """Balance, positions and open orders of an account at one moment."""

    at: datetime
    wallet: Decimal
    unrealised: Decimal
    margin: Decimal
    available: Decimal
    positions: tuple[VenuePosition, ...] = ()
    orders: tuple[OrderReport, ...] = ()
    others: tuple[Collateral, ...] = ()

    @property
    def equity(self) -> Decimal:
        return self.wallet + self.unrealised

    def position(self, symbol: str) -> VenuePosition | None:
        """Return the open position of `symbol`, or None."""
        for position in self.positions:
            if position.symbol == symbol:
                return position
        return None
