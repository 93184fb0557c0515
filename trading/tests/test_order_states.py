"""An order follows its table, whatever reports come, how often, and in which order."""

import base64
import re
import uuid
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import event, example, given
from hypothesis import strategies as st

from trading.domain.orders import (
    ENDED,
    FINAL,
    IMPOSSIBLE,
    MOVES,
    NEVER_PLACED,
    UNRESOLVED,
    WORKING,
    OrderFacts,
    OrderState,
    Step,
    filled_to,
    move,
    new_client_order_id,
    observe,
)
from trading.domain.venue import OrderReport, OrderSide, OrderType, VenueStatus

D = Decimal
SIZE = 8
ACCEPTED_BY_THE_EXCHANGE = re.compile(r"^[\.A-Z\:/a-z0-9_-]{1,36}$")


def report(status: VenueStatus, filled: int | Decimal = 0, exchange_id: str = "77") -> OrderReport:
    return OrderReport(
        client_order_id="vxdemo1",
        exchange_id=exchange_id,
        symbol="BTCUSDT",
        side=OrderSide.BUY,
        type=OrderType.LIMIT,
        status=status,
        quantity=D(SIZE),
        filled=D(filled),
        average_price=D(100) if filled else None,
    )


states = st.sampled_from(OrderState)
any_report = st.builds(report, st.sampled_from(VenueStatus), st.integers(0, SIZE))
any_facts = st.builds(
    OrderFacts,
    state=states,
    filled=st.integers(0, SIZE).map(D),
    average_price=st.sampled_from([None, D(99)]),
    exchange_id=st.sampled_from(["", "77"]),
    reason=st.sampled_from(["", "filled", "cancelled"]),
)


@st.composite
def histories(draw: st.DrawFn, *, ended: bool) -> list[OrderReport]:
    """Return what an exchange says of one order in the order in which it happens: fills grow, the end comes last."""
    fills = sorted(draw(st.lists(st.integers(1, SIZE - 1), max_size=4)))
    story = [report(VenueStatus.NEW), *(report(VenueStatus.PARTIALLY_FILLED, filled) for filled in fills)]
    if not ended:
        return story
    done = fills[-1] if fills else 0
    ends = [report(VenueStatus.FILLED, SIZE), report(VenueStatus.CANCELED, done), report(VenueStatus.EXPIRED, done)]
    return [*story, draw(st.sampled_from(ends))] if fills or draw(st.booleans()) else [report(VenueStatus.REJECTED)]


@st.composite
def heard(draw: st.DrawFn, *, ended: bool) -> tuple[list[OrderReport], list[OrderReport]]:
    """Return a history and the way it is heard: some of it twice, in any order."""
    story = draw(histories(ended=ended))
    twice = draw(st.lists(st.sampled_from(story), max_size=4))
    return story, draw(st.permutations([*story, *twice]))


def told(facts: OrderFacts, reports: Sequence[OrderReport]) -> list[Step]:
    """Return the steps that a sequence of reports makes, the first from `facts`."""
    steps: list[Step] = []
    for each in reports:
        steps.append(observe(steps[-1].facts if steps else facts, each))
    return steps


# -- the table -----------------------------------------------------------------------------------------------------------


def test_the_table_has_a_line_for_every_state() -> None:
    assert set(MOVES) == set(OrderState)
    assert set().union(*MOVES.values()) | {OrderState.PLANNED} == set(OrderState)


def test_only_final_states_have_no_way_out_and_every_other_leads_to_one() -> None:
    assert {state for state, onward in MOVES.items() if not onward} == FINAL
    for state in OrderState:
        assert reachable(state) & FINAL


def reachable(start: OrderState) -> set[OrderState]:
    found, waiting = {start}, [start]
    while waiting:
        new = MOVES[waiting.pop()] - found
        found |= new
        waiting += new
    return found


def test_every_state_is_final_working_unresolved_or_planned_and_only_one_of_them() -> None:
    groups = [FINAL, WORKING, UNRESOLVED, frozenset({OrderState.PLANNED})]
    assert sorted(state for group in groups for state in group) == sorted(OrderState)


def test_nothing_is_absent_that_was_not_unknown_before() -> None:
    assert [state for state, onward in MOVES.items() if OrderState.ABSENT in onward] == [OrderState.UNKNOWN]


def test_what_the_exchange_calls_ended_is_known_as_an_end() -> None:
    assert set(ENDED) == {status for status in VenueStatus if not status.open}


@given(any_facts, states)
def test_a_move_of_ours_follows_the_table_or_changes_nothing_and_is_an_incident(
    facts: OrderFacts, to: OrderState
) -> None:
    step = move(facts, to, reason="why")
    if to == facts.state:
        assert step == Step(facts)
    elif to in MOVES[facts.state]:
        assert step == Step(replace(facts, state=to, reason="why"))
    else:
        assert step.facts == facts
        assert step.incident


# -- reports -------------------------------------------------------------------------------------------------------------


@given(any_facts, any_report)
def test_a_report_that_leads_outside_the_table_is_an_incident(facts: OrderFacts, said: OrderReport) -> None:
    step = observe(facts, said)
    if step.facts.state != facts.state and step.facts.state not in MOVES[facts.state]:
        assert step.incident


@given(any_facts, st.lists(any_report, max_size=8))
def test_the_filled_quantity_never_falls_and_misses_nothing(facts: OrderFacts, reports: list[OrderReport]) -> None:
    most = facts.filled
    for said, step in zip(reports, told(facts, reports), strict=True):
        most = max(most, said.filled)
        assert step.facts.filled == most


@given(any_facts, st.lists(any_report, max_size=8))
def test_a_final_state_is_never_left_without_an_incident(facts: OrderFacts, reports: list[OrderReport]) -> None:
    for step in told(facts, reports):
        if facts.state in FINAL and step.facts.state != facts.state:
            assert step.incident
        facts = step.facts


@given(any_facts, st.lists(any_report, max_size=8))
def test_an_order_that_is_done_stays_done(facts: OrderFacts, reports: list[OrderReport]) -> None:
    done = replace(facts, state=OrderState.DONE)
    assert {step.facts.state for step in told(done, reports)} <= {OrderState.DONE}


@given(any_facts, any_report)
def test_a_report_heard_twice_changes_nothing_the_second_time(facts: OrderFacts, said: OrderReport) -> None:
    once = observe(facts, said).facts
    assert observe(once, said) == Step(once)


@given(
    heard(ended=True), st.sampled_from([OrderState.SENDING, OrderState.LIVE, OrderState.CANCELLING, OrderState.UNKNOWN])
)
def test_an_order_ends_where_the_exchange_is_however_the_reports_arrive(
    told_: tuple[list[OrderReport], list[OrderReport]], state: OrderState
) -> None:
    story, order_heard = told_
    steps = told(OrderFacts(state), order_heard)
    end, last = story[-1], steps[-1].facts
    event(end.status)
    assert last.state is OrderState.DONE
    assert last.reason == ENDED[end.status]
    assert last.filled == end.filled
    assert last.exchange_id == end.exchange_id
    assert not any(step.incident for step in steps)


@given(heard(ended=False), st.sampled_from([OrderState.SENDING, OrderState.LIVE, OrderState.UNKNOWN]))
def test_an_order_that_rests_on_the_exchange_is_live(
    told_: tuple[list[OrderReport], list[OrderReport]], state: OrderState
) -> None:
    story, order_heard = told_
    last = told(OrderFacts(state), order_heard)[-1].facts
    assert last.state is OrderState.LIVE
    assert last.filled == story[-1].filled


@given(st.lists(any_report.filter(lambda said: said.status.open), min_size=1, max_size=5))
def test_a_cancel_on_its_way_is_not_forgotten_while_the_order_still_rests(reports: list[OrderReport]) -> None:
    steps = told(OrderFacts(OrderState.CANCELLING), reports)
    assert {step.facts.state for step in steps} == {OrderState.CANCELLING}
    assert not any(step.incident for step in steps)


@pytest.mark.parametrize("state", IMPOSSIBLE)
@pytest.mark.parametrize("status", VenueStatus)
def test_an_order_that_cannot_be_there_is_taken_in_with_an_incident(state: OrderState, status: VenueStatus) -> None:
    step = observe(OrderFacts(state), report(status, 3))
    assert step.incident
    assert step.facts.state is (OrderState.LIVE if status.open else OrderState.DONE)
    assert step.facts.filled == 3


def test_a_fill_after_the_end_is_booked_and_is_an_incident() -> None:
    step = observe(OrderFacts(OrderState.DONE, filled=D(2), reason="cancelled"), report(VenueStatus.CANCELED, 5))
    assert step.facts.filled == 5
    assert step.facts.state is OrderState.DONE
    assert "3 more" in step.incident


# -- trades --------------------------------------------------------------------------------------------------------------


@given(any_facts, st.integers(0, 2 * SIZE).map(D))
@example(OrderFacts(OrderState.DONE, D(2), reason="cancelled"), D(3))
def test_the_sum_of_trades_only_raises_what_is_filled(facts: OrderFacts, total: Decimal) -> None:
    step = filled_to(facts, total, D(101))
    assert step.facts.filled == max(facts.filled, total)
    assert step.facts.state is facts.state
    if facts.state in FINAL and facts.reason != "filled":
        assert bool(step.incident) == (total > facts.filled)
    else:
        assert not step.incident


@given(any_facts, st.permutations(range(1, 6)))
def test_reports_and_trades_may_overtake_each_other(facts: OrderFacts, totals: list[int]) -> None:
    by_trades = facts
    for total in totals:
        by_trades = filled_to(by_trades, D(total), D(100)).facts
    assert by_trades.filled == max(facts.filled, D(5))


# -- ids -----------------------------------------------------------------------------------------------------------------


@given(st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=4, max_size=4))
def test_a_client_order_id_is_one_that_the_exchange_takes_and_is_known_as_ours(installation: str) -> None:
    made = new_client_order_id(installation)
    assert ACCEPTED_BY_THE_EXCHANGE.fullmatch(made)
    assert len(made) == 32
    assert made.startswith("vx" + installation)


def test_a_client_order_id_is_a_random_uuid_in_base32() -> None:
    made = [new_client_order_id("demo")[6:] for _ in range(500)]
    raw = [base64.b32decode(f"{each}======".upper()) for each in made]
    assert [base64.b32encode(each).decode().rstrip("=").lower() for each in raw] == made
    assert {(uuid.UUID(bytes=each).version, uuid.UUID(bytes=each).variant) for each in raw} == {(4, uuid.RFC_4122)}
    ones = [sum(int.from_bytes(each) >> bit & 1 for each in raw) for bit in range(128)]
    assert sum(100 < count < 400 for count in ones) == 122, "all bits are random but the six that say what it is"


@given(any_facts, any_report)
def test_what_says_nothing_new_leaves_the_very_facts(facts: OrderFacts, told: OrderReport) -> None:
    once = observe(facts, told).facts
    assert observe(once, told).facts is once


def test_no_client_order_id_is_made_twice() -> None:
    made = {new_client_order_id("demo") for _ in range(10_000)}
    assert len(made) == 10_000


@pytest.mark.parametrize(
    ("status", "state"), [(VenueStatus.NEW, OrderState.LIVE), (VenueStatus.FILLED, OrderState.DONE)]
)
def test_an_order_that_was_never_placed_and_still_shows_is_taken_up_with_an_incident(status, state):
    ended = OrderFacts(OrderState.DONE, reason=f"{NEVER_PLACED}: the exchange does not answer")
    step = observe(ended, report(status))
    assert step.facts.state is state
    assert step.incident
