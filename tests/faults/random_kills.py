"""What a process does until it is killed, and what the exchange's record says of it afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal as D
from random import Random
from typing import Any, Final

from accounts.models import Account, Bot
from decisions.deciders import rules
from decisions.domain.proposal import Action, Proposal
from trading.domain.matching import OrderRecord
from trading.domain.venue import OrderSide
from trading.exchange_server.accounts import Truth
from trading.models import Halt, Order, Position
from trading.services.claims import claims_clear
from trading.services.guard import guard_run
from trading.services.halt import account_halt
from trading.services.live import CycleRun, cycle_run, world_for
from trading.services.resume import account_resume
from trading.services.stops import move_stop
from trading.tests.live_kit import CLOSE, SYMBOL

ENTRY, MOVE, HALT, GUARD = PHASES = ("entry", "stop move", "halt", "guard")
STOPS: Final = [D(stop) for stop in range(97_000, 98_600, 100)]
BY_HAND: Final = ("nothing", "cancels the stop", "sells a part", "closes")
"""What a person does at the exchange itself before the guard looks."""


@dataclass
class Script:
    """One process that trades on an account: phases, and whatever has to come before each. `tell` is told of every step."""

    bot_id: int
    account_id: int
    chance: Random
    tell: Callable[[str], None]

    def run(self, phases: Iterable[str]) -> None:
        steps = {ENTRY: self.enter, MOVE: self.move, HALT: self.halt, GUARD: self.guard}
        for phase in phases:
            self._prepare(phase)
            self._step(phase, steps[phase])

    @property
    def account(self) -> Account:
        return Account.objects.select_related("limits", "owner").get(pk=self.account_id)

    def enter(self) -> None:
        stop = self.chance.choice(STOPS)
        self.decide(Proposal(SYMBOL, Action.BUY, D("0.02"), 2, stop, D(108_000), confidence=0.9))

    def move(self) -> None:
        move_stop(world_for(self.account), SYMBOL, self.chance.choice(STOPS))

    def halt(self) -> None:
        account_halt(account=self.account, reason="at random", actor=self.account.owner)

    def guard(self) -> None:
        guard_run(account_id=self.account_id)

    def resume(self) -> None:
        account_resume(account=self.account, actor=self.account.owner, reason="go on")
        claims_clear(account_id=self.account_id)  # who halted holds its symbols for some seconds more

    def decide(self, *proposals: Proposal) -> CycleRun:
        rules.RULES = {**rules.RULES, "scripted": lambda question: proposals}
        return cycle_run(bot_id=self.bot_id, scheduled_for=datetime.now(UTC))

    def _prepare(self, phase: str) -> None:
        """Bring the account to where the phase has something to do."""
        if self.account.state == Account.State.HALTED:
            self._step("resume", self.resume)
        held = Position.objects.filter(account=self.account, closed=None).exists()
        if phase == ENTRY and held:
            self._step("close", lambda: self.decide(CLOSE))
        elif phase != ENTRY and not held:
            self._step(ENTRY, self.enter)
        if phase == GUARD:
            self._by_hand(self.chance.choice(BY_HAND))

    def _by_hand(self, what: str) -> None:
        exchange = world_for(self.account).exchange
        state = exchange.account()
        held = state.position(SYMBOL)
        if what == "cancels the stop":
            for order in state.orders:
                if order.type == "STOP_MARKET":
                    exchange.cancel(symbol=SYMBOL, client_order_id=order.client_order_id)
        elif what != "nothing" and held:
            size = f"{held.quantity / (1 if what == 'closes' else 2)}"
            form = {"symbol": SYMBOL, "side": "SELL", "type": "MARKET", "quantity": size, "reduceOnly": "true"}
            exchange._calls.send("POST", "order", form)  # type: ignore[attr-defined]

    def _step(self, name: str, work: Callable[[], Any]) -> None:
        self.tell(f"{name} begins")
        work()
        self.tell(f"{name} ends")


# -- the record of the exchange ----------------------------------------------------------------------------------------


def naked_after(truth: Truth, since: datetime, until: datetime) -> float:
    """Return for how many seconds after `since` a position was open at the exchange without a stop over all of it.

    The longest time in one piece; one that is naked still counts until `until`.
    """
    moments = {since, until} | {trade.at for trade in truth.trades}
    moments |= {at for order in truth.orders for at in (order.created, order.updated)}
    times = sorted(at for at in moments if since <= at <= until)
    longest, began = 0.0, None
    for at in times:
        held = _held_at(truth, at)
        if held and not any(_covers(order, held, at) for order in truth.orders):
            began = began or at
        elif began:
            longest, began = max(longest, (at - began).total_seconds()), None
    return max(longest, (until - began).total_seconds() if began else 0.0)


def _held_at(truth: Truth, at: datetime) -> D:
    return sum((trade.side.sign * trade.quantity for trade in truth.trades if trade.at <= at), D(0))


def _covers(order: OrderRecord, held: D, at: datetime) -> bool:
    stands = order.created <= at and (order.status.open or order.updated > at)
    right = order.type == "STOP_MARKET" and order.side.sign * held < 0
    return stands and right and (order.close_position or order.quantity >= abs(held))


def entries(truth: Truth) -> list[OrderRecord]:
    return [one for one in truth.orders if one.side is OrderSide.BUY]


def entered_while_halted(truth: Truth, account: Account, ahead: Any) -> list[str]:
    """Return the entries that the exchange took while the account was halted; its clock is `ahead` of the wall's."""
    halts = [(halt.at + ahead, halt.lifted and halt.lifted + ahead) for halt in Halt.objects.filter(account=account)]
    return [
        one.client_order_id
        for one in entries(truth)
        if any(latched <= one.created and (lifted is None or one.created < lifted) for latched, lifted in halts)
    ]


def entered_unasked(truth: Truth, bot: Bot) -> list[str]:
    """Return the entries at the exchange that no decision of the bot stands behind, or more than one of the same."""
    decided = dict(Order.objects.filter(bot=bot, role="entry").values_list("client_order_id", "decision_id"))
    behind = [decided.get(one.client_order_id) for one in entries(truth)]
    return [
        one.client_order_id
        for one, decision in zip(entries(truth), behind, strict=True)
        if decision is None or behind.count(decision) > 1
    ]
