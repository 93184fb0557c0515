"""Prompts of Alpha Arena as they were really sent, and the question that holds the same data.

From the text come the prices, the series, open interest, funding, the account with its positions and plans. What it
does not say is added from outside and stands here: ticks and steps of the coins, a bid and an ask one tick around the
price, ADX14. A position without a resting order (an id of −1) has no stop here, whatever its plan said.
"""

from __future__ import annotations

import ast
import gzip
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from accounts.domain.limits import DEFAULTS
from decisions.domain.portfolio import Portfolio, PositionView
from decisions.domain.proposal import Side
from decisions.domain.question import Asking, BotView, Question
from marketdata.domain.candles import Candles, interval_ms
from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.snapshot import MarketSnapshot, Quote, SymbolView, Timeframe
from vibex.lib.clock import to_ms

FILE = "llm/nof1_conversations_gpt5_gemini_qwen.jsonl.gz"
RULES = {
    "BTC": ("0.1", "0.001"),
    "ETH": ("0.01", "0.001"),
    "SOL": ("0.01", "0.01"),
    "BNB": ("0.01", "0.01"),
    "XRP": ("0.0001", "0.1"),
    "DOGE": ("0.00001", "1"),
}
"""Tick and step of each coin, in the order of the prompt, as AsterDEX has them."""
START = Decimal(10_000)
ADX = 27.4
COIN = re.compile(r"### ALL (\w+) DATA\n(.*?)(?=\n---|\n### )", re.DOTALL)
OFTEN = re.compile(r"It has been (\d+) minutes.*?time is (\S+ \S+) and you've been invoked (\d+) times")


@dataclass(frozen=True)
class Recorded:
    """One conversation: what was sent, and the same data as a question."""

    text: str
    question: Question
    model: str

    def in_layout(self, layout: str) -> Question:
        from dataclasses import replace

        return replace(self.question, bot=replace(self.question.bot, asking=Asking(layout=layout)))


def recorded(shared_data: Path) -> list[Recorded]:
    """Return all recorded prompts of the file."""
    with gzip.open(shared_data / FILE, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [Recorded(row["user_prompt"], question_in(row["user_prompt"]), row["model_id"]) for row in rows]


def question_in(text: str) -> Question:
    """Return the question whose data a recorded prompt holds."""
    minutes, moment, times = OFTEN.search(text).groups()
    at = datetime.fromisoformat(moment).replace(tzinfo=UTC, microsecond=0)
    views = {f"{coin}USDT": view_in(coin, part, at) for coin, part in COIN.findall(text)}
    assert list(views) == [f"{coin}USDT" for coin in RULES]
    return Question(
        decision_id="7d0f3a91c2b84e56",
        bot=BotView("recorded", "openrouter/x-ai/grok-4.3", tuple(views), "3m", ("3m", "4h")),
        snapshot=MarketSnapshot("aster", at, views),
        portfolio=portfolio_in(text, at),
        limits=DEFAULTS,
        next_decision_at=at + timedelta(minutes=3),
        started_at=at - timedelta(minutes=int(minutes)),
        invocation=int(times),
    )


def view_in(coin: str, part: str, at: datetime) -> SymbolView:
    tick, step = map(Decimal, RULES[coin])
    spec = InstrumentSpec("aster", f"{coin}USDT", coin, "USDT", tick, step, step, Decimal("1e9"), Decimal(5))
    price = Decimal(number(part, "current_price = ")).quantize(tick)
    quote = Quote(
        spec.symbol,
        at,
        last=price,
        bid=price - tick,
        ask=price + tick,
        mark=price,
        funding_rate=Decimal(number(part, "Funding Rate: ")),
        next_funding_at=datetime(at.year, at.month, at.day, tzinfo=UTC) + timedelta(hours=8 * (at.hour // 8 + 1)),
        open_interest=Decimal(number(part, "Open Interest: Latest: ")),
    )
    own, longer = part.split("**Longer")
    fast = frame_of(
        spec,
        "3m",
        at,
        closes=row(own, "id prices: "),
        volume=np.full(10, 12.5),
        rows={"ema20": row(own, "EMA indicators (20‑period): "), "macd": row(own, "MACD indicators: ")}
        | {"rsi7": row(own, "RSI indicators (7‑Period): "), "rsi14": row(own, "RSI indicators (14‑Period): ")},
    )
    scalars = {
        "ema20": "20‑Period EMA: ",
        "ema50": "50‑Period EMA: ",
        "atr3": "3‑Period ATR: ",
        "atr14": "14‑Period ATR: ",
        "volume_average": "Average Volume: ",
    }
    slow = frame_of(
        spec,
        "4h",
        at,
        closes=[float(price)] * 10,
        volume=np.full(10, float(number(longer, "Current Volume: "))),
        rows={name: [float(number(longer, label))] * 10 for name, label in scalars.items()}
        | {"macd": row(longer, "MACD indicators: "), "rsi14": row(longer, "RSI indicators (14‑Period): ")}
        | {"adx14": [ADX] * 10},
    )
    return SymbolView(spec.symbol, spec, quote, {"3m": fast, "4h": slow})


def frame_of(
    spec: InstrumentSpec, interval: str, at: datetime, *, closes: list[float], volume: Any, rows: dict[str, list[float]]
) -> Timeframe:
    step, length = interval_ms(interval), len(closes)
    opened = np.arange(length, dtype=np.int64) * step + to_ms(at) - length * step
    close = np.array(closes)
    candles = Candles(spec.symbol, interval, opened, close, close, close, close, volume)
    return Timeframe(interval, candles, {name: np.array(values) for name, values in rows.items()}, timedelta(0))


def portfolio_in(text: str, at: datetime) -> Portfolio:
    held = [ast.literal_eval(line) for line in text.splitlines() if line.startswith("{'symbol'")]
    positions = tuple(position_of(one, at) for one in held)
    equity = Decimal(number(text, "**Current Account Value:** "))
    unrealised = sum((one.unrealised for one in positions), Decimal(0))
    return Portfolio(
        at=at,
        wallet=equity - unrealised,
        unrealised=unrealised,
        margin=sum((one.margin for one in positions), Decimal(0)),
        available=Decimal(number(text, "Available Cash: ")),
        positions=positions,
        starting_balance=START,
    )


def position_of(held: dict[str, Any], at: datetime) -> PositionView:
    coin, plan = held["symbol"], held["exit_plan"]
    tick = Decimal(RULES[coin][0])

    def price(value: float) -> Decimal:
        return Decimal(str(value)).quantize(tick)

    quantity, mark = abs(Decimal(str(held["quantity"]))), price(held["current_price"])
    return PositionView(
        f"{coin}USDT",
        Side.LONG if held["quantity"] > 0 else Side.SHORT,
        quantity=quantity,
        entry_price=price(held["entry_price"]),
        mark_price=mark,
        leverage=held["leverage"],
        unrealised=Decimal(str(held["unrealized_pnl"])),
        margin=quantity * mark / held["leverage"],
        liquidation_price=price(held["liquidation_price"]),
        stop=price(plan["stop_loss"]) if held["sl_oid"] != -1 else None,
        target=price(plan["profit_target"]) if held["tp_oid"] != -1 else None,
        opened_at=at - timedelta(hours=5, minutes=12),
        plan=plan["invalidation_condition"],
        confidence=held["confidence"],
        risk_usd=Decimal(str(held["risk_usd"])),
    )


def row(part: str, label: str) -> list[float]:
    """Return the numbers of the list behind a label."""
    found = re.search(re.escape(label) + r"\[(.*?)\]", part)
    assert found, label
    values = [float(value) for value in found[1].split(", ")]
    assert len(values) == 10, label
    return values


def number(part: str, label: str) -> str:
    found = re.search(re.escape(label) + r"(-?[\d.]+(?:e-?\d+)?)", part)
    assert found, label
    return found[1]
