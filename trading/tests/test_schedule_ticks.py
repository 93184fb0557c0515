"""A tick decides on the latest closed candle, at the bot's own moment, once."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from celery import current_app
from django.db import InternalError, OperationalError
from kombu.exceptions import OperationalError as BrokerGone

from accounts.models import Account, Bot
from decisions.models import Cycle
from marketdata.models import Feed
from trading import tasks
from trading.domain.schedule import offset_for
from trading.models import Order, Position
from trading.services.periodic import SYSTEM, row_name
from trading.services.restored import restored_bar
from trading.services.schedule import accounts_in_play, bot_start, bot_stop, tick_of
from trading.tests import schedule_house as house

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, datetime]]:
    """Record which cycles are run instead of running them: they have tests of their own."""
    ran: list[tuple[int, datetime]] = []
    monkeypatch.setattr(tasks, "cycle_run", lambda *, bot_id, scheduled_for: ran.append((bot_id, scheduled_for)))
    return ran


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Record the countdowns of what is sent for later."""
    countdowns: list[float] = []
    monkeypatch.setattr(current_app, "send_task", lambda *_, countdown, **__: countdowns.append(countdown))
    return countdowns


def replayed_bot(after_noon: timedelta, speed: float = 0.001, interval: str = "1h") -> Bot:
    house.market("recorded", speed=speed, market_at=house.NOON + after_noon)
    return bot_start(bot=house.bot(house.account("replay", "recorded"), interval=interval), actor=None)


def decided(bot: Bot, slot: datetime, status: str = Cycle.Status.DONE) -> None:
    Cycle.objects.create(bot=bot, account=bot.account, scheduled_for=slot, lease_until=slot, status=status)


def test_after_its_moment_a_bot_decides_on_the_latest_candle(run: list[Any]) -> None:
    bot = replayed_bot(timedelta(minutes=25))
    tasks.bot_tick(bot.pk)
    assert run == [(bot.pk, house.NOON)]


def test_before_its_moment_it_waits_as_long_as_the_replay_needs(run: list[Any], sent: list[float]) -> None:
    bot = replayed_bot(timedelta(0), speed=2.0)
    tasks.bot_tick(bot.pk)
    offset = offset_for(row_name(bot), "1h").total_seconds()
    assert run == []
    assert sent == [pytest.approx(offset / 2, abs=1.5)]


def test_a_first_decision_does_not_wait_for_the_offset(run: list[Any]) -> None:
    bot = replayed_bot(timedelta(0))
    tasks.bot_tick(bot.pk, at_once=True)
    assert run == [(bot.pk, house.NOON)]


@pytest.mark.parametrize("status", Cycle.Status.values)
def test_a_candle_with_a_cycle_is_left_alone_however_it_ended(run: list[Any], status: str) -> None:
    bot = replayed_bot(timedelta(minutes=25))
    decided(bot, house.NOON, status)
    tasks.bot_tick(bot.pk)
    assert run == []


def test_a_late_tick_decides_on_the_newest_candle_only(run: list[Any]) -> None:
    bot = replayed_bot(timedelta(hours=7, minutes=25))
    decided(bot, house.NOON)
    tasks.bot_tick(bot.pk)
    assert run == [(bot.pk, house.NOON + timedelta(hours=7))]


def test_a_clock_that_went_back_decides_nothing_twice(run: list[Any]) -> None:
    bot = replayed_bot(timedelta(hours=1, minutes=25))
    decided(bot, house.NOON)
    Feed.objects.update(market_at=house.NOON + timedelta(minutes=25))
    tasks.bot_tick(bot.pk)
    assert run == []


def test_a_bot_that_was_stopped_meanwhile_decides_nothing(run: list[Any]) -> None:
    bot = replayed_bot(timedelta(minutes=25))
    bot_stop(bot=bot, actor=None)
    tasks.bot_tick(bot.pk)
    assert run == []


def test_a_bot_on_a_market_that_stands_decides_nothing(run: list[Any]) -> None:
    bot = replayed_bot(timedelta(minutes=25))
    Feed.objects.update(running=False)
    tasks.bot_tick(bot.pk)
    assert run == []


def test_a_bot_that_is_gone_is_no_error(run: list[Any]) -> None:
    tasks.bot_tick(4711)
    assert run == []


def test_a_bot_by_the_wall_clock_is_due_within_a_minute_of_the_close() -> None:
    bot = bot_start(bot=house.bot(), actor=None)
    tick = tick_of(bot.pk)
    assert tick is not None
    assert 0 <= tick.wait_seconds < 60


@pytest.mark.parametrize(
    "fault",
    [
        OperationalError("database is locked"),
        InternalError("terminating connection due to idle-in-transaction timeout"),
    ],
    ids=str,
)
def test_a_tick_that_the_database_did_not_let_through_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    from celery.exceptions import Retry

    def locked(_: int) -> None:
        raise fault

    monkeypatch.setattr("trading.services.schedule.tick_of", locked)
    tasks.bot_tick.push_request(called_directly=False, args=[1], kwargs={})
    try:
        with pytest.raises(Retry):
            tasks.bot_tick.run(1)
    finally:
        tasks.bot_tick.pop_request()


def play(account: Account) -> None:
    Position.objects.create(
        account=account, symbol="BTCUSDT", side="long", quantity=1, cost=100, entry_price=100, opened=house.NOON
    )


def order(account: Account, state: str) -> None:
    Order.objects.create(
        account=account, client_order_id=f"vx-{state}", role="entry", symbol="X", side="BUY", type="LIMIT", state=state
    )


def test_an_idle_account_is_not_guarded() -> None:
    house.account()
    assert accounts_in_play() == []


def test_an_open_position_is_guarded_also_on_a_halted_account_without_bots() -> None:
    account = house.account()
    play(account)
    Account.objects.update(state=Account.State.HALTED)
    assert accounts_in_play() == [account.pk]


@pytest.mark.parametrize(
    ("state", "guarded"),
    [("planned", True), ("sending", True), ("unknown", True), ("live", True), ("done", False), ("absent", False)],
)
def test_an_order_is_guarded_until_it_is_over(state: str, guarded: bool) -> None:
    account = house.account()
    order(account, state)
    assert accounts_in_play() == ([account.pk] if guarded else [])


def test_a_running_bot_is_guarded() -> None:
    bot = bot_start(bot=house.bot(), actor=None)
    assert accounts_in_play() == [bot.account_id]


def test_paper_on_a_market_that_stands_is_left_as_it_is_and_live_money_never_is() -> None:
    account = house.account()
    play(account)
    Feed.objects.update(running=False)
    assert accounts_in_play() == []
    Account.objects.update(mode=Account.Mode.LIVE, promoted_from=account)
    assert accounts_in_play() == [account.pk]


def test_each_account_is_guarded_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = house.account("one"), house.account("two")
    play(first)
    order(second, "live")
    guarded: list[Any] = []
    monkeypatch.setattr(tasks.guard_account, "apply_async", lambda args, expires: guarded.append((args, expires)))
    tasks.guard_all()
    assert guarded == [((first.pk,), 25), ((second.pk,), 25)]


def test_without_a_broker_the_rest_is_looked_at_here_and_the_broker_is_asked_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each attempt to reach a Redis that hangs takes ten seconds; an account that fails hides no other."""
    accounts = [house.account(name) for name in ("one", "two", "three")]
    for account in accounts:
        play(account)
    asked: list[Any] = []
    looked: list[int] = []

    def gone(args: Any, expires: int) -> None:
        asked.append(args)
        raise BrokerGone("Timeout reading from socket")

    def look(*, account_id: int) -> None:
        looked.append(account_id)
        raise OSError("its exchange is gone")

    monkeypatch.setattr(tasks.guard_account, "apply_async", gone)
    monkeypatch.setattr(tasks, "guard_run", look)
    tasks.guard_all()
    assert len(asked) == 1
    assert looked == [account.pk for account in accounts]


def test_an_account_that_was_deleted_while_its_task_waited_is_no_error() -> None:
    tasks.guard_account(4711)
    tasks.reconcile_account(4711, "hourly")


def test_comparisons_that_nobody_took_are_left_to_the_next_round(monkeypatch: pytest.MonkeyPatch) -> None:
    account = house.account()
    play(account)
    restored_bar(name="vibex-abcd-20260101T000000Z", at=house.NOON)
    sent: list[Any] = []
    monkeypatch.setattr(
        tasks.reconcile_account, "apply_async", lambda args, expires, countdown=0: sent.append((args, expires))
    )
    tasks.reconcile_all()
    tasks.restored_reconcile()
    assert [args for args, _ in sent] == [(account.pk, "hourly"), (account.pk, "restore")]
    for (_, expires), row in zip(sent, ("system:reconcile", "system:restored"), strict=True):
        assert 0 < expires < SYSTEM[row][1]


def test_comparisons_of_an_hour_are_spread_so_that_the_guard_finds_weight_beside_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    accounts = [house.account(name) for name in ("one", "two", "three", "four")]
    for account in accounts:
        play(account)
    waits: list[float] = []
    monkeypatch.setattr(
        tasks.reconcile_account, "apply_async", lambda args, expires, countdown: waits.append(countdown)
    )
    tasks.reconcile_all()
    assert waits == [0, 150, 300, 450]
