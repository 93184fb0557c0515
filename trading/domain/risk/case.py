"""What a rule looks at and what it can say.

An `Ask` is an entry as it came, of which nothing is sure. Rules of form turn it, when they find no fault, into an
`Entry`, in which every number is there and sane; the rules of price and size look at that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Final

from accounts.domain.limits import Limits
from decisions.domain.portfolio import Portfolio, PositionView
from decisions.domain.proposal import Proposal, Side, Verdict
from decisions.domain.question import BotView
from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.snapshot import MarketSnapshot, SymbolView
from trading.domain.history import History
from trading.domain.known import known
from trading.domain.matching.types import shown
from trading.domain.sizing import Exposure, exposure_of, loss_per_unit, margin_per_unit
from trading.domain.venue import ONE, ZERO
from vibex.lib.records import record

MOST_DIGITS: Final = 30


@record()
class Standing:
    """What else bears on the entries of an account."""

    state: str = "active"
    """active | reducing | halted"""
    blocked: Mapping[str, str] = field(default_factory=dict)
    """Symbol ("" = all) → reason: a lock, an incident, an order that is not resolved."""
    bot: str = "running"
    """running | stopped | paused. A paused bot only closes; a stopped one decides when a person asks it to."""
    history: History = field(default_factory=History)


@record()
class Books:
    """What the earlier rulings of one decision leave: the next proposal is ruled against that."""

    portfolio: Portfolio
    history: History
    closed: Mapping[str, PositionView] = field(default_factory=dict)
    """Positions that this decision closes, by symbol, as they were."""


@record()
class Terms:
    """What a whole decision is judged by: the market, the limits, who asks, and what is wrong with these."""

    snapshot: MarketSnapshot
    limits: Limits
    bot: BotView
    standing: Standing
    unusable: tuple[str, ...] = ()
    """Names of limits that are no usable values."""
    muddle: str = ""
    """What in the history is not known, in words; "" when all of it is."""


@record()
class Ask:
    """An entry as it was asked for, and everything it is judged by."""

    proposal: Proposal
    terms: Terms
    books: Books
    symbol: str
    view: SymbolView | None
    """Its symbol in the market; None when the market does not know it."""
    held: PositionView | None
    """What is open on its symbol."""
    limits: Limits
    portfolio: Portfolio
    at: datetime
    """The moment of the snapshot, in market time."""


def ask_of(proposal: Proposal, terms: Terms, books: Books) -> Ask:
    """Put a proposal beside what concerns its symbol."""
    symbol, snapshot, portfolio = proposal.symbol, terms.snapshot, books.portfolio
    view, held = snapshot.symbols.get(symbol), portfolio.position(symbol)
    return Ask(proposal, terms, books, symbol, view, held, terms.limits, portfolio, snapshot.at)


@record()
class Entry:
    """An entry without a fault of form. `quantity` is what earlier rules have left of `asked`."""

    ask: Ask
    instrument: InstrumentSpec
    side: Side
    asked: Decimal
    quantity: Decimal
    leverage: int
    stop: Decimal
    mark: Decimal
    touch: Decimal
    """The price it would cross: the ask for a long, the bid for a short."""
    limit: Decimal
    """The worst price its order allows: touch ± max_slippage."""
    base: Decimal
    """What all shares are shares of: equity, or the bot's capital when that is less."""
    exposure: Exposure
    target: Decimal | None
    """Where it would take its profit: the target that is stated, else that of the position it adds to."""
    held: PositionView | None
    """The position it adds to."""
    funding: Decimal
    """What one unit is expected to pay at the next settlement, at the touch; zero when it is paid or nobody knows."""
    limits: Limits
    portfolio: Portfolio
    distance: Decimal
    """From the touch to the stop in quote units, negative when the stop lies on the wrong side of the touch."""
    loss_per_unit: Decimal
    """What one unit loses when the stop is hit, fees and slippage counted. Above zero once its distance is."""
    dearest: Decimal
    """The higher of touch and limit: what margin has to be enough for."""
    cheapest: Decimal
    """The lower of touch and limit: what the venue's minimum notional has to be reached at."""
    free_margin_per_unit: Decimal
    """What one unit takes from the free margin when it is filled at the worst price."""

    @property
    def held_notional(self) -> Decimal:
        """What is open already of the position it adds to, at mark."""
        return ZERO if self.held is None else self.held.notional


def entry_of(ask: Ask) -> Entry:
    """Return the entry in full. Raises ValueError when a rule of form would have found a part missing."""
    view, wish, terms, portfolio = ask.view, ask.proposal, ask.terms, ask.books.portfolio
    if view is None or wish.quantity is None or wish.leverage is None or wish.stop_loss is None:
        raise ValueError(f"the entry on {ask.symbol} has passed the rules of form with a part missing")
    side, quote, spec, held, limits = wish.side, view.quote, view.instrument, ask.held, terms.limits
    stop, sign, rate = wish.stop_loss, side.factor, quote.funding_rate
    touch = quote.ask if side is Side.LONG else quote.bid
    limit = touch * (ONE + sign * limits.max_slippage)
    dearest, cheapest = (touch, limit) if touch >= limit else (limit, touch)
    equity, capital, leverage, mark, fee = (
        portfolio.equity,
        terms.bot.capital,
        wish.leverage,
        quote.mark,
        spec.taker_fee,
    )
    base = equity if capital is None else min(equity, capital)
    exposure = exposure_of(portfolio.positions, _groups(terms.snapshot), spec.group) if portfolio.positions else NOTHING
    target = wish.profit_target if wish.profit_target is not None else _own_target(held)
    funding = ZERO if rate is None else max(ZERO, rate * sign) * touch
    loss = loss_per_unit(touch=touch, stop=stop, taker_fee=fee, slippage=limits.max_slippage)
    lost_at_once = max(ZERO, (limit - mark) * sign)
    free = margin_per_unit(price=dearest, leverage=leverage, taker_fee=fee, lost_at_once=lost_at_once)
    return Entry(
        ask, spec, side, wish.quantity, wish.quantity, leverage, stop, mark, touch, limit, base, exposure, target, held,
        funding, limits, portfolio, (touch - stop) * sign, loss, dearest, cheapest, free,
    )  # fmt: skip


NOTHING: Final = Exposure(ZERO, ZERO, ZERO)


def _groups(snapshot: MarketSnapshot) -> dict[str, str]:
    return {symbol: view.instrument.group for symbol, view in snapshot.symbols.items()}


def _own_target(held: PositionView | None) -> Decimal | None:
    return held.target if held is not None and known(held.target) else None


type Number = Decimal | int


@record()
class Finding:
    """What a rule has to say: in words, with the numbers it compared. `allowed` is set by rules that reduce."""

    text: str
    numbers: Mapping[str, Number] = field(default_factory=dict)
    allowed: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Rule[Seen]:
    """One rule. Its doc says what has to hold; `check` returns None when it does."""

    id: str
    effect: Verdict
    check: Callable[[Seen], Finding | None]
    limits: tuple[str, ...] = ()
    """The limits of the account that it compares with: names of fields of `Limits`."""

    @property
    def doc(self) -> str:
        return (self.check.__doc__ or "").strip()


def refuses[Seen](id: str, *limits: str) -> Callable[[Callable[[Seen], Finding | None]], Rule[Seen]]:
    """Make a rule that refuses an entry out of the function that follows."""
    return lambda check: Rule(id, Verdict.REFUSED, check, limits)


def reduces[Seen](id: str, *limits: str) -> Callable[[Callable[[Seen], Finding | None]], Rule[Seen]]:
    """Make a rule that reduces an entry to what it allows out of the function that follows."""
    return lambda check: Rule(id, Verdict.REDUCED, check, limits)


def plain(number: Number) -> str:
    """Return a number for reading: at most 14 digits, no exponent, no trailing zeros."""
    if isinstance(number, int):
        return str(number)
    return f"{shown(number).normalize():f}"
