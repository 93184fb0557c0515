"""Where questions and proposals end is counted by reason, and nothing is counted twice or lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decisions.domain.funnel import Asked, Said, code_of, funnel_of, held_in
from decisions.models import Approval, Cycle, Decision, Interaction
from decisions.selectors.funnel import funnel_for_bot, funnel_for_owner
from trading.models import Order
from trading.tests.builders import make_account, make_bot

AT = datetime(2025, 10, 10, 12, tzinfo=UTC)
NEVER = AT + timedelta(days=365)


def test_replies_go_through_their_steps_and_end_by_code():
    asked = [
        Asked("answered"),
        Asked("no_answer", "timeout: 127.0.0.1 did not answer within 1.0 s"),
        Asked("no_answer", "http.429: 127.0.0.1 answered 429"),
        Asked("no_answer", "http.429: 127.0.0.1 answered 429 rate_limit_exceeded"),
        Asked("rejected", "envelope.finish: the answer ended with length, not with stop"),
        Asked("rejected", "json.invalid: it is not JSON (Expecting value at character 7)"),
        Asked("rejected", "reply.decision_id: it answers another question"),
        Asked("not_asked", "nothing to decide on"),
    ]
    funnel = funnel_of(asked, [])
    assert [(step.name, step.count, step.ended) for step in funnel.replies] == [
        ("asked", 7, {}),
        ("answered", 4, {"http.429": 2, "timeout": 1}),
        ("parsed", 2, {"envelope.finish": 1, "json.invalid": 1}),
        ("read", 1, {"reply.decision_id": 1}),
    ]


def test_what_is_said_of_symbols_goes_through_its_own_steps():
    held = {"A": "quantity.greater_than", "B": "stop_loss.side", "C": "check.contradicts", "D": "coin.unknown"}
    said = [
        Said("hold", "accepted"),
        Said("buy_to_enter", "accepted", ordered=True),
        Said("buy_to_enter", "reduced", ordered=True),
        Said("buy_to_enter", "refused", rule="leverage.cap"),
        Said("sell_to_enter", "accepted", waited="approval.expired"),
        Said("close_position", "accepted"),
    ]
    funnel = funnel_of([Asked("answered", held=held)], said)
    assert [(step.name, step.count, step.ended) for step in funnel.symbols] == [
        ("said", 10, {}),
        ("form", 8, {"quantity.greater_than": 1, "coin.unknown": 1}),
        ("meaning", 6, {"stop_loss.side": 1, "check.contradicts": 1}),
        ("ruled", 5, {"leverage.cap": 1}),
        ("ordered", 2, {"hold": 1, "approval.expired": 1, "no order": 1}),
    ]


CODES = st.sampled_from(["coin.unknown", "stop_loss.side", "text.salvaged", "market.no_price"])
ASKED = st.builds(
    Asked,
    st.sampled_from(["answered", "no_answer", "rejected", "not_asked"]),
    st.sampled_from(["", "timeout: late", "reply.keys: no", "text.fences: two", "words without a code"]),
    st.dictionaries(st.sampled_from("ABCDEF"), CODES, max_size=4),
)
SAID = st.builds(
    Said,
    st.sampled_from(["hold", "buy_to_enter", "close_position"]),
    st.sampled_from(["accepted", "reduced", "refused"]),
    st.sampled_from(["", "leverage.cap"]),
    st.booleans(),
    st.sampled_from(["", "approval.rejected"]),
)


@given(st.lists(ASKED), st.lists(SAID))
def test_no_count_is_lost_between_two_steps(asked, said):
    funnel = funnel_of(asked, said)
    for steps in (funnel.replies, funnel.symbols):
        for before, after in pairwise(steps):
            assert before.count == after.count + after.lost
        assert steps[-1].count >= 0
    assert funnel.replies[-1].count == sum(one.outcome == "answered" for one in asked)


@pytest.mark.parametrize(
    ("reason", "code"),
    [("http.429: slow down", "http.429"), ("timeout", "timeout"), ("", "unknown"), ("some words: more", "unknown")],
)
def test_the_code_of_a_reason_is_its_first_word(reason, code):
    assert code_of(reason) == code


def test_held_symbols_are_found_in_a_reason():
    reason = "BTCUSDT held: stop_loss.side; ETHUSDT held: coin.unknown; x/y: http.429: no"
    assert held_in(reason) == {"BTCUSDT": "stop_loss.side", "ETHUSDT": "coin.unknown"}


@pytest.fixture
def bot(db):
    return make_bot()


def cycle_of(bot, minutes: int = 0) -> Cycle:
    at = AT + timedelta(minutes=minutes)
    return Cycle.objects.create(
        bot=bot, account=bot.account, scheduled_for=at, began=at, lease_until=at, status=Cycle.Status.DONE
    )


def asked_in(cycle, outcome: str = "answered", reason: str = "", **more: object) -> Interaction:
    return Interaction.objects.create(
        bot=cycle.bot, cycle=cycle, model_requested="x/y", outcome=outcome, reason=reason, **more
    )


def decided_in(cycle, sequence: int, action: str, verdict: str, **more: object) -> Decision:
    return Decision.objects.create(
        cycle=cycle, bot=cycle.bot, sequence=sequence, symbol="BTCUSDT", action=action, verdict=verdict, at=AT, **more
    )


def hit(rule: str, effect: str) -> dict[str, object]:
    return {"rule": rule, "effect": effect, "text": "", "numbers": {}}


@pytest.mark.django_db
def test_the_rows_of_a_bot_are_counted_and_nobody_elses(bot, django_assert_num_queries):
    cycle = cycle_of(bot)
    asked_in(cycle, reason="ETHUSDT held: stop_loss.side")
    asked_in(cycle_of(bot, 3), parameters={"held": {"ETHUSDT": "coin.unknown"}})
    asked_in(cycle, "no_answer", "http.503: down", used=False, attempt=1)
    asked_in(cycle, "no_answer", "http.402: no credit", purpose=Interaction.Purpose.SHADOW)
    asked_in(cycle_of(bot, 6), "no_answer", "timeout: late")
    entry = decided_in(cycle, 0, "buy_to_enter", "accepted")
    decided_in(cycle, 1, "buy_to_enter", "refused", hits=[hit("size.step", "reduced"), hit("leverage.cap", "refused")])
    waits = decided_in(cycle, 2, "buy_to_enter", "accepted")
    decided_in(cycle, 3, "buy_to_enter", "accepted", kind=Decision.Kind.SHADOW)
    Approval.objects.create(decision=waits, until=AT, state=Approval.State.REJECTED)
    for role in ("entry", "stop"):
        Order.objects.create(
            account=bot.account, decision=entry, role=role, symbol="BTCUSDT", side="BUY", type="LIMIT",
            client_order_id=f"vx{role}", created=AT, updated=AT,
        )  # fmt: skip
    other = make_bot("other", account=make_account("other"))
    asked_in(cycle_of(other), "rejected", "json.invalid: no")
    with django_assert_num_queries(4):
        funnel = funnel_for_bot(bot, since=AT, until=NEVER)
    assert [(step.count, step.ended) for step in funnel.replies] == [(3, {}), (2, {"timeout": 1}), (2, {}), (2, {})]
    assert [(step.name, step.count, step.ended) for step in funnel.symbols] == [
        ("said", 5, {}),
        ("form", 4, {"coin.unknown": 1}),
        ("meaning", 3, {"stop_loss.side": 1}),
        ("ruled", 2, {"leverage.cap": 1}),
        ("ordered", 1, {"approval.rejected": 1}),
    ]


@pytest.mark.django_db
def test_all_bots_of_an_owner_and_only_the_time_that_is_asked_for(bot, django_assert_num_queries):
    second = make_bot("second", account=bot.account)
    for number, one in enumerate((bot, second, bot)):
        asked_in(cycle_of(one, 3 * number))
    owner = bot.account.owner
    with django_assert_num_queries(4):
        assert funnel_for_owner(owner, since=AT, until=NEVER).replies[0].count == 3
    assert (
        funnel_for_owner(owner, since=AT + timedelta(minutes=3), until=AT + timedelta(minutes=6)).replies[0].count == 1
    )
    assert funnel_for_bot(second, since=AT, until=NEVER).replies[0].count == 1
