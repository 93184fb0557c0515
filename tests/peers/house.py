"""Bots on paper accounts that ask a real model server on loopback, through the whole cycle."""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from accounts.models import Bot
from decisions.models import Cycle, Decision, Interaction, Provider
from decisions.services import prompt_template_install
from trading.models import Order, Position
from trading.services import live
from trading.services.live import CycleRun, cycle_run
from trading.tests.builders import make_account, make_bot
from trading.tests.venue_support import NOON, StillMarket
from vibex.lib.clock import SimulatedClock

PROVIDER = "peer"
SYMBOL = "BTCUSDT"
ENTRY: dict[str, Any] = {
    "coin": SYMBOL,
    "signal": "buy_to_enter",
    "quantity": 0.02,
    "profit_target": 104000.0,
    "stop_loss": 98000.0,
    "invalidation_condition": "a close below 98,000",
    "leverage": 2,
    "confidence": 0.7,
    "risk_usd": 40.1,
    "justification": "it rises",
    "check": "0.02 104000.0 98000.0 2",
}
NOTHING = dict.fromkeys(("quantity", "profit_target", "stop_loss", "leverage", "risk_usd"))
HOLD = ENTRY | NOTHING | {"signal": "hold", "check": "", "justification": "no edge"}
CLOSE = HOLD | {"signal": "close_position"}
ID = "$decision_id"
"""Stands for the id in a text that a server fills in."""


def says(*items: dict[str, Any]) -> str:
    """The text of a reply to whatever is asked."""
    return json.dumps({"decision_id": ID, "decisions": list(items)})


@dataclass
class House:
    """A market that stands still, a provider at an address, and the bots that ask it."""

    base_url: str
    market: StillMarket = field(default_factory=StillMarket)
    clock: SimulatedClock = field(default_factory=lambda: SimulatedClock(NOON))

    def __post_init__(self) -> None:
        prompt_template_install()
        Provider.objects.update_or_create(
            name=PROVIDER,
            defaults={
                "dialect": Provider.Dialect.OPENROUTER,
                "base_url": self.base_url,
                "requests_per_minute": 1_000_000,
                "at_once": 1_000,
            },
        )

    def bot(self, model: str, *fallbacks: str, name: str = "paper", **fields: Any) -> Bot:
        """Return a bot of an account of its own that asks these models of the provider, in this order."""
        named = [f"{PROVIDER}/{one}" for one in (model, *fallbacks)]
        account = make_account(name)
        return make_bot(name, account=account, model=named[0], fallback_models=named[1:], **fields)

    def cycle(self, bot: Bot, *, seconds: float = 10.0, at: datetime = NOON) -> Told:
        """Let the bot decide on a candle, with so many seconds for everything that is asked."""
        self.clock.move_to(at)
        return Told(bot, cycle_run(bot_id=bot.pk, scheduled_for=at, deadline_seconds=seconds))

    def ask(self, model: str, *fallbacks: str, seconds: float = 10.0, **fields: Any) -> Told:
        """Let a new bot decide once."""
        return self.cycle(self.bot(model, *fallbacks, **fields), seconds=seconds)


@dataclass
class Told:
    """What a cycle left behind."""

    bot: Bot
    run: CycleRun

    @property
    def rows(self) -> list[Interaction]:
        """Every request, in the order in which they were made."""
        return list(Interaction.objects.filter(cycle_id=self.run.cycle_id, late_of=None).order_by("attempt", "pk"))

    @property
    def used(self) -> Interaction:
        return next(row for row in self.rows if row.used)

    @property
    def reason(self) -> str:
        """Why nothing came of it, by its code."""
        return self.used.reason.partition(":")[0]

    @property
    def opened(self) -> bool:
        """Is there a position, or as much as an order?"""
        where = {"account": self.bot.account}
        return Position.objects.filter(**where).exists() or Order.objects.filter(**where).exists()

    @property
    def decided(self) -> list[tuple[str, str]]:
        rows = Decision.objects.filter(cycle_id=self.run.cycle_id, kind=Decision.Kind.LIVE)
        return list(rows.order_by("sequence").values_list("symbol", "action"))

    @property
    def cost(self) -> Decimal:
        """US dollars that the calls are booked with."""
        return sum((row.cost if row.cost is not None else row.estimate or Decimal(0) for row in self.rows), Decimal(0))

    def assert_held(self, code: str = "") -> None:
        """It went through, is on record with a reason, and nothing was opened."""
        assert self.run.status == "done", self.run.text
        assert Cycle.objects.get(pk=self.run.cycle_id).status == Cycle.Status.DONE
        assert not self.opened
        assert self.decided == []
        assert self.used.outcome in ("no_answer", "rejected")
        assert self.used.reason
        assert self.reason.startswith(code), self.used.reason


def next_candle(number: int = 1) -> datetime:
    return NOON + timedelta(minutes=3 * number)


def enter(monkeypatch: pytest.MonkeyPatch, base_url: str) -> House:
    """Return a house whose market is the only one there is."""
    importlib.import_module("openai")  # takes seconds where many tests run at once, and no deadline here is about that
    house = House(base_url)
    monkeypatch.setattr(live, "market_for", lambda _: house.market)
    monkeypatch.setattr(live, "market_clock", lambda _: house.clock)
    return house
