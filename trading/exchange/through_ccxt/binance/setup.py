"""How an account at Binance has to be set before anything is traded: set, read back, compared. Nothing while open.

Setting is without danger when nobody knows whether it arrived: reading back tells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from marketdata.aster.values import number, rows_of
from marketdata.domain.instruments import InstrumentSpec
from marketdata.venues.public import VenueBusy, VenueDown, VenueRefused
from trading.domain.venue import OrderReport
from trading.exchange.aster import payloads
from trading.exchange.aster.payloads import Holding
from trading.exchange.aster.terms import brackets_of, fees_of
from trading.exchange.aster_codes import Call
from trading.exchange.base import Ambiguous, Refusal, Refused, Unavailable
from trading.exchange.live import ConnectionCheck, SymbolCheck
from trading.exchange.through_ccxt.binance.calls import BinanceCalls
from trading.exchange.through_ccxt.binance.codes import meaning
from trading.exchange.through_ccxt.binance.payloads import holdings_of, modes_of, open_orders, said_by_binance
from vibex.lib.errors import NeedsOperator, VibexError

ADVICE = "close and cancel everything there, choose one-way mode, and start again."
MODES = (
    ("dualSidePosition", "positionSide/dual", "hedge mode"),
    ("multiAssetsMargin", "multiAssetsMargin", "multi-assets mode"),
)
"""Modes of the whole account that have to be off: field, call, and what a person calls it."""


def prepare(calls: BinanceCalls, leverages: Mapping[str, int]) -> None:
    """Bring the account into the modes that Vibex trades in, and these symbols to isolated margin and their leverage."""
    for field, name, title in MODES:
        _turn_off(calls, field, name, title)
    for symbol, leverage in leverages.items():
        isolate(calls, symbol)
        if (now := leverage_set(calls, symbol, leverage)) != leverage:
            raise NeedsOperator(f"{symbol} was set to leverage {leverage}, but Binance has it at {now}.")


def isolate(calls: BinanceCalls, symbol: str) -> None:
    """Give the positions of a symbol a margin of their own. Raises NeedsOperator when that cannot be done."""
    held = holding(calls, symbol)
    if held.isolated:
        return
    if held.position or orders_of(calls, symbol):
        raise NeedsOperator(f"{symbol} is in cross margin and something is open on it: close it, then start again.")
    problem = _switch(calls, "marginType", {"symbol": symbol, "marginType": "ISOLATED"}, Call.MARGIN_MODE)
    if not holding(calls, symbol).isolated:
        raise _stuck(problem, f"{symbol} stays in cross margin")


def leverage_set(calls: BinanceCalls, symbol: str, leverage: int) -> int:
    """Set the leverage of a symbol that is flat, and return what the venue has it at now.

    Raises Refused while a position or an entry is open, or for a leverage that the venue does not allow.
    """
    held = holding(calls, symbol)
    if held.leverage == leverage:
        return leverage
    if held.position or any(not one.reduce_only and not one.close_position for one in orders_of(calls, symbol)):
        text = f"{symbol} has a position or an open entry: its leverage stays at {held.leverage}."
        raise Refused(text, refusal=Refusal.LEVERAGE)
    problem = _switch(calls, "leverage", {"symbol": symbol, "leverage": leverage}, Call.LEVERAGE)
    now = holding(calls, symbol).leverage
    if problem and now != leverage:
        raise problem
    return now


def holding(calls: BinanceCalls, symbol: str) -> Holding:
    """Return how a symbol is set and what is held of it. Raises NeedsOperator in hedge mode."""
    asked = {"symbol": symbol}
    rows = holdings_of(calls.ask("positionRisk", asked), calls.ask("symbolConfig", asked))
    found = [row for row in rows if row.symbol == symbol]
    if not found:
        raise VenueDown(f"Binance does not say how {symbol} is set.")
    if len(found) > 1 or not found[0].one_way:
        raise NeedsOperator(f"The account at Binance is in hedge mode: {ADVICE}")
    return found[0]


def orders_of(calls: BinanceCalls, symbol: str | None = None) -> tuple[OrderReport, ...]:
    """Return the open orders of a symbol or of all, conditional ones too.

    Conditional ones are asked for first: what fires in between is seen twice rather than not at all.
    """
    asked = {"symbol": symbol} if symbol else {}
    conditional = calls.ask("openAlgoOrders", asked)
    return open_orders(conditional, calls.ask("openOrders", asked))


def with_terms(calls: BinanceCalls, spec: InstrumentSpec) -> InstrumentSpec:
    """Return the instrument with this account's own fees and brackets (weight 21)."""
    asked = {"symbol": spec.symbol}
    with said_by_binance():
        maker, taker = fees_of(calls.ask("commissionRate", asked), spec.symbol)
        brackets = brackets_of(calls.ask("leverageBracket", asked), spec.symbol)
    most = max(bracket.max_leverage for bracket in brackets)
    return replace(spec, maker_fee=maker, taker_fee=taker, brackets=brackets, max_leverage=most)


def checked(calls: BinanceCalls, symbols: Sequence[str]) -> ConnectionCheck:
    """Return money, modes, permission, fees and clock. Whether the key may withdraw is not told to futures."""
    ahead, took = calls.sync()
    modes = modes_of(calls.ask("accountConfig"))
    with said_by_binance():
        funds = payloads.funds_of(calls.ask("balance"))
    return ConnectionCheck(
        clock_ahead=ahead,
        round_trip=took,
        wallet=funds.wallet,
        available=funds.available,
        one_way=not modes["dualSidePosition"],
        single_asset=not modes["multiAssetsMargin"],
        can_trade=modes["canTrade"],
        can_withdraw=None,
        symbols=tuple(_checked(calls, symbol) for symbol in symbols),
    )


def _checked(calls: BinanceCalls, symbol: str) -> SymbolCheck:
    asked = {"symbol": symbol}
    settings = calls.ask("symbolConfig", asked)
    found = next((row for row in holdings_of([], settings) if row.symbol == symbol), None)
    if found is None:
        raise VenueDown(f"Binance does not say how {symbol} is set.")
    with said_by_binance():
        maker, taker = fees_of(calls.ask("commissionRate", asked), symbol)
    return SymbolCheck(symbol, found.isolated, found.leverage, maker, taker)


def _turn_off(calls: BinanceCalls, field: str, name: str, title: str) -> None:
    """Turn a mode of the whole account off, and make sure that it is."""
    if not modes_of(calls.ask("accountConfig"))[field]:
        return
    with said_by_binance():
        held = rows_of(calls.ask("positionRisk"), "positionRisk")
    if orders_of(calls) or any(number(row, "positionAmt", "positionRisk") for row in held):
        raise NeedsOperator(f"The account at Binance is in {title} and something is open: {ADVICE}")
    problem = _switch(calls, name, {field: "false"}, Call.POSITION_MODE)
    if modes_of(calls.ask("accountConfig"))[field]:
        raise _stuck(problem, f"The account at Binance stays in {title}")


def _stuck(problem: VibexError | None, text: str) -> VibexError:
    """Return what is said of a mode that did not change: try again later, or a person has to."""
    if isinstance(problem, Unavailable):
        return problem
    return NeedsOperator(f"{text}: {problem or 'Binance took the change and did not make it.'}")


def _switch(calls: BinanceCalls, name: str, params: Mapping[str, str | int], call: Call) -> VibexError | None:
    """Send a change. Return why it may not have been done; reading back decides whether it was."""
    try:
        calls.send("POST", name, params)
    except VenueRefused as refused:
        error = meaning(refused, call)
        return Unavailable(str(refused)) if isinstance(error, Ambiguous) else error
    except (VenueDown, VenueBusy) as lost:
        return Unavailable(str(lost))
    return None
