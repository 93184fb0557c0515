"""What the paper venue would say of many accounts if it were asked now, in a handful of queries and without a commit.

Each account is brought up to the clock by the venue's own engine, on a copy that is thrown away. So nothing that the
venue would do is overlooked: when the copy does nothing, asking the venue changes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from marketdata.domain.assess import quote_age_limit
from marketdata.domain.candles import Candles
from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.intervals import interval_ms
from marketdata.domain.snapshot import Quote
from marketdata.models import Candle, FundingRate, Ticker
from marketdata.selectors import base_interval, instrument_specs, plain
from marketdata.stored import ROW, candles_of
from trading.domain.matching import Engine
from trading.domain.matching.tape import Cursor, Settlement, Tape, replay
from trading.domain.venue import AccountState
from trading.exchange.paper_store import Loaded, load_many
from vibex.lib.clock import Clock, to_ms

FARTHEST: Final = timedelta(days=1)
"""Candles that are not used up for longer are left to the venue itself: reading them would hold the others up."""


@dataclass(frozen=True, slots=True)
class Glance:
    """An account as the paper venue would state it now. Without a `state` it has to be asked, and `due` says why."""

    version: int | None = None
    """How often the venue has written to the account."""
    state: AccountState | None = None
    due: str = ""
    """What asking the venue would bring about, in words; empty: nothing."""


def glances(account_ids: Sequence[int], *, venue: str, clock: Clock, at: datetime) -> dict[int, Glance]:
    """Return how each of these paper accounts on one market stands at `at`, by account id."""
    loaded = load_many(account_ids)
    prices = Prices(venue, loaded.values(), at=at, speed=clock.speed)
    known = {account_id: _glance(one, prices, at) for account_id, one in loaded.items()}
    return {
        account_id: known.get(account_id, Glance(due="the paper venue is at work on it")) for account_id in account_ids
    }


class Prices:
    """What the paper venue reads of a market, read once for many accounts."""

    def __init__(self, venue: str, loaded: Iterable[Loaded], *, at: datetime, speed: float) -> None:
        self.specs: Mapping[str, InstrumentSpec] = {}
        self._at, self._speed = at, speed
        self._quotes: dict[str, Quote] = {}
        self._candles: dict[str, Candles] = {}
        self._settlements: dict[str, list[Settlement]] = defaultdict(list)
        cursors = [(symbol, one.cursors.get(symbol)) for one in loaded for symbol in one.symbols]
        if not cursors:
            return
        symbols = sorted({symbol for symbol, _ in cursors})
        reached = [cursor for _, cursor in cursors if cursor is not None]
        self.specs = instrument_specs(venue, symbols)
        self._quotes = _quotes(venue, symbols)
        self._read_candles(venue, symbols, since=self._reach(cursor.at for cursor in reached))
        self._read_settlements(venue, symbols, since=min((cursor.paid for cursor in reached), default=at))

    def tape(self, symbol: str, cursor: Cursor | None) -> Tape:
        """Return what is new of a symbol since the cursor, as the venue would read it."""
        candles = self._candles[symbol]
        since = to_ms(cursor.at if cursor else self._at) - interval_ms(candles.interval)
        start = int(candles.open_time.searchsorted(since, side="right"))
        candles = candles.slice(start, len(candles))
        return Tape(symbol, candles, self._settlements[symbol] if cursor else (), self._quote(symbol), cursor)

    def far(self, cursor: Cursor) -> bool:
        """Tell whether a cursor lies further back than candles were read."""
        return cursor.at < self._at - FARTHEST

    def _quote(self, symbol: str) -> Quote | None:
        quote = self._quotes.get(symbol)
        too_young = quote is not None and quote.at - self._at > quote_age_limit(self._speed)
        return None if too_young else quote

    def _reach(self, times: Iterable[datetime]) -> datetime:
        return max(min(times, default=self._at), self._at - FARTHEST)

    def _read_candles(self, venue: str, symbols: Sequence[str], *, since: datetime) -> None:
        interval = base_interval(venue)
        first = since - timedelta(milliseconds=interval_ms(interval))
        rows = Candle.objects.filter(
            venue=venue, symbol__in=symbols, interval=interval, open_time__gt=first, open_time__lt=self._at
        )
        found: dict[str, list[Any]] = {symbol: [] for symbol in symbols}
        for symbol, *row in rows.order_by("symbol", "open_time").values_list("symbol", *ROW):
            found[symbol].append(row)
        self._candles = {symbol: candles_of(symbol, interval, several) for symbol, several in found.items()}

    def _read_settlements(self, venue: str, symbols: Sequence[str], *, since: datetime) -> None:
        rows = FundingRate.objects.filter(venue=venue, symbol__in=symbols, at__gt=since, at__lte=self._at)
        for row in rows.order_by("at"):
            mark = None if row.mark is None else plain(row.mark)
            self._settlements[row.symbol].append(Settlement(row.at, plain(row.rate), mark))


def _glance(loaded: Loaded, prices: Prices, at: datetime) -> Glance:
    try:
        return _brought_up(loaded, prices, at)
    except (ArithmeticError, ValueError) as fault:  # a price that is no number
        return Glance(loaded.version, due=f"its prices cannot be reckoned with ({type(fault).__name__})")


def _brought_up(loaded: Loaded, prices: Prices, at: datetime) -> Glance:
    cursors = {symbol: loaded.cursors.get(symbol) for symbol in sorted(loaded.symbols)}
    for symbol, cursor in cursors.items():
        if symbol not in prices.specs:
            return Glance(loaded.version, due=f"{symbol} is not traded here any more")
        if cursor is None or prices.far(cursor):
            return Glance(loaded.version, due=f"{symbol}: its prices were not looked at for long")
    specs = {symbol: prices.specs[symbol] for symbol in cursors}
    engine = Engine(instruments=specs, state=loaded.state)
    tapes = [
        prices.tape(symbol, cursor) for symbol, cursor in cursors.items() if cursor and max(cursor.at, cursor.paid) < at
    ]
    replay(engine, tapes, until=at)
    changes, state = engine.drain(), engine.account_state(at)
    if not changes:
        return Glance(loaded.version, state)
    met = {order.symbol for order in changes.orders} | {paid.symbol for paid in changes.income}
    return Glance(loaded.version, state, due=f"{', '.join(sorted(met))}: prices met what waited, or funding is due")


def _quotes(venue: str, symbols: Sequence[str]) -> dict[str, Quote]:
    rows = Ticker.objects.filter(venue=venue, symbol__in=symbols)
    return {row.symbol: Quote(row.symbol, row.at, row.last, row.bid, row.ask, row.mark) for row in rows}
