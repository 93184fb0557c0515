"""What must hold after every cycle, whatever the market did. A backtest checks all of it and stops at the first breach."""

from __future__ import annotations

from decimal import Decimal

from decisions.domain.portfolio import Role
from trading.domain.venue import AccountState
from trading.services.journal.base import TrackedOrder, TrackedPosition
from vibex.lib.errors import VibexError


class BrokenPromise(VibexError):
    """Something happened that the design rules out. The run is worthless and the code is wrong."""


def check(state: AccountState, total: Decimal, positions: list[TrackedPosition], orders: list[TrackedOrder]) -> None:
    """Compare the exchange's state with the total of its ledger and with our books. Raises BrokenPromise with the figures."""
    _money_adds_up(state, total)
    _books_agree(state, positions)
    _all_protected(state, orders)
    _nothing_left_behind(state)


def _money_adds_up(state: AccountState, total: Decimal) -> None:
    if total != state.wallet:
        raise BrokenPromise(f"{state.at:%F %T}: the ledger adds up to {total}, the wallet holds {state.wallet}")


def _books_agree(state: AccountState, positions: list[TrackedPosition]) -> None:
    ours = {position.symbol: (position.side, position.quantity) for position in positions}
    theirs = {position.symbol: (position.side, position.quantity) for position in state.positions}
    if ours != theirs:
        raise BrokenPromise(f"{state.at:%F %T}: our books say {ours}, the exchange says {theirs}")


def _all_protected(state: AccountState, orders: list[TrackedOrder]) -> None:
    working = {report.client_order_id for report in state.orders}
    for position in state.positions:
        stops = [
            tracked
            for tracked in orders
            if tracked.role is Role.STOP
            and tracked.order.symbol == position.symbol
            and tracked.order.client_order_id in working
        ]
        if len(stops) != 1:
            raise BrokenPromise(f"{state.at:%F %T}: {position.symbol} is open with {len(stops)} working stops")


def _nothing_left_behind(state: AccountState) -> None:
    held = {position.symbol for position in state.positions}
    stray = [report.client_order_id for report in state.orders if report.symbol not in held]
    if stray:
        raise BrokenPromise(f"{state.at:%F %T}: orders are working where nothing is open: {', '.join(stray)}")
