"""Baselines: what anybody could have done. A result that is no better than these shows no skill.

rules/buy-and-hold   the first symbol, bought once.
rules/equal-weight   every symbol in equal shares, bought once and left alone: shares drift with their prices.
rules/momentum       every symbol in an equal share, on the side of its own past return (time series momentum:
                     T. J. Moskowitz, Y. H. Ooi and L. H. Pedersen, 2012) over `look_back` candles of the longest timeframe.
rules/timetable      positions whose times are known in advance: for entries drawn at random (`shuffled`).

None uses leverage, except a timetable that says so. Each position has its stop, as every position here: as far away as the limits let it be, so that it is
there and matters as little as can be. What a stop takes out is entered again at the next decision, except by a timetable.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from typing import Final

from decisions.domain.foresight import Acts, Whole
from decisions.domain.parameters import searched
from decisions.domain.proposal import Action, Proposal, Side
from decisions.domain.question import BotView, Question
from marketdata.domain.snapshot import SymbolView
from vibex.lib.errors import Rejected

LEVERAGE: Final = 1
LEVERED: Final = "leverage "
INVESTED: Final = Decimal("0.99")
"""Share of equity that is put into positions: what is left pays fees and funding."""
OF_BAND: Final = Decimal("0.95")
"""Share of the farthest stop allowed at which stops lie, so that a touch that moves does not void them."""


@dataclass(frozen=True, slots=True)
class BuyAndHold:
    """Buy the bot's first symbol with everything, and hold it."""

    def decide(self, question: Question) -> tuple[Proposal, ...]:
        symbol = question.bot.symbols[0]
        return tuple(_held_long(question, symbol, INVESTED, "It is held from the beginning to the end."))

    def acts(self, bot: BotView, symbol: str, whole: Whole) -> Acts:
        """Return that it acts while it holds nothing of the first symbol."""
        prices = whole.values(symbol, bot.interval, "close")
        never = prices < 0.0
        return Acts(flat=prices > 0.0 if symbol == bot.symbols[0] else never, long=never, short=never)


@dataclass(frozen=True, slots=True)
class EqualWeight:
    """Buy all of the bot's symbols in equal shares, and hold them."""

    def decide(self, question: Question) -> tuple[Proposal, ...]:
        symbols = question.bot.symbols
        share, why = INVESTED / len(symbols), f"One of {len(symbols)} equal shares, held from the beginning to the end."
        return tuple(proposal for symbol in symbols for proposal in _held_long(question, symbol, share, why))

    def acts(self, bot: BotView, symbol: str, whole: Whole) -> Acts:
        """Return that it acts while it holds nothing."""
        prices = whole.values(symbol, bot.interval, "close")
        never = prices < 0.0
        return Acts(flat=prices > 0.0, long=never, short=never)


@dataclass(frozen=True, slots=True)
class Momentum:
    """Be long of what rose over the last candles, and short of what fell."""

    look_back: int = field(default=30, metadata=searched(5, 120))
    """Candles of the longest timeframe; a snapshot shows no more than 200."""

    def decide(self, question: Question) -> tuple[Proposal, ...]:
        return tuple(proposal for symbol in question.bot.symbols for proposal in self._for_symbol(symbol, question))

    def acts(self, bot: BotView, symbol: str, whole: Whole) -> Acts:
        """Return when the past return has a sign to enter on, or one against what is held."""
        now, before = (whole.values(symbol, _longest(bot), "close", back=back) for back in (1, self.look_back + 1))
        rose, fell = now > before, now < before
        return Acts(flat=rose | fell, long=fell, short=rose)

    def _for_symbol(self, symbol: str, question: Question) -> Iterator[Proposal]:
        view = _usable(question, symbol)
        frame = view.timeframes.get(_longest(question.bot)) if view else None
        if view is None or frame is None or len(frame.candles) <= self.look_back:
            return
        now, before = float(frame.candles.close[-1]), float(frame.candles.close[-1 - self.look_back])
        if not (now > before or now < before):
            return
        side = Side.LONG if now > before else Side.SHORT
        held = question.portfolio.position(symbol)
        if held is not None and held.side is side:
            return
        why = f"{now / before - 1:+.2%} over {self.look_back} candles of {frame.interval}"
        if held is not None:
            yield Proposal(symbol, Action.CLOSE, justification=why)
        yield from _entry(question, view, side, INVESTED / len(question.bot.symbols), why)


# -- positions known in advance ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, order=True)
class Move:
    """A position of a timetable: opened with the decision number `opens`, closed with `closes`, both from 0."""

    symbol: str
    opens: int
    closes: int
    side: Side
    share: Decimal
    """Of equity that is put into it."""

    def __str__(self) -> str:
        return f"{self.symbol} {self.side} {self.opens} {self.closes} {self.share:f}"


@dataclass(frozen=True, slots=True)
class Timetable:
    """Open and close what is written for each decision of a run, counted from its first one."""

    moves: tuple[Move, ...] = ()
    leverage: int = LEVERAGE
    _opening: Mapping[int, Sequence[Move]] = field(init=False, repr=False, compare=False)
    _closing: Mapping[int, Sequence[Move]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        opening: defaultdict[int, list[Move]] = defaultdict(list)
        closing: defaultdict[int, list[Move]] = defaultdict(list)
        for move in self.moves:
            opening[move.opens].append(move)
            closing[move.closes].append(move)
        object.__setattr__(self, "_opening", dict(opening))
        object.__setattr__(self, "_closing", dict(closing))

    def __str__(self) -> str:
        said = [f"{LEVERED}{self.leverage}"] if self.leverage > LEVERAGE else []
        return ";".join([*said, *map(str, self.moves)])

    def decide(self, question: Question) -> tuple[Proposal, ...]:
        """Return closes first: what they free is there for the entries."""
        return (*self._closes(question), *self._entries(question))

    def acts(self, bot: BotView, symbol: str, whole: Whole) -> Acts:
        """Return the decisions of which something is written."""
        flat = whole.values(symbol, bot.interval, "close") < 0.0
        held = flat.copy()
        for move in self.moves:
            if move.symbol == symbol:
                flat[move.opens : move.opens + 1] = True
                held[move.closes : move.closes + 1] = True
        return Acts(flat=flat, long=held, short=held)

    def _closes(self, question: Question) -> Iterator[Proposal]:
        for move in self._closing.get(question.invocation, ()):
            if question.portfolio.position(move.symbol) is not None:
                yield Proposal(move.symbol, Action.CLOSE, justification="Its time is over.")

    def _entries(self, question: Question) -> Iterator[Proposal]:
        closed = {move.symbol for move in self._closing.get(question.invocation, ())}
        for move in self._opening.get(question.invocation, ()):
            held, view = question.portfolio.position(move.symbol), _usable(question, move.symbol)
            if view is not None and (held is None or move.symbol in closed):
                yield from _entry(question, view, move.side, move.share, "Its time has come.", self.leverage)


def timetable_of(text: str) -> Timetable:
    """Return the timetable of its text, `BTCUSDT long 3 17 0.25;…`, `leverage 2;` before it where it has one.

    Raises Rejected for what is none.
    """
    parts, leverage = [part for part in text.split(";") if part], LEVERAGE
    if parts and (said := parts[0].removeprefix(LEVERED)).isdecimal():
        parts, leverage = parts[1:], max(LEVERAGE, int(said))
    return Timetable(tuple(_move(part) for part in parts), leverage)


def shuffled(moves: Sequence[Move], steps: int, seed: int, leverage: int = LEVERAGE) -> Timetable:
    """Return the same positions at random times within so many decisions: the same seed gives the same ones.

    Of each symbol the number of positions, their lengths with their sizes, and how many were long and short stay as they
    are; order, sides and the times between are drawn, every way to place them being equally likely. None overlaps
    another of its symbol. Where they would not fit they are cut down to one decision each, the last ones left out.
    """
    import numpy as np

    random = np.random.default_rng(seed)
    of: defaultdict[str, list[Move]] = defaultdict(list)
    for move in sorted(moves):
        of[move.symbol].append(move)
    drawn: list[Move] = []
    for mine in of.values():
        sides = [mine[place].side for place in random.permutation(len(mine))]
        order = [mine[place] for place in random.permutation(len(mine))][:steps]
        lengths = _fitting([move.closes - move.opens for move in order], steps)
        gaps = np.sort(random.integers(0, steps - sum(lengths), size=len(order), endpoint=True)).tolist()
        passed = 0
        for move, side, gap, length in zip(order, sides, gaps, lengths, strict=False):
            drawn.append(replace(move, side=side, opens=gap + passed, closes=gap + passed + length))
            passed += length
    return Timetable(tuple(sorted(drawn, key=lambda move: (move.opens, move.symbol))), leverage)


def _fitting(lengths: list[int], steps: int) -> list[int]:
    """Return the lengths, none below 1, cut down in proportion where they are more than `steps` together."""
    least = [max(1, length) for length in lengths]
    over, spare = sum(least) - steps, sum(least) - len(least)
    if over <= 0:
        return least
    return [1 + (length - 1) * (spare - over) // spare for length in least]


def _move(text: str) -> Move:
    try:
        symbol, side, opens, closes, share = text.split(" ")
        move = Move(symbol, int(opens), int(closes), Side(side), Decimal(share))
        if 0 <= move.opens < move.closes and move.share.is_finite() and move.share > 0:
            return move
    except (ValueError, InvalidOperation):
        pass
    raise Rejected(
        f"{text!r} is no position of a timetable: write BTCUSDT long 3 17 0.25 for a quarter of equity from the decision "
        "number 3 to number 17, and ; between two.",
        code="parameter",
    )


# -- entries -----------------------------------------------------------------------------------------------


def _longest(bot: BotView) -> str:
    return bot.timeframes[-1] if bot.timeframes else bot.interval


def _usable(question: Question, symbol: str) -> SymbolView | None:
    """Return what the market knows of a symbol; None where that is nothing to act on."""
    view = question.snapshot.symbols.get(symbol)
    return None if view is None or view.problem else view


def _held_long(question: Question, symbol: str, share: Decimal, why: str) -> Iterator[Proposal]:
    view = _usable(question, symbol)
    if view is not None and question.portfolio.position(symbol) is None:
        yield from _entry(question, view, Side.LONG, share, why)


def _entry(
    question: Question, view: SymbolView, side: Side, share: Decimal, why: str, leverage: int = LEVERAGE
) -> Iterator[Proposal]:
    """Yield the entry that puts a share of equity into a symbol; nothing where the venue takes no order so small."""
    rules, equity = view.instrument, question.portfolio.equity
    capital = equity if question.bot.capital is None else min(equity, question.bot.capital)
    touch = view.quote.ask if side is Side.LONG else view.quote.bid
    away = touch * (1 - side.sign * question.limits.max_stop_distance * OF_BAND)
    quantity = rules.quantity_down(max(Decimal(0), capital * share) / touch)
    if quantity < max(rules.min_quantity, rules.step_size) or quantity * touch < rules.min_notional:
        return
    yield Proposal(
        symbol=view.symbol,
        action=Action.BUY if side is Side.LONG else Action.SELL,
        quantity=quantity,
        leverage=min(leverage, question.limits.max_leverage, rules.max_leverage),
        stop_loss=rules.price_up(away) if side is Side.LONG else rules.price_down(away),
        justification=why,
    )
