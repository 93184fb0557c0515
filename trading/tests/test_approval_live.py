"""Approval on a live account, against the running test exchange: what waits is not there, what was approved is, once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal as D

import pytest

from accounts.models import Bot
from decisions.models import Approval, Cycle
from trading.selectors import approvals
from trading.services.approval import Answered, decision_approve
from trading.services.halt import account_halt
from trading.tests.live_kit import BUY, CLOSE, LiveHouse, books_tie_out, live_house, nothing_hangs
from vibex.lib.errors import Rejected

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.ci]


@pytest.fixture
def house(monkeypatch) -> Iterator[LiveHouse]:
    with live_house(monkeypatch) as made:
        monkeypatch.setattr(approvals, "market_clock", lambda venue: made.clock)
        Bot.objects.update(approval=True)
        made.guard()
        yield made


def approve(house: LiveHouse) -> Answered:
    decision = Approval.objects.select_related("decision__bot__account__owner").latest("pk").decision
    return decision_approve(decision=decision, actor=decision.bot.account.owner)


def test_what_waits_is_not_at_the_exchange_and_what_was_approved_is_once_and_protected(house):
    assert house.cycle(BUY).status == "awaiting"
    assert house.truth.orders == ()
    house.at(99_900)
    answered = approve(house)
    assert answered.decision is not None
    assert (house.held(), house.stops(), answered.done[0].protected) == (D("0.02"), [D(98_000)], True)
    with pytest.raises(Rejected, match="approved already"):
        approve(house)
    assert house.cycle(CLOSE).status == "done"
    assert (house.held(), house.sent_twice()) == (0, [])
    house.guard()
    books_tie_out(house)
    nothing_hangs(house)


def test_an_answer_of_the_exchange_that_is_lost_is_asked_for_and_nothing_is_sent_again(house):
    house.cycle(BUY)
    house.fault("503-after", method="POST", path="*/order")
    approve(house)
    assert (house.held(), house.stops(), house.sent_twice()) == (D("0.02"), [D(98_000)], [])
    assert Cycle.objects.latest("pk").status == "done"
    nothing_hangs(house)


def test_after_a_halt_nothing_is_entered(house):
    house.cycle(BUY)
    account_halt(account=house.account, reason="enough")
    with pytest.raises(Rejected, match="halted"):
        approve(house)
    assert house.truth.orders == ()


def test_when_the_exchange_is_away_it_is_used_and_the_reason_is_told(house):
    house.cycle(BUY)
    house.fault("503", count=50)
    answered = approve(house)
    assert answered.decision is None
    assert "not carried out" in answered.text
    house.clock.move_to(house.clock.at + timedelta(seconds=1))
    assert Approval.objects.get().state == "approved"
