"""A small market, a question about it and the replies that tests take apart."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np

from accounts.domain.limits import DEFAULTS
from decisions.domain.portfolio import Portfolio, PositionView
from decisions.domain.proposal import Side
from decisions.domain.question import BotView, Prompt, Question
from marketdata.domain.candles import Candles, interval_ms
from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.snapshot import MarketSnapshot, Quote, SymbolView, Timeframe
from vibex.lib.clock import to_ms

AT = datetime(2025, 10, 10, 20, tzinfo=UTC)
NAMES = ("ema20", "ema50", "macd", "macd_hist", "rsi7", "rsi14", "atr3", "atr14", "adx14", "volume_average")
UPTREND = {"ema20": 4150.0, "ema50": 4100.0, "adx14": 30.0, "macd_hist": 2.0, "rsi14": 55.0, "atr14": 40.0}
DOWNTREND = UPTREND | {"ema20": 4050.0, "macd_hist": -2.0, "rsi14": 45.0}
NO_TREND = UPTREND | {"adx14": 10.0}
MODEL = "x-ai/grok-4.3"

ETH = InstrumentSpec(
    "recorded",
    "ETHUSDT",
    "ETH",
    "USDT",
    Decimal("0.1"),
    Decimal("0.001"),
    Decimal("0.001"),
    Decimal(10_000),
    Decimal(5),
)
BTC = replace(ETH, symbol="BTCUSDT", base="BTC")
PRICES = {"ETHUSDT": "4200.0", "BTCUSDT": "112000.0"}


def timeframe(symbol: str, interval: str, values: dict[str, float], length: int = 30) -> Timeframe:
    """A timeframe whose indicators stand still, except for a histogram that grows away from zero."""
    step = interval_ms(interval)
    opened = np.arange(length, dtype=np.int64) * step + to_ms(AT) - length * step
    close = np.full(length, float(PRICES.get(symbol, "1")))
    candles = Candles(symbol, interval, opened, close, close, close, close, np.full(length, 1234.5))
    indicators = {name: np.full(length, values.get(name, 50.0)) for name in NAMES}
    indicators["macd_hist"] = values.get("macd_hist", 0.0) * np.linspace(0.1, 1.0, length)
    return Timeframe(interval, candles, indicators, timedelta(0))


def view(
    spec: InstrumentSpec,
    values: dict[str, float] | None = None,
    *,
    problem: str | None = None,
    last: Decimal | None = None,
) -> SymbolView:
    last, values = last or Decimal(PRICES[spec.symbol]), UPTREND if values is None else values
    quote = Quote(
        spec.symbol,
        AT,
        last=last,
        bid=last - spec.tick_size,
        ask=last + spec.tick_size,
        mark=last,
        funding_rate=Decimal("0.0000125"),
        next_funding_at=AT + timedelta(hours=4),
    )
    frames = {interval: timeframe(spec.symbol, interval, values) for interval in ("1h", "4h")}
    return SymbolView(spec.symbol, spec, quote, frames, problem=problem)


def position(symbol: str = "ETHUSDT", side: Side = Side.LONG, **changes: object) -> PositionView:
    given = PositionView(
        symbol,
        side,
        quantity=Decimal("1.5"),
        entry_price=Decimal(4150),
        mark_price=Decimal(4200),
        leverage=3,
        unrealised=Decimal(75),
        margin=Decimal(2075),
        liquidation_price=Decimal(2800),
        stop=Decimal(4070),
        target=Decimal(4310),
        opened_at=AT - timedelta(hours=5),
        plan="4h close below EMA50",
    )
    return replace(given, **changes)


def question(*views: SymbolView, positions: tuple[PositionView, ...] = (), **changes: object) -> Question:
    views = views or (view(BTC), view(ETH))
    given = Question(
        decision_id="d1f0c3",
        bot=BotView("arena", f"openrouter/{MODEL}", tuple(one.symbol for one in views), "1h", ("1h", "4h")),
        snapshot=MarketSnapshot("recorded", AT, {one.symbol: one for one in views}),
        portfolio=Portfolio(
            AT, Decimal(10_000), Decimal(0), Decimal(0), Decimal(10_000), positions, (), Decimal(10_000)
        ),
        limits=DEFAULTS,
        next_decision_at=AT + timedelta(hours=1),
        started_at=AT - timedelta(days=2),
        invocation=47,
        prompt=Prompt("rules", "state", "arena#0", "0" * 64),
    )
    return replace(given, **changes)


HOLD = {
    "coin": "BTCUSDT",
    "signal": "hold",
    "quantity": None,
    "profit_target": None,
    "stop_loss": None,
    "invalidation_condition": "",
    "leverage": None,
    "confidence": 0.6,
    "risk_usd": None,
    "justification": "no edge",
}
OPEN = {
    "coin": "ETHUSDT",
    "signal": "buy_to_enter",
    "quantity": 2.5,
    "profit_target": 4400.0,
    "stop_loss": 4100.0,
    "invalidation_condition": "4h close below EMA50",
    "leverage": 5,
    "confidence": 0.7,
    "risk_usd": 250.0,
    "justification": "trend and momentum agree",
}
CLOSE = HOLD | {"coin": "ETHUSDT", "signal": "close_position"}


def reply(*items: object, decision_id: str = "d1f0c3", **extra: object) -> str:
    """The text of a reply; without items: hold BTC and open ETH."""
    return json.dumps({"decision_id": decision_id, "decisions": list(items or (HOLD, OPEN)), **extra})


def envelope(content: object, *, model: str = MODEL, **changes: object) -> bytes:
    """The body of a chat completion around a text. `choice` and `message` take changes of those parts."""
    message = {"role": "assistant", "content": content, **changes.pop("message", {})}
    choice = {"index": 0, "finish_reason": "stop", "message": message, **changes.pop("choice", {})}
    usage = {"prompt_tokens": 4100, "completion_tokens": 210, "total_tokens": 4310, "cost": 0.00331}
    body = {"id": "gen-1", "object": "chat.completion", "model": model, "choices": [choice], "usage": usage}
    return json.dumps(body | changes).encode()
