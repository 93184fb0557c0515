"""What is written down of asking and deciding, and how it is found again."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.db import DataError, IntegrityError
from django.utils import timezone

from accounts.models import Account, Bot, User
from decisions.domain.gate import read_reply
from decisions.domain.proposal import Action, Proposal, RuleHit, Ruling, Verdict
from decisions.domain.question import Answer, Outcome, Reading, Usage
from decisions.models import Cycle, Decision, DiaryEntry, Interaction, PromptTemplate
from decisions.selectors import diary_of, feedback_for, invocations_of, prompt_template_text
from decisions.services import (
    decisions_record,
    diary_write,
    interactions_record,
    prompt_template_add,
    prompt_template_install,
)
from decisions.tests.builders import AT, MODEL, envelope, question, reply
from vibex.lib.errors import Rejected

pytestmark = pytest.mark.django_db


@pytest.fixture
def bot():
    owner = User.objects.create_user("someone@example.com", "a password that is long")
    account = Account.objects.create(owner=owner, name="paper", venue="sim")
    return Bot.objects.create(
        account=account, name="first", symbols=["ETHUSDT"], timeframes=["1h", "4h"], interval="1h"
    )


def cycle_of(bot, hours=0, status=Cycle.Status.DONE):
    at = AT + timedelta(hours=hours)
    return Cycle.objects.create(
        bot=bot, account=bot.account, scheduled_for=at, lease_until=timezone.now(), status=status
    )


def entry(action=Action.BUY, symbol="ETHUSDT"):
    return Proposal(
        symbol, action, Decimal("2.5"), 5, Decimal("4100.1"), Decimal("4400.2"), Decimal("250.0"), 0.7, "if", "why"
    )


def accepted(proposal):
    return Ruling(proposal, Verdict.ACCEPTED, proposal.quantity, proposal.leverage)


REFUSED = Ruling(
    entry(), Verdict.REFUSED, hits=(RuleHit("positions.max", Verdict.REFUSED, "3 of 3 are open", {"open": "3"}),)
)
REDUCED = Ruling(entry(), Verdict.REDUCED, Decimal("1.2"), 5, (RuleHit("size.risk", Verdict.REDUCED, "too large"),))


def refused(text, *, rule="positions.max", action=Action.BUY, symbol="ETHUSDT", **numbers):
    return Ruling(entry(action, symbol), Verdict.REFUSED, hits=(RuleHit(rule, Verdict.REFUSED, text, numbers),))


HOLDING = Ruling(Proposal("ETHUSDT", Action.HOLD), Verdict.ACCEPTED)
CLOSING = Ruling(Proposal("ETHUSDT", Action.CLOSE), Verdict.ACCEPTED)


def record(bot, *rulings, hours=0):
    return decisions_record(
        cycle=cycle_of(bot, hours), interaction=None, rulings=rulings, at=AT + timedelta(hours=hours)
    )


def did(row, line):
    """What trading writes into the diary once it has carried out a ruling."""
    diary_write(bot=row.bot, cycle=row.cycle, at=row.at, kind="trade", symbol=row.symbol, text=line)


def test_the_close_of_a_position_at_any_leverage_is_kept(bot):
    (row,) = record(bot, Ruling(Proposal("ETHUSDT", Action.CLOSE), Verdict.ACCEPTED, Decimal(1), leverage=20))
    row.refresh_from_db()
    assert (row.action, row.verdict, row.leverage) == ("close_position", "accepted", None)


def test_a_model_call_is_kept_whole(bot):
    raw = envelope(reply())
    answer = Answer(
        Outcome.ANSWERED,
        raw=raw,
        model_requested=MODEL,
        model_served=MODEL,
        finish_reason="stop",
        usage=Usage(4100, 210, Decimal("0.00331")),
        latency=1.2345,
    )
    reading = read_reply(raw, question(), model=MODEL)
    interactions_record(bot_id=bot.pk, cycle=cycle_of(bot), question=question(), answer=answer, reading=reading)
    kept = Interaction.objects.get()
    assert (kept.reply.encode(), kept.system_prompt, kept.user_prompt) == (raw, "rules", "state")
    assert (kept.bot, kept.model_requested, kept.template) == (bot, MODEL, "arena#0")
    assert (kept.prompt_tokens, kept.completion_tokens, kept.cost) == (4100, 210, Decimal("0.00331"))
    assert (kept.latency_ms, kept.outcome, kept.reason) == (1234, "answered", "")


def test_any_bytes_can_be_kept(bot):
    answer = Answer(
        Outcome.REJECTED,
        raw=b"\xff\x00<html>" + bytes(range(256)),
        model_requested="m" * 500,
        model_served="s" * 500,
        finish_reason="f" * 500,
        reason="r" * 900,
    )
    reading = Reading(Outcome.REJECTED, reason="json.invalid: \ud800 " + "r" * 900)
    interactions_record(bot_id=bot.pk, cycle=cycle_of(bot), question=question(), answer=answer, reading=reading)
    kept = Interaction.objects.get()
    assert kept.reply.startswith("\\xff\\x00<html>")
    assert "\0" not in kept.reply
    assert [len(text) for text in (kept.model_requested, kept.model_served, kept.finish_reason, kept.reason)] == [
        120,
        120,
        40,
        300,
    ]


def test_symbols_that_were_held_are_named_with_the_interaction(bot):
    reading = Reading(Outcome.ANSWERED, held={"ETHUSDT": "stop_loss.side"})
    answer = Answer(Outcome.ANSWERED, model_requested=MODEL)
    kept = interactions_record(bot_id=bot.pk, cycle=cycle_of(bot), question=question(), answer=answer, reading=reading)
    assert kept.reason == "ETHUSDT held: stop_loss.side"


def test_every_ruling_is_kept_in_order_with_its_rules(bot):
    rows = record(bot, CLOSING, REDUCED, REFUSED)
    assert [row.pk is not None for row in rows] == [True] * 3
    kept = list(Decision.objects.order_by("sequence"))
    assert [(row.action, row.verdict) for row in kept] == [
        ("close_position", "accepted"),
        ("buy_to_enter", "reduced"),
        ("buy_to_enter", "refused"),
    ]
    assert (kept[1].asked_quantity, kept[1].quantity, kept[1].leverage) == (Decimal("2.5"), Decimal("1.2"), 5)
    assert kept[2].rule_ids == ["positions.max"]
    assert kept[2].hits == [
        {"rule": "positions.max", "effect": "refused", "text": "3 of 3 are open", "numbers": {"open": "3"}}
    ]


def test_everything_the_gate_lets_through_can_be_kept(bot):
    """The bounds of the gate are narrower than the columns."""
    text = reply().replace('"quantity": 2.5', '"quantity": 2.5123456789').replace('"leverage": 5', '"leverage": 1000')
    (_, opening) = read_reply(envelope(text), question(), model=MODEL).proposals
    (row,) = record(bot, Ruling(opening, Verdict.REFUSED))
    row.refresh_from_db()
    assert (row.asked_quantity, row.asked_leverage) == (Decimal("2.5123456789"), 1000)


def test_one_sequence_number_is_given_once_per_cycle(bot):
    cycle = cycle_of(bot)
    decisions_record(cycle=cycle, interaction=None, rulings=[HOLDING], at=AT)
    with pytest.raises(IntegrityError):
        decisions_record(cycle=cycle, interaction=None, rulings=[HOLDING], at=AT)


def test_a_ruling_above_the_ceiling_of_leverage_is_refused_by_the_database(bot):
    with pytest.raises((IntegrityError, DataError)):
        record(bot, Ruling(entry(), Verdict.ACCEPTED, Decimal("2.5"), 11))


def test_feedback_is_what_became_of_the_last_requests_oldest_first(bot):
    record(bot, REFUSED, HOLDING, hours=0)
    record(bot, CLOSING, accepted(entry(Action.SELL)), hours=1)
    feedback = feedback_for(bot)
    assert [(item.action, item.verdict) for item in feedback] == [
        ("buy_to_enter", "refused"),
        ("close_position", "accepted"),
        ("sell_to_enter", "accepted"),
    ]
    assert feedback[0].reasons == ("positions.max: 3 of 3 are open",)
    assert [item.action for item in feedback_for(bot, 1)] == ["sell_to_enter"]


def test_feedback_says_whether_an_accepted_entry_was_filled(bot):
    (row,) = record(bot, REDUCED)
    did(row, "Buy: long 1.2 at 4200.1.")
    assert feedback_for(bot)[0].reasons == ("outcome: long 1.2 at 4200.1", "size.risk: too large")


@pytest.mark.parametrize(
    ("line", "outcome"),
    [
        ("Buy: nothing was filled within the allowed slippage.", "nothing was filled within the allowed slippage"),
        ("Buy: not entered: the venue says: BUY MORE.", "not entered"),
        (
            "Buy: long 1.2 at 4200.1, flattened at once: its stop could not be confirmed.",
            "long 1.2 at 4200.1, flattened at once",
        ),
    ],
)
def test_feedback_of_an_entry_that_came_to_nothing_says_so_and_repeats_no_message_of_an_exchange(bot, line, outcome):
    (row,) = record(bot, accepted(entry()))
    did(row, line)
    assert feedback_for(bot)[0].reasons == (f"outcome: {outcome}",)


def test_feedback_of_a_cycle_that_ended_early_does_not_pass_for_done(bot):
    record(bot, accepted(entry()))
    assert feedback_for(bot)[0].reasons == ("outcome: unknown, the cycle ended before it was recorded",)


def test_a_refused_entry_takes_the_outcome_of_no_other(bot):
    refused, _ = record(bot, REFUSED, CLOSING)
    did(refused, "Close: closed.")
    assert [item.reasons for item in feedback_for(bot)] == [
        ("positions.max: 3 of 3 are open",),
        ("outcome: closed",),
    ]


@pytest.mark.parametrize("limit", [1, 2, 10])
def test_a_turn_is_told_as_the_close_and_the_entry_that_it_was(bot, limit):
    """Rules close and enter the same symbol in one cycle; the list may begin between the two."""
    closing, _ = record(bot, CLOSING, accepted(entry()))
    for line in ("Close: closed.", "Buy: not entered: no margin."):
        did(closing, line)
    told = [item.reasons for item in feedback_for(bot, limit)]
    assert told == [("outcome: closed",), ("outcome: not entered",)][-limit:]


def test_other_cycles_symbols_and_kinds_of_line_say_nothing_about_an_entry(bot):
    eth, btc = record(bot, accepted(entry()), accepted(entry(symbol="BTCUSDT")), hours=0)
    record(bot, accepted(entry()), hours=1)
    diary_write(bot=bot, cycle=eth.cycle, at=AT, kind="decision", symbol="ETHUSDT", text="Buy: why not.")
    did(btc, "Buy: long 0.02 at 100005.")
    outcomes = [item.reasons[0] for item in feedback_for(bot)]
    assert [outcome.startswith("outcome: unknown") for outcome in outcomes] == [True, False, True]
    assert outcomes[1] == "outcome: long 0.02 at 100005"


def test_feedback_takes_three_queries_however_much_there_is_to_tell(bot, django_assert_num_queries):
    for hours in range(5):
        for row in record(bot, accepted(entry()), accepted(entry(symbol="BTCUSDT")), hours=hours):
            did(row, "Buy: long 2.5 at 4200.")
    with django_assert_num_queries(3):
        assert {item.reasons for item in feedback_for(bot)} == {("outcome: long 2.5 at 4200",)}


def test_a_refusal_that_repeats_is_told_once_with_how_often_and_the_newest_numbers(bot):
    for hours, held in enumerate((1, 2, 3)):
        record(bot, refused(f"{held} of 3 are open"), hours=hours)
    record(bot, refused("too near", rule="stop.distance"), hours=4)
    assert [(item.times, item.at, item.reasons) for item in feedback_for(bot)] == [
        (3, AT + timedelta(hours=2), ("positions.max: 3 of 3 are open",)),
        (1, AT + timedelta(hours=4), ("stop.distance: too near",)),
    ]


def test_refusals_of_other_symbols_actions_or_rules_and_what_was_allowed_are_told_each(bot):
    record(bot, refused("x"), refused("x", action=Action.SELL), refused("x", symbol="BTCUSDT"), hours=0)
    record(bot, refused("x", rule="size.minimum"), REDUCED, hours=1)
    record(bot, REDUCED, hours=2)
    assert [item.times for item in feedback_for(bot)] == [1] * 6


def test_only_the_last_rulings_are_told_however_often_they_repeat(bot):
    for hours in range(14):
        record(bot, refused("x"), hours=hours)
    assert [item.times for item in feedback_for(bot)] == [10]


def test_a_reason_without_a_number_brings_those_that_the_rule_compared(bot):
    record(bot, refused("The stop must lie below the mark price.", rule="stop.side", stop="4100", mark="4000"))
    assert feedback_for(bot)[0].reasons == (
        "stop.side: The stop must lie below the mark price. [mark 4000, stop 4100]",
    )


def test_nothing_was_decided_yet(bot):
    assert feedback_for(bot) == ()
    assert invocations_of(bot) == (None, 0)


def test_only_cycles_that_were_run_count_as_invocations(bot):
    first = cycle_of(bot, 0)
    cycle_of(bot, 1)
    cycle_of(bot, 2, Cycle.Status.SKIPPED)
    assert invocations_of(bot) == (first.scheduled_for, 2)


def test_the_diary_reads_newest_first_and_by_kind_and_symbol(bot):
    for hours, kind, symbol in ((0, "hold", "ETHUSDT"), (1, "trade", "ETHUSDT"), (2, "trade", "BTCUSDT")):
        diary_write(
            bot=bot, cycle=None, at=AT + timedelta(hours=hours), kind=kind, symbol=symbol, text=f"{kind} {symbol}"
        )
    assert [line.text for line in diary_of(bot)] == ["trade BTCUSDT", "trade ETHUSDT", "hold ETHUSDT"]
    assert [line.text for line in diary_of(bot, kind="trade", symbol="ETHUSDT")] == ["trade ETHUSDT"]


def test_a_diary_line_of_no_known_kind_is_refused(bot):
    with pytest.raises(ValueError, match="rumour"):
        diary_write(bot=bot, cycle=None, at=AT, kind="rumour", text="x")
    assert not DiaryEntry.objects.exists()


def test_templates_are_installed_once_and_only_added(bot):
    assert [(template.name, template.version) for template in prompt_template_install()] == [("arena", 1)]
    assert prompt_template_install() == []
    newer = prompt_template_add(name="arena", text=prompt_template_text("arena") + "\nThink twice.")
    assert newer.version == 2
    assert prompt_template_text("arena").endswith("Think twice.")
    assert PromptTemplate.objects.count() == 2


def test_a_broken_template_is_not_added():
    with pytest.raises(Rejected, match="=== user ==="):
        prompt_template_add(name="mine", text="buy everything")
    assert not PromptTemplate.objects.exists()


def test_a_template_needs_a_name_that_can_stand_in_an_address():
    prompt_template_install()
    with pytest.raises(ValidationError):
        prompt_template_add(name="two words", text=prompt_template_text("arena"))


def test_a_missing_template_is_missing():
    prompt_template_install()
    assert prompt_template_text("aren") is None


def test_a_reason_that_is_too_long_ends_after_a_whole_word(bot):
    answer = Answer(Outcome.NO_ANSWER, model_requested=MODEL, reason="http.404: " + "check the address " * 30)
    reading = Reading(Outcome.NO_ANSWER, reason=answer.reason)
    interactions_record(bot_id=bot.pk, cycle=cycle_of(bot), question=question(), answer=answer, reading=reading)
    kept = Interaction.objects.get()
    assert len(kept.reason) <= 300
    assert kept.reason.endswith(("check…", "the…", "address…"))
