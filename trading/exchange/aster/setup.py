"""How an account has to be set before anything is traded: set, read back, compared. Nothing while anything is open.

Setting is without danger when nobody knows whether it arrived: reading back tells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from marketdata.venues.public import VenueBusy, VenueDown, VenueRefused
from trading.domain.venue import OrderReport
from trading.exchange.aster import payloads
from trading.exchange.aster.calls import Calls
from trading.exchange.aster.failures import asked, refused_as
from trading.exchange.aster.payloads import Holding
from trading.exchange.aster_codes import Call
from trading.exchange.base import Ambiguous, Refusal, Refused, Unavailable
from vibex.lib.errors import NeedsOperator, VibexError

ADVICE: Final = "close and cancel everything there, choose one-way mode, and start again."


def prepare(calls: Calls, leverages: Mapping[str, int]) -> None:
    """Bring the account into the modes that Vibex trades in, and these symbols to isolated margin and their leverage."""
    one_way(calls)
    single_asset(calls)
    for symbol, leverage in leverages.items():
        isolate(calls, symbol)
        if (now := leverage_set(calls, symbol, leverage)) != leverage:
            raise NeedsOperator(f"{symbol} was set to leverage {leverage}, but AsterDEX has it at {now}.")


def one_way(calls: Calls) -> None:
    """Leave hedge mode. Raises NeedsOperator when that cannot be done."""
    _mode(calls, "positionSide/dual", "dualSidePosition", payloads.hedge_of, Call.POSITION_MODE, "hedge mode")


def single_asset(calls: Calls) -> None:
    """Let every position be carried by its own asset only. Raises NeedsOperator when that cannot be done."""
    _mode(
        calls, "multiAssetsMargin", "multiAssetsMargin", payloads.multi_asset_of, Call.POSITION_MODE, "multi-asset mode"
    )


def isolate(calls: Calls, symbol: str) -> None:
    """Give the positions of a symbol a margin of their own. Raises NeedsOperator when that cannot be done."""
    held = holding(calls, symbol)
    if held.isolated:
        return
    if held.position or _open_orders(calls, symbol):
        raise NeedsOperator(f"{symbol} is in cross margin and something is open on it: close it, then start again.")
    problem = _switch(calls, "marginType", {"symbol": symbol, "marginType": "ISOLATED"}, Call.MARGIN_MODE)
    if not holding(calls, symbol).isolated:
        raise _stuck(problem, f"{symbol} stays in cross margin")


def leverage_set(calls: Calls, symbol: str, leverage: int) -> int:
    """Set the leverage of a symbol that is flat, and return what the venue has it at now.

    Raises Refused while a position or an entry is open, or for a leverage that the venue does not allow.
    """
    held = holding(calls, symbol)
    if held.leverage == leverage:
        return leverage
    if held.position or any(not one.reduce_only and not one.close_position for one in _open_orders(calls, symbol)):
        text = f"{symbol} has a position or an open entry: its leverage stays at {held.leverage}."
        raise Refused(text, refusal=Refusal.LEVERAGE)
    problem = _switch(calls, "leverage", {"symbol": symbol, "leverage": leverage}, Call.LEVERAGE)
    now = holding(calls, symbol).leverage
    if problem and now != leverage:
        raise problem
    return now


def holding(calls: Calls, symbol: str) -> Holding:
    """Return how a symbol is set and what is held of it. Raises NeedsOperator in hedge mode."""
    with asked():
        rows = payloads.holdings_of(calls.ask("positionRisk", {"symbol": symbol}))
        found = [row for row in rows if row.symbol == symbol]
        if not found:
            raise VenueDown(f"AsterDEX does not say how {symbol} is set.")
    if len(found) > 1 or not found[0].one_way:
        raise NeedsOperator(f"{calls.user} at AsterDEX is in hedge mode: {ADVICE}")
    return found[0]


def _mode(calls: Calls, name: str, field: str, read: Callable[[object], bool], call: Call, title: str) -> None:
    """Turn a mode of the whole account off, and make sure that it is."""
    with asked():
        on = read(calls.ask(name))
    if not on:
        return
    if _anything_open(calls):
        raise NeedsOperator(f"{calls.user} at AsterDEX is in {title} and something is open: {ADVICE}")
    problem = _switch(calls, name, {field: "false"}, call)
    with asked():
        still = read(calls.ask(name))
    if still:
        raise _stuck(problem, f"{calls.user} at AsterDEX stays in {title}")


def _stuck(problem: VibexError | None, text: str) -> VibexError:
    """Return what is said of a mode that did not change: try again later, or a person has to."""
    if isinstance(problem, Unavailable):
        return problem
    return NeedsOperator(f"{text}: {problem or 'AsterDEX took the change and did not make it.'}")


def _switch(calls: Calls, name: str, params: Mapping[str, str | int], call: Call) -> VibexError | None:
    """Send a change. Return why it may not have been done; reading back decides whether it was."""
    try:
        calls.send("POST", name, params)
    except VenueRefused as refused:
        error = refused_as(refused, call)
        return Unavailable(str(refused)) if isinstance(error, Ambiguous) else error
    except (VenueDown, VenueBusy) as lost:
        return Unavailable(str(lost))
    return None


def _open_orders(calls: Calls, symbol: str) -> tuple[OrderReport, ...]:
    with asked():
        return payloads.orders_of(calls.ask("openOrders", {"symbol": symbol}))


def _anything_open(calls: Calls) -> bool:
    with asked():
        orders = payloads.orders_of(calls.ask("openOrders"))
        return bool(orders or payloads.held_in(calls.ask("positionRisk")))
