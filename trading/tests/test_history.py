"""What an account did lately: from the books and from memory the same, of one day and of the newest ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D

import pytest

from accounts.domain.limits import DEFAULTS
from accounts.models import RiskLimits
from decisions.deciders import rules
from decisions.domain.proposal import Action, Proposal, Side
from trading.domain.history import ENDED_TOLD, History
from trading.models import Position
from trading.selectors.history import history_of
from trading.services import live
from trading.services.cycle import run_cycle
from trading.services.journal.memory import MemoryJournal
from trading.services.journal.orm import OrmJournal
from trading.tests.builders import make_account, make_bot
from trading.tests.test_execution import RUN
from trading.tests.venue_support import NOON, StillMarket, make_desk
from vibex.lib.clock import SimulatedClock

pytestmark = pytest.mark.django_db(transaction=True)
STEP = timedelta(hours=5)
BUY = Proposal("BTCUSDT", Action.BUY, D("0.02"), 2, D(98_000), D(104_000), confidence=0.9)
SELL = Proposal("BTCUSDT", Action.SELL, D("0.03"), 3, D(103_000), D(96_000), confidence=0.9)
CLOSE = Proposal("BTCUSDT", Action.CLOSE)
STORY: tuple[tuple[int, tuple[Proposal, ...]], ...] = (
    (100_000, (BUY,)),
    (99_000, (CLOSE,)),
    (100_000, (BUY,)),
    (101_500, (CLOSE, SELL)),
    (103_500, ()),  # beyond the stop
    (100_000, (BUY,)),
    (104_500, ()),  # beyond the target
    (100_000, ()),
)
FREE = {"cooldown_minutes": 0, "min_hold_minutes": 0, "losing_streak": 0}
type Told = list[History]


def in_memory() -> Told:
    desk, told = make_desk(), []
    for number, (price, wanted) in enumerate(STORY):
        desk.clock.move_to(NOON + number * STEP)
        desk.at(price)
        desk.world = replace(desk.world, decider=rules.RulesDecider("rules/story", lambda question, said=wanted: said))
        run_cycle(desk.world, replace(RUN, limits=replace(DEFAULTS, **FREE)))
        told.append(desk.journal.history(at=desk.clock.now()))
    return told


def on_paper(monkeypatch: pytest.MonkeyPatch) -> Told:
    market, clock, wanted, told = StillMarket(), SimulatedClock(NOON), (), []
    monkeypatch.setattr(rules, "RULES", {**rules.RULES, "story": lambda question: wanted})
    monkeypatch.setattr(live, "market_for", lambda venue: market)
    monkeypatch.setattr(live, "market_clock", lambda venue: clock)
    bot = make_bot(model="rules/story")
    RiskLimits.objects.update(**FREE)
    for number, (price, wanted) in enumerate(STORY):  # noqa: B007  the rule above reads what is wanted
        clock.move_to(NOON + number * STEP)
        market.price = D(price)
        run = live.cycle_run(bot_id=bot.pk, scheduled_for=clock.now())
        assert run.status == "done", run.text
        told.append(OrmJournal(bot.account).history(at=clock.now()))
    return told


@pytest.mark.ci
def test_paper_and_backtest_tell_the_same_history(monkeypatch):
    simulated, booked = in_memory(), on_paper(monkeypatch)
    assert [len(one.ended) for one in booked] == [0, 1, 1, 2, 3, 3, 4, 4]
    assert [len(one.opened) for one in booked] == [1, 1, 2, 3, 3, 3, 3, 2]
    assert [one.net > 0 for one in booked[-1].ended] == [False, True, False, True]
    assert booked == simulated


def test_the_history_that_rules_see_is_that_of_the_moment(monkeypatch):
    seen: list[History] = []
    desk = make_desk()
    monkeypatch.setattr(
        "trading.services.cycle.rule_all", lambda proposals, *, standing, **more: seen.append(standing.history) or ()
    )
    desk.journal.entered = [NOON - timedelta(days=1), NOON - timedelta(hours=23)]
    run_cycle(desk.world, RUN)
    assert [one.opened for one in seen] == [(NOON - timedelta(hours=23),)]


def test_of_the_books_it_takes_two_queries(django_assert_num_queries):
    account = make_account()
    with django_assert_num_queries(2):
        assert history_of(account, at=NOON) == History()


def ended(account, at: datetime, **sums: str) -> None:
    Position.objects.create(
        account=account,
        symbol="BTCUSDT",
        side="long",
        quantity=0,
        cost=0,
        entry_price=1,
        opened=at - timedelta(minutes=1),
        closed=at,
        **{name: D(value) for name, value in sums.items()},
    )


def test_the_net_result_is_after_fees_and_funding():
    account = make_account()
    ended(account, NOON, realised="10", fees="3", funding="-2")
    (one,) = history_of(account, at=NOON).ended
    assert (one.net, one.side, one.ended_at) == (D(5), Side.LONG, NOON)


def test_all_ends_of_a_day_are_told_and_of_before_the_newest():
    many, few = make_account("many"), make_account("few")
    for minutes in range(ENDED_TOLD + 20):
        ended(many, NOON - timedelta(minutes=minutes))
        ended(few, NOON - timedelta(days=2, minutes=minutes))
    assert len(history_of(many, at=NOON).ended) == ENDED_TOLD + 20
    told = history_of(few, at=NOON).ended
    assert len(told) == ENDED_TOLD
    assert told[-1].ended_at == NOON - timedelta(days=2)
    assert list(told) == sorted(told, key=lambda one: one.ended_at)


def test_memory_forgets_by_the_same_measure():
    journal = MemoryJournal()
    account = make_account()
    days = [NOON - timedelta(hours=minutes) for minutes in reversed(range(ENDED_TOLD + 20))]
    for at in days:
        ended(account, at)
    journal.ended = list(history_of(account, at=datetime(2000, 1, 1, tzinfo=UTC)).ended)
    assert len(journal.ended) == ENDED_TOLD + 20
    assert journal.history(at=NOON) == history_of(account, at=NOON)
