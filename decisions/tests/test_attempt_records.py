"""Every request of a ladder is a row, what was learned reaches other processes, and a late reply is booked."""

import time
from datetime import timedelta
from decimal import Decimal

import openai  # noqa: F401 - it takes a while, which is not to count against the deadlines below
import pytest
from django.db import transaction
from django.utils import timezone

from accounts.models import Account, Bot, User
from decisions.deciders.model import model_decider
from decisions.deciders.ports import NoPurse, NothingKnown
from decisions.domain.ladder import Rung
from decisions.domain.question import Answer, Asking, Outcome, Reading
from decisions.llm import client
from decisions.llm.endpoints import Endpoint
from decisions.llm.formats import format_learned, formats_forget, formats_of, formats_read, formats_write
from decisions.models import Cycle, Interaction, LearnedFormat
from decisions.services import interactions_record
from decisions.tests.asking_kit import PRICE, Ledger, decider_at
from decisions.tests.builders import AT, HOLD, MODEL, OPEN, envelope, question, reply
from decisions.tests.llm_server import model_server, sends
from vibex.lib.clock import Deadline
from vibex.lib.errors import Rejected

GOOD = envelope(reply())
OTHER = "deepseek/deepseek-v4-flash"
HERE = Endpoint("http://127.0.0.1:1/v1", provider="local")

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _closed():
    yield
    client.close()
    formats_forget()


@pytest.fixture
def bot():
    owner = User.objects.create_user("someone@example.com", "a password that is long")
    account = Account.objects.create(owner=owner, name="paper", venue="sim")
    return Bot.objects.create(
        account=account, name="first", symbols=["ETHUSDT"], timeframes=["1h", "4h"], interval="1h"
    )


def recorded(bot, url, *models, seconds=10.0, purpose=Interaction.Purpose.CYCLE, cycle=None, **more):
    decider = decider_at(url, *models, **more)
    answer = decider.ask(question(), Deadline(seconds))
    reading = decider.read(question(), answer)
    return interactions_record(
        bot_id=bot.pk, cycle=cycle, question=question(), answer=answer, reading=reading, purpose=purpose
    )


def test_every_request_is_a_row_and_the_last_is_the_one_that_was_read(bot):
    usage = {"prompt_tokens": 4100, "completion_tokens": 210, "cost": 0.00331}
    usage |= {"completion_tokens_details": {"reasoning_tokens": 64}, "prompt_tokens_details": {"cached_tokens": 3900}}
    good = envelope(reply(), model=OTHER, usage=usage, message={"reasoning": "the trend \0 holds"})
    cut = envelope(reply(), choice={"finish_reason": "length"}, usage={"prompt_tokens": 4000, "completion_tokens": 200})
    cycle = Cycle.objects.create(bot=bot, account=bot.account, scheduled_for=AT, lease_until=timezone.now())
    with model_server(sends(cut), sends(b"{}", 500), sends(good)) as server:
        used = recorded(bot, server.url, MODEL, OTHER, price=PRICE, cycle=cycle)
    first, second, third = Interaction.objects.order_by("attempt")
    assert used.pk == third.pk
    assert [(row.attempt, row.used, row.outcome) for row in (first, second, third)] == [
        (0, False, "rejected"),
        (1, False, "no_answer"),
        (2, True, "answered"),
    ]
    assert {row.cycle_id for row in (first, second, third)} == {cycle.pk}
    assert (first.cost, first.estimate, first.finish_reason) == (None, Decimal("0.0055"), "length")
    assert (second.http_status, second.cost, second.estimate) == (500, None, None)
    assert second.reason.startswith("http.500")
    assert (third.cost, third.estimate, third.http_status) == (Decimal("0.00331"), None, 200)
    assert (third.reasoning_tokens, third.cached_tokens) == (64, 3900)
    assert third.reasoning == "the trend \\x00 holds"
    assert (third.provider, third.parameters["format"], third.parameters["max_tokens"]) == ("local", "strict", 4_000)
    assert third.reply.encode() == good


def test_symbols_that_were_held_are_kept_with_their_codes(bot):
    with model_server(sends(b"{}", 500), sends(envelope(reply(HOLD, OPEN | {"leverage": "5x"})))) as server:
        row = recorded(bot, server.url)
    row.refresh_from_db()
    assert row.parameters["held"] == {"ETHUSDT": "leverage.int_type"}
    assert row.reason == "ETHUSDT held: leverage.int_type"


def test_what_was_asked_again_is_kept_as_it_was_asked(bot):
    with model_server(sends(envelope("no idea")), sends(GOOD)) as server:
        recorded(bot, server.url)
    first, second = Interaction.objects.order_by("attempt")
    assert (first.user_prompt, "reason code" in second.user_prompt) == ("state", True)
    assert first.prompt_digest != second.prompt_digest


def test_a_question_that_no_cycle_asked_says_what_it_was_for(bot):
    with model_server(sends(GOOD)) as server:
        row = recorded(bot, server.url, purpose=Interaction.Purpose.DRY_RUN)
    assert (row.purpose, row.cycle, row.bot) == ("dry_run", None, bot)


def test_where_nobody_was_asked_there_is_no_row(bot):
    with model_server(sends(GOOD)) as server:
        assert recorded(bot, server.url, purse=Ledger("0"), price=PRICE) is None
    assert not Interaction.objects.exists()


def test_an_answer_for_which_no_request_was_made_has_one_row(bot):
    answer = Answer(Outcome.NO_ANSWER, model_requested=MODEL, reason="rate: no turn in time")
    reading = Reading(Outcome.NO_ANSWER, reason=answer.reason)
    row = interactions_record(bot_id=bot.pk, cycle=None, question=question(), answer=answer, reading=reading)
    assert (row.outcome, row.reason, row.used) == ("no_answer", "rate: no turn in time", True)
    assert row.cost == 0, "nothing was sent, so nothing can have been paid"


# -- what was learned --------------------------------------------------------------------------------------------------


def test_a_format_that_was_refused_is_known_to_another_process(bot):
    refuses = sends(b'{"error": {"code": 400}}', 400)
    with model_server(refuses, refuses, sends(GOOD)) as server:
        recorded(bot, server.url)
        row = LearnedFormat.objects.get()
        assert (row.base_url, row.model, row.format) == (server.url, MODEL, "json")
        formats_forget()  # what a process that starts now knows
        formats_read([(Endpoint(server.url), MODEL)])
        recorded(bot, server.url)
        assert len(server.requests) == 4


def test_a_decider_is_made_with_what_others_learned(settings):
    settings.LLM_BASE_URL = HERE.base_url
    LearnedFormat.objects.create(provider="local", base_url=HERE.base_url, model=MODEL, format="schema")
    model_decider([f"openrouter/{MODEL}"], Asking(), purse=NoPurse(), known=NothingKnown())
    assert formats_of(HERE, MODEL) == (Rung.SCHEMA, Rung.JSON, Rung.PROMPT)


def test_after_a_day_the_strictest_is_tried_again_and_the_row_says_what_came_of_it():
    old = timezone.now() - timedelta(hours=25)
    row = LearnedFormat.objects.create(
        provider="local", base_url=HERE.base_url, model=MODEL, format="prompt", learned_at=old
    )
    formats_read([(HERE, MODEL)])
    assert formats_of(HERE, MODEL)[0] is Rung.STRICT
    format_learned(HERE, MODEL, Rung.STRICT)
    formats_write()
    row.refresh_from_db()
    assert row.format == "strict"
    assert row.learned_at > old


def test_what_was_expected_is_not_written(django_assert_num_queries):
    format_learned(HERE, MODEL, Rung.STRICT)
    with django_assert_num_queries(0):
        formats_write()


# -- late --------------------------------------------------------------------------------------------------------------


def late(connection, request):
    time.sleep(0.7)
    sends(GOOD)(connection, request)


@pytest.mark.ci
@pytest.mark.django_db(transaction=True)
@pytest.mark.postgres
def test_a_reply_after_the_deadline_has_a_row_of_its_own_and_its_cost_is_booked(bot):
    purse = Ledger()
    with model_server(late) as server:
        with transaction.atomic():
            row = recorded(bot, server.url, seconds=0.3, purse=purse, price=PRICE)
        until = time.monotonic() + 5
        while not (found := Interaction.objects.filter(late_of=row)) and time.monotonic() < until:
            time.sleep(0.05)
    (reply_later,) = found
    row.refresh_from_db()
    assert (row.outcome, row.used, row.cost) == ("no_answer", True, None)
    assert row.estimate > 0
    assert (reply_later.outcome, reply_later.used, reply_later.cost) == ("late", False, Decimal("0.00331"))
    assert (reply_later.reply.encode(), reply_later.prompt_tokens) == (GOOD, 4100)
    assert not reply_later.decisions.exists()
    assert purse.total == Decimal("0.00331")


# -- the chain ---------------------------------------------------------------------------------------------------------


def chain_of(*names):
    return model_decider(names, Asking(), purse=NoPurse(), known=NothingKnown())


def test_a_fallback_that_cannot_be_asked_is_passed_over_and_the_first_is_refused(settings):
    settings.LLM_BASE_URL = HERE.base_url
    decider = chain_of(f"local/{MODEL}", "openai/gpt-5.4", "openrouter/~x-ai/grok-latest", f"local/{MODEL}")
    assert [link.endpoint is None for link in decider.chain] == [False, True, True]
    assert "OPENAI_API_KEY" in decider.chain[1].fault
    assert decider.chain[2].fault.startswith("model_floats")
    with pytest.raises(Rejected, match="OPENAI_API_KEY"):
        chain_of("openai/gpt-5.4", f"local/{MODEL}")
    with pytest.raises(Rejected, match="different model from day to day"):
        chain_of("openrouter/~x-ai/grok-latest")


def test_models_of_several_providers_are_one_chain(settings):
    settings.LLM_BASE_URL, settings.OPENROUTER_API_KEY = None, "a-key"
    settings.DEEPSEEK_API_KEY = "another"
    decider = chain_of("openrouter/x-ai/grok-4.3", "deepseek/deepseek-v4-pro")
    assert decider.models == ("x-ai/grok-4.3", "deepseek-v4-pro")
    assert [link.endpoint.dialect for link in decider.chain] == ["openrouter", "deepseek"]
    assert [link.endpoint.key for link in decider.chain] == ["a-key", "another"]
