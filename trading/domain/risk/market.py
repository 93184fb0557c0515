"""Rules about the market: may this be traded at all, are its numbers known, and is now a moment to cross its spread?"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Final

from decisions.domain.proposal import Side
from marketdata.domain.instruments import TRADITIONAL, Bracket, InstrumentSpec
from marketdata.domain.snapshot import Depth
from trading.domain.known import known, moment
from trading.domain.remembered import remembered
from trading.domain.risk.case import Ask, Finding, Rule, refuses

TRADING: Final = "TRADING"
PERPETUAL: Final = "PERPETUAL"
SOON: Final = timedelta(hours=1)
"""Funding that is due within it counts as about to be paid."""
SOMETHING: Final = Decimal("1e-18")
NOTHING: Final = Decimal(0)
TWO: Final = Decimal(2)


@refuses("symbol.allowed")
def symbol_allowed(ask: Ask) -> Finding | None:
    """The symbol is one of the bot's."""
    mine = ask.terms.bot.symbols
    if ask.symbol in mine:
        return None
    return Finding(f"{ask.symbol} is not among the bot's symbols: {', '.join(mine)}.")


@refuses("instrument.status")
def instrument_status(ask: Ask) -> Finding | None:
    """The market knows the instrument and the venue trades it."""
    status = ask.view.instrument.status if ask.view else "not in the market data"
    return None if status == TRADING else Finding(f"{ask.symbol} cannot be traded now: {status}.")


@refuses("instrument.type", "traditional")
def instrument_type(ask: Ask) -> Finding | None:
    """It is a perpetual, and one on stocks, funds, metals or currencies only where `traditional` allows them."""
    if ask.view is None:
        return Finding(f"There are no market data of {ask.symbol}.")
    spec = ask.view.instrument
    if not str(spec.contract_type).endswith(PERPETUAL):
        return Finding(f"{ask.symbol} is no perpetual: the venue calls it {spec.contract_type or 'nothing yet'}.")
    if spec.asset_class == TRADITIONAL and not ask.limits.traditional:
        return Finding(f"{ask.symbol} is a perpetual on a traditional market, which the account does not allow.")
    return None


@refuses("side.allowed", "sides")
def side_allowed(ask: Ask) -> Finding | None:
    """The side is one that `sides` allows: both, long or short."""
    allowed, side = ask.limits.sides, ask.proposal.side
    if allowed in ("both", side.value):
        return None
    return Finding(f"The account opens {allowed} positions only, and this is a {side}.")


@refuses("market.problem")
def market_problem(ask: Ask) -> Finding | None:
    """The symbol's data are complete and fresh."""
    problem = ask.view.problem if ask.view else None
    return Finding(f"The market data of {ask.symbol} cannot be relied on: {problem}.") if problem else None


@refuses("market.numbers")
def market_numbers(ask: Ask) -> Finding | None:
    """Every price and every trading rule of the instrument is a known number, and the ask is not below the bid."""
    if ask.view is None:
        return Finding(f"There are no market data of {ask.symbol}.")
    quote = ask.view.quote
    bid, last, mark = quote.bid, quote.last, quote.mark
    sound = known(bid, quote.ask, mark, last) and bid >= SOMETHING and last >= SOMETHING and mark >= SOMETHING
    rules = _unusable_rules(ask.view.instrument)
    if not sound or quote.ask < SOMETHING or rules:
        prices = {"bid": bid, "ask": quote.ask, "mark price": mark, "last price": last}
        bad = [name for name, price in prices.items() if not known(price) or price < SOMETHING]
        bad += rules
        return Finding(f"The market data of {ask.symbol} hold no usable {', '.join(bad)}.")
    if quote.ask < quote.bid:
        return Finding("The ask lies below the bid.", {"bid": quote.bid, "ask": quote.ask})
    return None


@remembered
def _unusable_rules(spec: InstrumentSpec) -> tuple[str, ...]:
    """Return the names of the trading rules that an entry cannot be calculated with."""
    least = (
        ("tick", spec.tick_size, SOMETHING),
        ("step", spec.step_size, SOMETHING),
        ("maximum quantity", spec.max_quantity, SOMETHING),
        ("minimum quantity", spec.min_quantity, NOTHING),
        ("minimum notional", spec.min_notional, NOTHING),
        ("minimum price", spec.min_price, NOTHING),
        ("fee", spec.taker_fee, NOTHING),
    )
    bad = [name for name, value, smallest in least if not known(value) or value < smallest]
    bad += [] if type(spec.max_leverage) is int else ["highest leverage"]
    bad += [] if all(map(_sound, spec.brackets)) else ["margin brackets"]
    return tuple(bad)


def _sound(step: Bracket) -> bool:
    return (
        known(step.floor, step.cap, step.cum, step.maintenance_rate)
        and 0 <= step.maintenance_rate < 1
        and type(step.max_leverage) is int
    )


@refuses("market.spread", "max_spread")
def market_spread(ask: Ask) -> Finding | None:
    """The spread, (ask − bid) ÷ mid, is at most `max_spread`."""
    if ask.view is None:
        return Finding(f"There are no market data of {ask.symbol}.")
    quote, most = ask.view.quote, ask.limits.max_spread
    if TWO * (quote.ask - quote.bid) <= most * (quote.ask + quote.bid):
        return None
    spread = 2 * (quote.ask - quote.bid) / (quote.ask + quote.bid)
    return Finding(
        f"The spread is {spread:.3%} of the price; allowed are {most:.3%}.",
        {"bid": quote.bid, "ask": quote.ask, "spread": spread, "limit": most},
    )


@refuses("market.gap", "max_mark_gap")
def market_gap(ask: Ask) -> Finding | None:
    """The last price and the mark price, which triggers stops, are at most `max_mark_gap` of the mark apart."""
    if ask.view is None:
        return Finding(f"There are no market data of {ask.symbol}.")
    quote, most = ask.view.quote, ask.limits.max_mark_gap
    if abs(quote.last - quote.mark) <= most * quote.mark:
        return None
    gap = abs(quote.last - quote.mark) / quote.mark
    return Finding(
        f"Last and mark price are {gap:.2%} apart; allowed are {most:.2%}.",
        {"last": quote.last, "mark": quote.mark, "gap": gap, "limit": most},
    )


@refuses("funding.cost", "max_funding")
def funding_cost(ask: Ask) -> Finding | None:
    """Its side does not pay more than `max_funding` at a settlement that is due within an hour."""
    quote = ask.view.quote if ask.view else None
    if quote is None or quote.funding_rate is None:
        return None  # nobody tells one: there is nothing to compare
    rate, due, most = quote.funding_rate, quote.next_funding_at, ask.limits.max_funding
    if not known(rate):
        return Finding(f"The funding rate of {ask.symbol} is not a known number.")
    paid = rate * ask.proposal.side.sign
    if paid <= most:
        return None
    if due is not None and moment(due):
        if due - ask.at > SOON:
            return None
        when = f"at {due:%H:%M} {due.tzname()}"
    else:
        when = "at a time that nobody knows"
    return Finding(
        f"A {ask.proposal.side} pays {paid:.3%} of its notional as funding {when}; allowed are {most:.3%}.",
        {"rate": rate, "limit": most},
    )


@refuses("book.numbers", "min_depth", "max_slippage")
def book_numbers(ask: Ask) -> Finding | None:
    """The order book, where the market has one and `min_depth` asks for it, holds known prices and quantities."""
    if not ask.limits.min_depth or ask.view is None or ask.view.depth is None:
        return None
    if _usable(ask.view.depth, ask):
        return None
    return Finding(f"The order book of {ask.symbol} holds no usable prices and quantities on the side to be crossed.")


def _usable(depth: object, ask: Ask) -> bool:
    """Look at the levels within reach, best first, and at the first beyond: no other is calculated with."""
    if not isinstance(depth, Depth) or ask.view is None:
        return False
    side, quote = ask.proposal.side, ask.view.quote
    levels: object = side_crossed(depth, side)
    if not isinstance(levels, tuple) or not levels:
        return False
    touch = quote.ask if side is Side.LONG else quote.bid
    worst = touch * (1 + side.sign * ask.limits.max_slippage)
    for level in levels:
        if not _level(level):
            return False
        if beyond(level[0], worst, side):
            return True
    return True


def side_crossed(depth: Depth, side: Side) -> tuple[tuple[Decimal, Decimal], ...]:
    """Return the side of the book that an entry would take from, best price first: (price, quantity)."""
    return depth.asks if side is Side.LONG else depth.bids


def beyond(price: Decimal, worst: Decimal, side: Side) -> bool:
    """Return whether an order of this side with this worst price does not reach the price."""
    return price > worst if side is Side.LONG else price < worst


def _level(level: object) -> bool:
    if not isinstance(level, tuple) or len(level) != 2:
        return False
    price, quantity = level
    return known(price, quantity) and price > 0 and quantity >= 0


MARKET: Final[tuple[Rule[Ask], ...]] = (
    symbol_allowed,
    instrument_status,
    instrument_type,
    side_allowed,
    market_problem,
    market_numbers,
    market_spread,
    market_gap,
    funding_cost,
    book_numbers,
)
"""What follows may calculate with the numbers of the market: each of them is known."""
