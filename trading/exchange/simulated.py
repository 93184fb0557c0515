"""The matching engine in memory, behind the Exchange port: what a backtest trades on."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NoReturn

from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.snapshot import Quote
from trading.domain.matching import Engine, EngineRefusal, EngineSettings
from trading.domain.venue import ZERO, AccountState, Income, NewOrder, OrderReport, Trade
from trading.exchange.base import Refusal, Refused
from vibex.lib.clock import Clock
from vibex.lib.records import record


@record()
class Opening:
    """The first prices after a decision, and the range of the bar that opens with them (for the slip of stops)."""

    quote: Quote
    span: Decimal = ZERO


class InTime[Entry: (Trade, Income)]:
    """What happened, in the order of its times; what comes at the same moment in the order in which it was told."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []

    def add(self, entry: Entry) -> None:
        entries = self._entries
        if entries and entry.at < entries[-1].at:  # a settlement that became known late
            insort(entries, entry, key=_at)
        else:
            entries.append(entry)

    def since(self, moment: datetime) -> list[Entry]:
        """Return what happened at `moment` and later, which are the newest of many."""
        entries = self._entries
        start = len(entries)
        while start and entries[start - 1].at >= moment:
            start -= 1
        return entries[start:]


def _at(entry: Trade | Income) -> datetime:
    return entry.at


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
        self._orders: dict[tuple[str, str], OrderReport] = {}
        self._trades: InTime[Trade] = InTime()
        self._income: InTime[Income] = InTime()
        self.engine.deposit(deposit, clock.now())
        self.quote = self.engine.on_quote
        self.bar = self.engine.on_bar
        self.close = self.engine.on_close
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
        if self._pending is not None:
            self._act()
        try:
            return self.engine.place(order, at=self._clock.now())
        except EngineRefusal as refusal:
            refuse(refusal)

    def cancel(self, *, symbol: str, client_order_id: str) -> OrderReport:
        if self._pending is not None:
            self._act()
        try:
            return self.engine.cancel(symbol, client_order_id, at=self._clock.now())
        except EngineRefusal as refusal:
            refuse(refusal)

    def order(self, *, symbol: str, client_order_id: str) -> OrderReport | None:
        if (working := self.engine.shown(symbol, client_order_id)) is not None:
            return working
        if self.engine.unread:
            self._collect()
        return self._orders.get((symbol, client_order_id))

    def trades(self, *, symbol: str, since: datetime) -> list[Trade]:
        if self.engine.unread:
            self._collect()
        return [trade for trade in self._trades.since(since) if trade.symbol == symbol]

    def income(self, *, since: datetime) -> list[Income]:
        if self.engine.unread:
            self._collect()
        return self._income.since(since)

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
            self._trades.add(trade)
        for entry in changes.income:
            self._income.add(entry)
        for order in changes.orders:
            self._orders[order.symbol, order.client_order_id] = order.report


def refuse(refusal: EngineRefusal) -> NoReturn:
    """Say the engine's refusal in the words of the port."""
    raise Refused(str(refusal), refusal=Refusal(refusal.code)) from None
