"""The matching engine in memory, behind the Exchange port: what a backtest trades on."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NoReturn

from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.snapshot import Quote
from trading.domain.matching import Engine, EngineRefusal, EngineSettings
from trading.domain.venue import ZERO, AccountState, Income, NewOrder, OrderReport, Trade
from trading.exchange.base import Refusal, Refused
from vibex.lib.clock import Clock


@dataclass(frozen=True, slots=True)
class Opening:
    """The first prices after a decision, and the range of the bar that opens with them (for the slip of stops)."""

    quote: Quote
    span: Decimal = ZERO


class SimulatedExchange:
    """One account in memory. The caller moves the prices: `bar`, `funding` and `quote` in the order of their times.

    Orders that follow a decision meet the next open, not the close that was decided on: give it with `pending`,
    and the first order after that moves the prices there. A cycle that does nothing costs nothing.
    """

    supports_close_position = True
    income_reach: timedelta | None = None

    def __init__(
        self,
        *,
        instruments: Mapping[str, InstrumentSpec],
        clock: Clock,
        deposit: Decimal,
        settings: EngineSettings | None = None,
    ) -> None:
        self.engine = Engine(instruments=instruments, settings=settings)
        self._clock = clock
        self._pending: Callable[[], Iterable[Opening]] | None = None
        self._reports: dict[tuple[str, str], OrderReport] = {}
        self._trades: list[Trade] = []
        self._income: list[Income] = []
        self.engine.deposit(deposit, clock.now())
        self.quote = self.engine.on_quote
        self.bar = self.engine.on_bar
        self.funding = self.engine.on_funding
        self.needs = self.engine.needs
        """needs(symbol): False while neither a position nor an order waits for its prices; bars may then be skipped."""
        self.held = self.engine.positions
        self.quiet_range = self.engine.quiet_range
        """quiet_range(symbol): a bar strictly between the two prices meets nothing and may be skipped as well."""

    def pending(self, openings: Callable[[], Iterable[Opening]] | None) -> None:
        """Say what the next open is; asked for only when something is placed or cancelled. None forgets it."""
        self._pending = openings

    @property
    def wallet(self) -> Decimal:
        return self.engine.wallet

    @property
    def unread(self) -> bool:
        """Whether something has happened that nobody asked about yet."""
        return self.engine.unread

    def urgent(self) -> SimulatedExchange:
        return self  # nothing queues here

    def account(self) -> AccountState:
        return self.engine.account_state(self._clock.now())

    def place(self, order: NewOrder) -> OrderReport:
        self._act()
        try:
            return self.engine.place(order, at=self._clock.now())
        except EngineRefusal as refusal:
            refuse(refusal)

    def cancel(self, *, symbol: str, client_order_id: str) -> OrderReport:
        self._act()
        try:
            return self.engine.cancel(symbol, client_order_id, at=self._clock.now())
        except EngineRefusal as refusal:
            refuse(refusal)

    def order(self, *, symbol: str, client_order_id: str) -> OrderReport | None:
        self._collect()
        return self._reports.get((symbol, client_order_id))

    def trades(self, *, symbol: str, since: datetime) -> list[Trade]:
        self._collect()
        recent = self._trades[bisect_left(self._trades, since, key=_at) :]
        return [trade for trade in recent if trade.symbol == symbol]

    def income(self, *, since: datetime) -> list[Income]:
        self._collect()
        return self._income[bisect_left(self._income, since, key=_at) :]

    def set_leverage(self, *, symbol: str, leverage: int) -> int:
        try:
            return self.engine.set_leverage(symbol, leverage)
        except EngineRefusal as refusal:
            refuse(refusal)

    def _act(self) -> None:
        if self._pending is not None:
            openings, self._pending = self._pending(), None
            for opening in openings:
                self.engine.on_quote(opening.quote, span=opening.span)

    def _collect(self) -> None:
        changes = self.engine.drain()
        for trade in changes.trades:
            insort(self._trades, trade, key=_at)
        for entry in changes.income:
            insort(self._income, entry, key=_at)
        self._reports.update({(order.symbol, order.client_order_id): order.report() for order in changes.orders})


def _at(entry: Trade | Income) -> datetime:
    return entry.at


def refuse(refusal: EngineRefusal) -> NoReturn:
    """Say the engine's refusal in the words of the port."""
    raise Refused(str(refusal), refusal=Refusal(refusal.code)) from None
