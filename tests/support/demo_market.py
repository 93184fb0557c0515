"""The market beside the history of `demo.py`: contracts, prices, candles, and what a live market leaves behind."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from marketdata.models import (
    Candle,
    CandleCorrection,
    CandleHole,
    Feed,
    FundingRate,
    Instrument,
    OpenInterest,
    SignerNonce,
    Ticker,
    VenueBudget,
)

NOW = datetime(2026, 3, 14, 15, 6, tzinfo=UTC)

INSTRUMENTS = {
    # symbol: tick, step, mark
    "BTCUSDT": ("0.1", "0.001", "71284.6"),
    "ETHUSDT": ("0.01", "0.001", "2106.44"),
    "SOLUSDT": ("0.01", "0.01", "88.31"),
    "XRPUSDT": ("0.0001", "0.1", "1.4127"),
    "DOGEUSDT": ("0.00001", "1", "0.09483"),
}


def market(now: datetime = NOW, venue: str = "sim", **fields: object) -> Feed:
    """Return a running feed with instruments and prices."""
    given: dict[str, object] = {"kind": Feed.Kind.SIMULATED, "seed": 42, "running": True}
    feed = Feed.objects.create(venue=venue, market_at=now, wall_at=now, heartbeat=now, **{**given, **fields})
    for symbol, (tick, step, mark) in INSTRUMENTS.items():
        _instrument(venue, symbol, Decimal(tick), Decimal(step), Decimal(mark), now)
    return feed


def _instrument(venue: str, symbol: str, tick: Decimal, step: Decimal, mark: Decimal, now: datetime) -> None:
    Instrument.objects.create(
        venue=venue,
        symbol=symbol,
        base=symbol.removesuffix("USDT"),
        tick_size=tick,
        step_size=step,
        min_quantity=step,
        max_quantity=Decimal(1_000_000),
        maker_fee=Decimal("0.00005"),
        taker_fee=Decimal("0.0004"),
    )
    Ticker.objects.create(
        venue=venue,
        symbol=symbol,
        at=now - timedelta(seconds=1),
        last=mark,
        bid=mark - tick,
        ask=mark + tick,
        mark=mark,
        funding_rate=Decimal("0.0001"),
        next_funding_at=now + timedelta(minutes=54),
    )
    FundingRate.objects.create(venue=venue, symbol=symbol, at=now - timedelta(hours=7), rate=Decimal("0.0001"))


def candles(now: datetime = NOW, venue: str = "sim", *, hours: float = 3, symbols: tuple[str, ...] = ()) -> None:
    """Write `hours` of 1m candles up to `now`, the last one forming. They end at the symbol's mark."""
    minute = now.replace(second=0, microsecond=0)
    for symbol in symbols or tuple(INSTRUMENTS):
        tick, mark = Decimal(INSTRUMENTS[symbol][0]), float(INSTRUMENTS[symbol][2])
        rows = _walk(symbol, mark, int(hours * 60), places=max(0, -int(tick.as_tuple().exponent)))
        first = minute - timedelta(minutes=len(rows) - 1)
        Candle.objects.bulk_create(
            Candle(
                venue=venue, symbol=symbol, interval="1m", open_time=first + timedelta(minutes=index), open=open_,
                high=high, low=low, close=close, volume=volume, closed=index < len(rows) - 1,
            )
            for index, (open_, high, low, close, volume) in enumerate(rows)
        )  # fmt: skip


def _walk(symbol: str, end: float, count: int, *, places: int) -> list[tuple[float, float, float, float, float]]:
    """Return open, high, low, close and volume of a walk that ends at `end`; made backwards, so that it meets it."""
    dice = random.Random(symbol)
    closes = [end]
    for index in range(count):
        swing = 0.00009 * math.sin(index / 170) + 0.00012 * math.sin(index / 37)
        closes.append(closes[-1] * (1 - swing - dice.gauss(0, 0.0006)))
    closes.reverse()
    rows = []
    for before, after in pairwise(closes):
        open_, close = round(before, places), round(after, places)
        high = round(max(open_, close) * (1 + abs(dice.gauss(0, 0.0004))), places)
        low = round(min(open_, close) * (1 - abs(dice.gauss(0, 0.0004))), places)
        rows.append((open_, max(high, open_, close), min(low, open_, close), close, round(dice.uniform(1, 90), 3)))
    return rows


def leftovers(now: datetime) -> None:
    """Write what a live market leaves beside its candles."""
    minute, of = now.replace(second=0, microsecond=0), {"venue": "aster", "symbol": "BTCUSDT"}
    candle = {"open": 64000.0, "high": 64010.0, "low": 63990.0, "close": 64005.0, "volume": 12.5}
    CandleCorrection.objects.get_or_create(
        **of, interval="1m", open_time=minute, defaults={"before": candle, "after": {**candle, "volume": 12.6}}
    )
    hole = {"start": minute - timedelta(hours=3), "stop": minute - timedelta(hours=2)}
    CandleHole.objects.get_or_create(**of, interval="1m", **hole)
    OpenInterest.objects.get_or_create(**of, at=minute, defaults={"value": Decimal("81234.567")})
    VenueBudget.objects.get_or_create(host="fapi.example.com", defaults={"minute": minute, "used": 412, "limit": 2400})
    SignerNonce.objects.get_or_create(signer="0x" + "5e" * 20, defaults={"last": int(minute.timestamp()) * 1_000_000})
