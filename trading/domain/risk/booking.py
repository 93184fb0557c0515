"""The portfolio as it would be once a ruling is carried out, so that the next proposal is ruled against that."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from decisions.domain.portfolio import Portfolio, PositionView
from marketdata.domain.snapshot import MarketSnapshot
from trading.domain.risk.case import Entry, known
from trading.domain.venue import ZERO


def after_close(portfolio: Portfolio, position: PositionView, snapshot: MarketSnapshot) -> Portfolio:
    """Book a position flat at mark. Its margin is free again less loss and fee; its profit is not counted on yet.

    Nothing may keep a position from being closed: amounts that nobody knows are left as they are.
    """
    left = replace(portfolio, positions=tuple(seen for seen in portfolio.positions if seen.symbol != position.symbol))
    if not known(portfolio.wallet, portfolio.unrealised, portfolio.margin, portfolio.available):
        return left
    fee = _closing_fee(position, snapshot)
    margin, unrealised = (value if known(value) else ZERO for value in (position.margin, position.unrealised))
    return replace(
        left,
        wallet=portfolio.wallet + unrealised - fee,
        unrealised=portfolio.unrealised - unrealised,
        margin=portfolio.margin - margin,
        available=portfolio.available + margin + min(unrealised, ZERO) - fee,
    )


def _closing_fee(position: PositionView, snapshot: MarketSnapshot) -> Decimal:
    view = snapshot.symbols.get(position.symbol)
    if view is None or not known(position.quantity, position.mark_price, view.instrument.taker_fee):
        return ZERO
    return position.notional * view.instrument.taker_fee


def after_entry(entry: Entry) -> Portfolio:
    """Book what is left of an entry as filled: size at the price crossed, margin and fee at the worst price allowed."""
    portfolio = entry.portfolio
    margin = entry.quantity * entry.dearest / entry.leverage
    fee = entry.quantity * entry.dearest * entry.instrument.taker_fee
    return replace(
        portfolio,
        wallet=portfolio.wallet - fee,
        margin=portfolio.margin + margin,
        available=portfolio.available - entry.quantity * entry.free_margin_per_unit,
        positions=(*portfolio.positions, _opened(entry, margin)),
    )


def _opened(entry: Entry, margin: Decimal) -> PositionView:
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
        target=entry.ask.proposal.profit_target,
        opened_at=entry.portfolio.at,
    )
