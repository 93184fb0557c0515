"""One cycle from snapshot to publication: the nine steps in order, and a hold whenever one of them has nothing to give."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from accounts.domain.limits import DEFAULTS
from decisions.deciders.base import Answer, Outcome, Question, Reading
from decisions.domain.proposal import Action, Proposal, Verdict
from trading.exchange.base import Unavailable
from trading.services.cycle import run_cycle
from trading.services.journal.base import Stage
from trading.tests.test_execution import BUY, RUN, down, held, venue_orders
from trading.tests.venue_support import NOON, StillMarket, make_desk
from vibex.lib.clock import Deadline
from vibex.lib.errors import Retryable

SIZED = replace(BUY, quantity=Decimal("0.02"))


class Scripted:
    """A decider that answers what the test says, and says what it was asked."""

    name = "scripted"

    def __init__(self, *proposals: Proposal, wants_prompt: bool = False, outcome: Outcome = Outcome.ANSWERED) -> None:
        self.proposals, self.wants_prompt, self.outcome = proposals, wants_prompt, outcome
        self.questions: list[Question] = []

    def ask(self, question: Question, deadline: Deadline) -> Answer:
        self.questions.append(question)
        return Answer(
            self.outcome, raw=b"raw", proposals=self.proposals, reason="unreachable: 127.0.0.1 did not answer"
        )

    def read(self, question: Question, answer: Answer) -> Reading:
        return Reading(
            answer.outcome, answer.proposals or (), reason=answer.reason if answer.outcome != "answered" else ""
        )


def desk_with(decider: Scripted, **faults):
    desk = make_desk(**faults)
    desk.world = replace(desk.world, decider=decider)
    return desk


def test_the_nine_steps_run_in_their_order_and_each_is_timed():
    desk, stages = desk_with(Scripted(SIZED)), []
    desk.journal.stage = stages.append  # type: ignore[method-assign]
    result = run_cycle(desk.world, RUN)
    assert stages == list(Stage)
    assert list(result.timings) == [stage.value for stage in Stage]


def test_a_proposal_that_risk_accepts_ends_as_a_protected_position():
    desk = desk_with(Scripted(SIZED))
    result = run_cycle(desk.world, RUN)
    assert [ruling.verdict for ruling in result.rulings] == [Verdict.ACCEPTED]
    assert held(desk) == Decimal("0.02")
    assert len(venue_orders(desk)) == 2


def test_the_next_cycle_sees_the_position_with_its_stop_and_target():
    decider = Scripted(SIZED)
    desk = desk_with(decider)
    run_cycle(desk.world, RUN)
    decider.proposals = (Proposal("BTCUSDT", Action.HOLD),)
    run_cycle(desk.world, RUN)
    (position,) = decider.questions[-1].portfolio.positions
    assert (position.stop, position.target, position.leverage) == (98_000, 104_000, 2)


def test_a_hold_leaves_the_bracket_as_it_is():
    decider = Scripted(SIZED)
    desk = desk_with(decider)
    run_cycle(desk.world, RUN)
    before = [order.client_order_id for order in desk.exchange.inner.account().orders]
    decider.proposals = (Proposal("BTCUSDT", Action.HOLD, stop_loss=Decimal(1)),)
    run_cycle(desk.world, RUN)
    assert [order.client_order_id for order in desk.exchange.inner.account().orders] == before


def test_a_close_and_an_entry_in_one_reply_reverse_the_position():
    decider = Scripted(SIZED)
    desk = desk_with(decider)
    run_cycle(desk.world, RUN)
    desk.clock.move_to(NOON + timedelta(minutes=DEFAULTS.min_hold_minutes))
    short = replace(SIZED, action=Action.SELL, stop_loss=Decimal(102_000), profit_target=Decimal(96_000))
    decider.proposals = (Proposal("BTCUSDT", Action.CLOSE), short)
    run_cycle(desk.world, RUN)
    assert held(desk) == Decimal("-0.02")
    assert {trigger for _, trigger in venue_orders(desk)} == {102_000, 96_000}


@pytest.mark.parametrize("outcome", [Outcome.NO_ANSWER, Outcome.REJECTED])
def test_promise_5_garbage_in_no_trade_a_reply_that_is_not_one_holds_everything(outcome):
    desk = desk_with(Scripted(SIZED, outcome=outcome))
    desk.world.decider.read = lambda question, answer: Reading(outcome, reason="not_json")  # type: ignore[method-assign]
    result = run_cycle(desk.world, RUN)
    assert (result.rulings, desk.exchange.placed) == ((), [])
    assert any("not_json" in line.text for line in desk.journal.lines)


def test_an_answer_after_the_deadline_is_discarded_and_still_kept_on_record():
    desk = desk_with(Scripted(SIZED))
    result = run_cycle(desk.world, replace(RUN, deadline_seconds=0.0))
    assert result.reading.reason.startswith("late")
    assert desk.exchange.placed == []
    assert len(desk.journal.readings) == 1


@pytest.mark.parametrize("template", [None, "no separator and $nonsense"])
def test_a_missing_or_broken_template_holds_and_nobody_is_asked(template):
    decider = Scripted(SIZED, wants_prompt=True)
    desk = desk_with(decider)
    result = run_cycle(desk.world, replace(RUN, template=template))
    assert decider.questions == []
    assert result.reading.outcome is Outcome.NO_ANSWER
    assert "prompt-template" in {kind for kind, _ in desk.journal.incidents}
    assert not desk.exchange.placed


def test_the_price_is_read_again_after_the_answer_and_a_stop_that_is_now_wrong_is_refused():
    class Moving(StillMarket):
        def quote(self, symbol, *, at):
            quote = super().quote(symbol, at=at)
            self.price = Decimal(97_000)  # the next one who looks finds it below the stop
            return quote

    desk = desk_with(Scripted(SIZED))
    desk.world = replace(desk.world, market=Moving())
    result = run_cycle(desk.world, RUN)
    assert [ruling.verdict for ruling in result.rulings] == [Verdict.REFUSED]
    assert desk.exchange.placed == []


def test_a_price_that_cannot_be_read_again_refuses_the_entry_and_says_so():
    class Silent(StillMarket):
        asked = 0

        def quote(self, symbol, *, at):
            self.asked += 1
            if self.asked > 1:
                raise Retryable("no price")
            return super().quote(symbol, at=at)

    desk = desk_with(Scripted(SIZED))
    desk.world = replace(desk.world, market=Silent())
    result = run_cycle(desk.world, RUN)
    assert "market.problem" in result.rulings[0].rule_ids


def test_an_exchange_that_is_down_ends_the_cycle_before_anything_is_asked():
    decider = Scripted(SIZED)
    desk = desk_with(decider, account=[down])
    with pytest.raises(Unavailable):
        run_cycle(desk.world, RUN)
    assert decider.questions == []


def test_promise_4_code_may_only_reduce_what_is_asked_for_is_never_exceeded():
    desk = desk_with(Scripted(replace(BUY, quantity=Decimal(5))))
    result = run_cycle(desk.world, RUN)
    (ruling,) = result.rulings
    assert ruling.verdict is Verdict.REDUCED
    assert held(desk) == ruling.quantity < 5


def test_the_diary_says_what_was_thought_ruled_and_done():
    desk = desk_with(Scripted(replace(SIZED, justification="trend and momentum agree")))
    run_cycle(desk.world, RUN)
    kinds = {line.kind: line.text for line in desk.journal.lines}
    assert "trend and momentum agree" in kinds["decision"]
    assert "0.02" in kinds["trade"]


def test_equity_is_recorded_once_a_cycle_after_what_was_done():
    desk = desk_with(Scripted(SIZED))
    run_cycle(desk.world, RUN)
    (point,) = desk.journal.points
    assert point.at == NOON
    assert point.equity < 10_000  # the fee and the spread are in it


def test_a_question_carries_what_the_bot_may_know_and_a_nonce_of_its_own():
    decider = Scripted()
    desk = desk_with(decider)
    run_cycle(desk.world, RUN)
    run_cycle(desk.world, RUN)
    first, second = decider.questions
    assert first.decision_id != second.decision_id
    assert first.next_decision_at - first.snapshot.at == timedelta(minutes=3)


def test_a_price_that_stopped_moving_while_the_model_thought_is_not_traded_on():
    class Frozen(StillMarket):
        def quote(self, symbol, *, at):
            return super().quote(symbol, at=NOON)

    desk = desk_with(Scripted(SIZED))
    desk.world = replace(desk.world, market=Frozen())
    desk.world.decider.ask = lambda question, deadline: (  # type: ignore[method-assign]
        desk.clock.move_to(NOON + timedelta(seconds=31)) or Answer(Outcome.ANSWERED, proposals=(SIZED,))
    )
    result = run_cycle(desk.world, RUN)
    assert "market.problem" in result.rulings[0].rule_ids
    assert desk.exchange.placed == []
