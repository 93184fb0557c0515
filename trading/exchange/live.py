"""What an exchange with real orders can do beyond the Exchange port: be made ready, tell its terms, be checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol, runtime_checkable

from marketdata.domain.instruments import InstrumentSpec
from trading.domain.venue import OrderReport
from trading.exchange.base import Exchange


@dataclass(frozen=True, slots=True)
class SymbolCheck:
    """How a symbol is set for this account, and what it pays. Fees are fractions of the notional."""

    symbol: str
    isolated: bool
    leverage: int
    maker_fee: Decimal
    taker_fee: Decimal


@dataclass(frozen=True, slots=True)
class ConnectionCheck:
    """What a venue says of an account when nothing is traded. None: the venue does not tell."""

    clock_ahead: timedelta
    """By how much the venue's clock is ahead of ours."""
    round_trip: timedelta
    wallet: Decimal
    available: Decimal
    one_way: bool
    single_asset: bool | None
    can_trade: bool | None
    can_withdraw: bool | None
    symbols: tuple[SymbolCheck, ...] = ()


class LiveExchange(Exchange, Protocol):
    """An account whose orders leave this machine."""

    def urgent(self) -> LiveExchange:
        """Return the same account for closing, and for what has to be read to prove that it is flat: halt, flatten, stops.

        Whatever is called on it waits for nothing of ours: neither for a share of the request budget nor for a connection
        that something slow holds. It has less time per call. Only what the venue itself has told us (a ban) holds it back.
        """
        ...

    def prepare(self, leverages: Mapping[str, int]) -> None:
        """Set the modes that Vibex trades in and these symbols' leverage, read everything back.

        Raises NeedsOperator for what cannot be switched, or only with something open; Refused; Unavailable.
        """
        ...

    def terms(self, symbol: str) -> InstrumentSpec:
        """Return the rules of a symbol with this account's own fees and brackets. Raises Refused, Unavailable."""
        ...

    def check(self, symbols: Sequence[str]) -> ConnectionCheck:
        """Read money, modes, permissions, fees and clock; change nothing. Raises NeedsOperator, Unavailable."""
        ...


@runtime_checkable
class OrderHistory(Protocol):
    """An exchange that tells past orders, those without a fill too: what a restored database has lost is found there."""

    def history(self, *, symbol: str, since: datetime) -> list[OrderReport]:
        """Return the orders of a symbol made at or after `since` that it still knows, oldest first. Raises Unavailable."""
        ...
