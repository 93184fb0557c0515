"""One bar in exact decimals: what the matching engine walks through."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from vibex.lib.records import record


@record()
class Bar:
    """Prices of one symbol over an interval, in Decimal. The mark prices are None where nobody recorded them."""

    symbol: str
    opened_at: datetime
    closed_at: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal = Decimal(0)
    mark_open: Decimal | None = None
    mark_high: Decimal | None = None
    mark_low: Decimal | None = None
    mark_close: Decimal | None = None
