"""The public REST endpoints: each takes markets and parameters and returns what becomes JSON, or raises Refusal.

The table `PUBLIC` names them without their version: /fapi/v1 to /fapi/v4 are the same here. Signed endpoints come as a
table of their own beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from trading.exchange_server.answers import Parameters, Refusal, interval_of, limit_of, needed, span_of, whole_number
from trading.exchange_server.bars import Bars, ends_at
from trading.exchange_server.contracts import Contract, exchange_info
from trading.exchange_server.markets import Deal, Markets

KLINES_DEFAULT, KLINES_MOST = 500, 1_500
FUNDING_DEFAULT, FUNDING_MOST = 100, 1_000
DEALS_DEFAULT, DEALS_MOST = 500, 1_000
DEPTHS: Final = (5, 10, 20, 50, 100, 500, 1_000)
INTEREST_RATE: Final = "0.00010000"
QUOTE_PER_TRADE: Final = 2_000
"""Turnover by which the number of trades of a candle is told."""

type Json = Any
type Endpoint = Callable[[Markets, Parameters], Json]


def ping(_markets: Markets, _given: Parameters) -> Json:
    return {}


def server_time(markets: Markets, _given: Parameters) -> Json:
    return {"serverTime": markets.now_ms()}


def info(markets: Markets, _given: Parameters) -> Json:
    return exchange_info(markets.contracts.values(), head=markets.head, now_ms=markets.now_ms())


def spot_info(markets: Markets, _given: Parameters) -> Json:
    """Return an `exchangeInfo` of the spot market without a symbol: there is none here, and clients ask for it."""
    return exchange_info([], head=None, now_ms=markets.now_ms())


def depth(markets: Markets, given: Parameters) -> Json:
    contract = contract_of(markets, given)
    levels = limit_of(given, default=500, most=DEPTHS[-1])
    if levels not in DEPTHS:
        raise Refusal(-1130, "Data sent for parameter 'limit' is not valid.")
    now = markets.now_ms()
    bids, asks = markets.book(contract.symbol, now, levels)
    return {
        "lastUpdateId": update_id(now),
        "E": now,
        "T": now,
        "bids": ladder(contract, bids),
        "asks": ladder(contract, asks),
    }


def trades(markets: Markets, given: Parameters) -> Json:
    contract = contract_of(markets, given)
    limit = limit_of(given, default=DEALS_DEFAULT, most=DEALS_MOST)
    from_id = whole_number(given, "fromId")
    return [_trade(contract, deal) for deal in _deals(markets, contract, limit, from_id)]


def agg_trades(markets: Markets, given: Parameters) -> Json:
    contract = contract_of(markets, given)
    limit = limit_of(given, default=DEALS_DEFAULT, most=DEALS_MOST)
    start, end = span_of(given)
    first = whole_number(given, "fromId") or (start and -(-start // 1000))
    deals = _deals(markets, contract, limit, first, None if end is None else end // 1000)
    return [agg_trade(contract, deal) for deal in deals]


def klines(markets: Markets, given: Parameters) -> Json:
    contract, interval = contract_of(markets, given), interval_of(given)
    return rows_of(contract, interval, _bars(markets, contract, interval, given))


def mark_klines(markets: Markets, given: Parameters) -> Json:
    return _mark_klines(markets, contract_of(markets, given), given, 1.0)


def index_klines(markets: Markets, given: Parameters) -> Json:
    return _mark_klines(markets, contract_of(markets, given, "pair"), given, 0.5)


def premium_index(markets: Markets, given: Parameters) -> Json:
    return _each(markets, given, _premium)


def funding_rate(markets: Markets, given: Parameters) -> Json:
    limit = limit_of(given, default=FUNDING_DEFAULT, most=FUNDING_MOST)
    start, end = span_of(given)
    chosen = [contract_of(markets, given)] if given.get("symbol") else [c for c in markets.contracts.values() if c.live]
    rows = [row for contract in chosen for row in _settled(markets, contract, start, end, limit)]
    rows.sort(key=lambda row: (row["fundingTime"], row["symbol"]))
    return rows[:limit] if start is not None else rows[-limit:]


def funding_info(markets: Markets, given: Parameters) -> Json:
    now = markets.now_ms()
    chosen = [contract_of(markets, given)] if given.get("symbol") else markets.contracts.values()
    return [_funding_terms(markets, contract, now) for contract in chosen]


def ticker_day(markets: Markets, given: Parameters) -> Json:
    return _each(markets, given, day_ticker)


def ticker_price(markets: Markets, given: Parameters) -> Json:
    return _each(markets, given, _price)


def ticker_book(markets: Markets, given: Parameters) -> Json:
    return _each(markets, given, _book_ticker)


def open_interest(markets: Markets, given: Parameters) -> Json:
    contract, now = contract_of(markets, given), markets.now_ms()
    value = markets.interest(contract.symbol, now)
    return {"symbol": contract.symbol, "openInterest": contract.quantity(value), "time": now}


PUBLIC: Final[dict[str, Endpoint]] = {
    "ping": ping,
    "time": server_time,
    "exchangeInfo": info,
    "depth": depth,
    "trades": trades,
    "historicalTrades": trades,
    "aggTrades": agg_trades,
    "klines": klines,
    "markPriceKlines": mark_klines,
    "indexPriceKlines": index_klines,
    "premiumIndex": premium_index,
    "fundingRate": funding_rate,
    "fundingInfo": funding_info,
    "ticker/24hr": ticker_day,
    "ticker/price": ticker_price,
    "ticker/bookTicker": ticker_book,
    "openInterest": open_interest,
}


def contract_of(markets: Markets, given: Parameters, name: str = "symbol") -> Contract:
    symbol = needed(given, name)
    if symbol not in markets.contracts:
        raise Refusal(-1121, "Invalid symbol.")
    return markets.contracts[symbol]


def rows_of(contract: Contract, interval: str, bars: Bars) -> list[list[Any]]:
    """Return candles as the venue's rows of twelve."""
    price, quantity = contract.price_decimals, contract.quantity_decimals
    columns = [column.tolist() for column in bars.columns()]
    return [
        [
            opened,
            f"{first:.{price}f}",
            f"{high:.{price}f}",
            f"{low:.{price}f}",
            f"{close:.{price}f}",
            f"{volume:.{quantity}f}",
            ends_at(opened, interval) - 1,
            f"{quote:.4f}",
            count_of(quote),
            f"{taker:.{quantity}f}",
            f"{quote * (taker / volume if volume else 0):.4f}",
            "0",
        ]
        for opened, first, high, low, close, volume, quote, taker in zip(*columns, strict=True)
    ]


def count_of(quote: float) -> int:
    """Return how many trades a turnover stands for."""
    return int(quote / QUOTE_PER_TRADE) + 1 if quote > 0 else 0


def update_id(at_ms: int) -> int:
    """Return the number of the state of all books: it grows with the time."""
    return at_ms // 10


def ladder(contract: Contract, levels: Iterable[tuple[Any, float]]) -> list[list[str]]:
    return [[contract.price(price), contract.quantity(size)] for price, size in levels]


def agg_trade(contract: Contract, deal: Deal) -> dict[str, Any]:
    return {
        "a": deal.number,
        "p": contract.price(deal.price),
        "q": contract.quantity(deal.quantity),
        "f": deal.number,
        "l": deal.number,
        "T": deal.at_ms,
        "m": deal.buyer_is_maker,
    }


def _trade(contract: Contract, deal: Deal) -> dict[str, Any]:
    return {
        "id": deal.number,
        "price": contract.price(deal.price),
        "qty": contract.quantity(deal.quantity),
        "quoteQty": contract.price(deal.price * deal.quantity),
        "time": deal.at_ms,
        "isBuyerMaker": deal.buyer_is_maker,
    }


def _deals(markets: Markets, contract: Contract, limit: int, first: int | None, last: int | None = None) -> list[Deal]:
    newest = markets.now_ms() // 1000 if last is None else min(last, markets.now_ms() // 1000)
    begin = newest - limit + 1 if first is None else first
    return markets.deals(contract.symbol, first=begin, last=min(newest, begin + limit - 1))


def _bars(markets: Markets, contract: Contract, interval: str, given: Parameters) -> Bars:
    if not markets.offers(contract.symbol, interval):
        raise Refusal(-1120, "Invalid interval.")
    start, end = span_of(given)
    limit = limit_of(given, default=KLINES_DEFAULT, most=KLINES_MOST)
    return markets.bars(contract.symbol, interval, start_ms=start, end_ms=end, limit=limit, at_ms=markets.now_ms())


def _mark_klines(markets: Markets, contract: Contract, given: Parameters, share: float) -> Json:
    interval = interval_of(given)
    bars = _bars(markets, contract, interval, given)
    marks = markets.mark_bars(contract.symbol, bars, interval, markets.now_ms(), share=share)
    return price_rows(interval, marks)


def price_rows(interval: str, bars: Bars) -> list[list[Any]]:
    """Return candles of a price that is told with eight decimals and has no volume."""
    columns = (bars.open_time, bars.open, bars.high, bars.low, bars.close)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [
        [at, *(f"{price:.8f}" for price in prices), "0", ends_at(at, interval) - 1, "0", 1, "0", "0", "0"]
        for at, *prices in rows
    ]


def _each(markets: Markets, given: Parameters, one: Callable[[Markets, Contract, int], Json]) -> Json:
    """Return an object for the symbol that was asked for, else a list of all that have prices."""
    now = markets.now_ms()
    if given.get("symbol"):
        contract = contract_of(markets, given)
        found = one(markets, contract, now)
        if found is None:
            raise Refusal(-1121, "Invalid symbol.")
        return found
    rows = (one(markets, contract, now) for contract in markets.contracts.values())
    return [row for row in rows if row is not None]


def _premium(markets: Markets, contract: Contract, now: int) -> Json:
    prices, expected = markets.prices(contract.symbol, now), markets.next_funding(contract.symbol, now)
    if prices is None:
        return None
    return {
        "symbol": contract.symbol,
        "markPrice": f"{prices.mark:.8f}",
        "indexPrice": f"{prices.index:.8f}",
        "estimatedSettlePrice": f"{prices.index:.8f}",
        "lastFundingRate": f"{expected.rate:.8f}",
        "interestRate": INTEREST_RATE,
        "nextFundingTime": expected.at_ms,
        "time": now // 1000 * 1000,
    }


def _settled(
    markets: Markets, contract: Contract, start: int | None, end: int | None, limit: int
) -> list[dict[str, Any]]:
    symbol, until = contract.symbol, markets.now_ms() if end is None else end
    since = until - (limit + 1) * 8 * 3_600_000 if start is None else start - 1_000
    rows: list[dict[str, Any]] = [
        {"symbol": symbol, "fundingTime": markets.stamp(symbol, one.at_ms), "fundingRate": f"{one.rate:.8f}"}
        for one in markets.settlements(symbol, since_ms=since, until_ms=until)
    ]
    return [row for row in rows if (start or 0) <= row["fundingTime"] <= until]


def _funding_terms(markets: Markets, contract: Contract, now: int) -> Json:
    return {
        "symbol": contract.symbol,
        "interestRate": INTEREST_RATE,
        "time": now // 1000 * 1000,
        "fundingIntervalHours": markets.funding_hours(contract.symbol, now),
        "fundingFeeCap": None if contract.symbol == "BTCUSDT" else 0.03,
        "fundingFeeFloor": None if contract.symbol == "BTCUSDT" else -0.03,
    }


def day_ticker(markets: Markets, contract: Contract, now: int) -> Json:
    bars = markets.day(contract.symbol, now)
    if not len(bars):
        return None
    first, last = float(bars.open[0]), float(bars.close[-1])
    volume, quote = float(bars.volume.sum()), float(bars.quote.sum())
    return {
        "symbol": contract.symbol,
        "priceChange": contract.price(last - first),
        "priceChangePercent": f"{(last / first - 1) * 100:.3f}",
        "weightedAvgPrice": contract.price(quote / volume if volume else last),
        "prevClosePrice": contract.price(first),
        "lastPrice": contract.price(last),
        "lastQty": contract.quantity(markets.size(contract.symbol, now // 1000, 0)),
        "openPrice": contract.price(first),
        "highPrice": contract.price(float(bars.high.max())),
        "lowPrice": contract.price(float(bars.low.min())),
        "volume": contract.quantity(volume),
        "quoteVolume": f"{quote:.8f}",
        "openTime": int(bars.open_time[0]),
        "closeTime": now,
        "firstId": int(bars.open_time[0]) // 1000,
        "lastId": now // 1000,
        "count": count_of(quote),
    }


def _price(markets: Markets, contract: Contract, now: int) -> Json:
    prices = markets.prices(contract.symbol, now)
    return prices and {"symbol": contract.symbol, "price": contract.price(prices.last), "time": now}


def _book_ticker(markets: Markets, contract: Contract, now: int) -> Json:
    prices = markets.prices(contract.symbol, now)
    if prices is None or not contract.live:
        return None
    second = now // 1000
    return {
        "symbol": contract.symbol,
        "bidPrice": contract.price(prices.bid),
        "bidQty": contract.quantity(markets.size(contract.symbol, second, -1)),
        "askPrice": contract.price(prices.ask),
        "askQty": contract.quantity(markets.size(contract.symbol, second, 1)),
        "time": now,
    }
