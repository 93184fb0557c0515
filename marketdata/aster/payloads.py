"""AsterDEX's payloads in the words of Vibex. Pure: what the venue sent goes in, plain values come out.

Whatever cannot be read raises VenueDown that says what is missing. One broken symbol in a list of hundreds is left
out, so that the others stay; where nothing is left, the list is broken as a whole.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from marketdata.aster import terms
from marketdata.aster.values import (
    Row,
    amount,
    broken,
    moment,
    number,
    price,
    rate,
    readable,
    rounded,
    rows_of,
    symbol_of,
    text,
    whole,
)
from marketdata.domain.instruments import CRYPTO, TRADITIONAL, InstrumentSpec
from marketdata.domain.intervals import INTERVAL_MS
from marketdata.domain.snapshot import Quote
from marketdata.domain.ticks import BookTick, CandleTick, MarkTick, Tick
from marketdata.market import FundingSettlement
from marketdata.venues.public import Interest, VenueDown
from vibex.lib.clock import from_ms

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from marketdata.domain.candles import Candles

NONE: Final = Decimal(0)
MOST_DECIMALS: Final = 10
SECOND_MS: Final = 1_000
CANDLE_FIELDS: Final = 6
"""Of the twelve in a row: open time, open, high, low, close, volume."""

log = logging.getLogger(__name__)


def server_time_of(payload: object) -> datetime:
    """Return the venue's clock."""
    row = payload if isinstance(payload, Mapping) else {}
    return from_ms(whole(row, "serverTime", "time", least=1))


# Contracts


def instruments_of(exchange_info: object, funding_info: object, *, venue: str) -> list[InstrumentSpec]:
    """Return the rules of every perpetual contract, sorted by symbol. One that cannot be read is left out, with a log.

    `funding_info` may be an empty list: then every symbol is taken to settle each 8 hours.
    """
    rows = rows_of(_inside(exchange_info, "symbols", "exchangeInfo"), "exchangeInfo")
    hours = _funding_hours(funding_info)
    found: dict[str, InstrumentSpec] = {}
    for row in rows:
        try:
            if _perpetual(row):
                spec = _instrument(row, hours, venue)
                found[spec.symbol] = spec
        except VenueDown as error:
            log.warning("%s It is left out.", error)
    if rows and not found:
        raise VenueDown("AsterDEX sent an exchangeInfo without one contract that can be read.")
    return [found[name] for name in sorted(found)]


def weight_limit_of(exchange_info: object) -> int | None:
    """Return the request weight a minute that the venue allows; None where it does not say."""
    limits = rows_of(_inside(exchange_info, "rateLimits", "exchangeInfo"), "exchangeInfo")
    for row in limits:
        if row.get("rateLimitType") == "REQUEST_WEIGHT" and row.get("interval") == "MINUTE":
            minutes = whole(row, "intervalNum", "rate limit", least=1, most=60)
            return whole(row, "limit", "rate limit", least=1, most=1_000_000) // minutes
    return None


def _inside(payload: object, name: str, kind: str) -> object:
    if not isinstance(payload, Mapping) or name not in payload:
        raise broken(kind, payload, name)
    return payload[name]


def _perpetual(row: Row) -> bool:
    """Dated contracts are left out. While trading has not begun, the type is empty."""
    kind = text(row, "contractType", "contract", most=30)
    return not kind or kind.endswith("PERPETUAL")


def _instrument(row: Row, hours: Mapping[str, int], venue: str) -> InstrumentSpec:
    name = symbol_of(row, "symbol", "contract")
    filters = _filters(row)
    traditional = str(row.get("symbolType", 0)) != "0"
    brackets = terms.brackets_of(amount(row, "maintMarginPercent", "contract", terms.MAINTENANCE * 100) / 100)
    return InstrumentSpec(
        venue=venue,
        symbol=name,
        base=text(row, "baseAsset", "contract"),
        quote=text(row, "quoteAsset", "contract", most=10),
        margin_asset=text(row, "marginAsset", "contract"),
        status=text(row, "status", "contract"),
        contract_type=text(row, "contractType", "contract", most=30),
        asset_class=TRADITIONAL if traditional else CRYPTO,
        group=TRADITIONAL if traditional else CRYPTO,
        max_leverage=brackets[0].max_leverage,
        brackets=brackets,
        maker_fee=terms.MAKER_FEE,
        taker_fee=terms.TAKER_FEE,
        liquidation_fee=amount(row, "liquidationFee", "contract", terms.LIQUIDATION_FEE),
        funding_interval_hours=hours.get(name, terms.FUNDING_HOURS),
        market_take_bound=amount(row, "marketTakeBound", "contract", NONE),
        trigger_protect=amount(row, "triggerProtect", "contract", NONE),
        order_types=_words(row.get("orderTypes", row.get("OrderType"))),
        times_in_force=_words(row.get("timeInForce")),
        **_price_rules(row, filters),
        **_size_rules(row, filters),
        **_count_rules(filters),
    )


def _filters(row: Row) -> dict[str, Row]:
    rows = rows_of(_inside(row, "filters", "contract"), "filter of a contract")
    return {str(one.get("filterType")): {**one, "symbol": row.get("symbol")} for one in rows}


def _price_rules(row: Row, filters: Mapping[str, Row]) -> dict[str, Any]:
    rule = filters.get("PRICE_FILTER", {"symbol": row.get("symbol")})
    band = filters.get("PERCENT_PRICE", {})
    return {
        "tick_size": amount(rule, "tickSize", "PRICE_FILTER") or _power(row, "pricePrecision"),
        "min_price": amount(rule, "minPrice", "PRICE_FILTER"),
        "max_price": amount(rule, "maxPrice", "PRICE_FILTER"),
        "band_up": amount(band, "multiplierUp", "PERCENT_PRICE", NONE),
        "band_down": amount(band, "multiplierDown", "PERCENT_PRICE", NONE),
    }


def _size_rules(row: Row, filters: Mapping[str, Row]) -> dict[str, Any]:
    rule = filters.get("LOT_SIZE", {"symbol": row.get("symbol")})
    market = filters.get("MARKET_LOT_SIZE", {})
    return {
        "step_size": amount(rule, "stepSize", "LOT_SIZE") or _power(row, "quantityPrecision"),
        "min_quantity": amount(rule, "minQty", "LOT_SIZE"),
        "max_quantity": amount(rule, "maxQty", "LOT_SIZE"),
        "market_step_size": amount(market, "stepSize", "MARKET_LOT_SIZE", NONE),
        "market_min_quantity": amount(market, "minQty", "MARKET_LOT_SIZE", NONE),
        "market_max_quantity": amount(market, "maxQty", "MARKET_LOT_SIZE", NONE),
        "min_notional": amount(filters.get("MIN_NOTIONAL", {}), "notional", "MIN_NOTIONAL", terms.MIN_NOTIONAL),
    }


def _count_rules(filters: Mapping[str, Row]) -> dict[str, Any]:
    names = {"max_orders": "MAX_NUM_ORDERS", "max_stop_orders": "MAX_NUM_ALGO_ORDERS"}
    return {
        field: whole(filters[name], "limit", name, most=1_000_000) for field, name in names.items() if name in filters
    }


def _power(row: Row, name: str) -> Decimal:
    """Return the step where the filter's is zero, which is: no rule of its own, but still so many decimals."""
    return Decimal(1).scaleb(-whole(row, name, "contract", most=MOST_DECIMALS))


def _words(value: object) -> tuple[str, ...]:
    return tuple(word for word in value if isinstance(word, str)) if isinstance(value, list) else ()


def _funding_hours(funding_info: object) -> dict[str, int]:
    def read(row: Row) -> tuple[str, int]:
        return symbol_of(row, "symbol", "fundingInfo"), whole(
            row, "fundingIntervalHours", "fundingInfo", least=1, most=24
        )

    return dict(readable(rows_of(funding_info, "fundingInfo"), read))


# Candles


def candles_of(rows: object, symbol: str, interval: str) -> Candles:
    """Return a venue's rows of twelve (time, open, high, low, close, volume, …) as candles, oldest first.

    A candle that cannot be true is returned as it came, and so is one with a value that is not a number. Of two with
    the same open time the later row stays. Raises VenueDown for rows that are no candles.
    """
    import numpy as np

    from marketdata.domain.candles import Candles

    times, *values = _columns(rows, symbol)
    try:
        opened = np.array(list(map(int, times)), dtype=np.int64)
        arrays = [np.array(list(map(float, column)), dtype=np.float64) for column in values]
    except (TypeError, ValueError, OverflowError):
        raise VenueDown(f"AsterDEX sent candles of {symbol} with a value that is no number.") from None
    if len(opened) > 1 and not bool(np.all(np.diff(opened) > 0)):
        order = _last_of_each(opened)
        opened, arrays = opened[order], [array[order] for array in arrays]
    return Candles(symbol, interval, opened, *arrays)


def _columns(rows: object, symbol: str) -> Sequence[Sequence[Any]]:
    if not isinstance(rows, list) or not all(isinstance(row, list) and len(row) >= CANDLE_FIELDS for row in rows):
        raise VenueDown(f"AsterDEX sent candles of {symbol} that are no list of rows.")
    if not rows:
        return [()] * CANDLE_FIELDS
    columns = [*zip(*rows, strict=False)][:CANDLE_FIELDS]
    if not all({*map(type, column)} <= {str, int, float} for column in columns):
        raise VenueDown(f"AsterDEX sent candles of {symbol} with a value that is no number.")
    return columns


def _last_of_each(opened: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return the indices that sort by time and keep the last one of equal times."""
    import numpy as np

    _, first_from_the_end = np.unique(opened[::-1], return_index=True)
    return len(opened) - 1 - first_from_the_end


# Prices


@dataclass(frozen=True, slots=True)
class Premium:
    """Mark price and expected funding of one symbol, with the moment at which the venue computed them."""

    mark: Decimal
    rate: Decimal | None
    next_at: datetime | None
    at: datetime


def quotes_of(symbols: Sequence[str], *, book: object, last: object, premium: object) -> list[Quote]:
    """Return the prices of `symbols` out of bookTicker, ticker/price and premiumIndex.

    `at` is the newest stamp that the venue put on the symbol: mark prices are computed every second, so where nobody
    trades it is the mark's. A symbol that is missing in one of the three, or has an empty side of the book, has no quote.
    """
    wanted = frozenset(symbols)
    books = dict(readable(_rows_for(book, wanted, "bookTicker"), _book))
    lasts = dict(readable(_rows_for(last, wanted, "ticker/price"), _last))
    premiums = dict(readable(_rows_for(premium, wanted, "premiumIndex"), _premium))
    return [
        _quote(name, books[name], lasts[name], premiums[name])
        for name in symbols
        if name in books and name in lasts and name in premiums
    ]


def _rows_for(payload: object, wanted: frozenset[str], kind: str) -> list[Row]:
    return [row for row in rows_of(payload, kind) if row.get("symbol") in wanted or "symbol" not in row]


def _quote(name: str, book: tuple[Decimal, Decimal, datetime | None], last: Decimal, now: Premium) -> Quote:
    bid, ask, changed_at = book
    return Quote(
        symbol=name,
        at=max(now.at, changed_at or now.at),
        last=last,
        bid=bid,
        ask=ask,
        mark=now.mark,
        funding_rate=now.rate,
        next_funding_at=now.next_at,
        mark_at=now.at,
        funding_at=now.at,
        changed_at=changed_at,
    )


def _book(row: Row) -> tuple[str, tuple[Decimal, Decimal, datetime | None]] | None:
    bid, ask = price(row, "bidPrice", "bookTicker"), price(row, "askPrice", "bookTicker")
    if bid is None or ask is None:
        return None
    return symbol_of(row, "symbol", "bookTicker"), (bid, ask, moment(row, "time", "bookTicker"))


def _last(row: Row) -> tuple[str, Decimal] | None:
    value = price(row, "price", "ticker/price")
    return (symbol_of(row, "symbol", "ticker/price"), value) if value else None


def _premium(row: Row) -> tuple[str, Premium] | None:
    kind = "premiumIndex"
    mark = price(row, "markPrice", kind, computed=True)
    if mark is None:
        return None
    at = from_ms(whole(row, "time", kind, least=1))
    next_at = moment(row, "nextFundingTime", kind)
    return symbol_of(row, "symbol", kind), Premium(mark, rate(row, "lastFundingRate", kind), next_at, at)


def interest_of(payload: object) -> Interest:
    """Return the open interest of one symbol."""
    kind = "openInterest"
    row = next(iter(rows_of(payload, kind)), {})
    at = from_ms(whole(row, "time", kind, least=1))
    return Interest(symbol_of(row, "symbol", kind), rounded(amount(row, kind, kind)), at)


def settlements_of(rows: object, symbol: str) -> list[FundingSettlement]:
    """Return the settled rates of a symbol, oldest first. Stamps that miss the second by some ms are put right."""

    own = [row for row in rows_of(rows, "fundingRate") if row.get("symbol", symbol) == symbol]
    found = {settlement.at: settlement for settlement in map(_settlement, own)}
    return [found[at] for at in sorted(found)]


def _settlement(row: Row) -> FundingSettlement:
    stamp, settled = whole(row, "fundingTime", "fundingRate", least=1), rate(row, "fundingRate", "fundingRate")
    if settled is None:
        raise broken("fundingRate", row, "fundingRate")
    return FundingSettlement(from_ms((stamp + SECOND_MS // 2) // SECOND_MS * SECOND_MS), settled)


# Stream


def ticks_of(message: object) -> list[Tick]:
    """Return what a message of the stream says, bare or inside {"stream", "data"}, one event or a list of them.

    An event of another kind, an answer to a subscription and an empty side of the book say nothing. Raises VenueDown for
    an event that cannot be read; in a list, only when none can be.
    """
    if isinstance(message, Mapping) and "data" in message:
        return ticks_of(message["data"])
    rows = message if isinstance(message, list) else [message]
    return readable((row for row in rows if isinstance(row, Mapping)), tick_of)


def tick_of(message: Row) -> Tick | None:
    """Return what one event says, None for an event of another kind or without a price."""
    match message.get("e"):
        case "kline":
            return _candle_tick(message)
        case "bookTicker":
            return _book_tick(message)
        case "markPriceUpdate":
            return _mark_tick(message)
        case _:
            return None


def _candle_tick(row: Row) -> CandleTick | None:
    candle = row.get("k")
    if not isinstance(candle, Mapping) or not isinstance(candle.get("x"), bool):
        raise broken("kline", row, "k")
    interval = text(candle, "i", "kline")
    if interval not in INTERVAL_MS:
        return None
    last = price(candle, "c", "kline")
    if last is None:
        return None
    return CandleTick(
        symbol=symbol_of(row, "s", "kline"),
        interval=interval,
        open_time=whole(candle, "t", "kline"),
        open=float(number(candle, "o", "kline")),
        high=float(number(candle, "h", "kline")),
        low=float(number(candle, "l", "kline")),
        close=float(last),
        volume=float(number(candle, "v", "kline")),
        closed=candle["x"],
        event_ms=whole(row, "E", "kline"),
        last=last,
    )


def _book_tick(row: Row) -> BookTick | None:
    kind = "bookTicker"
    bid, ask = price(row, "b", kind), price(row, "a", kind)
    if bid is None or ask is None:
        return None
    return BookTick(symbol_of(row, "s", kind), bid, ask, whole(row, "E", kind))


def _mark_tick(row: Row) -> MarkTick | None:
    kind = "markPriceUpdate"
    mark = price(row, "p", kind, computed=True)
    if mark is None:
        return None
    expected, due = rate(row, "r", kind), moment(row, "T", kind)
    return MarkTick(symbol_of(row, "s", kind), mark, expected, due, whole(row, "E", kind))
