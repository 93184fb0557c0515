"""The five ports through which a cycle reaches the world. Live, paper and backtest differ in these alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from accounts.domain.limits import Limits
from decisions.deciders.base import BotView, Decider, Feedback
from decisions.domain.question import Outside
from marketdata.market import Market
from trading.domain.approval import Approved
from trading.domain.protection import Foreign
from trading.domain.risk import Standing
from trading.exchange.base import Exchange
from trading.services.journal.base import Journal
from vibex.lib.clock import Clock

DECISION_SECONDS = 30.0
"""What comes later than this after the ask is discarded."""


@dataclass(frozen=True, slots=True)
class Care:
    """How what is open is looked after, by the settings of the account."""

    foreign: Foreign = Foreign.ADOPT
    """What becomes of a position that Vibex did not open."""
    trailing_stop: Decimal | None = None
    """Distance ÷ mark price at which stops follow; None: they stand still."""


@dataclass(frozen=True, slots=True)
class World:
    """Clock, market, decider, exchange and journal of one account."""

    clock: Clock
    market: Market
    decider: Decider
    exchange: Exchange
    journal: Journal
    care: Care = field(default_factory=Care)
    installation: str = "demo"
    """Four characters that mark our client order ids on the exchange."""
    sleep: Callable[[float], None] = time.sleep
    """How to wait between two questions to the exchange; a test passes something faster."""


@dataclass(frozen=True, slots=True)
class Run:
    """What is run: one bot, for one candle, within its limits."""

    bot: BotView
    limits: Limits
    standing: Standing
    scheduled_for: datetime
    next_decision_at: datetime
    started_at: datetime
    starting_balance: Decimal
    invocation: int = 0
    feedback: tuple[Feedback, ...] = ()
    template: str | None = None
    """Text of the prompt template; None when the bot's template, or the version it is pinned to, does not exist."""
    template_version: int | None = None
    """The version that the bot is pinned to; None: the newest."""
    decision_id: str = ""
    """What must come back with the reply; "": a new one. A test names it, so that the same run asks the same."""
    outside: tuple[Outside, ...] = ()
    """Texts from outside that it may be shown, oldest first; most bots may be shown none."""
    approval: bool = False
    """Whether entries wait for a person."""
    approved: Approved | None = None
    """The entry that a person said yes to: it is ruled again, and nobody is asked anew."""
    budget_used: str = ""
    """How the model's money of the day is used up: then nobody is asked. "" while there is some left."""
    deadline_seconds: float = field(default=DECISION_SECONDS)
