"""The books as they would be once a ruling is carried out, so that the next proposal is ruled against that."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from decisions.domain.portfolio import Portfolio, PositionView
from marketdata.domain.snapshot import MarketSnapshot
from trading.domain.history import Ended, History
from trading.domain.known import known, moment
from trading.domain.risk.case import Books, Entry
from trading.domain.venue import ZERO


def after_close(books: Books, position: PositionView, snapshot: MarketSnapshot) -> Books:
    """Book a position flat at mark: out of the portfolio, into the history, and into what this decision closed.

    Nothing may keep a position from being closed: amounts that nobody knows are left as they are.
    """
    rate = _taker_fee(position, snapshot)
    portfolio = _without(books.portfolio, position, rate)
    history = _ended(books.history, position, rate, at=snapshot.at)
    return Books(portfolio, history, {**books.closed, position.symbol: position})


def _without(portfolio: Portfolio, position: PositionView, rate: Decimal) -> Portfolio:
    """Its margin is free again less loss and fee; its profit is not counted on yet."""
    left = tuple([seen for seen in portfolio.positions if seen.symbol != position.symbol])
    if not known(portfolio.wallet, portfolio.unrealised, portfolio.margin, portfolio.available):
        return replace(portfolio, positions=left)
    margin, unrealised = position.margin, position.unrealised
    if known(position.quantity, position.mark_price, margin, unrealised):
        fee = position.notional * rate
    else:
        fee = position.notional * rate if known(position.quantity, position.mark_price) else ZERO
        margin = margin if known(margin) else ZERO
        unrealised = unrealised if known(unrealised) else ZERO
    available = portfolio.available + margin + min(unrealised, ZERO) - fee
    wallet = portfolio.wallet + unrealised - fee
    still_unrealised, still_margin = portfolio.unrealised - unrealised, portfolio.margin - margin
    return Portfolio(
        portfolio.at,
        wallet,
        still_unrealised,
        still_margin,
        available,
        left,
        portfolio.orders,
        portfolio.starting_balance,
    )


def _ended(history: History, position: PositionView, rate: Decimal, *, at: datetime) -> History:
    """Its result is what it shows less both fees. One that nobody knows neither makes a streak of losses nor ends it."""
    if not known(position.unrealised, position.quantity, position.entry_price, position.mark_price):
        return history
    fees = rate * position.quantity * (position.entry_price + position.mark_price)
    opened = position.opened_at if position.opened_at is not None and moment(position.opened_at) else at
    ended = Ended(position.symbol, position.side, opened, at, position.unrealised - fees)
    return History(history.opened, (*history.ended, ended))


def _taker_fee(position: PositionView, snapshot: MarketSnapshot) -> Decimal:
    view = snapshot.symbols.get(position.symbol)
    return view.instrument.taker_fee if view is not None and known(view.instrument.taker_fee) else ZERO


def after_entry(entry: Entry) -> Books:
    """Book what is left of an entry as filled: size at the price crossed, margin and fee at the worst price allowed."""
    books, portfolio = entry.ask.books, entry.portfolio
    margin = entry.quantity * entry.dearest / entry.leverage
    fee = entry.quantity * entry.dearest * entry.instrument.taker_fee
    others = tuple(seen for seen in portfolio.positions if seen is not entry.held)
    filled = replace(
        portfolio,
        wallet=portfolio.wallet - fee,
        margin=portfolio.margin + margin,
        available=portfolio.available - entry.quantity * entry.free_margin_per_unit,
        positions=(*others, _opened(entry, margin)),
    )
    history = History((*books.history.opened, entry.ask.at), books.history.ended)
    return Books(filled, history, books.closed)


def _opened(entry: Entry, margin: Decimal) -> PositionView:
    held = entry.held
    if held is None:
        return PositionView(
            symbol=entry.instrument.symbol,
            side=entry.side,
            quantity=entry.quantity,
            entry_price=entry.touch,
            mark_price=entry.touch,
            leverage=entry.leverage,
            unrealised=ZERO,
            margin=margin,
            stop=entry.stop,
            target=entry.target,
            opened_at=entry.ask.at,
        )
    size = held.quantity + entry.quantity
    return replace(
        held,
        quantity=size,
        entry_price=(held.quantity * held.entry_price + entry.quantity * entry.touch) / size,
        margin=margin + (held.margin if known(held.margin) else ZERO),
        stop=entry.stop,
        target=entry.target,
    )
