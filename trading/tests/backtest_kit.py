"""Small markets made up for backtests, and rules that follow a script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np

from decisions.domain.foresight import Acts, Whole
from decisions.domain.proposal import Action, Proposal, Side
from decisions.domain.question import BotView, Question
from marketdata.domain.candles import Candles
from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.recording import FundingRecord, Recording
from marketdata.recorded_market import RecordedMarket
from trading.tests.venue_support import BTC
from vibex.lib.clock import to_ms

START = datetime(2025, 10, 6, tzinfo=UTC)
ETH = replace(BTC, symbol="ETHUSDT", base="ETH", tick_size=Decimal("0.01"), step_size=Decimal("0.001"))
BTC_AND_ETH = ("BTCUSDT", "ETHUSDT")
MINUTE_MS = 60_000
FIVE_MS = 5 * MINUTE_MS


def recording(
    spec: InstrumentSpec,
    closes: np.ndarray[Any, Any],
    *,
    wick: float = 0.002,
    funding: Sequence[tuple[int, float]] = (),
    marks: bool = False,
    holes: Sequence[int] = (),
    step_ms: int = FIVE_MS,
) -> Recording:
    """Return candles of these closes, each opening where the one before closed. `funding` is (number of candle, rate)."""
    tick = float(spec.tick_size)
    closes = np.round(closes / tick) * tick
    closes = np.array([float(f"{close:.8g}") for close in closes])
    opens = np.concatenate((closes[:1], closes[:-1]))
    high = np.round(np.maximum(opens, closes) * (1 + wick) / tick) * tick
    low = np.round(np.minimum(opens, closes) * (1 - wick) / tick) * tick
    high, low = (np.array([float(f"{value:.8g}") for value in side]) for side in (high, low))
    times = to_ms(START) + step_ms * np.arange(len(closes), dtype=np.int64)
    there = np.setdiff1d(np.arange(len(closes)), np.array(holes, dtype=np.int64))
    columns = [column[there] for column in (times, opens, high, low, closes, np.full(len(closes), 50.0))]
    interval = {MINUTE_MS: "1m", FIVE_MS: "5m"}[step_ms]
    candles = Candles(spec.symbol, interval, *columns)
    mark = None
    if marks:
        shift = [column * (1 + 0.0005 * np.sin(np.arange(len(there)))) for column in columns[1:5]]
        mark = Candles(spec.symbol, interval, columns[0], *shift, np.zeros(len(there)))
    at = np.array([to_ms(START) + step_ms * number for number, _ in funding], dtype=np.int64)
    rates = np.array([rate for _, rate in funding])
    paid = FundingRecord(at, rates, np.full(len(rates), np.nan))
    return Recording(replace(spec, venue="recorded"), candles, mark, paid)


def walk(seed: int, count: int, *, first: float, volatility: float = 0.004) -> np.ndarray[Any, Any]:
    """Return a random walk with jumps now and then."""
    random = np.random.default_rng(seed)
    steps = random.standard_t(4, count) * volatility
    steps[random.random(count) < 0.01] *= 6
    return first * np.exp(np.cumsum(steps.clip(-0.2, 0.2)))


def market_of(seed: int, count: int, *, symbols: int = 2, intervals: Sequence[str] = ("5m",)) -> RecordedMarket:
    """Return a market over `recordings_of`."""
    return RecordedMarket(recordings_of(seed, count, symbols=symbols), timeframes=intervals)


def recordings_of(seed: int, count: int, *, symbols: int = 2) -> list[Recording]:
    """Return recordings with funding every hour, marks of their own on one symbol, and a hole."""
    random = np.random.default_rng(seed)
    paid = [(number, float(random.normal(0, 0.002))) for number in range(12, count, 12)]
    specs = (replace(BTC, venue="recorded"), replace(ETH, venue="recorded"))[:symbols]
    return [
        recording(
            spec,
            walk(seed * 7 + place, count, first=100_000.0 if place == 0 else 4_000.0),
            funding=paid if place == 0 else paid[::3],
            marks=place == 1,
            holes=(count // 2,) if place == 0 else (),
        )
        for place, spec in enumerate(specs)
    ]


@dataclass(frozen=True, slots=True)
class Wish:
    """What a script asks for at a moment."""

    symbol: str
    side: Side | None
    """None: close."""
    share: Decimal = Decimal("0.5")
    """Notional ÷ 10,000."""
    stop: Decimal = Decimal("0.02")
    target: Decimal | None = Decimal("0.03")
    leverage: int = 3
    turn: bool = True
    """Whether what is open on the other side is closed first."""


@dataclass(frozen=True, slots=True)
class Script:
    """Rules that ask for what is written for a moment (UTC ms), and say so in advance."""

    wishes: Mapping[int, tuple[Wish, ...]]

    def decide(self, question: Question) -> tuple[Proposal, ...]:
        return tuple(
            proposal
            for wish in self.wishes.get(to_ms(question.snapshot.at), ())
            for proposal in _proposals(wish, question)
        )

    def acts(self, bot: BotView, symbol: str, whole: Whole) -> Acts:
        moments = whole._moments  # type: ignore[attr-defined]  # the test knows what it is
        due = np.array([any(w.symbol == symbol for w in self.wishes.get(int(at), ())) for at in moments], dtype=bool)
        return Acts(due, due, due)


def _proposals(wish: Wish, question: Question) -> Sequence[Proposal]:
    view, held = question.snapshot.symbols[wish.symbol], question.portfolio.position(wish.symbol)
    asked: list[Proposal] = []
    if held is not None and (wish.side is None or (wish.turn and held.side is not wish.side)):
        asked.append(Proposal(wish.symbol, Action.CLOSE))
    if wish.side is None or (held is not None and not asked):
        return asked
    spec, last, sign = view.instrument, view.quote.last, wish.side.sign
    asked.append(
        Proposal(
            wish.symbol,
            Action.BUY if wish.side is Side.LONG else Action.SELL,
            quantity=spec.quantity_down(wish.share * 10_000 / last),
            leverage=wish.leverage,
            stop_loss=spec.price_near(last * (1 - sign * wish.stop)),
            profit_target=None if wish.target is None else spec.price_near(last * (1 + sign * wish.target)),
            confidence=0.7,
        )
    )
    return asked


def after(steps: int, step: timedelta = timedelta(minutes=5)) -> datetime:
    return START + steps * step
