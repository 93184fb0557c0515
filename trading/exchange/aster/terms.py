"""What an account pays and how far it may go: commissionRate and leverageBracket into the rules of an instrument."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from typing import Final

from marketdata.aster.values import Row, amount, broken, number, rows_of, whole
from marketdata.domain.instruments import Bracket, InstrumentSpec
from trading.exchange.aster.calls import Calls
from trading.exchange.aster.payloads import MOST_LEVERAGE

BRACKETS: Final = ("leverageBracket", "leverageBrackets")
"""As the documents have it, and as newer clients ask."""
MOST_FEE: Final = Decimal("0.05")
"""As a fraction. More is no fee, but a percentage that was taken for a fraction."""


def with_terms(calls: Calls, spec: InstrumentSpec) -> InstrumentSpec:
    """Return the instrument with this account's own fees and brackets (weight 21). Errors are those of AsterHttp."""
    asked = {"symbol": spec.symbol}
    maker, taker = fees_of(calls.ask("commissionRate", asked), spec.symbol)
    brackets = brackets_of(calls.ask_either(BRACKETS, asked), spec.symbol)
    most = max(bracket.max_leverage for bracket in brackets)
    return replace(spec, maker_fee=maker, taker_fee=taker, brackets=brackets, max_leverage=most)


def fees_of(payload: object, symbol: str) -> tuple[Decimal, Decimal]:
    """Return what a maker and a taker pay, as fractions of the notional. A maker's may be negative: a rebate."""
    kind = "commissionRate"
    row = _row_of(payload, symbol, kind)
    maker, taker = (number(row, name, kind) for name in ("makerCommissionRate", "takerCommissionRate"))
    for name, fee, least in (("makerCommissionRate", maker, -MOST_FEE), ("takerCommissionRate", taker, Decimal(0))):
        if not least <= fee <= MOST_FEE:
            raise broken(kind, row, name)
    return maker, taker


def brackets_of(payload: object, symbol: str) -> tuple[Bracket, ...]:
    """Return the steps of the maintenance margin, the smallest notional first, without a hole between them."""
    kind = "leverageBracket"
    row = _row_of(payload, symbol, kind)
    found = sorted((_bracket(one) for one in rows_of(row.get("brackets"), kind)), key=lambda one: one.floor)
    whole_table = found and not found[0].floor and all(one.cap == other.floor for one, other in pairwise(found))
    if not whole_table or any(one.maintenance_rate > other.maintenance_rate for one, other in pairwise(found)):
        raise broken(kind, row, "brackets")
    return tuple(found)


def _bracket(row: Row) -> Bracket:
    kind = "leverageBracket"
    rate, cum = amount(row, "maintMarginRatio", kind), amount(row, "cum", kind)
    # The last cap may be the largest number there is.
    floor, cap = number(row, "notionalFloor", kind), number(row, "notionalCap", kind)
    if rate >= 1 or not 0 <= floor < cap:
        raise broken(kind, row, "maintMarginRatio" if rate >= 1 else "notionalCap")
    return Bracket(floor, cap, whole(row, "initialLeverage", kind, least=1, most=MOST_LEVERAGE), rate, cum)


def _row_of(payload: object, symbol: str, kind: str) -> Row:
    """Return the row of the symbol: the answer itself, or one of a list."""
    for row in rows_of(payload, kind):
        if row.get("symbol") == symbol:
            return row
    raise broken(kind, {"symbol": symbol}, "its row")
