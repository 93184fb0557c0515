"""The layout that costs about half of the tokens: rows and tables, their labels once, digits that mean something.

Measured (research: llm.md 5.2): labels, commas and decimals make a prompt long, not the data. Prices that an order
needs are exact here as well; values of series have five digits, a MACD three of its row's largest, an RSI none behind
the point.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from math import isfinite, nan
from typing import Final

from decisions.domain.figures import (
    UNKNOWN,
    decimals_of,
    duration,
    fixed,
    percent,
    places,
    plain,
    short,
    significant,
    trimmed,
)
from decisions.domain.portfolio import PositionView
from decisions.domain.question import Question
from decisions.domain.quoting import said, word
from decisions.domain.sections import (
    FINER,
    PLAN_CHARS,
    barred,
    closes,
    last,
    last_volume,
    longer,
    resting,
    settles_in,
    spread_bp,
    tail,
    unit_of,
    unusable,
    usable,
)
from marketdata.domain.snapshot import SymbolView

PRICE_DIGITS: Final = 5
"""Of a value in a series of prices: within half a basis point."""
FINE_DIGITS: Final = 3
"""Of a MACD, counted at the largest of its row, and of an ATR."""
MONEY_DIGITS: Final = 6

LEGEND: Final = """\
- Every row of several numbers is ordered oldest → newest, and holds closed candles only; the last value belongs to the \
newest closed candle.
- Of a longer timeframe, for each symbol: a line with EMA20, EMA50, ATR3, ATR14, the volume of the last closed candle, \
its average of 20, and ADX14; a row of MACD (m); a row of RSI14 (r14).
- Quotes: a line for each symbol with last price, bid, ask, mark, spread in bp, funding rate in bp per \
settlement, time to the next settlement, and open interest.
- Of your own timeframe, for each symbol: rows of closes (c), EMA20 (e), MACD (m), RSI7 (r7) and RSI14 (r14).
- Prices, EMA, MACD and ATR are in the quote asset; volume and open interest in the base asset; 1 bp is 0.01 %. EMA20, \
EMA50: exponential averages of closes. MACD: EMA12 − EMA26. ATR3, ATR14: average true range. RSI7, RSI14: from 0 to 100.
- Positions: a line for each with symbol, side, quantity, leverage, entry price, mark price, liquidation price, notional, \
unrealised PnL, the stop and the target that rest on the exchange, risk_usd, confidence, how long it is open, and your \
plan at entry in quotes. -: there is none."""


def universe(question: Question) -> str:
    """Return the rules and fees of every symbol as a table."""
    return "\n".join(
        (
            "symbol base quote group tick step min_quantity min_notional taker_fee_bp maker_fee_bp funding_hours",
            *(_rules(question, symbol) for symbol in question.bot.symbols),
        )
    )


def _rules(question: Question, symbol: str) -> str:
    view = question.snapshot.symbols.get(symbol)
    if view is None:
        return f"{word(symbol)} {UNKNOWN}"
    spec = view.instrument
    return " ".join(
        (
            *(word(name) for name in (spec.symbol, spec.base, spec.quote, spec.group)),
            *(plain(size) for size in (spec.tick_size, spec.step_size, spec.min_quantity, spec.min_notional)),
            trimmed(spec.taker_fee * 10_000, 3),
            trimmed(spec.maker_fee * 10_000, 3),
            str(spec.funding_interval_hours),
        )
    )


def slow(question: Question) -> str:
    """Return the longer timeframes, the longest first; of a bot with one timeframe, that one."""
    parts = [
        "\n".join((f"### {interval} candles", *rows))
        for interval in longer(question)
        if (rows := [row for view in usable(question) for row in _context(view, interval)])
    ]
    return "\n\n".join(parts) or UNKNOWN


def _context(view: SymbolView, interval: str) -> Iterator[str]:
    frame = view.timeframes.get(interval)
    if frame is None:
        return
    tick = decimals_of(view.instrument.tick_size)
    averages = [short(last(frame, name), PRICE_DIGITS, tick) for name in ("ema20", "ema50")]
    ranges = [short(last(frame, name), FINE_DIGITS, tick + FINER) for name in ("atr3", "atr14")]
    volumes = [significant(value) for value in (last_volume(frame), last(frame, "volume_average"))]
    yield " ".join((word(view.symbol), *averages, *ranges, *volumes, fixed(last(frame, "adx14"), 0)))
    yield _fine("m", tail(frame, "macd"), tick)
    yield _whole("r14", tail(frame, "rsi14"))


def fast(question: Question) -> str:
    """Return quotes as a table, and rows of the newest values of the bot's own timeframe."""
    quotes = [_quote(symbol, question) for symbol in question.bot.symbols]
    rows = [row for view in usable(question) for row in _series(view, question.bot.interval)]
    return "\n".join(("### Quotes", *quotes, "", f"### {question.bot.interval} candles", *(rows or [UNKNOWN])))


def _quote(symbol: str, question: Question) -> str:
    if problem := unusable(question, symbol):
        return f"{word(symbol)} {problem}"
    view = question.snapshot.symbols[symbol]
    quote, tick = view.quote, decimals_of(view.instrument.tick_size)
    prices = (trimmed(price, tick) for price in (quote.last, quote.bid, quote.ask, quote.mark))
    rate = None if quote.funding_rate is None else quote.funding_rate * 10_000
    funding = (trimmed(rate, 3), _clock(settles_in(quote, question.snapshot)))
    return " ".join((word(symbol), *prices, trimmed(spread_bp(quote), 2), *funding, significant(quote.open_interest)))


def _series(view: SymbolView, interval: str) -> Iterator[str]:
    frame = view.timeframes.get(interval)
    if frame is None:
        yield f"{word(view.symbol)} {UNKNOWN}"
        return
    tick = decimals_of(view.instrument.tick_size)
    yield word(view.symbol)
    yield _prices("c", closes(frame), tick)
    yield _prices("e", tail(frame, "ema20"), tick)
    yield _fine("m", tail(frame, "macd"), tick)
    yield _whole("r7", tail(frame, "rsi7"))
    yield _whole("r14", tail(frame, "rsi14"))


def _prices(name: str, values: Sequence[float], tick: int) -> str:
    return " ".join((name, *(short(value, PRICE_DIGITS, tick) for value in values or [nan])))


def _fine(name: str, values: Sequence[float], tick: int) -> str:
    """Return a row of differences of prices, with as many decimals as give its largest three digits."""
    largest = max((abs(value) for value in values if isfinite(value)), default=0.0)
    decimals = min(tick + FINER, places(largest, FINE_DIGITS))
    return " ".join((name, *(trimmed(value, decimals) for value in values or [nan])))


def _whole(name: str, values: Sequence[float]) -> str:
    return " ".join((name, *(fixed(value, 0) for value in values or [nan])))


def account(question: Question) -> str:
    """Return equity, margin, positions as a table, orders that rest, and what bars entries now."""
    parts = (_money(question), _positions(question), resting(question.portfolio), barred(question.barred))
    return "\n".join(line for part in parts for line in part)


def _money(question: Question) -> Iterator[str]:
    portfolio, capital, start = question.portfolio, question.bot.capital, question.portfolio.starting_balance
    yield (
        f"total return {percent(portfolio.equity / start - 1 if start > 0 else None)}, "
        f"account value {_money_of(portfolio.equity)}, margin in use {_money_of(portfolio.margin)}, "
        f"available for new margin {_money_of(portfolio.available)} {unit_of(question)}"
        + ("" if capital is None else f", your capital, which bounds your sizing, {_money_of(capital)}")
    )


def _positions(question: Question) -> Iterator[str]:
    positions = question.portfolio.positions
    yield f"positions {len(positions)} of {question.limits.max_positions}{'' if positions else ': none'}"
    for position in positions:
        yield _position(position, question)


def _position(position: PositionView, question: Question) -> str:
    view = question.snapshot.symbols.get(position.symbol)
    tick = decimals_of(view.instrument.tick_size) if view else 8
    return " ".join(
        (
            word(position.symbol),
            position.side.value,
            plain(position.quantity),
            str(position.leverage),
            *(trimmed(price, tick) for price in (position.entry_price, position.mark_price)),
            trimmed(position.liquidation_price, tick),
            _money_of(position.notional),
            _money_of(position.unrealised),
            _or_none(position.stop, tick),
            _or_none(position.target, tick),
            _money_of(position.risk_usd),
            trimmed(position.confidence, 2),
            _open_for(question, position),
            said(position.plan, PLAN_CHARS) if position.plan else "-",
        )
    )


def _or_none(price: Decimal | None, tick: int) -> str:
    return "-" if price is None else trimmed(price, tick)


def _money_of(amount: Decimal | None) -> str:
    return short(amount, MONEY_DIGITS, 2)


def _clock(text: str) -> str:
    """Return a duration as one word: 1h10m."""
    return text.replace(" ", "").replace("min", "m")


def _open_for(question: Question, position: PositionView) -> str:
    at = position.opened_at
    return UNKNOWN if at is None else _clock(duration(question.snapshot.at - at))
