"""Two answers at once, and an answer against a halt, a pause and the next cycle: one of them counts, whatever the order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from django.db import connections

from decisions.models import Approval, Cycle
from trading.models import PaperOrder
from trading.services.approval import decision_approve, decision_reject
from trading.services.halt import halt_latch
from trading.services.live import cycle_run
from trading.services.schedule import bot_pause
from trading.tests.approval_kit import BUY, NEXT, AskingHouse, asking_house
from vibex.lib.errors import Rejected

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]
ROUNDS = 4


@pytest.fixture
def houses(monkeypatch) -> Iterator[AskingHouse]:
    """Houses one after the other, an entry waiting in each: emptying the database takes longer than a round."""

    def each() -> Iterator[AskingHouse]:
        for number in range(ROUNDS):
            made = asking_house(monkeypatch, f"round-{number}")
            made.run(BUY)
            yield made

    return each()


def at_once(*deeds: Callable[[], object]) -> list[str]:
    """Do all of it at the same moment; return "done", or the code of the refusal, of each."""
    gate, told = threading.Barrier(len(deeds)), [""] * len(deeds)

    def one(place: int) -> None:
        try:
            gate.wait(10)
            deeds[place]()
            told[place] = "done"
        except Rejected as refusal:
            told[place] = refusal.code
        finally:
            connections.close_all()

    threads = [threading.Thread(target=one, args=[place]) for place in range(len(deeds))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return told


def entries(house: AskingHouse) -> int:
    return PaperOrder.objects.filter(paper__account=house.bot.account_id, type="LIMIT").count()


def approval(house: AskingHouse) -> str:
    return Approval.objects.get(decision__bot=house.bot).state


def cycles(house: AskingHouse) -> list[str]:
    return list(Cycle.objects.filter(bot=house.bot).order_by("pk").values_list("status", flat=True))


def approve(house: AskingHouse) -> Callable[[], object]:
    decision, owner = house.asked(), house.owner
    return lambda: decision_approve(decision=decision, actor=owner)


def test_of_four_approvals_at_once_one_is_carried_out(houses):
    for house in houses:
        told = at_once(*[approve(house)] * 4)
        assert sorted(told) == ["approved"] * 3 + ["done"]
        assert (entries(house), approval(house), cycles(house)) == (1, "approved", ["done"])


def test_approved_and_rejected_at_once_only_one_counts(houses):
    for house in houses:
        decision, owner = house.asked(), house.owner
        told = at_once(
            approve(house), lambda decision=decision, owner=owner: decision_reject(decision=decision, actor=owner)
        )
        assert sorted(told) in (["approved", "done"], ["done", "rejected"])
        assert (entries(house), cycles(house)) == (told[0] == "done", ["done"])


def test_against_a_halt_nothing_is_entered_after_it(houses):
    """What was approved before the halt either left before it, or is void at its intent."""
    for house in houses:
        told = at_once(approve(house), lambda account=house.account: halt_latch(account=account, reason="stop"))
        assert told in (["done", "done"], ["void", "done"])
        assert entries(house) <= (told[0] == "done")
        assert house.account.state == "halted"
        assert approval(house) == ("approved" if told[0] == "done" else "void")
        assert set(cycles(house)) <= {"done", "abandoned"}


def test_against_a_pause_it_is_used_or_void_and_never_both(houses):
    for house in houses:
        told = at_once(approve(house), lambda bot=house.bot, owner=house.owner: bot_pause(bot=bot, actor=owner))
        assert (told, approval(house)) in ((["done", "done"], "approved"), (["void", "done"], "void"))
        assert entries(house) <= (told[0] == "done")
        assert cycles(house) == ["done"]


def test_against_the_next_cycle_they_never_run_together(houses):
    """It was in time by the clock, and the next decision comes at the same moment."""
    for house in houses:
        house.proposals = ()
        told = at_once(approve(house), lambda bot=house.bot: cycle_run(bot_id=bot.pk, scheduled_for=NEXT))
        assert told[0] in ("done", "expired", "busy")
        assert told[1] == "done"
        assert entries(house) == (told[0] == "done")
        assert approval(house) == ("approved" if told[0] == "done" else "expired")
        assert cycles(house) in (["done", "done"], ["done", "skipped"])
