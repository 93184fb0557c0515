"""Sections that every layout shares, and what the sections of a layout are made of.

Units stand in the labels. What others wrote is quoted, whoever they are: see `quoting`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from accounts.domain.limit_words import entry_summary
from decisions.domain.figures import UNKNOWN, duration, plain
from decisions.domain.portfolio import Portfolio
from decisions.domain.question import Feedback, Question
from decisions.domain.quoting import said, word
from marketdata.domain.snapshot import MarketSnapshot, Quote, SymbolView, Timeframe

VALUES: Final = 10
"""How many values of each series are shown."""
FINER: Final = 2
"""Decimals beyond the tick for differences of prices: at the tick itself a MACD of DOGE would be 0."""
PLAN_CHARS: Final = 200
REASON_CHARS: Final = 200
BARS: Final = 6
"""How many of the things that bar entries are told."""
ABSENT: Final = "the market does not know it"
BEYOND: Final = "What breaks a limit is refused; a size that is too large is shrunk. Nothing bars a close."


def limits(question: Question) -> str:
    """Return what code enforces, whatever is asked."""
    told = (*entry_summary(question.limits), BEYOND)
    return "\n".join(f"- {sentence}" for sentence in told)


def feedback(question: Question) -> str:
    """Return what became of earlier proposals, oldest first."""
    return "\n".join(_became(item) for item in sorted(question.feedback, key=lambda item: item.at)) or "nothing yet"


def _became(item: Feedback) -> str:
    reasons = "; ".join(item.reasons).strip()
    often = f" {item.times} times, the last time" if item.times > 1 else ""
    return f"- {item.at:%Y-%m-%d %H:%M} UTC {word(item.symbol)} {word(item.action)}: {word(item.verdict)}{often}" + (
        f" ({said(reasons, REASON_CHARS)})" if reasons else ""
    )


def now(question: Question) -> str:
    """Return the time, how long and how often the bot has decided, and when it is asked again."""
    at = question.snapshot.at
    return (
        f"It is {at:%Y-%m-%d %H:%M:%S} UTC. You have been trading for {duration(at - question.started_at)} and were asked "
        f"{question.invocation} times before. The next decision is in {duration(question.next_decision_at - at)}."
    )


def resting(portfolio: Portfolio) -> Iterator[str]:
    """Yield the orders that rest on the exchange and protect nothing; what protects stands with its position."""
    for order in portfolio.orders:
        if order.role is None or not order.role.protects:
            yield f"- resting order: {word(order.symbol)} {word(order.side)} {word(order.type)} {plain(order.quantity)}"


def barred(bars: Sequence[str]) -> Iterator[str]:
    """Say what bars entries now: asking for one is in vain."""
    for bar in bars[:BARS]:
        yield f"Entries are barred now: {said(bar, REASON_CHARS)}"
    if len(bars) > BARS:
        yield f"Entries are barred now on {len(bars) - BARS} more symbols."


def unusable(question: Question, symbol: str) -> str:
    """Return why nothing can be told of a symbol, "" when something can."""
    view = question.snapshot.symbols.get(symbol)
    problem = ABSENT if view is None else view.problem
    return f"no usable data: {said(problem, REASON_CHARS)}; only hold or close_position" if problem else ""


def usable(question: Question) -> Iterator[SymbolView]:
    """Yield what is known of the bot's symbols, in its order."""
    for symbol in question.bot.symbols:
        view = question.snapshot.symbols.get(symbol)
        if view is not None and not view.problem:
            yield view


def longer(question: Question) -> list[str]:
    """Return the longer timeframes of a bot, the longest first; of one with a single timeframe, that one."""
    others = [interval for interval in question.bot.timeframes if interval != question.bot.interval]
    return list(reversed(others)) or [question.bot.interval]


def unit_of(question: Question) -> str:
    """Return the asset the account counts in: the quote asset of what it trades."""
    return next((word(view.instrument.quote) for view in question.snapshot.symbols.values()), "")


def spread_bp(quote: Quote) -> float | None:
    """Return the distance of bid and ask in basis points of their middle, None when there is no middle."""
    middle = (quote.bid + quote.ask) / 2
    return float((quote.ask - quote.bid) / middle * 10_000) if middle > 0 else None


def settles_in(quote: Quote, snapshot: MarketSnapshot) -> str:
    """Return the time to the next settlement of funding."""
    return UNKNOWN if quote.next_funding_at is None else duration(quote.next_funding_at - snapshot.at)


def last(frame: Timeframe, name: str) -> float | None:
    """Return the newest value of an indicator."""
    values = frame.indicators.get(name)
    return float(values[-1]) if values is not None and len(values) else None


def last_volume(frame: Timeframe) -> float | None:
    """Return the volume of the newest closed candle."""
    return float(frame.candles.volume[-1]) if len(frame.candles) else None


def tail(frame: Timeframe, name: str) -> list[float]:
    """Return the newest values of an indicator, oldest first."""
    values = frame.indicators.get(name, np.empty(0))
    return [float(value) for value in values[-VALUES:]]


def closes(frame: Timeframe) -> list[float]:
    """Return the newest closes, oldest first."""
    return [float(value) for value in frame.candles.close[-VALUES:]]
