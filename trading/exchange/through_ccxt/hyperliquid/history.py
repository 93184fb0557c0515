"""What an account at Hyperliquid has done: its fills, its funding and its ledger, page by page.

The venue gives the first rows of a span, 500 or 2,000 of them, and whoever wants more asks from the last moment on. Of
fills it keeps the newest 10,000.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from marketdata.venues.public import VenueDown, VenueRefused
from trading.domain.venue import Income, OrderReport, Trade
from trading.exchange.through_ccxt.hyperliquid import ledger, payloads, words
from trading.exchange.through_ccxt.hyperliquid.calls import Calls
from trading.exchange.through_ccxt.hyperliquid.names import Names
from trading.exchange.through_ccxt.hyperliquid.values import FIFTEEN, Row, ours, rows_of, time_of, whole
from vibex.lib.clock import Clock, to_ms

SMALL_PAGE: Final = 500
"""Fewer rows than the smallest full page are all there are."""
FEW: Final = 5
"""Up to so many orders are asked for one by one."""
AHEAD: Final = timedelta(minutes=1)
"""By so much the venue's clock may be ahead of ours without that the newest rows are missed."""


class History:
    """The past of one account."""

    def __init__(self, calls: Calls, names: Names, clock: Clock) -> None:
        self._calls, self._names, self._clock = calls, names, clock

    def trades(self, symbol: str, since: datetime) -> list[Trade]:
        """Return executions of a symbol under our names of their orders."""
        made = [(row, trade) for row, trade in self._fills(to_ms(since)) if trade.symbol == symbol]
        nameless = {trade.exchange_id for row, trade in made if not isinstance(row.get("cloid"), str)}
        if sum(self._names.by_number(number) is None for number in nameless) > FEW:
            self._learn_newest()
        return [replace(trade, client_order_id=self._name(row, trade)) for row, trade in made]

    def income(self, since: datetime) -> list[Income]:
        """Return all changes of the wallet: of fills, funding and transfers."""
        start, user = to_ms(since), self._calls.user
        paid = [line for _, trade in self._fills(start) for line in ledger.paid_by(trade)]
        funding = self._rows("userFunding", start, key=_payment)
        paid += [ledger.funding_of(row) for row in funding if ours(row.get("delta") or {})]
        moved = (ledger.moved_by(row, user) for row in self._rows("userNonFundingLedgerUpdates", start, key=_entry))
        return paid + [line for line in moved if line is not None]

    def average_price(self, report: OrderReport, since_ms: int) -> Decimal | None:
        """Return the average price of an order; None while its fills are not yet told, or no longer."""
        fills = [trade for _, trade in self._fills(since_ms) if trade.exchange_id == report.exchange_id]
        filled = sum((trade.quantity for trade in fills), Decimal(0))
        if not filled:
            return None
        return FIFTEEN.divide(sum((trade.quantity * trade.price for trade in fills), Decimal(0)), filled)

    def _fills(self, start: int) -> list[tuple[Row, Trade]]:
        rows = self._rows("userFillsByTime", start, key=lambda row: (row.get("tid"), row.get("oid")))
        return [(row, ledger.trade_of(row, "")) for row in rows if ours(row)]

    def _name(self, row: Row, trade: Trade) -> str:
        """Return our name of the order of a fill. Where the fill does not tell it, the order is asked for once."""
        if isinstance(row.get("cloid"), str):
            return self._names.ours(row["cloid"].lower(), trade.exchange_id)
        if (known := self._names.by_number(trade.exchange_id)) is not None:
            return known
        try:
            told: Any = self._calls.of_user("orderStatus", oid=int(trade.exchange_id))
            name = payloads.status_of(told, self._names.ours).client_order_id
        except VenueRefused as refused:
            if refused.code != words.UNKNOWN_OID:
                raise
            return f"oid:{trade.exchange_id}"
        self._names.learn(trade.exchange_id, name)
        return name

    def _learn_newest(self) -> None:
        """Learn the names of the newest orders, up to 2,000 in one question."""
        for row in rows_of(self._calls.of_user("historicalOrders"), "historicalOrders"):
            if ours(row.get("order") or {}):
                report = payloads.status_of({"order": row}, self._names.ours)
                self._names.learn(report.exchange_id, report.client_order_id)

    def _rows(self, kind: str, start: int, *, key: Callable[[Row], Hashable]) -> list[Row]:
        """Return all rows from a moment on, each once. Raises VenueDown where the venue shows no way on."""
        found: dict[Hashable, Row] = {}
        end = to_ms(self._clock.now() + AHEAD)
        while True:
            rows = rows_of(self._calls.of_user(kind, startTime=start, endTime=end), kind)
            before = len(found)
            found |= {key(row): row for row in rows}
            if len(rows) < SMALL_PAGE or len(found) == before:
                return list(found.values())
            last = max(time_of(row, kind) for row in rows)
            if last <= start:
                raise VenueDown(
                    f"Hyperliquid has more than {len(rows)} rows of {kind} in one moment, and shows no more."
                )
            start = last


def _payment(row: Row) -> Hashable:
    return whole(row, "time", "funding"), str((row.get("delta") or {}).get("coin"))


def _entry(row: Row) -> Hashable:
    return str(row)
