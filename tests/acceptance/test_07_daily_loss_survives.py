"""Acceptance test 7: daily loss and drawdown survive.

Equity falls through the limit by an unrealised loss, by funding, and after a deposit of 500 USDT; the process is begun
anew in between; a price that is no number arrives. Entries stop at once, everything is closed where the account says so,
and the lock remains until the operator lifts it in the admin, with a record of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal as D

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Account, Alert, AuditEntry, RiskLimits, User
from decisions.domain.proposal import Verdict
from marketdata.models import VenueBudget
from trading.exchange.aster.adapter import AsterExchange
from trading.models import EquityPoint, Lock, LossWatch, Position
from trading.services import exchanges
from trading.tests.live_kit import BUY, CLOSE, LiveHouse, books_tie_out, live_house

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.ci]
LARGE = replace(BUY, quantity=D("0.07"), stop_loss=D(99_000))


@pytest.fixture
def house(monkeypatch) -> Iterator[LiveHouse]:
    with live_house(monkeypatch) as house:
        # Its day ends at 4 o'clock UTC, so that funding of midnight belongs to it.
        Account.objects.filter(pk=house.account.pk).update(time_zone="America/New_York")
        limits(house, cooldown_minutes=0, min_hold_minutes=0, losing_streak=0, opens_per_hour=30)
        house.guard()
        VenueBudget.objects.update(limit=10**6)  # the looks of many hours fall into one minute here
        yield house


def test_7_daily_loss_and_drawdown_survive(house, monkeypatch, client):
    limits(house, daily_loss="0.003")
    a_deposit_is_neither_profit_nor_a_cushion(house)
    an_unrealised_loss_locks_at_once_and_nothing_but_a_person_unlocks(house, monkeypatch)
    an_operator_lifts_it_in_the_admin_with_a_record(house, client)
    books_tie_out(house)


def test_7_funding_and_drawdown_do_the_same_and_everything_is_closed_where_the_account_says_so(house, client):
    operator(client)
    funding_alone_reaches_the_limit(house)
    lift(client, Lock.objects.get())
    at_the_drawdown_everything_is_closed_where_the_account_says_so(house)
    at_the_floor_only_a_lower_floor_or_more_money_helps(house, client)
    books_tie_out(house)


def a_deposit_is_neither_profit_nor_a_cushion(house):
    enters(house, BUY)
    house.served.control.deposit(house.user, 500)
    house.guard()
    watch = LossWatch.objects.get()
    assert watch.transfers == 10_500
    assert watch.unit < 1  # the fee of the entry was lost, nothing was won
    house.at(98_600)  # 28 USDT of 10,000, and 0.8 of fee: within the limit of 30
    house.guard()
    assert locks() == []


def an_unrealised_loss_locks_at_once_and_nothing_but_a_person_unlocks(house, monkeypatch):
    house.at(98_450)  # 31 USDT more than lost; of 10,500 it would be within the limit
    house.guard()
    assert locks() == ["loss.day"]
    told = Alert.objects.get(type="limit-reached")
    assert (told.severity, told.subject) == ("critical", "loss.day")
    figures = Lock.objects.get().data
    assert D(figures["loss"]) >= D("0.003") == D(figures["limit"])
    begin_anew()
    house.at(100_000)  # all is won back
    house.guard(2)
    limits(house, daily_loss="0.9", max_drawdown="0.95")  # and the limit is raised
    house.guard()
    not_a_number(house, monkeypatch)
    assert locks() == ["loss.day"]
    assert Alert.objects.filter(type="limit-reached").count() == 1
    closes(house)
    is_refused(house, "0.30 %")


def not_a_number(house, monkeypatch):
    """A mark price that is none neither adds a point, nor moves the watch, nor lets anything be opened."""
    points, watch = EquityPoint.objects.count(), LossWatch.objects.get()
    stated = AsterExchange.account
    with monkeypatch.context() as patch:
        patch.setattr(AsterExchange, "account", lambda exchange: without_mark(stated(exchange)))
        house.guard()
        assert "guard-blind" in house.incidents()
        is_refused(house, "equity is not known")
    assert EquityPoint.objects.count() == points
    assert LossWatch.objects.get().at == watch.at
    house.guard()
    assert "guard-blind" not in house.incidents()
    assert EquityPoint.objects.count() > points


def without_mark(state):
    nan = D("NaN")
    held = tuple(replace(position, mark_price=nan, unrealised=nan) for position in state.positions)
    return replace(state, unrealised=nan, positions=held)


def an_operator_lifts_it_in_the_admin_with_a_record(house, client):
    operator(client)
    lock = Lock.objects.get(lifted__isnull=True)
    lift(client, lock)
    lock.refresh_from_db()
    assert (lock.lifted_by.email, locks()) == ("boss@example.com", [])
    record = AuditEntry.objects.filter(action="lock-lift").latest("pk")
    assert (record.actor, record.before["kind"]) == (lock.lifted_by, "loss.day")
    assert record.before["reason"] == lock.reason
    house.guard()
    assert locks() == []  # the day counts from what there was when it was lifted
    enters(house, BUY)


def funding_alone_reaches_the_limit(house):
    enters(house, LARGE)  # a fee of 2.8
    limits(house, daily_loss="0.00035")  # 3.5 of 10,000
    house.guard()
    assert locks() == []
    house.clock.move_to(house.clock.at + timedelta(hours=4))  # 1.1 of funding at 16 o'clock
    house.at(100_000)
    begin_anew()
    house.guard()
    assert locks() == ["loss.day"]
    assert Position.objects.get(closed=None).funding < -1
    closes(house)
    is_refused(house, "the day's loss of 0.04 %")


def at_the_drawdown_everything_is_closed_where_the_account_says_so(house):
    limits(house, daily_loss="0.0039", max_drawdown="0.004")
    enters(house, LARGE)
    house.at(99_550)  # 34 USDT of today with the fee, which is still too little, and what was lost before
    house.guard()
    assert (locks(), house.held()) == (["loss.drawdown"], D("0.07"))
    limits(house, flatten_on_loss=True)
    begin_anew()
    house.guard()
    assert (house.held(), house.truth.working()) == (0, [])
    assert Position.objects.latest("opened").exit_reason == "loss"
    assert EquityPoint.objects.latest("at").unrealised == 0
    is_refused(house, "drawdown")


def at_the_floor_only_a_lower_floor_or_more_money_helps(house, client):
    limits(house, equity_floor="9980", daily_loss="0.4", max_drawdown="0.5", flatten_on_loss=False)
    house.guard()
    assert set(locks()) == {"loss.drawdown", "loss.floor"}
    for lock in Lock.objects.filter(lifted__isnull=True):
        page = lift(client, lock)
        if lock.kind == "loss.floor":
            assert "still below the floor of 9,980.00" in page
    assert locks() == ["loss.floor"]
    house.served.control.deposit(house.user, 100)
    house.guard()
    assert locks() == ["loss.floor"]
    lift(client, Lock.objects.get(lifted__isnull=True))
    enters(house, BUY)


def limits(house, **values):
    RiskLimits.objects.filter(account=house.account).update(**values)


def begin_anew():
    """As a process that begins: no connection to the exchange, no object of before."""
    exchanges.exchanges_forget()


def enters(house, proposal):
    run = house.cycle(proposal)
    assert house.held() == proposal.quantity, (run.text, run.result and run.result.rulings)


def closes(house):
    run = house.cycle(CLOSE)
    assert house.held() == 0, run.text


def is_refused(house, words):
    held = house.held()
    run = house.cycle(BUY)
    assert run.result, run.text
    (ruling,) = run.result.rulings
    hit = next(hit for hit in ruling.hits if hit.rule == "standing.blocked")
    assert (ruling.verdict, house.held()) == (Verdict.REFUSED, held)
    assert words in hit.text, hit.text


def locks():
    return list(Lock.objects.filter(lifted__isnull=True).order_by("pk").values_list("kind", flat=True))


def operator(client: Client):
    boss, _ = User.objects.get_or_create(email="boss@example.com", is_staff=True, is_superuser=True)
    client.force_login(boss)


def lift(client: Client, lock: Lock) -> str:
    given = {"action": "lift", "_selected_action": [lock.pk]}
    page = client.post(reverse("admin:trading_lock_changelist"), given, follow=True)
    assert page.status_code == 200
    return page.content.decode()
