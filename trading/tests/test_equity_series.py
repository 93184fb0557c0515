"""The series of equity: a point at least every minute while something is in play, and one after every fill."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal as D
from itertools import pairwise

import pytest

from accounts.models import RiskLimits
from trading.models import EquityPoint, Fill, Lock, LossWatch
from trading.services import periodic
from trading.services.guard import guard_run
from trading.services.guard_pass import guard_pass
from trading.tests.guard_kit import StillMarket, make_paper, open_position
from trading.tests.live_kit import BUY, live_house
from trading.tests.test_user_stream_lives import Listened

pytestmark = pytest.mark.django_db(transaction=True)


def look_round() -> None:
    """As the scheduler does twice a minute."""
    for account_id in guard_pass().doubts:
        guard_run(account_id=account_id)


def test_an_account_in_play_has_a_point_at_every_pass_of_the_guard_of_which_there_are_two_a_minute():
    task, seconds = periodic.SYSTEM["system:guard"]
    assert (task, seconds <= 30) == ("trading.tasks.guard_all", True)
    market = StillMarket()
    account = make_paper()
    open_position(account)
    for minute in range(4):
        market.step({"BTCUSDT": 100_000 - 100 * minute})
        look_round()
        newest, watch = EquityPoint.objects.latest("at"), LossWatch.objects.get()
        assert newest.at == watch.at == market.at
        assert newest.equity == watch.equity
    apart = [later - at for at, later in pairwise(times())]
    assert max(apart) <= timedelta(minutes=1)


def test_a_fill_at_the_paper_venue_is_in_the_series_with_the_next_pass_and_a_limit_it_reached_locks():
    market = StillMarket()
    account = make_paper()
    RiskLimits.objects.update(daily_loss=D("0.002"))
    open_position(account)
    look_round()
    market.step({"BTCUSDT": 96_900}, wick={"BTCUSDT": 96_800})  # through the stop: 29 USDT of 10,000
    look_round()
    assert Fill.objects.count() == 2
    newest = EquityPoint.objects.latest("at")
    assert (newest.at, newest.unrealised) == (market.at, 0)
    assert newest.equity < 9_980
    assert Lock.objects.get().kind == "loss.day"


@pytest.mark.ci
@pytest.mark.postgres
def test_a_fill_that_is_heard_leads_to_a_point_and_to_the_lock_of_the_limit_it_reached(monkeypatch):
    with live_house(monkeypatch) as house:
        RiskLimits.objects.update(daily_loss=D("0.003"))
        house.cycle(BUY)
        with Listened() as listened:
            before = EquityPoint.objects.count()
            house.at(97_900)  # the stop fires: 41 USDT of 10,000
            listened.until(lambda: listened.seen(Lock.objects.filter(kind="loss.day").exists))
            assert EquityPoint.objects.count() > before
        assert house.held() == 0
        assert EquityPoint.objects.latest("at").unrealised == 0


def times() -> list:
    return list(EquityPoint.objects.order_by("at").values_list("at", flat=True))
