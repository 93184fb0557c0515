"""The journal of a backtest: in memory, written out by whoever ran it. The same rules as the database's journal."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any, Final

from decisions.deciders.base import Answer, Question, Reading
from decisions.domain.portfolio import Role
from decisions.domain.proposal import Ruling
from decisions.domain.question import Member
from marketdata.domain.snapshot import MarketSnapshot
from trading.domain.books import BookedPosition, apply_funding, apply_trade, exit_reason
from trading.domain.history import ENDED_TOLD, LOOKED_BACK, Ended, History
from trading.domain.losses import DAY, EMPTY, KINDS, Watch, advance, carried, unknown_equity
from trading.domain.orders import FINAL, OrderFacts, OrderState, filled_to, move, observed
from trading.domain.risk import Standing
from trading.domain.venue import (
    MOVED,
    ZERO,
    AccountState,
    Income,
    IncomeKind,
    NewOrder,
    OrderReport,
    Trade,
    VenuePosition,
)
from trading.services.journal.base import Bracket, IntentVoid, Line, Stage, TrackedOrder, TrackedPosition
from trading.services.journal.kept import KeptLock, KeptOrder, KeptPosition, ended_of, tracked_entry, tracked_of
from trading.services.journal.said import Said
from trading.services.journal.series import Equity, Point

DAWN = datetime(1970, 1, 1, tzinfo=UTC)
BELOW: Final = Decimal("0.999999999")
"""An equity below this share of a high is no new one, however the value of a unit is rounded."""
PLANNED: Final = OrderFacts(OrderState.PLANNED)
SENDING: Final = move(PLANNED, OrderState.SENDING)
"""What is known of every order when it is planned, and when it leaves."""
ended_at = attrgetter("ended_at")


@dataclass
class MemoryJournal:
    """Journal of one account, kept until the run is over."""

    kept: dict[str, KeptOrder] = field(default_factory=dict)
    working: dict[str, KeptOrder] = field(default_factory=dict)
    open: dict[str, KeptPosition] = field(default_factory=dict)
    closed: list[KeptPosition] = field(default_factory=list)
    fills: dict[tuple[str, str], Trade] = field(default_factory=dict)
    ledger: dict[tuple[IncomeKind, str], Income] = field(default_factory=dict)
    series: Equity = field(default_factory=Equity)
    incidents: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    rulings: list[Ruling] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)
    """What was asked and answered; nothing where rules asked for nothing."""
    compared: list[tuple[Member, Sequence[Ruling]]] = field(default_factory=list)
    """What was said by those that are only compared, with what risk would have made of it."""
    current: Sequence[Ruling] = ()
    entries: dict[str, KeptOrder] = field(default_factory=dict)
    """The newest entry order of each symbol."""
    latest: dict[str, datetime] = field(default_factory=dict)
    latest_income: datetime = DAWN
    total: Decimal = ZERO
    moved: Decimal = ZERO
    """Net transfers."""
    zone: str = "UTC"
    noted: Watch | None = None
    """What is remembered of losses, up to the newest equity that made a difference to what comes later; `watched` is up to
    the newest of all."""
    locks: list[KeptLock] = field(default_factory=list)
    entered: list[datetime] = field(default_factory=list)
    """When entries were filled first, of the last day at least."""
    ended: list[Ended] = field(default_factory=list)
    """Positions that ended, in the order of their ends."""
    unasked: int = 0
    """Entries that would have waited for a person, and were carried out at once."""
    _late: Decimal | Callable[[], Decimal] | None = None
    """An equity that nothing was made of yet, at `_late_at`."""
    _late_at: datetime = DAWN
    _high: tuple[Decimal, Decimal, Decimal] = (ZERO, ZERO, ZERO)
    """A highest value of a unit, a number of units, and what `_high_of` says of them."""

    def plan(self, order: NewOrder, *, role: Role, ruling: int | None = None, purpose: str = "") -> None:
        followed = self.current[ruling] if ruling is not None else None
        kept = KeptOrder(role, order, PLANNED, datetime.now(UTC), followed, purpose)
        self.kept[order.client_order_id] = self.working[order.client_order_id] = kept
        if role is Role.ENTRY:
            self.entries[order.symbol] = kept

    def sending(self, client_order_id: str) -> None:
        kept = self.kept[client_order_id]
        step = SENDING if kept.facts is PLANNED else move(kept.facts, OrderState.SENDING)
        if step.incident:
            raise IntentVoid(f"order {client_order_id} is {kept.facts.state} already: it took too long to leave")
        kept.sent_at, kept.told = datetime.now(UTC), None
        self._take(kept, step.facts)

    def observe(self, client_order_id: str, report: OrderReport) -> None:
        kept = self.kept[client_order_id]
        self._take(kept, *observed(kept.facts, report))

    def move(self, client_order_id: str, to: OrderState, *, reason: str = "") -> None:
        kept = self.kept[client_order_id]
        step = move(kept.facts, to, reason=reason)
        self._take(kept, step.facts, step.incident)

    def cancelling(self, client_order_id: str) -> None:
        self.move(client_order_id, OrderState.CANCELLING)

    def may_set(self) -> None:
        """Nobody halts a backtest."""

    def asked_in_vain(self, client_order_id: str) -> None:
        kept = self.kept[client_order_id]
        kept.absent_answers, kept.told = kept.absent_answers + 1, None

    def orders(self) -> list[TrackedOrder]:
        return [kept.told or kept.tracked() for kept in self.working.values()]

    def take_in(self, reports: Sequence[OrderReport]) -> None:
        for report in reports:  # nobody else is there
            if report.client_order_id in self.kept and report.client_order_id not in self.working:
                self.observe(report.client_order_id, report)

    def claim(self, symbol: str) -> bool:
        return True  # nobody else is there

    def release(self, symbol: str) -> None:
        """Nothing was taken."""

    def book(self, trades: Sequence[Trade]) -> int:
        fresh = [trade for trade in trades if (trade.symbol, trade.trade_id) not in self.fills] if trades else ()
        for trade in fresh:
            self._book_one(trade)
        return len(fresh)

    def book_income(self, income: Sequence[Income]) -> set[str]:
        unread, ledger = set(), self.ledger
        for line in income:
            kind = line.kind
            if (kind, line.transaction_id) in ledger:
                continue
            ledger[kind, line.transaction_id] = line
            self.total += line.amount
            if kind in MOVED:
                self.moved += line.amount
            if line.at > self.latest_income:
                self.latest_income = line.at
            if line.trade_id and (line.symbol, line.trade_id) not in self.fills:
                unread.add(line.symbol)
            if kind is IncomeKind.FUNDING_FEE and (held := self.open.get(line.symbol)):
                held.booked = apply_funding(held.booked, line.amount)  # nothing that is told of a position
        return unread

    def book_stated(self, held: VenuePosition, *, at: datetime) -> None:
        booked = BookedPosition(
            held.symbol,
            held.side,
            held.quantity,
            held.quantity * held.entry_price,
            at,
            bought=held.quantity,
            bought_value=held.quantity * held.entry_price,
            peak=held.quantity,
        )
        self.open[held.symbol] = KeptPosition(booked, leverage=held.leverage)

    def adopted(self, symbol: str, *, stop: Decimal) -> None:
        kept = self.open[symbol]
        kept.stop, kept.adopted, kept.told = stop, True, None

    def unbooked(self, symbol: str) -> TrackedPosition | None:
        newest = self.entries.get(symbol)
        if newest is None or not newest.facts.filled or newest.traded:
            return None
        return tracked_entry(newest.order, newest.facts, newest.planned_at, newest.ruling)

    def ledger_total(self) -> Decimal | None:
        return self.total if self.ledger else None

    def trades_since(self, symbol: str) -> datetime:
        return self.latest.get(symbol, DAWN)

    def income_since(self) -> datetime:
        return self.latest_income

    def positions(self) -> list[TrackedPosition]:
        return [kept.told or tracked_of(kept) for kept in self.open.values()]

    def bracket(
        self,
        symbol: str,
        state: Bracket,
        *,
        stop: Decimal | None = None,
        target: Decimal | None = None,
        leverage: int | None = None,
        verified_at: datetime | None = None,
    ) -> None:
        if (kept := self.open.get(symbol)) is not None:
            before = kept.bracket, kept.stop, kept.target, kept.leverage
            kept.bracket = state
            kept.stop = kept.stop if stop is None else stop
            kept.target = kept.target if target is None else target
            kept.leverage = leverage or kept.leverage
            if (kept.bracket, kept.stop, kept.target, kept.leverage) != before:
                kept.told = None

    def equity(self, state: AccountState) -> None:
        if unknown_equity(state):
            return
        self.series.add(state)
        self.watch_on(state.equity, state.at)

    def watch_on(self, equity: Decimal, at: datetime) -> None:
        """Carry what is remembered of losses on to an equity: at once, where it makes a difference to what comes later."""
        watch = self.noted
        if watch is not None and self._may_wait(watch, at) and EMPTY <= equity < self._high_of(watch):
            self._late, self._late_at = equity, at
        else:
            self.noted, self._late = (
                carried(self.watched, equity=equity, transfers=self.moved, at=at, zone=self.zone),
                None,
            )

    def watch_later(self, equity: Callable[[], Decimal], at: datetime) -> None:
        """Do the same with an equity that is worked out when somebody asks: it is no new high, and not next to nothing."""
        if self.noted is not None and self._may_wait(self.noted, at):
            self._late, self._late_at = equity, at
        else:
            self.watch_on(equity(), at)

    def _may_wait(self, watch: Watch, at: datetime) -> bool:
        """Tell whether of all statements like this one only the newest counts: on the same day, with no transfer between."""
        newest = watch.at if self._late is None else self._late_at
        whole = watch.units is not None and watch.equity >= EMPTY and bool(watch.unit)
        return whole and newest <= at < watch.day_ends and self.moved == watch.transfers

    def _high_of(self, watch: Watch) -> Decimal:
        """Return an equity below which no value of a unit is a new high."""
        peak, units, equity = self._high
        if watch.units is not None and (peak is not watch.peak or units is not watch.units):
            equity = watch.peak * watch.units * BELOW
            self._high = watch.peak, watch.units, equity
        return equity

    @property
    def watched(self) -> Watch | None:
        """What is remembered of losses."""
        if self.noted is not None and self._late is not None:
            late, moved, self._late = self._late, self.noted.transfers, None
            equity = late if isinstance(late, Decimal) else late()
            self.noted = advance(self.noted, equity=equity, transfers=moved, at=self._late_at, zone=self.zone)
        return self.noted

    @property
    def points(self) -> list[Point]:
        """Equity over time."""
        return self.series.points()

    def watch(self) -> Watch | None:
        return self.watched

    def history(self, *, at: datetime) -> History:
        since = at - LOOKED_BACK
        del self.entered[: bisect_right(self.entered, since)]
        first = max(0, len(self.ended) - ENDED_TOLD)
        while first and self.ended[first - 1].ended_at > since:
            first -= 1
        return History(tuple(self.entered), tuple(self.ended[first:]))

    def incident(
        self,
        kind: str,
        text: str,
        *,
        critical: bool = False,
        subject: str = "",
        data: Mapping[str, Any] | None = None,
    ) -> None:
        self.incidents.setdefault((kind, text), data or {})

    def is_open(self, kind: str, subject: str) -> bool:
        return False  # whoever runs a backtest looks as closely as can be

    def mended(self, kind: str, subject: str = "") -> None:
        """What once was wrong stays on record."""

    def reducing(self, reason: str) -> None:
        self.incident("reducing", reason)

    def lock(self, symbol: str, reason: str, *, kind: str = "", data: Mapping[str, str] | None = None) -> str:
        watch = self.watched
        now = watch.at if watch else DAWN
        for lock in self.locks:
            if (lock.symbol, lock.kind) == (symbol, kind) and lock.holds(now):
                return lock.reason
        until = watch.day_ends if watch and kind == DAY else None
        self.locks.append(KeptLock(symbol, kind, reason, now, until))
        if not kind:
            self.incident("locked", f"{symbol}: {reason}")
        return reason

    def loss_locked(self, *, at: datetime) -> bool:
        return any(lock.kind in KINDS and lock.holds(at) for lock in self.locks)

    def blocked(self, *, at: datetime) -> dict[str, str]:
        """Return by symbol ("" = all) why nothing may be opened at a moment of market time."""
        holding = [lock for lock in self.locks if lock.holds(at)]
        if not holding:
            return {}
        return {
            symbol: "; ".join(lock.reason for lock in holding if lock.symbol == symbol)
            for symbol in {lock.symbol for lock in holding}
        }

    def stage(self, stage: Stage) -> None:
        """Nothing to keep: a backtest that dies is run again."""

    def saw(self, snapshot: MarketSnapshot) -> None:
        """Nothing to keep: the recording can be looked at again."""

    def asked(self, question: Question, answer: Answer, reading: Reading) -> None:
        self.readings.append(reading)
        if question.prompt is not None or reading.proposals:
            self.said.append(Said.of(question, answer, reading, first=len(self.rulings)))

    def keep(self, question: Question, reading: Reading, standing: Standing, live: MarketSnapshot) -> None:
        """Nothing to keep: the whole run can be done again."""

    def ruled(self, rulings: Sequence[Ruling], *, at: datetime) -> None:
        self.current = rulings
        self.rulings.extend(rulings)

    def shadowed(
        self,
        question: Question,
        reading: Reading,
        compared: Sequence[tuple[Member, Sequence[Ruling]]],
        *,
        at: datetime,
    ) -> None:
        self.compared.extend(compared)

    def wait(self, rulings: Collection[int], *, until: datetime) -> bool:
        self.unasked += len(rulings)
        return False

    def diary(self, lines: Sequence[Line]) -> None:
        self.lines.extend(lines)

    def publish(self, kind: str) -> None:
        """Nobody watches a backtest."""

    def _take(self, kept: KeptOrder, facts: OrderFacts, incident: str = "") -> None:
        if incident:
            self.incident("order-state", incident, data={"order": kept.order.client_order_id})
        before = kept.facts
        if facts is before:
            return
        kept.facts, kept.told = facts, None
        if facts.state is before.state:
            return
        if facts.state in FINAL:
            self.working.pop(kept.order.client_order_id, None)
        elif before.state in FINAL:
            self.working[kept.order.client_order_id] = kept

    def _book_one(self, trade: Trade) -> None:
        self.fills[trade.symbol, trade.trade_id] = trade
        self.latest[trade.symbol] = max(trade.at, self.latest.get(trade.symbol, DAWN))
        order = self.kept.get(trade.client_order_id)
        if order is not None:
            if order.role is Role.ENTRY and not order.traded:
                insort(self.entered, trade.at)
            order.traded += trade.quantity
            order.traded_value += trade.quantity * trade.price
            if order.traded > order.facts.filled:  # most are known to be filled already
                step = filled_to(order.facts, order.traded, order.traded_value / order.traded)
                self._take(order, step.facts, step.incident)
        held = self.open.pop(trade.symbol, None)
        for position in apply_trade(held.booked if held else None, trade):
            kept = held
            if kept is None:
                kept = KeptPosition(position)
                kept.ruling = order.ruling if order else None
            kept.booked, kept.told = position, None
            if position.quantity:
                self.open[trade.symbol] = kept
                continue
            kept.exit_reason = exit_reason(order.role if order else None, trade, order.purpose if order else "")
            kept.bracket, held = Bracket.RELEASED, None
            self.closed.append(kept)
            insort(self.ended, ended_of(position, trade.at), key=ended_at)
