"""A pass of the guard: one screening for all accounts, a look of its own for each that is in doubt."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Account, Incident, RiskLimits
from trading import tasks
from trading.domain.screen import screen
from trading.models import EquityPoint, Fill, GuardState, Halt, Lock, LossWatch, Order, Position, UserStreamState
from trading.services import guard_pass as passing
from trading.services.claims import claim_take
from trading.services.guard import guard_run
from trading.services.guard_pass import guard_pass
from trading.services.halt import halt_latch
from trading.services.live import world_for
from trading.tests.guard_kit import StillMarket, make_paper, open_position
from trading.tests.live_kit import BUY, live_house

pytestmark = pytest.mark.django_db(transaction=True)


class Desk:
    """One account with a protected position, which is fine."""

    def __init__(self) -> None:
        self.market, self.account = StillMarket(), make_paper()
        open_position(self.account)
        self.look()

    def look(self) -> None:
        for _ in range(2):
            guard_run(account_id=self.account.pk)

    def doubts(self) -> str:
        GuardState.objects.update(full_at=timezone.now())
        return "; ".join(guard_pass().doubts.get(self.account.pk, ()))


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_what_was_looked_at_and_stands_is_fine_and_what_was_not_is_looked_at(desk: Desk) -> None:
    new = make_paper("new")
    open_position(new)
    desk.market.step()
    GuardState.objects.update(full_at=timezone.now())
    passed = guard_pass()
    assert passed.fine == (desk.account.pk,)
    assert "its turn has come" in passed.doubts[new.pk]


def test_for_who_is_fine_equity_losses_and_the_guards_word_are_written(desk: Desk) -> None:
    watch, points = LossWatch.objects.get(), EquityPoint.objects.count()
    desk.market.step({"BTCUSDT": 99_000})
    assert desk.doubts() == ""
    point = EquityPoint.objects.order_by("at").last()
    stated = world_for(desk.account).exchange.account()
    assert point is not None
    assert EquityPoint.objects.count() == points + 1
    assert (point.at, point.equity, point.wallet) == (desk.market.at, stated.equity, stated.wallet)
    assert point.unrealised < 0
    carried = LossWatch.objects.get()
    assert (carried.equity, carried.at, carried.peak) == (point.equity, point.at, watch.peak)
    state = GuardState.objects.get()
    assert state.well
    assert state.at is not None
    assert timezone.now() - state.at < timedelta(minutes=1)


def test_its_equity_is_that_of_a_look_to_the_last_digit(desk: Desk) -> None:
    open_position(desk.account, "ETHUSDT")
    desk.look()
    desk.market.step({"BTCUSDT": 100_321, "ETHUSDT": 3_987})
    assert desk.doubts() == ""
    passed = EquityPoint.objects.filter(at=desk.market.at).values("wallet", "unrealised", "equity", "transfers").get()
    guard_run(account_id=desk.account.pk)
    assert (
        EquityPoint.objects.filter(at=desk.market.at).values("wallet", "unrealised", "equity", "transfers").get()
        == passed
    )


def test_the_watchers_of_an_account_are_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr(passing, "publish_to_many_on_commit", lambda **what: told.append(what))
    assert desk.doubts() == ""
    assert told == [{"account_ids": [desk.account.pk], "kind": "equity"}]


def test_a_stop_that_was_touched_between_two_looks_is_found_though_the_price_came_back(desk: Desk) -> None:
    desk.market.step(wick={"BTCUSDT": 96_000})
    assert "prices met what waited" in desk.doubts()
    guard_run(account_id=desk.account.pk)
    assert Position.objects.get().exit_reason == "stop"


def test_a_stop_that_was_only_neared_leaves_it_fine(desk: Desk) -> None:
    desk.market.step(wick={"BTCUSDT": 97_100})
    assert desk.doubts() == ""


def test_funding_that_is_due_is_found(desk: Desk) -> None:
    desk.market.step()
    desk.market.settle_funding("BTCUSDT", "0.0001")
    assert "funding is due" in desk.doubts()
    guard_run(account_id=desk.account.pk)
    assert Position.objects.get().funding < 0


def test_a_fill_that_is_not_in_the_books_is_found(desk: Desk) -> None:
    order = Order.objects.get(role="target")
    world_for(desk.account).exchange.cancel(symbol="BTCUSDT", client_order_id=order.client_order_id)
    assert "written to it since the last look" in desk.doubts()


def test_an_account_that_is_halted_is_in_doubt_until_it_is_flat(desk: Desk) -> None:
    Account.objects.update(state=Account.State.HALTED)
    assert "halted and not flat" in desk.doubts()
    desk.look()
    assert not Position.objects.filter(closed=None).exists()
    assert guard_pass().doubts == {}


def test_a_halt_that_broke_off_before_its_proof_is_gone_on_with_though_nothing_is_in_play(desk: Desk) -> None:
    idle = make_paper("idle")
    halt_latch(account=idle, reason="the process died here")
    assert "halted and not flat yet" in "; ".join(guard_pass().doubts[idle.pk])
    guard_run(account_id=idle.pk)
    assert Halt.objects.get(account=idle).flat_at is not None
    assert idle.pk not in guard_pass().doubts


def test_a_loss_limit_that_is_reached_is_locked_by_the_look_that_follows(desk: Desk) -> None:
    RiskLimits.objects.update(daily_loss=Decimal("0.001"))
    desk.market.step({"BTCUSDT": 98_000})
    assert "the day's loss" in desk.doubts()
    guard_run(account_id=desk.account.pk)
    assert Lock.objects.get().kind == "loss.day"
    assert desk.doubts() == ""


def test_a_symbol_at_which_somebody_is_at_work_is_left_to_him_and_said(desk: Desk) -> None:
    claim_take(account_id=desk.account.pk, symbol="BTCUSDT", holder="somebody")
    Order.objects.filter(role="stop").update(state="cancelling")
    assert desk.doubts() == ""
    assert GuardState.objects.get().text == "somebody is at work on BTCUSDT"


def test_an_account_that_cannot_be_screened_hides_no_other(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    other = make_paper("other")
    open_position(other)
    guard_run(account_id=other.pk)
    guard_run(account_id=other.pk)

    def broken(known: Any, *, account_id: int, now: Any) -> Any:
        if account_id == other.pk:
            raise ZeroDivisionError
        return screen(known, account_id=account_id, now=now)

    monkeypatch.setattr(passing, "screen", broken)
    GuardState.objects.update(full_at=timezone.now())
    passed = guard_pass()
    assert passed.fine == (desk.account.pk,)
    assert "could not be screened" in passed.doubts[other.pk][0]


def test_an_equity_that_cannot_be_written_hides_no_other(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    rich = make_paper("rich")
    open_position(rich)
    guard_run(account_id=rich.pk)
    guard_run(account_id=rich.pk)
    known = passing.readings

    def with_one_too_large(ids: Any, *, now: Any) -> Any:
        found = known(ids, now=now)
        return [
            replace(one, equity=replace(one.equity, wallet=Decimal("1e30"))) if one.account.pk == rich.pk else one
            for one in found
        ]

    monkeypatch.setattr(passing, "readings", with_one_too_large)
    GuardState.objects.update(full_at=timezone.now())
    passed = guard_pass()
    assert passed.fine == (desk.account.pk,)
    assert "could not be written" in passed.doubts[rich.pk][0]
    assert EquityPoint.objects.filter(account=desk.account, at=desk.market.at).exists()


def test_when_the_pass_itself_breaks_every_account_gets_a_look(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError

    sent: list[int] = []
    monkeypatch.setattr(passing, "readings", broken)
    monkeypatch.setattr(tasks.guard_account, "apply_async", lambda args, expires: sent.append(args[0]))
    tasks.guard_all()
    assert sent == [desk.account.pk]


def test_who_is_fine_gets_no_look(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    monkeypatch.setattr(tasks.guard_account, "apply_async", lambda args, expires: sent.append(args[0]))
    GuardState.objects.update(full_at=timezone.now())
    tasks.guard_all()
    assert sent == []


def test_more_accounts_cost_no_more_queries(desk: Desk) -> None:
    def queries() -> int:
        GuardState.objects.update(full_at=timezone.now())
        with CaptureQueriesContext(
            connection,
        ) as counted:
            assert guard_pass().doubts == {}
        return len(counted)

    alone = queries()
    for name in ("two", "three"):
        account = make_paper(name)
        open_position(account)
        guard_run(account_id=account.pk)
        guard_run(account_id=account.pk)
    assert queries() <= alone


def test_a_live_account_that_is_heard_is_left_to_its_events_and_one_that_is_not_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from marketdata.domain.builtin import builtin_spec
    from marketdata.models import Feed, Ticker
    from marketdata.services.prices import instruments_upsert
    from trading.services import screening

    with live_house(monkeypatch) as house:
        monkeypatch.setattr(screening, "market_clock", lambda venue: house.clock)
        Feed.objects.create(venue="aster_testnet", kind=Feed.Kind.LIVE, market_at=house.clock.at, running=True)
        assert house.cycle(BUY).status == "done"
        house.guard(2)
        now = timezone.now()
        instruments_upsert(specs=[builtin_spec("aster_testnet", "BTCUSDT", price=100_000)])
        Ticker.objects.create(
            venue="aster_testnet",
            symbol="BTCUSDT",
            at=house.clock.at,
            last=100_000,
            bid=99_999,
            ask=100_001,
            mark=100_000,
        )
        GuardState.objects.update(full_at=now)
        assert "no process listens" in "; ".join(guard_pass().doubts[house.account.pk])
        heard = UserStreamState.objects.create(
            account=house.account,
            connected_at=now - timedelta(seconds=9),
            caught_up_at=now - timedelta(seconds=8),
            heard_at=now,
        )
        house.served.control.log(clear=True)
        assert guard_pass().doubts == {}
        assert house.served.control.log() == [], "nobody was asked"
        points = EquityPoint.objects.count()
        Fill.objects.update(at=timezone.now())  # heard and booked; what it did to the wallet nobody has read
        assert "traded since the last look" in "; ".join(guard_pass().doubts[house.account.pk])
        assert EquityPoint.objects.count() == points, "an equity of the new books and the old wallet is none"
        GuardState.objects.update(full_at=timezone.now())
        assert guard_pass().doubts == {}
        heard.caught_up_at = now - timedelta(seconds=10)
        heard.save()
        assert "not looked at since it is heard" in "; ".join(guard_pass().doubts[house.account.pk])
        UserStreamState.objects.update(caught_up_at=now, heard_at=now - timedelta(seconds=91))
        assert "not heard" in "; ".join(guard_pass().doubts[house.account.pk])
        assert not Incident.objects.filter(resolved=None).exists()
