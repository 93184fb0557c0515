"""How prices move through an account: which order or liquidation is met first, and at what price it is filled.

A bar is walked along a fixed path: a jump to the open, then open → low → high → close when close ≥ open, else
open → high → low → close. What lies on a stretch is met in the order of its distance. Where a bar holds a target
and the stop of the same side, the stop comes first, whatever the path says. When inside a bar something happened is
not known: all of it carries the time of the close, so that times never run backwards across symbols.

A price meets nothing that is younger than it. Prices inside a bar may be as old as its start, so an order or position
meets nothing of the bar in which it came about.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Final

from trading.domain.matching.book import Book, adverse
from trading.domain.matching.ledger import Ledger
from trading.domain.matching.liquidation import liquidate
from trading.domain.matching.rules import reaches
from trading.domain.matching.taking import climb, execute, settle, within
from trading.domain.matching.types import EngineSettings, OrderRecord, Terms
from trading.domain.venue import ZERO, Bar, OrderSide
from vibex.lib.records import record

STOP, LIQUIDATION, LIMIT, TARGET = range(4)
"""Who comes first where two are met at the same point."""

POSITION: Final = 0
"""The number of the position among those of the orders."""

END: Final = Decimal(1)
"""The end of a move, as a share of it."""

EVERYWHERE: Final = (Decimal(0), Decimal("Infinity"))


@record()
class Move:
    """Prices on their way. In a jump (gap, quote) everything between is met at the end of it."""

    mark_from: Decimal
    mark_to: Decimal
    last_from: Decimal
    last_to: Decimal
    jump: bool
    low: Decimal
    high: Decimal
    """Extremes of the mark from the end of this move to the end of the bar."""
    last_low: Decimal
    last_high: Decimal
    """The same of the last price."""
    slip: Decimal
    """How far a triggered order is filled beyond its reference price, in quote units."""
    at: datetime
    blind: frozenset[int] = frozenset()
    """Numbers of the orders, and of the position, that are too young to meet these prices."""

    def last_at(self, share: Decimal) -> Decimal:
        return self.last_to if self.jump else self.last_from + (self.last_to - self.last_from) * share

    def furthest(self, order: OrderRecord) -> Decimal:
        """Return how far the price that an order waits for still goes towards it."""
        low, high = (self.last_low, self.last_high) if order.on_last else (self.low, self.high)
        return low if order.waits_below else high

    def mark_at(self, share: Decimal) -> Decimal:
        return self.mark_to if self.jump else self.mark_from + (self.mark_to - self.mark_from) * share


@record()
class Hit:
    """Something met on a move. `order` is None for a liquidation, `level` its mark price."""

    share: Decimal
    """How far along the move, 0 to 1."""
    priority: int
    number: int
    order: OrderRecord | None
    level: Decimal

    @property
    def key(self) -> tuple[Decimal, int, int]:
        return self.share, self.priority, self.number


def walk(ledger: Ledger, book: Book, bar: Bar) -> None:
    """Walk a bar through a book."""
    blind = younger(book, bar.opened_at)
    book.bid = book.ask = None
    for move in _bar_moves(bar, mark=book.mark, last=book.last, settings=ledger.settings, blind=blind):
        run(ledger, book, move)


def still(book: Book, at: datetime, *, blind: frozenset[int]) -> Move:
    """Return the move of prices that stay where they are."""
    mark, last = book.mark_or_entry, book.last or book.mark_or_entry
    return Move(
        mark, mark, last, last, jump=True, low=mark, high=mark, last_low=last, last_high=last, slip=ZERO, at=at,
        blind=blind,
    )  # fmt: skip


def younger(book: Book, moment: datetime) -> frozenset[int]:
    """Return the numbers of what came about after `moment`, with the orders that would reduce such a position."""
    position = book.position
    side = position.sign if position is not None and position.opened > moment else 0
    orders = (o.exchange_id for o in book.orders.values() if o.created > moment or o.side.sign == -side)
    return frozenset(orders).union([POSITION] if side else [])


def _bar_moves(
    bar: Bar, *, mark: Decimal, last: Decimal, settings: EngineSettings, blind: frozenset[int]
) -> Iterator[Move]:
    """Yield the path of a bar, starting at the prices before it (zero when there were none)."""
    rising = bar.close >= bar.open
    lasts = (bar.open, *_turns(bar.high, bar.low, rising=rising), bar.close)
    marks = _marks(bar, rising=rising)
    slip = max(
        settings.spread * bar.open, settings.slippage * bar.open, settings.stop_slippage_range * (bar.high - bar.low)
    )
    mark_from, last_from = mark or marks[0], last or lasts[0]
    for step, (mark_to, last_to) in enumerate(zip(marks, lasts, strict=True)):
        ahead, lasts_ahead = marks[step:], lasts[step:]
        yield Move(
            mark_from,
            mark_to,
            last_from,
            last_to,
            jump=step == 0,
            low=min(ahead),
            high=max(ahead),
            last_low=min(lasts_ahead),
            last_high=max(lasts_ahead),
            slip=slip,
            at=bar.closed_at,
            blind=blind,
        )
        mark_from, last_from = mark_to, last_to


def _turns(high: Decimal, low: Decimal, *, rising: bool) -> tuple[Decimal, Decimal]:
    return (low, high) if rising else (high, low)


def _marks(bar: Bar, *, rising: bool) -> tuple[Decimal, ...]:
    first = bar.open if bar.mark_open is None else bar.mark_open
    high = bar.high if bar.mark_high is None else bar.mark_high
    low = bar.low if bar.mark_low is None else bar.mark_low
    close = bar.close if bar.mark_close is None else bar.mark_close
    return (first, *_turns(high, low, rising=rising), close)


def run(ledger: Ledger, book: Book, move: Move) -> None:
    """Let prices move and do everything that they meet, nearest first."""
    while (hit := min(_hits(ledger, book, move), key=lambda hit: hit.key, default=None)) is not None:
        book.last, book.mark = move.last_at(hit.share), move.mark_at(hit.share) if move.jump else hit.level
        if hit.order is None:
            liquidate(ledger, book, at=move.at)
        elif not hit.order.waiting and not _stop_ahead(book, hit.order, move):
            execute(ledger, book, hit.order, hit.order.level, maker=True, at=move.at)
        else:
            _fire(ledger, book, hit.order, move)
    book.last, book.mark = move.last_to, move.mark_to
    for order in tuple(book.orders.values()):
        if order.terms is not None and order.terms.best is not None:
            _follow(ledger, book, order, move)


def quiet_range(ledger: Ledger, book: Book) -> tuple[Decimal, Decimal]:
    """Return the two prices between which nothing of this book is met. Cross margin has no such range."""
    if book.quiet is None:
        book.quiet = _quiet_range(ledger, book)
    return book.quiet


def _quiet_range(ledger: Ledger, book: Book) -> tuple[Decimal, Decimal]:
    floor, ceiling = EVERYWHERE
    for order in book.orders.values():
        floor, ceiling = (max(floor, order.level), ceiling) if order.waits_below else (floor, min(ceiling, order.level))
        if order.terms is not None and order.terms.best is not None:
            best = order.terms.best  # beyond it the stop follows
            floor, ceiling = (floor, min(ceiling, best)) if order.waits_below else (max(floor, best), ceiling)
    if book.position is None or (price := ledger.liquidation_price(book)) is None:
        return floor, ceiling
    return (max(floor, price), ceiling) if book.position.sign > 0 else (floor, min(ceiling, price))


def _hits(ledger: Ledger, book: Book, move: Move) -> Iterator[Hit]:
    for order in book.orders.values():
        if order.exchange_id in move.blind:
            continue
        if order.waiting:
            start, end = (move.last_from, move.last_to) if order.on_last else (move.mark_from, move.mark_to)
            if reaches(order, end):
                priority = STOP if order.is_stop else TARGET
                mark = move.mark_at(_share(start, end, order.level)) if order.on_last else order.level
                hit = _hit(start, end, order.level, priority, order, mark)
                if order.terms is None:
                    yield hit
                else:
                    yield from _allowed(order.terms, hit, move)
        elif _trades_through(book, order, move):
            share = _share(move.last_from, move.last_to, order.level)
            priority = TARGET if order.takes_profit else LIMIT
            yield Hit(share, priority, order.exchange_id, order, move.mark_at(share))
    if book.position is None or POSITION in move.blind:
        return
    price = ledger.liquidation_price(book)
    if price is not None and (price - move.mark_to) * book.position.sign >= 0:
        yield _hit(move.mark_from, move.mark_to, price, LIQUIDATION, None, price)


def _hit(start: Decimal, end: Decimal, level: Decimal, priority: int, order: OrderRecord | None, mark: Decimal) -> Hit:
    return Hit(_share(start, end, level), priority, order.exchange_id if order else POSITION, order, mark)


def _share(start: Decimal, end: Decimal, level: Decimal) -> Decimal:
    if start == end:
        return ZERO
    return min(max((level - start) / (end - start), ZERO), Decimal(1))


def _allowed(terms: Terms, hit: Hit, move: Move) -> Iterator[Hit]:
    """Yield a hit as the protection of its trigger lets it happen: there, at the end of the move, or not at all."""
    if terms.protect is None or not _parted(terms.protect, move, hit.share):
        yield hit
    elif not _parted(terms.protect, move, END):
        yield replace(hit, share=END, level=move.mark_to)


def _parted(most: Decimal, move: Move, share: Decimal) -> bool:
    """Return whether mark and last price are further apart than `most` allows, as a share of the mark."""
    mark = move.mark_at(share)
    return abs(mark - move.last_at(share)) > most * mark


def _trades_through(book: Book, order: OrderRecord, move: Move) -> bool:
    if book.depth is not None and book.depth.limits(order.side):
        return False  # what it can have is laid before it
    if order.side is OrderSide.BUY:
        return move.last_to < order.level or (move.jump and book.ask is not None and book.ask <= order.level)
    return move.last_to > order.level or (move.jump and book.bid is not None and book.bid >= order.level)


def _stop_ahead(book: Book, target: OrderRecord, move: Move) -> OrderRecord | None:
    """Return the nearest stop of the same side that the rest of the bar reaches as well, if `target` is a target."""
    if not target.takes_profit:
        return None
    stops = [
        order
        for order in book.orders.values()
        if order.is_stop
        and order.only_reduces
        and order.side is target.side
        and order.exchange_id not in move.blind
        and reaches(order, move.furthest(order))
        and (order.terms is None or order.terms.protect is None or not _parted(order.terms.protect, move, END))
    ]
    nearest = max if target.side is OrderSide.SELL else min
    return nearest(stops, key=lambda order: order.level, default=None)


def _fire(ledger: Ledger, book: Book, order: OrderRecord, move: Move) -> None:
    """Fill a triggered order at the market. A stop is never filled better than its trigger.

    A trailing stop that was met at its activation begins to follow; an order with a price becomes a limit.
    """
    if order.terms is not None and order.terms.dormant:
        ledger.keep(book, order.following(_ends(order, move) if move.jump else order.level))
        return
    reference = book.quoted(order.side) or book.last
    if (stop := _stop_ahead(book, order, move)) is not None:
        order, reference = stop, stop.level
        book.mark = book.mark if stop.on_last else stop.level
    if order.is_stop:
        worse = max if order.side is OrderSide.BUY else min
        reference = worse(reference, order.level)
    price = adverse(book.spec, order.side, reference, move.slip)
    if order.price is not None and order.terms is not None:
        if not ledger.affords(book, order, order.price):
            execute(ledger, book, order, order.price, maker=False, at=move.at)  # it expires
            return
        order = replace(order, terms=replace(order.terms, fired=True))
    if book.depth is not None and book.depth.limits(order.side):
        climb(ledger, book, order, book.depth, move.at)
    else:
        settle(ledger, book, order, within(order, reference, price), move.at)


def _follow(ledger: Ledger, book: Book, order: OrderRecord, move: Move) -> None:
    """Let a trailing stop follow to the end of a move.

    Not where the rest of the bar still reaches its trigger as it stands: which of both came first is not known, and the
    older trigger is the worse one.
    """
    end = _ends(order, move)
    if order.terms is None or order.terms.best is None or (end - order.terms.best) * order.side.sign >= 0:
        return
    if order.exchange_id not in move.blind and not reaches(order, move.furthest(order)):
        ledger.keep(book, order.following(end))


def _ends(order: OrderRecord, move: Move) -> Decimal:
    """Return the price at the end of a move that an order looks at."""
    return move.last_to if order.on_last else move.mark_to
