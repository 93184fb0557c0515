"""The markets behind the test exchange: prices, candles, book, funding and open interest at any moment of its clock.

Everything follows from the source and the moment, so that two answers about the same moment agree, whoever asks and
by whatever door. All of it runs on the server's own loop; nothing here is safe from other threads.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import numpy as np

from marketdata.domain.pricing import decimal_of, touch
from marketdata.venues.source import Source
from trading.domain.matching import Depth
from trading.domain.venue import OrderSide
from trading.exchange_server.bars import DAY_MS, HOUR_MS, LENGTHS, Bars, Values, joined
from trading.exchange_server.clock import VirtualClock
from trading.exchange_server.contracts import PENDING, Contract
from trading.exchange_server.series import Series
from vibex.lib.clock import from_ms, to_ms
from vibex.lib.errors import Rejected

PREMIUM: Final = 0.0002
"""How far mark and last price part at most where no mark was recorded."""
PREMIUM_PERIOD_MS: Final = 17 * 60_000
JITTER_MS: Final = 19
"""Stamps of settlements lie up to so much after the hour, as the venue's do."""
DEFAULT_RATE: Final = Decimal("0.0001")
QUOTES_PER_LEVEL: Final = 20_000
"""What a level of the book is worth on average, in quote units."""
INTEREST_VALUE: Final = 50_000_000


@dataclass(frozen=True, slots=True)
class Prices:
    """All prices of a symbol at one moment (UTC ms)."""

    at_ms: int
    last: float
    bid: Decimal
    ask: Decimal
    mark: float
    index: float


@dataclass(frozen=True, slots=True)
class Settlement:
    at_ms: int
    rate: Decimal


@dataclass(frozen=True, slots=True)
class Deal:
    """A trade that is made up: one a second, at the last price."""

    number: int
    at_ms: int
    price: float
    quantity: float
    buyer_is_maker: bool


class Markets:
    """The contracts and what can be known of them. `series` and `marks` hold what is asked for, from first use on."""

    def __init__(
        self,
        source: Source,
        contracts: Mapping[str, Contract],
        clock: VirtualClock,
        *,
        series: Mapping[str, Series],
        marks: Mapping[str, Series] | None = None,
        head: Mapping[str, Any] | None = None,
        title: str = "",
    ) -> None:
        self.source, self.contracts, self.clock = source, dict(contracts), clock
        self.head, self.title = head, title
        self.series, self._marks = series, dict(marks or {})
        self.depths: dict[str, Depth] = {}
        """Ladders that somebody has laid: what there is to trade against, for all accounts together."""
        self._hours: dict[str, list[tuple[int, int]]] = {}
        self._offsets: dict[str, float] = {}
        self._rates: dict[tuple[str, int], Decimal] = {}

    def now_ms(self) -> int:
        return self.clock.now_ms()

    def offers(self, symbol: str, interval: str) -> bool:
        return self.series[symbol].offers(interval)

    def prices(self, symbol: str, at_ms: int) -> Prices | None:
        """Return the prices at a moment, None before the first trade."""
        last = self.series[symbol].price(at_ms) if self.contracts[symbol].spec.status != PENDING else None
        if last is None:
            return None
        bid, ask = touch(self.contracts[symbol].spec, decimal_of(last))
        if (depth := self.depths.get(symbol)) is not None:
            bid, ask = depth.best(OrderSide.SELL) or bid, depth.best(OrderSide.BUY) or ask
        mark = self._mark(symbol, last, at_ms)
        return Prices(at_ms, last, bid, ask, mark, round(last * (1 + self._wave(symbol, at_ms) / 2), 8))

    def bars(
        self, symbol: str, interval: str, *, start_ms: int | None, end_ms: int | None, limit: int, at_ms: int
    ) -> Bars:
        """Return candles that open in [start, end], the running one included: the first ones if a start is given.

        Without a start, the last ones. At most `limit`.
        """
        series = self.series[symbol]
        if self.contracts[symbol].spec.status == PENDING:
            return series.closed(interval, 0)
        closed, running = series.closed(interval, at_ms), series.running(interval, at_ms)
        first = 0 if start_ms is None else closed.place(start_ms)
        stop = len(closed) if end_ms is None else closed.place(end_ms + 1)
        if start_ms is None:
            first = max(first, stop - limit)
        found = closed.cut(first, max(first, min(stop, first + limit)))
        found = joined(found, running.between(start_ms or 0, at_ms + 1 if end_ms is None else end_ms + 1))
        return found.cut(0, limit) if start_ms is not None else found.cut(max(0, len(found) - limit), None)

    def mark_bars(self, symbol: str, bars: Bars, interval: str, at_ms: int, *, share: float = 1.0) -> Bars:
        """Return candles of the mark price at the times of `bars` (index price: `share` one half)."""
        recorded = self._marks.get(symbol)
        if recorded is not None and share == 1.0 and recorded.offers(interval) and len(bars):
            start, stop = int(bars.open_time[0]), int(bars.open_time[-1]) + 1
            both = joined(recorded.closed(interval, at_ms), recorded.running(interval, at_ms))
            return both.between(start, stop)
        waves = [1 + share * self._wave(symbol, int(at)) for at in bars.open_time]
        return bars.with_prices(lambda prices: _times(prices, waves))

    def settlements(self, symbol: str, *, since_ms: int, until_ms: int) -> list[Settlement]:
        """Return the settlements in (since, until], oldest first, none of the future."""
        since = max(since_ms, self.series[symbol].begins_at)
        until = min(until_ms, self.now_ms())
        recorded = (
            self.source.funding(symbol, since_ms=since, until_ms=until) if self._recorded_funding(symbol) else None
        )
        if recorded is not None:
            return [Settlement(to_ms(one.at), one.rate) for one in recorded]
        return [Settlement(at, self._rate(symbol, at)) for at in self._moments(symbol, since, until)]

    def next_funding(self, symbol: str, at_ms: int) -> Settlement:
        """Return when the next settlement is and the rate it is expected to have."""
        expected = self.source.next_funding(symbol, now_ms=at_ms - at_ms % 60_000)
        if self._recorded_funding(symbol) and expected is not None:
            return Settlement(max(expected[1], at_ms + 1), expected[0])
        length = self.funding_hours(symbol, at_ms) * HOUR_MS
        return Settlement((at_ms // length + 1) * length, self._rate(symbol, at_ms - at_ms % 60_000))

    def funding_hours(self, symbol: str, at_ms: int) -> int:
        hours = self.contracts[symbol].spec.funding_interval_hours
        for since, changed in self._hours.get(symbol, []):
            hours = changed if since <= at_ms else hours
        return hours

    def set_funding_hours(self, symbol: str, hours: int) -> None:
        """Let funding settle every so many hours from now on. Raises Rejected where the settlements are recorded."""
        if hours not in (1, 2, 4, 8):
            raise Rejected(f"Funding settles every 1, 2, 4 or 8 hours, not every {hours}.", code="funding")
        if self._recorded_funding(symbol):
            raise Rejected(f"The settlements of {symbol} are recorded and cannot be changed.", code="funding")
        self._hours.setdefault(symbol, []).append((self.now_ms(), hours))

    def stamp(self, symbol: str, at_ms: int) -> int:
        """Return the moment of a settlement as the venue stamps it: some milliseconds late."""
        return at_ms + _mix(symbol, at_ms) % (JITTER_MS + 1)

    def interest(self, symbol: str, at_ms: int) -> float:
        """Return the open contracts in the base asset; they swing by a tenth over a day."""
        price = self.series[symbol].price(self.series[symbol].begins_at) or 1.0
        swing = math.sin(2 * math.pi * at_ms / DAY_MS + _mix(symbol, 0) % 7)
        return INTEREST_VALUE / price * (1 + 0.1 * swing)

    def book(
        self, symbol: str, at_ms: int, levels: int
    ) -> tuple[list[tuple[Decimal, float]], list[tuple[Decimal, float]]]:
        """Return bids and asks, best first, as price and quantity. Quantities change every second."""
        prices = self.prices(symbol, at_ms)
        if prices is None:
            return [], []
        spec, second = self.contracts[symbol].spec, at_ms // 1000
        gap = max(spec.tick_size, spec.price_down(spec.min_price + prices.bid / 20_000) - spec.min_price)
        bids = [(prices.bid - gap * level, self.size(symbol, second, -level - 1)) for level in range(levels)]
        asks = [(prices.ask + gap * level, self.size(symbol, second, level + 1)) for level in range(levels)]
        if (depth := self.depths.get(symbol)) is not None:
            bids = bids if depth.bids is None else [(price, float(size)) for price, size in depth.bids[:levels]]
            asks = asks if depth.asks is None else [(price, float(size)) for price, size in depth.asks[:levels]]
        return [level for level in bids if level[0] > 0], asks

    def size(self, symbol: str, second: int, level: int) -> float:
        """Return the quantity on a level of the book in one second; bids have negative levels from -1 down."""
        contract = self.contracts[symbol]
        value = QUOTES_PER_LEVEL * (1 + _mix(symbol, second * 2_048 + level) % 100 / 50)
        price = self.series[symbol].price(second * 1000) or 1.0
        return max(round(value / price, contract.quantity_decimals), float(contract.spec.step_size))

    def deals(self, symbol: str, *, first: int, last: int) -> list[Deal]:
        """Return the trades with the numbers [first, last]: the number is the second since 1970 in which it was."""
        found = []
        for number in range(first, last + 1):
            price = self.series[symbol].price(number * 1000)
            if price is not None and self.contracts[symbol].live:
                seller = bool(_mix(symbol, number) % 2)
                found.append(Deal(number, number * 1000, price, self.size(symbol, number, 0), seller))
        return found

    def day(self, symbol: str, at_ms: int) -> Bars:
        """Return the base candles of the last 24 hours."""
        interval = self.series[symbol].interval
        start = at_ms - DAY_MS
        return self.bars(
            symbol, interval, start_ms=start, end_ms=at_ms, limit=DAY_MS // LENGTHS[interval] + 2, at_ms=at_ms
        )

    def set_price(self, symbol: str, *, last: float | None = None, mark: float | None = None) -> None:
        """Set the last price, and the mark price apart from it, from this moment on. Raises Rejected for no price."""
        now, contract = self.now_ms(), self.contracts[symbol]
        for price in (last, mark):
            if price is not None and not (math.isfinite(price) and price > 0):
                raise Rejected(f"{price} is no price.", code="price")
        if last is not None:
            self.series[symbol].move(now, float(contract.spec.price_near(decimal_of(last))))
        prices = self.prices(symbol, now)
        if mark is not None and prices is not None:
            self._offsets[symbol] = self._offsets.get(symbol, 1.0) * mark / prices.mark

    def mark_offset(self, symbol: str) -> float:
        """Return the share by which the mark price was moved away from where it would be."""
        return self._offsets.get(symbol, 1.0)

    def _mark(self, symbol: str, last: float, at_ms: int) -> float:
        recorded = self._marks[symbol].price(at_ms) if symbol in self._marks else None
        mark = last * (1 + self._wave(symbol, at_ms)) if recorded is None else recorded
        return round(mark * self._offsets.get(symbol, 1.0), 8)

    @staticmethod
    def _wave(symbol: str, at_ms: int) -> float:
        second = at_ms // 1000 * 1000
        return PREMIUM * math.sin(2 * math.pi * second / PREMIUM_PERIOD_MS + _mix(symbol, 0) % 7)

    def _recorded_funding(self, symbol: str) -> bool:
        recordings = getattr(self.source, "recordings", None)
        return recordings is not None and len(recordings[symbol].funding.at) > 0

    def _moments(self, symbol: str, since_ms: int, until_ms: int) -> list[int]:
        hours = range((since_ms // HOUR_MS + 1) * HOUR_MS, until_ms + 1, HOUR_MS)
        return [at for at in hours if at % (self.funding_hours(symbol, at - 1) * HOUR_MS) == 0]

    def _rate(self, symbol: str, at_ms: int) -> Decimal:
        key = (symbol, at_ms)
        if key not in self._rates:
            if len(self._rates) > 100_000:
                self._rates.clear()
            expected = self.source.next_funding(symbol, now_ms=at_ms) if self.contracts[symbol].live else None
            self._rates[key] = DEFAULT_RATE if expected is None else expected[0]
        return self._rates[key]

    def describe(self) -> dict[str, Any]:
        """Return what a person wants to know of it, ready for JSON."""
        return {
            "market": self.title,
            "now": from_ms(self.now_ms()).isoformat(),
            "now_ms": self.now_ms(),
            "speed": self.clock.speed,
            "symbols": list(self.contracts),
        }


def _times(prices: Values, waves: list[float]) -> Values:
    moved: Values = np.round(prices * np.array(waves), 8)
    return moved


def _mix(name: str, number: int) -> int:
    """Return a number that looks like chance and is the same for ever for the same name and number."""
    word = number & 0xFFFFFFFFFFFFFFFF
    for letter in name.encode():
        word = (word ^ letter) * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF
        word ^= word >> 29
    return word >> 11
