"""Binance USD-M and Hyperliquid through ccxt: the same port as every venue, public data only.

ccxt reads numbers as floats. They come out as decimals of at most 15 significant digits, which is what the database
keeps; every price and quantity of these venues has fewer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from typing import Any, Final

import numpy as np

from marketdata.domain.candles import Candles
from marketdata.domain.instruments import CRYPTO, DEFAULT_BRACKETS, TRADITIONAL, Bracket, InstrumentSpec
from marketdata.domain.snapshot import Depth, Quote
from marketdata.market import FundingSettlement
from marketdata.venues.ccxt_client import Kind, exchange_of, kind_of, told_as_ours, urls_at
from marketdata.venues.public import Interest, VenueBusy, VenueDown, VenueRefused
from vibex.lib.clock import Deadline, from_ms

PATIENCE: Final = 20.0
ATTEMPTS: Final = 3
"""A request that the venue does not answer is made so often, within so many seconds."""
LEVELS: Final = 500
"""Of each side of a book, where the venue has so many."""
NO_LIMIT: Final = Decimal("1e12")
"""Stands for a largest quantity where the venue sets none."""
HEADROOM: Final = Decimal("1.5")
MOST_DECIMALS: Final = 6
LIQUIDATION_FEE: Final = Decimal("0.025")
"""Where a venue tells none; Hyperliquid charges none."""
FUNDING_HOURS: Final = 8
"""Where Binance's list of funding intervals does not name a contract."""
TOLD_LATELY: Final = timedelta(seconds=60)
"""Open interest that came with prices is not asked for again so soon."""
JITTER_MS: Final = 1_000
EARLIEST_MS: Final = 1
"""A start of zero is taken for none, and the newest would come."""
CRYPTO_UNDERLYINGS: Final = frozenset({"", "COIN", "INDEX", "PREMARKET"})
FIFTEEN: Final = Context(prec=15)
NAN: Final = Decimal("NaN")

type Market = Mapping[str, Any]
"""What ccxt knows of one contract."""


def ccxt_venue(name: str, *, address: str | None = None) -> CcxtVenue:
    """Return the public data of `binance_usdm` or `hyperliquid`, at another `address` for a compatible server.

    Raises Rejected for another name, and with the remedy where ccxt is not installed.
    """
    source = (address or kind_of(name).address).rstrip("/")
    return CcxtVenue(name, kind_of(name), exchange_of(name, urls=urls_at(name, source)), source=source)


class CcxtVenue:
    """A `PublicVenue`. One request at a time: ccxt's objects are not made for several threads."""

    def __init__(self, venue: str, kind: Kind, exchange: Any, *, source: str) -> None:
        self.venue = venue
        self.source = source
        self.page = kind.page
        self._kind = kind
        self._exchange = exchange
        self._lock = threading.Lock()
        self._busy: VenueBusy | None = None
        self._markets: dict[str, Market] = {}
        self._interests: dict[str, Interest] = {}

    def server_time(self) -> datetime:
        return from_ms(self._ask("its time", self._exchange.fetch_time))

    def instruments(self) -> list[InstrumentSpec]:
        self._load()
        hours = self._funding_hours()
        return [self._spec(symbol, market, hours) for symbol, market in sorted(self._markets.items())]

    def candles(self, symbol: str, interval: str, *, since_ms: int, until_ms: int) -> Candles:
        market = self._market(symbol)
        length = self._length_ms(interval)
        start = max(since_ms, EARLIEST_MS)
        if self._kind.kept:
            # The venue answers from its oldest candle on, or not: it is not asked for what it no longer has.
            start = max(start, _now_ms() // length * length - self._kind.kept * length)
        if start >= until_ms:
            return _candles(symbol, interval, [], since_ms, until_ms, self.page)
        limit = min(self.page, -(-(until_ms - start) // length))
        rows = self._ask(
            f"{interval} candles of {symbol}",
            lambda: self._exchange.fetch_ohlcv(market["symbol"], interval, start, limit, {"until": until_ms - 1}),
        )
        return _candles(symbol, interval, rows, since_ms, until_ms, self.page)

    def quotes(self, symbols: Sequence[str]) -> list[Quote]:
        self._known()
        names = {symbol: self._markets[symbol]["symbol"] for symbol in symbols if symbol in self._markets}
        if not names:
            return []
        asked = list(names.values())
        # Asked first, so that a price is never said to be younger than it is.
        at = self.server_time()
        books = self._books(asked, at)
        rates = self._ask("funding rates", lambda: self._exchange.fetch_funding_rates(asked))
        lasts = self._last_prices(asked)
        self._interests |= {
            symbol: found for symbol, name in names.items() if (found := _told(symbol, rates, name, at))
        }
        made = (
            _quote(symbol, books.get(name), rates.get(name) or {}, lasts.get(name), at)
            for symbol, name in names.items()
        )
        return [quote for quote in made if quote]

    def depth(self, symbol: str, *, deadline: Deadline) -> Depth:
        name = self._market(symbol)["symbol"]
        told = self._ask(
            f"the depth of {symbol}",
            lambda: self._exchange.fetch_order_book(name, LEVELS, dict(self._kind.book)),
            patience=deadline.left(),
        )
        at = from_ms(told["timestamp"]) if told["timestamp"] else self.server_time()
        return Depth(symbol, at, _levels(told["bids"]), _levels(told["asks"]))

    def funding(self, symbol: str, *, since: datetime, until: datetime) -> list[FundingSettlement]:
        market = self._market(symbol)
        start, end = max(_ms(since) - JITTER_MS, EARLIEST_MS), _ms(until) + JITTER_MS
        found: dict[datetime, FundingSettlement] = {}
        while start <= end:
            rows = self._settlements(symbol, market["symbol"], start, end)
            found |= {one.at: one for one in map(_settlement, rows) if since < one.at <= until}
            if len(rows) < self._kind.settlements:
                break
            start = max(int(row["timestamp"]) for row in rows) + 1
        return [found[at] for at in sorted(found)]

    def open_interest(self, symbol: str) -> Interest | None:
        name = self._market(symbol)["symbol"]
        at = self.server_time()
        known = self._interests.get(symbol)
        if known and at - known.at < TOLD_LATELY:
            return known
        told = self._ask(f"open interest of {symbol}", lambda: self._exchange.fetch_open_interest(name)) or {}
        value = _decimal(told.get("openInterestAmount"))
        if value is None or value < 0:
            return None
        return Interest(symbol, value, from_ms(told["timestamp"]) if told.get("timestamp") else at)

    def _ask[T](self, what: str, call: Callable[[], T], *, patience: float = PATIENCE) -> T:
        """Ask the venue, again where it did not answer. Raises VenueDown, VenueBusy or VenueRefused."""
        import stamina

        for attempt in stamina.retry_context(on=VenueDown, attempts=ATTEMPTS, timeout=patience, wait_initial=0.5):
            with attempt, self._lock:
                return self._asked_once(what, call)
        raise AssertionError("stamina raises the last error by itself")

    def _asked_once[T](self, what: str, call: Callable[[], T]) -> T:
        if self._busy and self._busy.until > datetime.now(UTC):
            raise VenueBusy(str(self._busy), until=self._busy.until)
        try:
            with told_as_ours(self._exchange, what):
                return call()
        except VenueBusy as error:
            self._busy = error
            raise

    def _load(self) -> None:
        self._markets = self._ask("its contracts", self._perpetuals)

    def _perpetuals(self) -> dict[str, Market]:
        before = self._exchange.markets
        markets = self._exchange.load_markets(True).values()
        ours = {self._symbol(market): market for market in markets if _perpetual(market)}
        if not ours:
            if before:
                self._exchange.set_markets(before)  # what was known stays known
            raise VenueDown(f"{self._exchange.name} answered without one perpetual contract.")
        return ours

    def _known(self) -> None:
        if not self._markets:
            self._load()

    def _market(self, symbol: str) -> Market:
        self._known()
        if symbol not in self._markets:
            raise VenueRefused(f"{self._exchange.name} has no perpetual contract {symbol}.", code="symbol")
        return self._markets[symbol]

    def _symbol(self, market: Market) -> str:
        return f"{market['base']}{market['quote']}" if self._kind.quote_in_name else str(market["id"])

    def _length_ms(self, interval: str) -> int:
        if interval not in self._exchange.timeframes:
            offers = ", ".join(self._exchange.timeframes)
            raise VenueRefused(f"{self._exchange.name} has no {interval} candles, but {offers}.", code="interval")
        return int(self._exchange.parse_timeframe(interval)) * 1000

    def _funding_hours(self) -> dict[str, int]:
        """Return the hours between settlements by ccxt's name of the contract."""
        if self._kind.funding_hours:
            return {market["symbol"]: self._kind.funding_hours for market in self._markets.values()}
        told = self._ask("funding intervals", self._exchange.fetch_funding_intervals)
        return {name: int(row["interval"].removesuffix("h")) for name, row in told.items() if row.get("interval")}

    def _spec(self, symbol: str, market: Market, hours: Mapping[str, int]) -> InstrumentSpec:
        info, limits = market["info"], market["limits"]
        step = _step(market, "amount", "quantityPrecision")
        asset_class = CRYPTO if _is_crypto(info) else TRADITIONAL
        leverage = limits["leverage"]["max"]
        return InstrumentSpec(
            venue=self.venue,
            symbol=symbol,
            base=market["base"],
            quote=market["quote"],
            tick_size=_figure_tick(market, step, self._kind.figures)
            if self._kind.figures
            else _step(market, "price", "pricePrecision"),
            step_size=step,
            min_quantity=_decimal(limits["amount"]["min"]) or step,
            max_quantity=_decimal(limits["amount"]["max"]) or NO_LIMIT,
            min_notional=_decimal(limits["cost"]["min"]) or Decimal(0),
            min_price=_decimal(limits["price"]["min"]) or Decimal(0),
            max_price=_decimal(limits["price"]["max"]) or Decimal(0),
            market_min_quantity=_decimal(limits.get("market", {}).get("min")) or Decimal(0),
            market_max_quantity=_decimal(limits.get("market", {}).get("max")) or Decimal(0),
            maker_fee=_decimal(market["maker"]) or Decimal(0),
            taker_fee=_decimal(market["taker"]) or Decimal(0),
            max_leverage=int(leverage or DEFAULT_BRACKETS[0].max_leverage),
            brackets=_half_margin_bracket(int(leverage)) if leverage else DEFAULT_BRACKETS,
            funding_interval_hours=hours.get(market["symbol"], FUNDING_HOURS),
            group=asset_class,
            asset_class=asset_class,
            margin_asset=market["settle"],
            status=str(info.get("status") or ("TRADING" if market["active"] else "CLOSE")),
            contract_type=str(info.get("contractType", "PERPETUAL")),
            liquidation_fee=_decimal(info.get("liquidationFee")) or LIQUIDATION_FEE,
        )

    def _books(self, names: list[str], at: datetime) -> dict[str, _Book]:
        if self._exchange.has["fetchBidsAsks"]:
            told = self._ask("bids and asks", lambda: self._exchange.fetch_bids_asks(names))
            return {name: _book(row["bid"], row["ask"], at, row["timestamp"]) for name, row in told.items()}
        return {name: self._depth(name, at) for name in names}

    def _depth(self, name: str, at: datetime) -> _Book:
        told = self._ask(f"the book of {name}", lambda: self._exchange.fetch_order_book(name))
        bid, ask = (told[side][0][0] if told[side] else None for side in ("bids", "asks"))
        return _book(bid, ask, from_ms(told["timestamp"]) if told["timestamp"] else at, None)

    def _last_prices(self, names: list[str]) -> dict[str, Decimal | None]:
        """Return the last prices, nothing where the venue tells none beside its books."""
        if not self._exchange.has["fetchLastPrices"]:
            return {}
        told = self._ask("last prices", lambda: self._exchange.fetch_last_prices(names))
        return {name: _decimal(row["price"]) for name, row in told.items()}

    def _settlements(self, symbol: str, name: str, start: int, end: int) -> list[Market]:
        limit = self._kind.settlements
        rows: list[Market] = self._ask(
            f"funding of {symbol}",
            lambda: self._exchange.fetch_funding_rate_history(name, start, limit, {"until": end}),
        )
        return rows


@dataclass(frozen=True, slots=True)
class _Book:
    bid: Decimal | None
    ask: Decimal | None
    at: datetime
    changed_at: datetime | None


def _book(bid: float | None, ask: float | None, at: datetime, changed_ms: int | None) -> _Book:
    return _Book(_decimal(bid), _decimal(ask), at, from_ms(changed_ms) if changed_ms else None)


def _levels(told: Sequence[Sequence[float]]) -> tuple[tuple[Decimal, Decimal], ...]:
    """Return one side of a book. What is no number is NaN, so that the book is not used."""
    numbers = ((_decimal(level[0]), _decimal(level[1])) for level in told)
    return tuple((price or NAN, NAN if size is None else size) for price, size in numbers)


def _quote(symbol: str, book: _Book | None, rate: Market, last: Decimal | None, at: datetime) -> Quote | None:
    """Return the prices of a symbol, None where one is missing. The middle of the book stands for an untold last."""
    mark = _decimal(rate.get("markPrice"))
    if not book or not book.bid or not book.ask or not mark:
        return None
    said_at = from_ms(rate["timestamp"]) if rate.get("timestamp") else at
    return Quote(
        symbol=symbol,
        at=book.at,
        last=last or FIFTEEN.plus((book.bid + book.ask) / 2),
        bid=book.bid,
        ask=book.ask,
        mark=mark,
        funding_rate=_decimal(rate.get("fundingRate")),
        next_funding_at=from_ms(rate["fundingTimestamp"]) if rate.get("fundingTimestamp") else None,
        mark_at=said_at,
        funding_at=said_at,
        changed_at=book.changed_at,
    )


def _told(symbol: str, rates: Market, name: str, at: datetime) -> Interest | None:
    """Return the open interest where a venue tells it together with its marks, as Hyperliquid does."""
    value = _decimal(((rates.get(name) or {}).get("info") or {}).get("openInterest"))
    return None if value is None or value < 0 else Interest(symbol, value, at)


def _settlement(row: Market) -> FundingSettlement:
    rate = _decimal(row["fundingRate"])
    if rate is None:
        raise VenueDown(f"A settlement of {row['symbol']} came without its rate.")
    at = from_ms(round(int(row["timestamp"]) / 1000) * 1000)
    return FundingSettlement(at, rate, _decimal(row["info"].get("markPrice")) or None)


def _candles(symbol: str, interval: str, rows: Sequence[Sequence[Any]], since: int, until: int, page: int) -> Candles:
    """Return the rows that open in [since, until), one per open time; a value that is missing is NaN."""
    table = np.array(rows, dtype=np.float64).reshape(-1, 6)
    times, first = np.unique(table[:, 0].astype(np.int64), return_index=True)
    kept = first[(times >= since) & (times < until)][:page]
    columns = np.ascontiguousarray(table[kept].T)
    return Candles(symbol, interval, columns[0].astype(np.int64), *columns[1:])


def _perpetual(market: Market) -> bool:
    """Only contracts of one base asset each: quantities are in the base asset here."""
    return bool(market["swap"] and market["linear"] and market["contractSize"] == 1)


def _is_crypto(info: Market) -> bool:
    traditional = str(info.get("contractType", "")).startswith("TRADIFI") or str(info.get("symbolType", 0)) != "0"
    return not traditional and str(info.get("underlyingType", "")) in CRYPTO_UNDERLYINGS


def _step(market: Market, what: str, decimals: str) -> Decimal:
    """Return tick or step; where the venue sets none, the decimals that it writes."""
    return _decimal(market["precision"][what]) or Decimal(1).scaleb(-int(market["info"][decimals]))


def _figure_tick(market: Market, step: Decimal, figures: int) -> Decimal:
    """Return a tick that keeps prices within so many significant figures while the price rises by half.

    Hyperliquid has no tick: prices have at most five significant figures and six decimals less those of quantities,
    whole numbers are always allowed. A tick of today is finer than that once the price has one digit more.
    """
    price = (_decimal(market["info"].get("markPx")) or Decimal(1)) * HEADROOM
    finest = -(MOST_DECIMALS + step.adjusted())
    return Decimal(1).scaleb(min(max(price.adjusted() - figures + 1, finest), 0))


def _half_margin_bracket(leverage: int) -> tuple[Bracket, ...]:
    """Return Hyperliquid's rule: maintenance is half of the margin at the highest leverage. Tiers are not told here."""
    rate = FIFTEEN.divide(Decimal(1), Decimal(2 * leverage)).quantize(Decimal("1e-8"))
    return (Bracket(Decimal(0), NO_LIMIT, leverage, rate, Decimal(0)),)


def _decimal(value: object) -> Decimal | None:
    """Return a finite number with at most 15 significant digits, else None."""
    if value is None or value == "":
        return None
    number = FIFTEEN.plus(Decimal(str(value)))
    if not number.is_finite():
        return None
    return number.quantize(Decimal(1)) if number == number.to_integral_value() else number


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def _now_ms() -> int:
    return _ms(datetime.now(UTC))
