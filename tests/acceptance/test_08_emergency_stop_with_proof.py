"""Acceptance test 8: the emergency stop with proof, on three live accounts at once.

One holds a position that a person opened, one waits for its model, one is at an exchange that times out at first. Within
30 s nothing is open and that is proved by reading; the late decision sends nothing; the failing account went on trying
and alarmed; a restart changes nothing.
"""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections

from accounts.models import Account, Alert, Bot, Incident
from decisions.deciders import rules
from decisions.models import Cycle
from trading.models import Halt
from trading.services.exchanges import exchanges_forget
from trading.services.guard import guard_run
from trading.services.live import CycleRun, cycle_run
from trading.tests.live_kit import BUY, SYMBOL, LiveHouse, live_exchange, live_house

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.ci,
    pytest.mark.postgres,  # several threads write at once
    pytest.mark.timeout(240),
]
LIMIT = 30.0


@dataclass
class Thinking:
    """A model that is asked and answers when it is let: to buy."""

    asked: threading.Event = field(default_factory=threading.Event)
    answer: threading.Event = field(default_factory=threading.Event)
    runs: list[CycleRun] = field(default_factory=list)

    def __call__(self, question: Any) -> tuple[Any, ...]:
        self.asked.set()
        assert self.answer.wait(60)
        return (BUY,)

    def cycle(self, house: LiveHouse, at: Any) -> threading.Thread:
        def run() -> None:
            try:
                self.runs.append(cycle_run(bot_id=house.bot.pk, scheduled_for=at, deadline_seconds=120))
            finally:
                connections.close_all()

        thread = threading.Thread(target=run)
        thread.start()
        return thread


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[LiveHouse, LiveHouse, LiveHouse]]:
    with (
        live_exchange() as served,
        live_house(monkeypatch, served=served, name="by-hand") as by_hand,
        live_house(monkeypatch, served=served, name="thinking") as thinking,
        live_house(monkeypatch, served=served, name="slow") as slow,
    ):
        yield by_hand, thinking, slow


def test_8_emergency_stop_with_proof_on_three_accounts(three, monkeypatch, capsys):
    by_hand, thinking, slow = three
    hand = {"symbol": SYMBOL, "side": "BUY"}
    by_hand.served.control.order(by_hand.user, **hand, type="MARKET", quantity="0.05")
    by_hand.served.control.order(by_hand.user, **hand, type="LIMIT", timeInForce="GTC", price="90000", quantity="0.1")
    slow.cycle(BUY)
    assert len(slow.stops()) == 1

    model = Thinking()
    monkeypatch.setitem(rules.RULES, "thinking", model)
    Bot.objects.filter(pk=thinking.bot.pk).update(model="rules/thinking")
    slow.clock.move_to(slow.clock.at + timedelta(minutes=3))
    slow.at(slow.market.price)
    waiting = model.cycle(thinking, slow.clock.at)
    assert model.asked.wait(30)

    slow.fault("delay", seconds=6, count=2, form={"user": slow.user})
    told = halt_all()
    model.answer.set()
    waiting.join(30)

    # No new order: the late decision was discarded at its intent.
    (run,) = model.runs
    assert run.status in (Cycle.Status.ABANDONED, Cycle.Status.DONE), run.text
    assert not thinking.truth.orders
    assert Cycle.objects.get(bot=thinking.bot).account.state == Account.State.HALTED

    # Flat by reading again, each account listed with what was done and how long it took.
    for house in three:
        assert house.state.positions == ()
        assert house.truth.working() == []
    listed = {one["name"]: one for one in told}
    assert {name: (one["latched"], one["flat"]) for name, one in listed.items()} == dict.fromkeys(listed, (True, True))
    assert set(listed) == {"by-hand", "thinking", "slow"}
    assert (listed["by-hand"]["closed"], len(listed["by-hand"]["cancelled"])) == (["BTCUSDT long 0.05"], 1)
    assert listed["slow"]["closed"] == ["BTCUSDT long 0.02"]
    taken = {halt.account.name: halt.seconds for halt in Halt.objects.select_related("account")}
    assert max(taken.values()) <= LIMIT
    with capsys.disabled():
        print(f"\nflat and proved after {', '.join(f'{name} {seconds:.2f} s' for name, seconds in taken.items())}")  # noqa: T201

    # The one that failed went on trying, and alarmed meanwhile.
    (incident,) = Incident.objects.filter(kind="halt")
    assert (incident.account, incident.severity, incident.resolved is not None) == (slow.account, "critical", True)
    assert Alert.objects.filter(account=slow.account, type="halt", severity="critical").exists()

    # Nothing of that is forgotten by a restart.
    exchanges_forget()
    for house in three:
        slow.at(slow.market.price)
        guard_run(account_id=house.account.pk)
        assert house.account.state == Account.State.HALTED
        run = cycle_run(bot_id=house.bot.pk, scheduled_for=slow.clock.at + timedelta(minutes=3))
        assert house.state.positions == (), run.text
    assert Halt.objects.filter(lifted=None, flat_at__isnull=False).count() == 3


def halt_all() -> list[dict[str, Any]]:
    out, progress = io.StringIO(), io.StringIO()
    call_command("halt", "--all", "--json", "--wait", str(LIMIT), stdout=out, stderr=progress)
    told: list[dict[str, Any]] = json.loads(out.getvalue())
    return told
