"""The paper venue: the matching engine over tables of its own, reached only through the Exchange port.

Every call loads the account, brings it up to the clock with the market's prices, acts, and commits in one transaction
of its own by compare-and-swap. Our books commit separately, so the two can differ and have to be reconciled, as with
any exchange.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from django.db import DatabaseError, InterfaceError, transaction

from accounts.models import Account
from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.snapshot import Quote
from marketdata.market import Market
from trading.domain.matching import Changes, Depth, Engine, EngineRefusal, EngineSettings, EngineState
from trading.domain.matching.tape import Cursor, Settlement, Tape, replay
from trading.domain.venue import AccountState, Income, NewOrder, OrderReport, Trade
from trading.exchange import paper_store as store
from trading.exchange.base import Ambiguous, Refusal, Refused, Unavailable
from trading.models import PaperAccount, PaperIncome, PaperOrder, PaperTrade
from vibex.lib.clock import Clock, from_ms
from vibex.lib.errors import NeedsOperator, Rejected, Retryable

ATTEMPTS: Final = 20
PAUSE_SECONDS: Final = 0.02
FRESH: Final = timedelta(seconds=1)
"""Questions about orders, trades and income do not bring the account up to date again within this time."""
CURSOR_LAG: Final = timedelta(minutes=10)
"""Prices that changed nothing are remembered as used only this often, and at the first sight of a young candle."""
INSTANT: Final = timedelta(milliseconds=1)


def open_paper_account(account: Account, *, at: datetime | None = None) -> PaperAccount:
    """Open an account at the paper venue with its starting balance, at market time `at`. Once: a second call is idle."""
    if at is None:
        from marketdata.selectors import market_clock

        at = market_clock(account.market).now()
    engine = Engine(instruments={})
    engine.deposit(Decimal(account.starting_balance), at)  # a row that was just made may hold a plain number
    return store.open_account(account.pk, state=engine.state(), changes=engine.drain(), at=at)


class PaperExchange:
    """One account at the paper venue. Must not be called inside a transaction: the venue commits on its own."""

    supports_close_position = True
    income_reach: timedelta | None = None

    def __init__(
        self, account_id: int, market: Market, clock: Clock, *, settings: EngineSettings | None = None
    ) -> None:
        self._account_id = account_id
        self._market = market
        self._clock = clock
        self._settings = settings or EngineSettings()
        self._fresh_until: datetime | None = None
        self._depths: dict[str, Depth] = {}

    def set_depth(self, symbol: str, depth: Depth | None) -> None:
        """Limit what there is to trade against, from the next call on; for this object only, it is in no table."""
        self._depths.pop(symbol, None)
        if depth is not None:
            self._depths[symbol] = depth

    # -- the port ----------------------------------------------------------------------------------------------------

    def urgent(self) -> PaperExchange:
        return self  # nothing queues here

    def account(self) -> AccountState:
        return self._ask(lambda engine, at: engine.account_state(at))

    def place(self, order: NewOrder) -> OrderReport:
        return self._act(lambda engine, at: engine.place(order, at=at), order.symbol)

    def cancel(self, *, symbol: str, client_order_id: str) -> OrderReport:
        return self._act(lambda engine, at: engine.cancel(symbol, client_order_id, at=at), symbol)

    def set_leverage(self, *, symbol: str, leverage: int) -> int:
        return self._act(lambda engine, _: engine.set_leverage(symbol, leverage), symbol)

    def order(self, *, symbol: str, client_order_id: str) -> OrderReport | None:
        self._catch_up()
        rows = PaperOrder.objects.filter(
            paper__account_id=self._account_id, symbol=symbol, client_order_id=client_order_id
        )
        row = rows.order_by("exchange_id").last()
        return store.order_record(row).report if row else None

    def trades(self, *, symbol: str, since: datetime) -> list[Trade]:
        self._catch_up()
        rows = PaperTrade.objects.filter(paper__account_id=self._account_id, symbol=symbol, at__gte=since)
        return [store.trade(row) for row in rows.order_by("at", "trade_id")]

    def income(self, *, since: datetime) -> list[Income]:
        self._catch_up()
        rows = PaperIncome.objects.filter(paper__account_id=self._account_id, at__gte=since)
        return [store.income(row) for row in rows.order_by("at", "transaction_id")]

    # -- time passes -------------------------------------------------------------------------------------------------

    def advance(self, until: datetime | None = None) -> None:
        """Use all prices up to `until` (never later than the clock): stops, targets, funding and liquidations happen."""
        self._ask(lambda *_: None, until=until)

    def _catch_up(self) -> None:
        if self._fresh_until is None or not self._fresh_until - FRESH <= self._clock.now() < self._fresh_until:
            self.advance()

    # -- one call ----------------------------------------------------------------------------------------------------

    def _ask[T](self, question: Callable[[Engine, datetime], T], *, until: datetime | None = None) -> T:
        try:
            return self._run(question, (), until)
        except (DatabaseError, InterfaceError) as error:
            raise Unavailable(f"the paper venue's database did not answer: {type(error).__name__}") from error

    def _act[T](self, action: Callable[[Engine, datetime], T], symbol: str) -> T:
        try:
            return self._run(action, (symbol,), None)
        except (DatabaseError, InterfaceError) as error:
            # The commit itself may have been lost on the way: only the tables know.
            raise Ambiguous(f"the paper venue's database broke off: {type(error).__name__}") from error

    def _run[T](self, work: Callable[[Engine, datetime], T], symbols: Iterable[str], until: datetime | None) -> T:
        if transaction.get_connection().in_atomic_block:
            raise RuntimeError("the paper venue commits on its own: do not call it inside a transaction")
        now = self._clock.now()
        at = now if until is None else min(until, now)
        for number in range(ATTEMPTS):
            depths = {symbol: depth.copy() for symbol, depth in self._depths.items()}
            attempt = _Attempt(self._market, self._settings, store.load(self._account_id), at, depths)
            outcome = attempt.work(work, symbols)
            if attempt.settle():
                self._fresh_until = at + FRESH
                self._depths = depths  # what was used up of them
                if isinstance(outcome, EngineRefusal):
                    raise Refused(str(outcome), refusal=Refusal(outcome.code))
                return outcome
            time.sleep(random.uniform(0, PAUSE_SECONDS * (number + 1)))  # noqa: S311
        raise Unavailable(f"the paper venue was busy: {ATTEMPTS} attempts were overtaken by others")


class _Attempt:
    """One try to advance and act on the account as it was loaded."""

    def __init__(
        self, market: Market, settings: EngineSettings, loaded: store.Loaded, at: datetime, depths: dict[str, Depth]
    ) -> None:
        self._market = market
        self._settings = settings
        self._loaded = loaded
        self._at = at
        self._depths = depths

    def work[T](self, work: Callable[[Engine, datetime], T], symbols: Iterable[str]) -> T | EngineRefusal:
        """Bring the account up to date and do the work. A refusal is returned: what time brought about stands anyway."""
        names = sorted(self._loaded.symbols.union(symbols))
        self._engine = Engine(
            instruments={name: self._instrument(name) for name in names},
            settings=self._settings,
            state=self._loaded.state,
        )
        tapes = [self._tape(name) for name in names if self._due(name)]
        limited = {name: depth for name, depth in self._depths.items() if name in names}
        for name, depth in limited.items():
            self._engine.set_depth(name, depth)
        self._cursors = {**self._loaded.cursors, **replay(self._engine, tapes, until=self._at)}
        for name, depth in limited.items():
            self._engine.set_depth(name, depth, at=self._at)
        try:
            return work(self._engine, self._at)
        except EngineRefusal as refusal:
            return refusal

    def settle(self) -> bool:
        """Commit what changed, or make sure that nobody else did. Return False when somebody was faster."""
        state, changes = self._engine.state(), self._engine.drain()
        cursors = {symbol: cursor for symbol, cursor in self._cursors.items() if self._engine.needs(symbol)}
        if not self._worth_a_commit(changes, cursors, state):
            return store.unchanged(self._loaded)
        try:
            return store.commit(self._loaded, state=state, changes=changes, cursors=cursors)
        except OverflowError as error:  # an amount with more digits than SQLite keeps; nothing was written
            raise NeedsOperator(str(error)) from error

    def _worth_a_commit(self, changes: Changes, cursors: dict[str, Cursor], state: EngineState) -> bool:
        old = self._loaded.cursors
        return (
            bool(changes)
            or state.leverages != self._loaded.state.leverages
            or cursors.keys() != old.keys()
            or any(cursor.at - old[symbol].at > CURSOR_LAG for symbol, cursor in cursors.items())
            or any(_holds_a_beginning(cursor, old[symbol], symbol, state) for symbol, cursor in cursors.items())
        )

    def _due(self, symbol: str) -> bool:
        cursor = self._loaded.cursors.get(symbol)
        return cursor is None or max(cursor.at, cursor.paid) < self._at

    def _instrument(self, symbol: str) -> InstrumentSpec:
        try:
            return self._market.instrument(symbol)
        except Rejected as unknown:
            raise Refused(str(unknown), refusal=Refusal.UNKNOWN_SYMBOL) from unknown

    def _tape(self, symbol: str) -> Tape:
        cursor = self._loaded.cursors.get(symbol)
        since = self._at - INSTANT if cursor is None else cursor.at
        try:
            candles = self._market.base_candles(symbol, since=since, until=self._at)
            paid = self._market.funding(symbol, since=cursor.paid, until=self._at) if cursor else []
        except Retryable as fault:
            raise Unavailable(f"the paper venue has no prices of {symbol}: {fault}") from fault
        settlements = [Settlement(settlement.at, settlement.rate, settlement.mark) for settlement in paid]
        return Tape(symbol, candles, settlements, self._quote(symbol), cursor)

    def _quote(self, symbol: str) -> Quote | None:
        try:
            return self._market.quote(symbol, at=self._at)
        except Retryable:
            return None  # candles are enough to go on; without either the engine refuses for want of a price


def _holds_a_beginning(cursor: Cursor, before: Cursor, symbol: str, state: EngineState) -> bool:
    """Return whether this is the first sight of a candle in which an order or position came about.

    What came about meets none of the extremes seen now, but those that are new from here on: so here has to be kept.
    """
    if cursor.candle is None or cursor.candle == before.candle:
        return False
    opened = from_ms(cursor.candle)
    orders = any(order.created > opened for order in state.orders if order.symbol == symbol)
    return orders or any(position.opened > opened for position in state.positions if position.symbol == symbol)
