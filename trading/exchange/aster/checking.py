"""What AsterDEX says of an account when nothing is traded: money, modes, permissions, fees, clock. Only questions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from marketdata.aster.values import Row, broken, rows_of
from marketdata.services.venues import clock_offset
from marketdata.venues.public import PublicVenue
from trading.exchange.aster import payloads
from trading.exchange.aster.calls import Calls
from trading.exchange.aster.failures import asked
from trading.exchange.aster.payloads import Holding
from trading.exchange.aster.terms import fees_of
from trading.exchange.live import ConnectionCheck, SymbolCheck

ASKED: Final = 3
"""The clock is asked so often; the quickest answer tells it best."""


def connection_check(calls: Calls, symbols: Sequence[str], public: PublicVenue) -> ConnectionCheck:
    """Read all that can be told without changing anything (weight 78 and 20 for each symbol).

    A symbol that the venue does not know is left out. Raises NeedsOperator for keys that do not work, Unavailable.
    """
    with asked():
        offset, trip = min((clock_offset(public) for _ in range(ASKED)), key=lambda measured: measured[1])
        funds = payloads.funds_of(calls.ask("balance"))
        hedge = payloads.hedge_of(calls.ask("positionSide/dual"))
        shared = payloads.multi_asset_of(calls.ask("multiAssetsMargin"))
        may_trade, may_withdraw = permissions_of(calls.ask("account"))
        set_so = _holdings(calls, symbols)
        fees = {symbol: fees_of(calls.ask("commissionRate", {"symbol": symbol}), symbol) for symbol in set_so}
    return ConnectionCheck(
        clock_ahead=timedelta(seconds=offset),
        round_trip=trip,
        wallet=funds.wallet,
        available=funds.available,
        one_way=not hedge,
        single_asset=not shared,
        can_trade=may_trade,
        can_withdraw=may_withdraw,
        symbols=tuple(SymbolCheck(symbol, one.isolated, one.leverage, *fees[symbol]) for symbol, one in set_so.items()),
    )


def _holdings(calls: Calls, symbols: Sequence[str]) -> dict[str, Holding]:
    """Return how each symbol is set, in their order; those that the venue does not know are left out."""
    rows = rows_of(calls.ask("positionRisk"), "positionRisk")
    found = {one.symbol: one for one in payloads.holdings_of([row for row in rows if row.get("symbol") in symbols])}
    return {symbol: found[symbol] for symbol in symbols if symbol in found}


def permissions_of(payload: object) -> tuple[bool | None, bool | None]:
    """Return whether the account may trade and withdraw, None for what is not told: V3 leaves withdrawing out.

    They are the account's own. Whether these keys may do so is told by no call.
    """
    rows = rows_of(payload, "account")
    if len(rows) != 1:
        raise broken("account", {}, "the one account")
    (row,) = rows
    return _told(row, "canTrade"), _told(row, "canWithdraw")


def _told(row: Row, name: str) -> bool | None:
    return None if row.get(name) is None else payloads.flag(row, name, "account")
