"""What a stream says: its name is read into a feed, and a feed tells what is new between two moments."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from trading.exchange_server.bars import LENGTHS, Bars, ends_at, opens_at
from trading.exchange_server.contracts import Contract
from trading.exchange_server.markets import Markets
from trading.exchange_server.rest import agg_trade, count_of, day_ticker, ladder, update_id

SYMBOL_STREAM: Final = re.compile(
    r"(?P<symbol>[^@!]+)@(?P<kind>[A-Za-z]+)(?P<detail>[0-9]*|_[0-9]+[mhdwM])(?:@(?P<pace>.+))?"
)
ALL_STREAM: Final = re.compile(r"!(?P<kind>[A-Za-z]+)(?:@arr)?(?:@(?P<pace>1s))?")
SLOW_MARK_MS: Final = 3_000
MOST_DEALS: Final = 20
"""So many trades are told at once at most, when the clock runs fast."""


@dataclass(slots=True)
class Feed:
    """One stream that somebody listens to. `seen` is what it said last, `since` the moment up to which it has told."""

    name: str
    kind: str
    contracts: tuple[Contract, ...]
    detail: str
    pace: str
    together: bool
    """Whether all contracts come in one list."""
    since: int
    seen: dict[str, Any] = field(default_factory=dict)


type Told = list[dict[str, Any]]
type Teller = Callable[[Markets, Feed, Contract, int], Told]


def feed_of(name: str, markets: Markets, lower: Mapping[str, str]) -> Feed | None:
    """Return the feed that a stream name means, None for a name that the venue would keep silent about.

    `lower` maps symbols in small letters to symbols: the venue takes small letters only.
    """
    now = markets.now_ms()
    if whole := ALL_STREAM.fullmatch(name):
        kind, live = whole["kind"], tuple(one for one in markets.contracts.values() if one.live)
        together = "@arr" in name
        return Feed(name, kind, live, "", whole["pace"] or "", together, now) if kind in TELLERS else None
    match = SYMBOL_STREAM.fullmatch(name)
    if match is None or match["symbol"] not in lower or match["kind"] not in TELLERS:
        return None
    contract, detail = markets.contracts[lower[match["symbol"]]], match["detail"].removeprefix("_")
    if match["kind"] == "kline" and (detail not in LENGTHS or not markets.offers(contract.symbol, detail)):
        return None
    return Feed(name, match["kind"], (contract,), detail, match["pace"] or "", together=False, since=now)


def news(markets: Markets, feed: Feed, now: int) -> list[Any]:
    """Return what is new since the feed was last asked, in the order in which it happened."""
    teller = TELLERS[feed.kind]
    told = [message for contract in feed.contracts for message in teller(markets, feed, contract, now)]
    feed.since = now
    return [told] if feed.together and told else list(told)


def _klines(markets: Markets, feed: Feed, contract: Contract, now: int) -> Told:
    """Tell each candle that has ended since then, once, and the running one if it has changed."""
    series = markets.series[contract.symbol]
    first, current = opens_at(feed.since, feed.detail), opens_at(now, feed.detail)
    told = []
    if current > first:
        told = _candles(
            contract, feed.detail, series.closed(feed.detail, now).between(first, current), now, closed=True
        )
    running = _candles(contract, feed.detail, series.running(feed.detail, now), now, closed=False)
    for message in running:
        candle = message["k"]
        state = (candle["t"], candle["h"], candle["l"], candle["c"], candle["v"])
        if feed.seen.get("k") != state:
            feed.seen["k"] = state
            told.append(message)
    return told


def _candles(contract: Contract, interval: str, bars: Bars, now: int, *, closed: bool) -> Told:
    columns = (column.tolist() for column in bars.columns())
    return [
        {
            "e": "kline",
            "E": now,
            "s": contract.symbol,
            "k": {
                "t": opened,
                "T": ends_at(opened, interval) - 1,
                "s": contract.symbol,
                "i": interval,
                "f": opened // 1000,
                "L": min(ends_at(opened, interval) - 1, now) // 1000,
                "o": contract.price(first),
                "c": contract.price(close),
                "h": contract.price(high),
                "l": contract.price(low),
                "v": contract.quantity(volume),
                "n": count_of(quote),
                "x": closed,
                "q": f"{quote:.4f}",
                "V": contract.quantity(taker),
                "Q": f"{quote * (taker / volume if volume else 0):.4f}",
                "B": "0",
            },
        }
        for opened, first, high, low, close, volume, quote, taker in zip(*columns, strict=True)
    ]


def _mark_price(markets: Markets, feed: Feed, contract: Contract, now: int) -> Told:
    pace = 1_000 if feed.pace == "1s" else SLOW_MARK_MS
    prices = markets.prices(contract.symbol, now)
    mark = prices and prices.mark
    if prices is None or feed.seen.get(contract.symbol) == (now // pace, mark):
        return []
    feed.seen[contract.symbol] = (now // pace, mark)
    expected = markets.next_funding(contract.symbol, now)
    index = f"{prices.index:.8f}"
    return [
        {
            "e": "markPriceUpdate",
            "E": now,
            "s": contract.symbol,
            "p": f"{prices.mark:.8f}",
            "i": index,
            "P": index,
            "r": f"{expected.rate:.8f}",
            "T": expected.at_ms,
        }
    ]


def _book_ticker(markets: Markets, feed: Feed, contract: Contract, now: int) -> Told:
    prices, second = markets.prices(contract.symbol, now), now // 1000
    if prices is None or feed.seen.get(contract.symbol) == (second, prices.bid, prices.ask):
        return []
    feed.seen[contract.symbol] = (second, prices.bid, prices.ask)
    return [
        {
            "e": "bookTicker",
            "u": update_id(now),
            "E": now,
            "T": now,
            "s": contract.symbol,
            "b": contract.price(prices.bid),
            "B": contract.quantity(markets.size(contract.symbol, second, -1)),
            "a": contract.price(prices.ask),
            "A": contract.quantity(markets.size(contract.symbol, second, 1)),
        }
    ]


def _agg_trade(markets: Markets, feed: Feed, contract: Contract, now: int) -> Told:
    last = now // 1000
    first = max(feed.since // 1000 + 1, last - MOST_DEALS + 1)
    deals = markets.deals(contract.symbol, first=first, last=last)
    return [{"e": "aggTrade", "E": now, "s": contract.symbol, **agg_trade(contract, deal)} for deal in deals]


def _depth(markets: Markets, feed: Feed, contract: Contract, now: int) -> Told:
    """Tell the best levels; the plain stream of changes tells twenty as well, of which all may have changed."""
    before = feed.seen.get("u", update_id(now) - 1)
    if update_id(now) == before:
        return []
    bids, asks = markets.book(contract.symbol, now, int(feed.detail or 20))
    feed.seen["u"] = update_id(now)
    return [
        {
            "e": "depthUpdate",
            "E": now,
            "T": now,
            "s": contract.symbol,
            "U": before + 1,
            "u": update_id(now),
            "pu": before,
            "b": ladder(contract, bids),
            "a": ladder(contract, asks),
        }
    ]


def _ticker(markets: Markets, feed: Feed, contract: Contract, now: int) -> Told:
    if feed.seen.get(contract.symbol) == now // 1000:
        return []
    feed.seen[contract.symbol] = now // 1000
    day = day_ticker(markets, contract, now)
    return [_day_message(day, now, mini=feed.kind == "miniTicker")] if day else []


def _day_message(day: Mapping[str, Any], now: int, *, mini: bool) -> dict[str, Any]:
    short = {
        "e": "24hrMiniTicker" if mini else "24hrTicker",
        "E": now,
        "s": day["symbol"],
        "c": day["lastPrice"],
        "o": day["openPrice"],
        "h": day["highPrice"],
        "l": day["lowPrice"],
        "v": day["volume"],
        "q": day["quoteVolume"],
    }
    if mini:
        return short
    return short | {
        "p": day["priceChange"],
        "P": day["priceChangePercent"],
        "w": day["weightedAvgPrice"],
        "Q": day["lastQty"],
        "O": day["openTime"],
        "C": day["closeTime"],
        "F": day["firstId"],
        "L": day["lastId"],
        "n": day["count"],
    }


def _nothing(_markets: Markets, _feed: Feed, _contract: Contract, _now: int) -> Told:
    """Nobody is liquidated here."""
    return []


TELLERS: Final[dict[str, Teller]] = {
    "kline": _klines,
    "markPrice": _mark_price,
    "bookTicker": _book_ticker,
    "aggTrade": _agg_trade,
    "depth": _depth,
    "ticker": _ticker,
    "miniTicker": _ticker,
    "forceOrder": _nothing,
}
