"""A bot on a stored market of two symbols that stands still, and a model server on loopback that it asks."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from accounts.models import Account, Bot
from decisions.models import Cycle
from decisions.services import prompt_template_install
from decisions.tests.builders import envelope
from decisions.tests.llm_server import Behave, sends
from marketdata import database_market
from marketdata.models import Feed
from marketdata.services import candles_upsert, instruments_upsert, snapshots, ticker_put
from marketdata.stored import SeriesStore
from marketdata.tests.build import START, recording, walk
from marketdata.tests.stored import prices
from trading.services.live import CycleRun, cycle_run
from trading.tests.builders import make_account, make_bot

VENUE = "recorded"
COUNT = 1_000
SYMBOLS = ("BTCUSDT", "ETHUSDT")
MODEL = "test/model"
NULLS = dict.fromkeys(("quantity", "leverage", "stop_loss", "profit_target", "risk_usd"))
HOLD = {"signal": "hold", **NULLS, "invalidation_condition": "", "confidence": 0.5, "justification": "no edge"}


def answers(
    *items: dict[str, Any], model: str = MODEL, text: Callable[[str], str] | None = None, **usage: Any
) -> Behave:
    """Have a model answer with these items, under the decision id that it was asked."""

    def behave(connection: socket.socket, request: dict[str, Any]) -> None:
        asked = re.search(r"decision_id\W+([0-9a-f]{16})", json.dumps(request))
        assert asked, "the prompt names the decision id"
        said = text(asked[1]) if text else json.dumps({"decision_id": asked[1], "decisions": list(items)})
        sends(envelope(said, model=model, **usage))(connection, request)

    return behave


@dataclass
class House:
    """One bot, its account, and its market at `now`."""

    bot: Bot
    at: Any = START + COUNT * timedelta(minutes=1)
    price: dict[str, Decimal] = field(default_factory=dict)

    @property
    def account(self) -> Account:
        return self.bot.account

    def cycle(self) -> Cycle:
        """Run a cycle; it must go through."""
        run = self.run()
        assert run.status == "done", run.text
        return Cycle.objects.get(pk=run.cycle_id)

    def run(self) -> CycleRun:
        """Run a cycle a minute after the last one."""
        newest = Cycle.objects.filter(bot=self.bot).order_by("-scheduled_for").first()
        return cycle_run(
            bot_id=self.bot.pk, scheduled_for=newest.scheduled_for + timedelta(minutes=3) if newest else self.at
        )

    def entry(self, symbol: str = "BTCUSDT", *, quantity: str = "0.02", **changes: Any) -> dict[str, Any]:
        """An item that buys with a stop 2 % away and a target 5 % away, whose risk agrees with its size."""
        price = self.price[symbol]
        touch, stop = price + 5, round(price * Decimal("0.98"), 1)
        return {
            "coin": symbol,
            "signal": "buy_to_enter",
            "quantity": float(quantity),
            "leverage": 2,
            "stop_loss": float(stop),
            "profit_target": float(round(price * Decimal("1.05"), 1)),
            "risk_usd": float(round(Decimal(quantity) * (touch - stop), 2)),
            "confidence": 0.8,
            "invalidation_condition": "it turns",
            "justification": "up",
            **changes,
        }

    def hold(self, symbol: str = "ETHUSDT") -> dict[str, Any]:
        return {"coin": symbol, **HOLD}

    def close(self, symbol: str = "BTCUSDT") -> dict[str, Any]:
        return {"coin": symbol, **HOLD, "signal": "close_position"}


def make_house(monkeypatch: pytest.MonkeyPatch, **fields: Any) -> House:
    """Store the market and a bot on it that asks openrouter/test/model."""
    monkeypatch.setattr(database_market, "STORE", SeriesStore())
    monkeypatch.setattr(snapshots, "STORED", snapshots.Remembered())
    prompt_template_install()
    bot = make_bot(
        account=make_account(venue=VENUE),
        **{"model": f"openrouter/{MODEL}", "timeframes": ["3m", "15m"], "symbols": list(SYMBOLS), **fields},
    )
    house = House(bot)
    Feed.objects.create(
        venue=VENUE, kind="recorded", market_at=house.at, wall_at=house.at, running=False, interval="1m"
    )
    for seed, symbol in enumerate(SYMBOLS):
        candles = walk(COUNT, "1m", symbol=symbol, seed=seed)
        instruments_upsert(specs=[recording(candles).spec])
        candles_upsert(venue=VENUE, candles=candles, closed=True)
        last = house.price[symbol] = Decimal(str(candles.close[-1]))
        ticker_put(venue=VENUE, quotes=[prices(house.at, symbol, last=last, bid=last - 5, ask=last + 5, mark=last)])
    return house
