"""A venue through ccxt behind the Exchange port. What all of them share stands here; what one says, in its `Dialect`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol

from marketdata.domain.instruments import InstrumentSpec
from marketdata.venues.public import VenueDown, VenueRefused
from trading.domain.venue import (
    AccountState,
    Collateral,
    Income,
    NewOrder,
    OrderReport,
    Trade,
    VenuePosition,
)
from trading.exchange.aster.failures import kind_of_order
from trading.exchange.aster.form import lowers
from trading.exchange.aster_codes import Call
from trading.exchange.base import Refusal, Refused
from trading.exchange.live import ConnectionCheck
from trading.exchange.through_ccxt.failures import acted, asked, never_sent
from vibex.lib.clock import Clock
from vibex.lib.errors import Rejected, VibexError


@dataclass(frozen=True, slots=True)
class Books:
    """What an account holds at one moment, in the asset that it is settled in."""

    wallet: Decimal
    available: Decimal
    margin: Decimal
    positions: tuple[VenuePosition, ...] = ()
    orders: tuple[OrderReport, ...] = ()
    others: tuple[Collateral, ...] = ()
    unrealised: Decimal | None = None
    """None: that of all positions together."""


class Dialect(Protocol):
    """How one venue is spoken to. Raises the venue's words (VenueRefused, VenueDown, VenueBusy), NeedsOperator, or those
    of the port where it knows better; `meaning` turns the first into the last.
    """

    venue: str
    """Its name for a person."""
    supports_close_position: bool
    """Whether an order can close whatever is there when it fires. Elsewhere stops and targets are by quantity."""
    income_reach: timedelta | None
    """How far back `income` tells; None: from the first payment on."""

    def urgent(self) -> Dialect:
        """Return the same account for what must not wait (`CcxtClient.urgent`)."""
        ...

    def meaning(self, refused: VenueRefused, call: Call) -> VibexError | None:
        """Return what the venue's no means for a call, None where all is as it was wanted."""
        ...

    def books(self) -> Books:
        """Return money, positions and open orders. Orders are asked for first (see CcxtExchange.account)."""
        ...

    def place(self, order: NewOrder, spec: InstrumentSpec | None) -> OrderReport:
        """Check the form (Refused), send the order once, return what the venue says of it. `spec` is None for what only
        lowers exposure: no rule of ours may refuse that."""
        ...

    def cancel(self, symbol: str, client_order_id: str) -> OrderReport:
        """Cancel an order. Raises Refused with UNKNOWN_ORDER only where the venue says clearly that it is not open."""
        ...

    def order(self, symbol: str, client_order_id: str) -> OrderReport | None:
        """Return what became of an order, None only where the venue says clearly that there is none."""
        ...

    def trades(self, symbol: str, since: datetime) -> list[Trade]:
        """Return executions at or after `since` in any order, with our client ids."""
        ...

    def income(self, since: datetime) -> list[Income]:
        """Return changes of the wallet at or after `since` in any order."""
        ...

    def leverage_set(self, symbol: str, leverage: int) -> int:
        """Make the margin of a flat symbol isolated and set its leverage, read both back, return the leverage."""
        ...

    def prepare(self, leverages: Mapping[str, int]) -> None:
        """Set modes and leverage, read everything back."""
        ...

    def terms(self, spec: InstrumentSpec) -> InstrumentSpec:
        """Return the rules with this account's own fees and brackets."""
        ...

    def check(self, symbols: Sequence[str]) -> ConnectionCheck:
        """Read everything that a person wants to see before trading, change nothing."""
        ...


class CcxtExchange:
    """One account at a venue through ccxt. Safe from several threads; must not be called inside a transaction.

    `specs` returns the rules of a symbol and raises Rejected for one that is not there. `clock` is the market's.
    """

    def __init__(self, dialect: Dialect, *, specs: Callable[[str], InstrumentSpec], clock: Clock) -> None:
        self.dialect = dialect
        self.supports_close_position = dialect.supports_close_position
        self.income_reach = dialect.income_reach
        self._specs = specs
        self._clock = clock

    # -- the port ----------------------------------------------------------------------------------------------------

    def account(self) -> AccountState:
        """Return money, all positions and all open orders, those of others included.

        The answers are not of one moment. Orders come first: what a fill in between does to them is seen as a stop that
        still stands over a position that is gone, never as a position without its stop. `at` is the moment before the
        first question, so that what happened since is never taken for something that was seen.
        """
        at = self._clock.now()
        with asked(self.dialect.meaning):
            held = self.dialect.books()
        unrealised = sum((one.unrealised for one in held.positions), Decimal(0))
        return AccountState(
            at=at,
            wallet=held.wallet,
            unrealised=unrealised if held.unrealised is None else held.unrealised,
            margin=held.margin,
            available=held.available,
            positions=held.positions,
            orders=held.orders,
            others=held.others,
        )

    def place(self, order: NewOrder) -> OrderReport:
        """Place an order. Raises Refused (certainly not placed), Unavailable (never left) or Ambiguous.

        What only lowers exposure needs nothing but the venue: no rule of ours is looked up for it.
        """
        spec = None if lowers(order) else self._spec(order.symbol)
        with acted(self.dialect.meaning, kind_of_order(order)):
            return self._about(self.dialect.place(order, spec), order.symbol, order.client_order_id)

    def cancel(self, *, symbol: str, client_order_id: str) -> OrderReport:
        """Cancel an open order. Raises Refused with UNKNOWN_ORDER when it is not open, Unavailable or Ambiguous."""
        with acted(self.dialect.meaning, Call.CANCEL):
            return self._about(self.dialect.cancel(symbol, client_order_id), symbol, client_order_id)

    def order(self, *, symbol: str, client_order_id: str) -> OrderReport | None:
        """Return what became of an order, None for a clean "no such order". Raises Unavailable: that proves nothing."""
        with asked(self.dialect.meaning, Call.QUERY):
            report = self.dialect.order(symbol, client_order_id)
            return report and self._about(report, symbol, client_order_id)

    def trades(self, *, symbol: str, since: datetime) -> list[Trade]:
        """Return executions at or after `since`, oldest first. Raises Unavailable."""
        with asked(self.dialect.meaning):
            made = self.dialect.trades(symbol, since)
        return sorted((one for one in made if one.at >= since), key=lambda one: (one.at, _by_number(one.trade_id)))

    def income(self, *, since: datetime) -> list[Income]:
        """Return changes of the wallet at or after `since`, oldest first. Raises Unavailable."""
        with asked(self.dialect.meaning):
            lines = self.dialect.income(since)
        return sorted(
            (one for one in lines if one.at >= since), key=lambda one: (one.at, _by_number(one.transaction_id))
        )

    def set_leverage(self, *, symbol: str, leverage: int) -> int:
        """Set the leverage of a symbol and return what the venue now says. Its margin is made isolated first.

        Raises Refused while a position is open, NeedsOperator for a margin mode that cannot be switched.
        """
        self._spec(symbol)
        with asked(self.dialect.meaning):
            return self.dialect.leverage_set(symbol, leverage)

    # -- beyond the port ---------------------------------------------------------------------------------------------

    def urgent(self) -> CcxtExchange:
        """Return the same account for closing, and for what has to be read to prove that it is flat."""
        return CcxtExchange(self.dialect.urgent(), specs=self._specs, clock=self._clock)

    def prepare(self, leverages: Mapping[str, int]) -> None:
        """Set the modes that Vibex trades in and these symbols' leverage, read everything back."""
        with asked(self.dialect.meaning):
            self.dialect.prepare(leverages)

    def terms(self, symbol: str) -> InstrumentSpec:
        """Return the rules of a symbol with this account's own fees and brackets. Raises Refused, Unavailable."""
        spec = self._spec(symbol)
        with asked(self.dialect.meaning):
            return self.dialect.terms(spec)

    def check(self, symbols: Sequence[str]) -> ConnectionCheck:
        """Read money, modes, permissions, fees and clock; change nothing. Raises NeedsOperator, Unavailable."""
        with asked(self.dialect.meaning):
            return self.dialect.check(symbols)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _spec(self, symbol: str) -> InstrumentSpec:
        with never_sent(self.dialect.venue):
            try:
                return self._specs(symbol)
            except Rejected as unknown:
                raise Refused(str(unknown), refusal=Refusal.UNKNOWN_SYMBOL) from unknown

    def _about(self, report: OrderReport, symbol: str, client_order_id: str) -> OrderReport:
        """Return the report of the order that was asked for. An answer about another one, or none, is no answer."""
        if (report.symbol, report.client_order_id) != (symbol, client_order_id) or not report.exchange_id:
            text = f"{self.dialect.venue} answered about another order than {client_order_id} of {symbol}."
            raise VenueDown(text)
        return report


def _by_number(name: str) -> tuple[int, str]:
    """Order numbers by their size, also those that have a word in front."""
    number = name.rpartition(":")[2]
    return (int(number) if number.isdecimal() else 0, name)
