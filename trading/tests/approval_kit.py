"""A bot whose entries wait for its owner, on a paper account and a market that stands still."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Permission

from accounts.models import Account, Bot, User
from decisions.deciders import rules
from decisions.domain.proposal import Action, Proposal
from decisions.models import Approval, Cycle, Decision
from trading.models import PaperOrder, Position
from trading.selectors import approvals
from trading.selectors import market as market_views
from trading.services import live, schedule
from trading.services.approval import Answered, decision_approve
from trading.services.live import CycleRun, cycle_run
from trading.tests.builders import make_bot, make_trader
from trading.tests.venue_support import NOON, StillMarket
from vibex.lib.clock import SimulatedClock

NEXT = NOON + timedelta(minutes=3)
BUY = Proposal("BTCUSDT", Action.BUY, Decimal("0.02"), 2, Decimal(98_000), Decimal(104_000), justification="it rises")
SELL = Proposal("BTCUSDT", Action.SELL, Decimal("0.02"), 2, Decimal(102_000), Decimal(96_000), justification="it falls")
CLOSE = Proposal("BTCUSDT", Action.CLOSE)


@dataclass
class AskingHouse:
    """The bot, its market, and what it proposes next."""

    bot: Bot
    market: StillMarket
    clock: SimulatedClock
    proposals: tuple[Proposal, ...] = (BUY,)
    seen: list[Any] = field(default_factory=list)
    """The questions that the bot was asked."""

    @property
    def account(self) -> Account:
        return Account.objects.select_related("limits", "owner").get(pk=self.bot.account_id)

    @property
    def owner(self) -> User:
        return self.account.owner

    def run(self, *proposals: Proposal, at=NOON) -> CycleRun:
        """Let the bot decide on a candle, and propose these (or what it proposed before)."""
        self.proposals = proposals or self.proposals
        self.clock.move_to(at)
        return cycle_run(bot_id=self.bot.pk, scheduled_for=at)

    def later(self, seconds: float) -> None:
        self.clock.move_to(self.clock.at + timedelta(seconds=seconds))

    def approve(self, decision: Decision | None = None, *, actor: User | None = None) -> Answered:
        return decision_approve(decision=decision or self.asked(), actor=actor or self.owner)

    def asked(self) -> Decision:
        """What waited last."""
        return Approval.objects.select_related("decision__bot__account").latest("pk").decision

    def states(self) -> list[str]:
        return list(Approval.objects.order_by("pk").values_list("state", flat=True))

    def cycles(self) -> list[str]:
        return list(Cycle.objects.order_by("pk").values_list("status", flat=True))

    def entries(self) -> int:
        """How many orders that open something the venue has seen."""
        return PaperOrder.objects.filter(type="LIMIT").count()

    def held(self) -> Decimal:
        position = Position.objects.filter(account=self.bot.account_id, closed=None).first()
        return Decimal(0) if position is None else position.quantity * (1 if position.side == "long" else -1)


def asking_house(monkeypatch: pytest.MonkeyPatch, name: str = "paper", **bot: Any) -> AskingHouse:
    """Return a house with a running bot that asks its owner."""
    market, clock = StillMarket(), SimulatedClock(NOON)
    given = {"model": "rules/scripted", "approval": True, "status": "running", **bot}
    house = AskingHouse(make_bot(name, **given), market, clock)
    make_trader(house.owner)

    def scripted(question: Any) -> tuple[Proposal, ...]:
        house.seen.append(question)
        return house.proposals

    monkeypatch.setitem(rules.RULES, "scripted", scripted)
    monkeypatch.setattr(live, "market_for", lambda venue: market)
    for module in (live, schedule, approvals):
        monkeypatch.setattr(module, "market_clock", lambda venue: clock)
    viewed = market_views.view_of  # pages look at the same clock
    monkeypatch.setattr(market_views, "view_of", lambda feed, venue: replace(viewed(feed, venue), now=clock.now()))
    return house


def staff(email: str, *, may: bool) -> User:
    """Return a member of staff, with or without the permission to answer for others."""
    person = User.objects.create_user(email, "correct horse battery", is_staff=True)
    if may:
        person.user_permissions.add(Permission.objects.get(codename="resume_account"))
    return User.objects.get(pk=person.pk)
