"""The sections of a prompt. Oldest → newest, units in the labels, prices at the precision of the tick."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final

import numpy as np

from accounts.domain.limit_words import entry_summary
from decisions.domain.figures import UNKNOWN, decimals_of, duration, fixed, percent, plain, series, significant
from decisions.domain.portfolio import Portfolio, PositionView
from decisions.domain.question import Feedback, Question
from decisions.domain.schema import cleaned
from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.snapshot import MarketSnapshot, Quote, SymbolView, Timeframe

VALUES: Final = 10
"""How many values of each series are shown."""
FINER: Final = 2
"""Decimals beyond the tick for differences of prices: at the tick itself a MACD of DOGE would be 0."""
PLAN_CHARS: Final = 200
REASON_CHARS: Final = 200
BARS: Final = 6
"""How many of the things that bar entries are told."""
BEYOND: Final = "What breaks a limit is refused; a size that is too large is shrunk. Nothing bars a close."


def limits(question: Question) -> str:
    """Return what code enforces, whatever is asked."""
    told = (*entry_summary(question.limits), BEYOND)
    return "\n".join(f"- {sentence}" for sentence in told)


def universe(question: Question) -> str:
    """Return the rules and fees of every symbol."""
    views = question.snapshot.symbols
    return "\n".join(
        f"- {_rules(views[symbol].instrument)}" if symbol in views else f"- {symbol}: {UNKNOWN}"
        for symbol in question.bot.symbols
    )


def _rules(instrument: InstrumentSpec) -> str:
    return (
        f"{instrument.symbol}: {instrument.base} against {instrument.quote}, group {instrument.group}, "
        f"tick {plain(instrument.tick_size)}, step {plain(instrument.step_size)}, "
        f"minimum quantity {plain(instrument.min_quantity)}, minimum notional {plain(instrument.min_notional)}, "
        f"fee per side {percent(instrument.taker_fee, 3)} taker, {percent(instrument.maker_fee, 3)} maker, "
        f"funding every {instrument.funding_interval_hours} h"
    )


def slow(question: Question) -> str:
    """Return the longer timeframes, the longest first; of a bot with one timeframe, that one."""
    longer = [interval for interval in question.bot.timeframes if interval != question.bot.interval]
    intervals = list(reversed(longer)) or [question.bot.interval]
    return (
        "\n\n".join(
            "\n".join(_context(view, interval))
            for interval in intervals
            for view in _usable(question)
            if interval in view.timeframes
        )
        or UNKNOWN
    )


def _usable(question: Question) -> Iterator[SymbolView]:
    for symbol in question.bot.symbols:
        view = question.snapshot.symbols.get(symbol)
        if view is not None and not view.problem:
            yield view


def _context(view: SymbolView, interval: str) -> Iterator[str]:
    frame, unit = view.timeframes[interval], view.instrument.quote
    tick = decimals_of(view.instrument.tick_size)
    yield f"### {view.symbol}, {interval} candles"
    yield f"EMA20: {fixed(_last(frame, 'ema20'), tick)} vs. EMA50: {fixed(_last(frame, 'ema50'), tick)} {unit}"
    yield f"ATR3: {fixed(_last(frame, 'atr3'), tick + FINER)} vs. ATR14: {fixed(_last(frame, 'atr14'), tick + FINER)} {unit}"
    yield (
        f"Volume of the last closed candle: {significant(_last_volume(frame))} "
        f"vs. average of 20: {significant(_last(frame, 'volume_average'))} {view.instrument.base}"
    )
    yield f"ADX14: {fixed(_last(frame, 'adx14'), 1)}"
    yield f"MACD ({unit}): {series(_tail(frame, 'macd'), tick + FINER)}"
    yield f"RSI14: {series(_tail(frame, 'rsi14'), 1)}"


def fast(question: Question) -> str:
    """Return quotes and the newest values of the bot's own timeframe, symbol by symbol."""
    return "\n\n".join("\n".join(_state(symbol, question)) for symbol in question.bot.symbols)


def _state(symbol: str, question: Question) -> Iterator[str]:
    view = question.snapshot.symbols.get(symbol)
    problem = "the market does not know it" if view is None else view.problem
    if view is None or problem:
        yield f"### {symbol}\nno usable data: {cleaned(problem or '', REASON_CHARS)}; only hold or close_position"
        return
    yield f"### {symbol}, {question.bot.interval} candles"
    yield from _quote(view, question.snapshot)
    frame = view.timeframes.get(question.bot.interval)
    if frame is None:
        yield f"Series: {UNKNOWN}"
        return
    yield from _series(view, frame)


def _quote(view: SymbolView, snapshot: MarketSnapshot) -> Iterator[str]:
    quote, instrument = view.quote, view.instrument
    tick = decimals_of(instrument.tick_size)
    yield (
        f"Last price: {fixed(quote.last, tick)}, bid: {fixed(quote.bid, tick)}, ask: {fixed(quote.ask, tick)}, "
        f"mark: {fixed(quote.mark, tick)} {instrument.quote}; spread: {_spread(quote)}"
    )
    yield f"Funding rate: {_funding(quote, instrument, snapshot)}"
    yield f"Open interest ({instrument.base}): {significant(quote.open_interest)}"


def _spread(quote: Quote) -> str:
    middle = (quote.bid + quote.ask) / 2
    return f"{fixed((quote.ask - quote.bid) / middle * 10_000, 2)} bp" if middle > 0 else UNKNOWN


def _funding(quote: Quote, instrument: InstrumentSpec, snapshot: MarketSnapshot) -> str:
    if quote.funding_rate is None:
        return UNKNOWN
    text = f"{percent(quote.funding_rate, 5)} per {instrument.funding_interval_hours} h"
    if quote.next_funding_at is not None:
        text += f", next settlement in {duration(quote.next_funding_at - snapshot.at)}"
    return text


def _series(view: SymbolView, frame: Timeframe) -> Iterator[str]:
    tick, unit = decimals_of(view.instrument.tick_size), view.instrument.quote
    yield f"Closes ({unit}): {series(frame.candles.close[-VALUES:], tick)}"
    yield f"EMA20 ({unit}): {series(_tail(frame, 'ema20'), tick)}"
    yield f"MACD ({unit}): {series(_tail(frame, 'macd'), tick + FINER)}"
    yield f"RSI7: {series(_tail(frame, 'rsi7'), 1)}"
    yield f"RSI14: {series(_tail(frame, 'rsi14'), 1)}"


def account(question: Question) -> str:
    """Return equity, margin, positions with what protects them, orders that rest, and what bars entries now."""
    parts = (_money(question), _positions(question), _resting(question.portfolio), _barred(question.barred))
    return "\n".join(line for part in parts for line in part)


def _money(question: Question) -> Iterator[str]:
    portfolio, capital, unit = question.portfolio, question.bot.capital, _unit(question)
    start = portfolio.starting_balance
    yield f"Total return: {percent(portfolio.equity / start - 1 if start > 0 else None)}"
    yield f"Account value (wallet + unrealised PnL): {fixed(portfolio.equity, 2)} {unit}"
    yield f"Margin in use: {fixed(portfolio.margin, 2)}, available for new margin: {fixed(portfolio.available, 2)} {unit}"
    if capital is not None:
        yield f"Your capital, which bounds your sizing: {fixed(capital, 2)} {unit}"


def _unit(question: Question) -> str:
    """Return the asset the account counts in: the quote asset of what it trades."""
    return next((view.instrument.quote for view in question.snapshot.symbols.values()), "")


def _positions(question: Question) -> Iterator[str]:
    positions = question.portfolio.positions
    unit = _unit(question)
    yield f"Open positions ({len(positions)} of {question.limits.max_positions}):{f' amounts in {unit}' if positions else ' none'}"
    for position in positions:
        yield _position(position, question)
        if position.plan:
            yield f"  your plan at entry: {quoted(position.plan)}"


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
    return f"- {position.symbol}: " + ", ".join(f"{name} {value}" for name, value in facts.items())


def _working(trigger: Decimal | None, tick: int) -> str:
    return "none" if trigger is None else fixed(trigger, tick)


def _resting(portfolio: Portfolio) -> Iterator[str]:
    for order in portfolio.orders:
        if order.role is None or not order.role.protects:
            yield f"- resting order: {order.symbol} {order.side} {order.type} {plain(order.quantity)}"


def _barred(bars: Sequence[str]) -> Iterator[str]:
    """Say what bars entries now: asking for one is in vain."""
    for bar in bars[:BARS]:
        yield f"Entries are barred now: {cleaned(' '.join(bar.split()), REASON_CHARS)}"
    if len(bars) > BARS:
        yield f"Entries are barred now on {len(bars) - BARS} more symbols."


def feedback(question: Question) -> str:
    """Return what became of earlier proposals, oldest first."""
    return "\n".join(_became(item) for item in sorted(question.feedback, key=lambda item: item.at)) or "nothing yet"


def _became(item: Feedback) -> str:
    reasons = cleaned(" ".join("; ".join(item.reasons).split()), REASON_CHARS)
    often = f" {item.times} times, the last time" if item.times > 1 else ""
    return f"- {item.at:%Y-%m-%d %H:%M} UTC {item.symbol} {item.action}: {item.verdict}{often}" + (
        f" ({reasons})" if reasons else ""
    )


def now(question: Question) -> str:
    """Return the time, how long and how often the bot has decided, and when it is asked again."""
    at = question.snapshot.at
    return (
        f"It is {at:%Y-%m-%d %H:%M:%S} UTC. You have been trading for {duration(at - question.started_at)} and were asked "
        f"{question.invocation} times before. The next decision is in {duration(question.next_decision_at - at)}."
    )


def quoted(text: str) -> str:
    """Return a text of the model's own as a JSON string of at most 200 characters: it is quoted, it does not speak."""
    return json.dumps(cleaned(text, PLAN_CHARS), ensure_ascii=False)


def _last(frame: Timeframe, name: str) -> float | None:
    values = frame.indicators.get(name)
    return float(values[-1]) if values is not None and len(values) else None


def _last_volume(frame: Timeframe) -> float | None:
    return float(frame.candles.volume[-1]) if len(frame.candles) else None


def _tail(frame: Timeframe, name: str) -> list[float]:
    values = frame.indicators.get(name, np.empty(0))
    return [float(value) for value in values[-VALUES:]]
