"""AsterDEX behind the port `PublicVenue`. What it says is read in `payloads.py`; here stands what is asked.

Weights are the documented ones (research: aster.md 1.4), the live one where it is higher.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from marketdata.aster import payloads
from marketdata.aster.answers import BadGateway
from marketdata.aster.book import depth_of
from marketdata.aster.http import AsterHttp, Params
from marketdata.aster.values import Row, rows_of
from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.intervals import INTERVAL_MS
from marketdata.domain.snapshot import Depth, Quote
from marketdata.market import FundingSettlement
from marketdata.venues.public import Interest, VenueRefused
from vibex.lib.clock import Deadline, to_ms

if TYPE_CHECKING:
    from marketdata.domain.candles import Candles

PAGE: Final = 1_000
"""Candles for weight 5: 200 per weight. Pages of 499 would give 250, but need twice the calls, and what stands in front
of the exchange counts calls (research: aster.md 1.3); pages of 1,500 give 150."""
CANDLE_WEIGHTS: Final = ((99, 1), (499, 2), (1_000, 5), (1_500, 10))
"""Up to so many candles have so much weight."""
FUNDING_PAGE: Final = 1_000
LEVELS: Final = 500
"""Of each side of a book. 100 reach 0.14 % from the touch of BTC (research: aster.md 6), and entries may slip by 0.2 %."""
LEVELS_WEIGHT: Final = 10
FEW: Final = 3
"""Up to so many symbols are asked for one by one: weight 3 and three calls each. All together have weight 14."""
UNKNOWN_SYMBOL: Final = frozenset({"-1121", "-4141"})
"""There is no such symbol, or it was closed."""
MISSING: Final = 404
INTEREST_SECONDS: Final = 3_600.0
"""How long it is remembered that there is no open interest: the call is not documented."""


class AsterPublic:
    """What everybody may ask AsterDEX. Safe from several threads."""

    page = PAGE

    def __init__(self, http: AsterHttp, source: str = "", *, venue: str = "aster") -> None:
        """`venue` is the name that its contracts are stored under: the testnet has one of its own."""
        self.venue = venue
        self._http = http
        self.source = source or http.base_url
        self._lock = threading.Lock()
        self._without_interest: dict[str, float] = {}

    def server_time(self) -> datetime:
        """Return the venue's clock."""
        return payloads.server_time_of(self._get("time", weight=1))

    def instruments(self) -> list[InstrumentSpec]:
        """Return the rules of every perpetual contract; the weight that the venue allows is remembered on the way."""
        info = self._get("exchangeInfo", weight=1)
        limit = payloads.weight_limit_of(info)
        if limit:
            self._http.budget.limit_set(limit)
        return payloads.instruments_of(info, self._get("fundingInfo", weight=10), venue=self.venue)

    def candles(self, symbol: str, interval: str, *, since_ms: int, until_ms: int) -> Candles:
        """Return candles that open in [since_ms, until_ms), at most `page`: the earliest ones."""
        limit = min(self.page, -(-(until_ms - since_ms) // INTERVAL_MS.get(interval, 1)))
        if limit < 1:
            return payloads.candles_of([], symbol, interval)
        span: Params = {"startTime": since_ms, "endTime": until_ms - 1, "limit": limit}
        rows = self._get("klines", {"symbol": symbol, "interval": interval, **span}, weight=weight_of(limit))
        found = payloads.candles_of(rows, symbol, interval)
        start, stop = (int(found.open_time.searchsorted(moment)) for moment in (since_ms, until_ms))
        return found.slice(start, min(stop, start + self.page))

    def quotes(self, symbols: Sequence[str]) -> list[Quote]:
        """Return prices, mark and expected funding, as fresh as the venue's own stamps say."""
        if not symbols:
            return []
        # Mark first: what is asked later than its stamp is confirmed at that stamp, by the venue's own clock.
        asked = [] if len(symbols) > FEW else list(symbols)
        premium = self._rows("premiumIndex", asked, weight_of_all=10)
        book = self._rows("ticker/bookTicker", asked, weight_of_all=2)
        last = self._rows("ticker/price", asked, weight_of_all=2)
        return payloads.quotes_of(symbols, book=book, last=last, premium=premium)

    def depth(self, symbol: str, *, deadline: Deadline) -> Depth:
        """Return the order book, best price first."""
        given: Params = {"symbol": symbol, "limit": LEVELS}
        return depth_of(self._get("depth", given, weight=LEVELS_WEIGHT, deadline=deadline), symbol)

    def funding(self, symbol: str, *, since: datetime, until: datetime) -> list[FundingSettlement]:
        """Return the settlements in (since, until], oldest first, however many."""
        found: dict[datetime, FundingSettlement] = {}
        # A start of zero is taken for none, and the newest would come; stamps may miss their second by some ms.
        start, end = max(to_ms(since), 1), to_ms(until) + payloads.SECOND_MS
        while start <= end:
            span: Params = {"symbol": symbol, "startTime": start, "endTime": end, "limit": FUNDING_PAGE}
            rows = self._get("fundingRate", span, weight=1)
            page = payloads.settlements_of(rows, symbol)
            found |= {settlement.at: settlement for settlement in page}
            if len(rows) < FUNDING_PAGE or not page or to_ms(page[-1].at) < start:
                break
            start = to_ms(page[-1].at) + payloads.SECOND_MS
        return [found[at] for at in sorted(found) if since < at <= until]

    def open_interest(self, symbol: str) -> Interest | None:
        """Return the open interest; None for an hour after the venue did not know the call or the symbol."""
        with self._lock:
            if time.monotonic() < self._without_interest.get(symbol, 0.0):
                return None
        try:
            return payloads.interest_of(self._get("openInterest", {"symbol": symbol}, weight=1))
        except VenueRefused:
            pass
        except BadGateway as error:
            if error.status != MISSING:
                raise
        with self._lock:
            self._without_interest[symbol] = time.monotonic() + INTEREST_SECONDS
        return None

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _rows(self, path: str, symbols: list[str], *, weight_of_all: int) -> list[Row]:
        """Return the rows of these symbols, one call each; with none named, of all in one. Unknown ones have none."""
        if not symbols:
            return rows_of(self._get(path, weight=weight_of_all), path)
        found: list[Row] = []
        for symbol in symbols:
            try:
                found += rows_of(self._get(path, {"symbol": symbol}, weight=1), path)
            except VenueRefused as error:
                if error.code not in UNKNOWN_SYMBOL:
                    raise
        return found

    def _get(self, path: str, params: Params | None = None, *, weight: int, deadline: Deadline | None = None) -> Any:
        return self._http.get(f"/fapi/v3/{path}", params, weight=weight, deadline=deadline)


def weight_of(limit: int) -> int:
    """Return the weight of asking for `limit` candles."""
    return next(weight for most, weight in CANDLE_WEIGHTS if limit <= most)
