"""What goes wrong with shadows leaves the cycle as it is; what goes wrong with the cycle does not wait for them."""

import threading

import pytest

from decisions.domain.proposal import Action, Proposal, Ruling, Verdict
from decisions.domain.question import Answer, Member, Outcome, Reading
from decisions.tests.builders import question
from trading.services.comparing import shadows_compared
from trading.services.journal.base import IntentVoid
from trading.services.journal.memory import MemoryJournal

BUY = Proposal("ETHUSDT", Action.BUY)
HELD = Reading(Outcome.ANSWERED, ())
WANTS = Member("peer/two", Answer(Outcome.ANSWERED), Reading(Outcome.ANSWERED, (BUY,)))
SILENT = Member("peer/three", Answer(Outcome.NO_ANSWER), Reading(Outcome.NO_ANSWER, reason="timeout"))


def rule(proposals):
    return tuple(Ruling(proposal, Verdict.ACCEPTED) for proposal in proposals)


def compared(journal, shadows, inside=lambda: None):
    answer = Answer(Outcome.ANSWERED, shadows=shadows)
    with shadows_compared(journal, question(), answer, HELD, rule):
        inside()


def test_shadows_are_asked_for_after_what_is_inside_and_ruled_with_holds_for_what_they_left_out():
    journal, order = MemoryJournal(), []

    def shadows():
        order.append("shadows")
        return WANTS, SILENT

    compared(journal, shadows, lambda: order.append("orders"))
    assert order == ["orders", "shadows"]
    (two, ruled), (three, nothing) = journal.compared
    assert [(each.proposal.symbol, each.proposal.action) for each in ruled] == [
        ("ETHUSDT", Action.BUY),
        ("BTCUSDT", Action.HOLD),
    ]
    assert (two, three, nothing) == (WANTS, SILENT, ())
    assert journal.rulings == []


def test_without_shadows_nothing_is_kept():
    journal = MemoryJournal()
    compared(journal, None)
    assert journal.compared == []


def test_an_exception_in_a_shadow_never_reaches_the_cycle():
    def breaks():
        raise RuntimeError("no")

    done = []
    compared(MemoryJournal(), breaks, lambda: done.append(1))
    assert done == [1]


def test_a_journal_that_cannot_keep_them_never_reaches_the_cycle():
    class Full(MemoryJournal):
        def shadowed(self, *args, **more):
            raise OSError("no room")

    compared(Full(), lambda: (WANTS,))


def test_a_rule_that_breaks_on_a_shadows_wish_never_reaches_the_cycle():
    def breaks(proposals):
        raise ArithmeticError

    answer = Answer(Outcome.ANSWERED, shadows=lambda: (WANTS,))
    with shadows_compared(MemoryJournal(), question(), answer, HELD, breaks):
        pass


def test_a_cycle_that_breaks_off_does_not_wait_for_them_and_they_are_kept_all_the_same():
    kept, go = threading.Event(), threading.Event()

    class Journal(MemoryJournal):
        def shadowed(self, *args, **more):
            super().shadowed(*args, **more)
            kept.set()

    def slow():
        assert go.wait(10)
        return (WANTS,)

    def overtaken():
        raise IntentVoid("halted")

    journal = Journal()
    with pytest.raises(IntentVoid):
        compared(journal, slow, overtaken)
    assert journal.compared == [], "it was waited for"
    go.set()
    assert kept.wait(10)
    assert [member for member, _ in journal.compared] == [WANTS]
