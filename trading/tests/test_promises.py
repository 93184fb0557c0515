"""Promises of the design that span the whole way of the data: one code path, and money that ties out."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from accounts.models import Bot, RiskLimits
from decisions.deciders import rules
from decisions.domain.proposal import Action, Proposal
from trading.models import Fill, IncomeEntry, Lock, PaperIncome, Position
from trading.services import live
from trading.services.backtest import run
from trading.services.cycle import run_cycle
from trading.services.guard import guard_run
from trading.services.standing import lock_lift
from trading.tests.builders import make_bot
from trading.tests.test_execution import RUN
from trading.tests.venue_support import NOON, StillMarket, make_desk
from vibex.lib.clock import SimulatedClock

pytestmark = pytest.mark.django_db(transaction=True)
BUY = Proposal("BTCUSDT", Action.BUY, Decimal("0.02"), 2, Decimal(98_000), Decimal(104_000))
SELL = Proposal("BTCUSDT", Action.SELL, Decimal("0.03"), 3, Decimal(103_000), Decimal(97_000))
CLOSE = Proposal("BTCUSDT", Action.CLOSE)
STORY: tuple[tuple[int, tuple[Proposal, ...]], ...] = (
    (100_000, (BUY,)),
    (101_000, ()),
    (101_500, (CLOSE, SELL)),
    (99_000, ()),
    (103_500, ()),  # beyond the stop of the short
    (103_400, (BUY,)),  # its stop is far, its target near: refused or taken, the same way in both worlds
    (97_500, (replace(SELL, profit_target=Decimal(87_000)),)),
    (96_000, (CLOSE,)),
)
"""Price at each fifth candle and what the decider wants there."""


def in_memory() -> tuple[list[tuple[str, ...]], Decimal]:
    """Live through the story as a backtest does; return its trades and the wallet at the end."""
    desk = make_desk()
    for number, (price, wanted) in enumerate(STORY):
        desk.clock.move_to(NOON + timedelta(minutes=15 * number))
        desk.at(price)
        desk.world = replace(desk.world, decider=rules.RulesDecider("rules/story", lambda question, said=wanted: said))
        run_cycle(desk.world, RUN)
    trades = [
        (t.side.value, str(t.quantity), str(t.price), str(t.fee), str(t.realised)) for t in desk.journal.fills.values()
    ]
    return trades, desk.exchange.inner.account().wallet


class Paper:
    """The same story lived through by a real bot: database, paper venue, lease and all."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.market, self.clock, self.wanted = StillMarket(), SimulatedClock(NOON), ()
        monkeypatch.setattr(rules, "RULES", {**rules.RULES, "story": lambda question: self.wanted})
        monkeypatch.setattr(live, "market_for", lambda venue: self.market)
        monkeypatch.setattr(live, "market_clock", lambda venue: self.clock)
        self.bot: Bot = make_bot(model="rules/story")

    def tell(self) -> tuple[list[tuple[str, ...]], Decimal]:
        for number, (price, wanted) in enumerate(STORY):
            at = NOON + timedelta(minutes=15 * number)
            self.clock.move_to(at)
            self.market.price, self.wanted = Decimal(price), wanted
            assert live.cycle_run(bot_id=self.bot.pk, scheduled_for=at).status == "done"
        guard_run(account_id=self.bot.account_id)
        fills = Fill.objects.order_by("at", "pk")
        trades = [
            tuple(f"{value.normalize():f}" if isinstance(value, Decimal) else value for value in row)
            for row in fills.values_list("side", "quantity", "price", "fee", "realised")
        ]
        return trades, self.bot.account.paper.wallet


def plain(trades: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    return [(side, *(f"{Decimal(number).normalize():f}" for number in numbers)) for side, *numbers in trades]


def test_promise_1_one_code_path_paper_and_backtest_trade_to_the_last_digit_alike(monkeypatch):
    trades, wallet = Paper(monkeypatch).tell()
    simulated, simulated_wallet = in_memory()
    assert len(trades) >= 6
    assert trades == plain(simulated)
    assert wallet == simulated_wallet


def test_promise_1_one_code_path_a_backtest_runs_the_cycle_that_trades():
    assert run.run_cycle is live.run_cycle is run_cycle


def test_promise_7_loss_limits_hold_over_a_restart_a_new_day_and_a_raised_limit(monkeypatch):
    paper = Paper(monkeypatch)

    def limits(**values: str) -> None:
        RiskLimits.objects.update(**values)

    def cycle(price: int, *wanted: Proposal, hours: float) -> tuple[str, ...]:
        """Decide on a candle, each time out of what the database alone knows; return the rules that spoke."""
        at = NOON + timedelta(hours=hours)
        paper.clock.move_to(at)
        paper.market.price, paper.wanted = Decimal(price), wanted
        run = live.cycle_run(bot_id=paper.bot.pk, scheduled_for=at)
        assert run.result, run.text
        return tuple(hit.rule for ruling in run.result.rulings for hit in ruling.hits)

    limits(daily_loss="0.003", cooldown_minutes=0, losing_streak=0)
    assert cycle(100_000, BUY, hours=0) == ()
    assert cycle(99_000, CLOSE, hours=1) == ()  # 20 USDT of 10,000, and fees: within the limit
    assert cycle(100_000, BUY, hours=2) == ()
    assert "standing.blocked" in cycle(99_400, BUY, hours=3)  # what is not realised yet counts as well
    lock = Lock.objects.get(lifted=None)
    assert lock.kind == "loss.day"
    assert cycle(100_500, CLOSE, hours=4) == ()  # nothing keeps a close from going out
    limits(daily_loss="0.1")
    assert "standing.blocked" in cycle(100_000, BUY, hours=36)
    assert not Position.objects.filter(closed=None).exists()
    lock_lift(lock=lock, actor=paper.bot.account.owner)
    assert cycle(100_000, BUY, hours=37) == ()


def test_promise_8_money_ties_out_books_venue_and_positions_agree_to_the_last_digit(monkeypatch):
    paper = Paper(monkeypatch)
    _, wallet = paper.tell()
    ours = list(IncomeEntry.objects.order_by("transaction_id").values_list("kind", "transaction_id", "amount"))
    theirs = [
        (kind, str(number), amount)
        for kind, number, amount in PaperIncome.objects.values_list("kind", "transaction_id", "amount")
    ]
    assert sorted(ours) == sorted(theirs)
    net = sum((p.realised - p.fees + p.funding for p in Position.objects.all()), Decimal(0))
    assert paper.bot.account.starting_balance + net == wallet
    assert sum((fill.fee for fill in Fill.objects.all()), Decimal(0)) == sum(p.fees for p in Position.objects.all())
