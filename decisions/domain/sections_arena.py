"""The layout of Alpha Arena, its known defects mended: every value with its label, prices at the tick."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from decisions.domain.figures import UNKNOWN, decimals_of, duration, fixed, percent, plain, series, significant
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
from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.snapshot import MarketSnapshot, Quote, SymbolView, Timeframe

LEGEND: Final = """\
- All series are ordered oldest → newest, and hold closed candles only; the last value belongs to the newest closed candle.
- Prices, EMA, MACD and ATR are in the quote asset. EMA20, EMA50: exponential averages of closes. MACD: EMA12 − EMA26. \
ATR3, ATR14: average true range. RSI7, RSI14: from 0 to 100. Volume: in the base asset, per candle."""


def universe(question: Question) -> str:
    """Return the rules and fees of every symbol."""
    views = question.snapshot.symbols
    return "\n".join(
        f"- {_rules(views[symbol].instrument)}" if symbol in views else f"- {word(symbol)}: {UNKNOWN}"
        for symbol in question.bot.symbols
    )


def _rules(instrument: InstrumentSpec) -> str:
    return (
        f"{word(instrument.symbol)}: {word(instrument.base)} against {word(instrument.quote)}, "
        f"group {word(instrument.group)}, "
        f"tick {plain(instrument.tick_size)}, step {plain(instrument.step_size)}, "
        f"minimum quantity {plain(instrument.min_quantity)}, minimum notional {plain(instrument.min_notional)}, "
        f"fee per side {percent(instrument.taker_fee, 3)} taker, {percent(instrument.maker_fee, 3)} maker, "
        f"funding every {instrument.funding_interval_hours} h"
    )


def slow(question: Question) -> str:
    """Return the longer timeframes, the longest first; of a bot with one timeframe, that one."""
    return (
        "\n\n".join(
            "\n".join(_context(view, interval))
            for interval in longer(question)
            for view in usable(question)
            if interval in view.timeframes
        )
        or UNKNOWN
    )


def _context(view: SymbolView, interval: str) -> Iterator[str]:
    frame, unit = view.timeframes[interval], word(view.instrument.quote)
    tick = decimals_of(view.instrument.tick_size)
    yield f"### {word(view.symbol)}, {interval} candles"
    yield f"EMA20: {fixed(last(frame, 'ema20'), tick)} vs. EMA50: {fixed(last(frame, 'ema50'), tick)} {unit}"
    yield f"ATR3: {fixed(last(frame, 'atr3'), tick + FINER)} vs. ATR14: {fixed(last(frame, 'atr14'), tick + FINER)} {unit}"
    yield (
        f"Volume of the last closed candle: {significant(last_volume(frame))} "
        f"vs. average of 20: {significant(last(frame, 'volume_average'))} {word(view.instrument.base)}"
    )
    yield f"ADX14: {fixed(last(frame, 'adx14'), 1)}"
    yield f"MACD ({unit}): {series(tail(frame, 'macd'), tick + FINER)}"
    yield f"RSI14: {series(tail(frame, 'rsi14'), 1)}"


def fast(question: Question) -> str:
    """Return quotes and the newest values of the bot's own timeframe, symbol by symbol."""
    return "\n\n".join("\n".join(_state(symbol, question)) for symbol in question.bot.symbols)


def _state(symbol: str, question: Question) -> Iterator[str]:
    view = question.snapshot.symbols.get(symbol)
    if view is None or view.problem:
        yield f"### {word(symbol)}\n{unusable(question, symbol)}"
        return
    yield f"### {word(symbol)}, {question.bot.interval} candles"
    yield from _quote(view, question.snapshot)
    frame = view.timeframes.get(question.bot.interval)
    if frame is None:
        yield f"Series: {UNKNOWN}"
        return
    yield from _series(view, frame)


def _quote(view: SymbolView, snapshot: MarketSnapshot) -> Iterator[str]:
    quote, instrument = view.quote, view.instrument
    tick, spread = decimals_of(instrument.tick_size), spread_bp(quote)
    yield (
        f"Last price: {fixed(quote.last, tick)}, bid: {fixed(quote.bid, tick)}, ask: {fixed(quote.ask, tick)}, "
        f"mark: {fixed(quote.mark, tick)} {word(instrument.quote)}; "
        f"spread: {UNKNOWN if spread is None else f'{fixed(spread, 2)} bp'}"
    )
    yield f"Funding rate: {_funding(quote, instrument, snapshot)}"
    yield f"Open interest ({word(instrument.base)}): {significant(quote.open_interest)}"


def _funding(quote: Quote, instrument: InstrumentSpec, snapshot: MarketSnapshot) -> str:
    if quote.funding_rate is None:
        return UNKNOWN
    text = f"{percent(quote.funding_rate, 5)} per {instrument.funding_interval_hours} h"
    return text if quote.next_funding_at is None else f"{text}, next settlement in {settles_in(quote, snapshot)}"


def _series(view: SymbolView, frame: Timeframe) -> Iterator[str]:
    tick, unit = decimals_of(view.instrument.tick_size), word(view.instrument.quote)
    yield f"Closes ({unit}): {series(closes(frame), tick)}"
    yield f"EMA20 ({unit}): {series(tail(frame, 'ema20'), tick)}"
    yield f"MACD ({unit}): {series(tail(frame, 'macd'), tick + FINER)}"
    yield f"RSI7: {series(tail(frame, 'rsi7'), 1)}"
    yield f"RSI14: {series(tail(frame, 'rsi14'), 1)}"


def account(question: Question) -> str:
    """Return equity, margin, positions with what protects them, orders that rest, and what bars entries now."""
    parts = (_money(question), _positions(question), resting(question.portfolio), barred(question.barred))
    return "\n".join(line for part in parts for line in part)


def _money(question: Question) -> Iterator[str]:
    portfolio, capital, unit = question.portfolio, question.bot.capital, unit_of(question)
    start = portfolio.starting_balance
    yield f"Total return: {percent(portfolio.equity / start - 1 if start > 0 else None)}"
    yield f"Account value (wallet + unrealised PnL): {fixed(portfolio.equity, 2)} {unit}"
    yield f"Margin in use: {fixed(portfolio.margin, 2)}, available for new margin: {fixed(portfolio.available, 2)} {unit}"
    if capital is not None:
        yield f"Your capital, which bounds your sizing: {fixed(capital, 2)} {unit}"


def _positions(question: Question) -> Iterator[str]:
    positions = question.portfolio.positions
    units = f" amounts in {unit_of(question)}" if positions else " none"
    yield f"Open positions ({len(positions)} of {question.limits.max_positions}):{units}"
    for position in positions:
        yield _position(position, question)
        if position.plan:
            yield f"  your plan at entry: {said(position.plan, PLAN_CHARS)}"


def _position(position: PositionView, question: Question) -> str:
    view = question.snapshot.symbols.get(position.symbol)
    tick = decimals_of(view.instrument.tick_size) if view else 8
    facts = {
        "side": position.side.value,
        "quantity": plain(position.quantity),
        "leverage": str(position.leverage),
        "entry price": fixed(position.entry_price, tick),
        "mark price": fixed(position.mark_price, tick),
        "liquidation price": fixed(position.liquidation_price, tick),
        "notional": fixed(position.notional, 2),
        "unrealised PnL": fixed(position.unrealised, 2),
        "stop on the exchange": _working(position.stop, tick),
        "target on the exchange": _working(position.target, tick),
        "risk_usd": fixed(position.risk_usd, 2),
        "confidence": fixed(position.confidence, 2),
        "open for": duration(question.snapshot.at - position.opened_at) if position.opened_at else UNKNOWN,
    }
    return f"- {word(position.symbol)}: " + ", ".join(f"{name} {value}" for name, value in facts.items())


def _working(trigger: Decimal | None, tick: int) -> str:
    return "none" if trigger is None else fixed(trigger, tick)
