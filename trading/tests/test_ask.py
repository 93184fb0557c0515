"""A dry run: the prompt, what it costs, the answer and its ruling; nothing is traded, and no cycle begins."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection

from accounts.models import Bot
from decisions.models import Cycle, Interaction, PromptTemplate
from decisions.tests.llm_server import ModelServer, hangs_up, model_server
from trading.services.ask import NoExchange, ask_prepare, ask_send
from trading.services.lease import cycle_acquire
from trading.tests.builders import make_account, make_bot
from trading.tests.replay_kit import House, answers, make_house

pytestmark = pytest.mark.django_db(transaction=True)
TURNS = ("decisions.AskBucket", "decisions.AskPlace")
"""Where all who ask take turns."""


@pytest.fixture
def house(monkeypatch) -> House:
    monkeypatch.setattr("marketdata.services.feed_catch_up", lambda **_: None)  # it stands still for the test
    return make_house(monkeypatch)


@pytest.fixture
def model(settings) -> Iterator[ModelServer]:
    with model_server(hangs_up()) as server:
        settings.LLM_BASE_URL, settings.LLM_API_KEY = server.url, "of-a-test"
        yield server


def rows() -> dict[str, int]:
    return {table._meta.label: table.objects.count() for table in apps.get_models() if table._meta.managed}


def run(*options: str) -> str:
    out = io.StringIO()
    call_command("ask", *options, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def grown(before: dict[str, int]) -> dict[str, int]:
    return {name: count - before[name] for name, count in rows().items() if count != before[name] and name not in TURNS}


def test_what_is_shown_is_what_is_sent_and_only_the_call_is_kept(house, model):
    model.behaviours[:] = [answers(house.entry(), house.hold())]
    before = rows()
    asked = ask_prepare(bot=house.bot)
    answer = ask_send(asked=asked)
    sent = [message["content"] for message in model.requests[0]["messages"]]
    assert sent == [asked.question.prompt.system, asked.question.prompt.user]
    assert [(ruling.proposal.symbol, ruling.verdict.value) for ruling in answer.decided.rulings] == [
        ("BTCUSDT", "accepted"),
        ("ETHUSDT", "accepted"),
    ]
    (call,) = Interaction.objects.all()
    assert (call.purpose, call.cycle, call.bot) == ("dry_run", None, house.bot)
    assert answer.calls == (call,)
    assert grown(before) == {"decisions.Interaction": 1}


def test_the_ruling_is_that_of_a_cycle_with_the_same_reply(house, model):
    model.behaviours[:] = [answers(house.entry(), house.entry("ETHUSDT", quantity="5"))]
    dry = ask_send(asked=ask_prepare(bot=house.bot)).decided
    wet = house.run().result
    assert dry.rulings == wet.rulings
    assert [ruling.verdict.value for ruling in dry.rulings] == ["accepted", "reduced"]


def test_the_command_shows_prompt_cost_answer_and_rulings(house, model):
    model.behaviours[:] = [answers(house.entry(), house.hold())]
    printed = run(f"{house.account.name}/{house.bot.name}", "--dry-run", "--yes")
    prompt = Interaction.objects.get().user_prompt
    assert prompt in printed
    for part in (
        "about",
        "tokens",
        "BTCUSDT  buy_to_enter 0.02",
        "accepted 0.02",
        "4100 + 210 tokens",
        "$0.00331",
        "Nothing was traded.",
    ):
        assert part in printed


def test_a_call_that_nobody_stated_the_cost_of_is_told_as_it_counts(house, model):
    model.behaviours[:] = [hangs_up()]
    printed = run("paper", "--dry-run", "--yes")
    calls = Interaction.objects.exclude(estimate=None)
    assert calls
    for call in calls:
        assert f"about ${call.estimate.normalize():f}, nobody said (interaction {call.pk})" in printed


def test_an_interrupt_while_it_is_asked_ends_with_words_and_its_code(house, model, monkeypatch):
    def interrupted(**_):
        raise KeyboardInterrupt

    monkeypatch.setattr("trading.services.ask.ask_send", interrupted)
    out, err = io.StringIO(), io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("ask", "paper", "--dry-run", "--yes", stdout=out, stderr=err)
    assert ended.value.code == 130
    assert "=== end of the prompt ===" in out.getvalue()
    assert "Interrupted. Nothing was traded" in err.getvalue()


def test_as_json_it_is_all_there(house, model):
    model.behaviours[:] = [answers(house.entry(), house.hold())]
    told = json.loads(run(str(house.bot.pk), "--dry-run", "--json"))
    assert told["prompt"]["user"] == Interaction.objects.get().user_prompt
    assert told["answer"]["rulings"][0]["verdict"] == "accepted"
    assert (told["answer"]["cost"], told["tokens"] > 1_000) == ("0.00331", True)


def test_without_dry_run_it_asks_nobody_and_names_the_real_thing(house, model):
    with pytest.raises(CommandError, match=r"manage\.py cycle paper") as refused:
        run("paper")
    assert refused.value.returncode == 2
    assert model.requests == []


def test_the_prompt_alone_asks_nobody_and_writes_nothing(house, model):
    before = rows()
    assert "=== user ===" in run("paper", "--dry-run", "--no-ask")
    assert (model.requests, rows()) == ([], before)


@pytest.mark.parametrize(("typed", "asks"), [("y", True), ("", False), ("no", False)])
def test_a_person_at_a_terminal_is_asked_before_money_is_spent(house, model, monkeypatch, typed, asks):
    model.behaviours[:] = [answers(house.hold("BTCUSDT"), house.hold())]
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: typed)
    run("paper", "--dry-run")
    assert bool(model.requests) is asks


def test_rules_are_sent_nothing_and_decide_all_the_same(house, model):
    Bot.objects.update(model="rules/trend")
    before = rows()
    printed = run("paper", "--dry-run")
    assert "written rules decide, and nothing is sent" in printed
    assert "BTCUSDT  " in printed
    assert (model.requests, rows()) == ([], before)


def test_a_cycle_that_runs_at_the_same_time_keeps_its_lease_and_its_lock(house, model):
    model.behaviours[:] = [answers(house.hold("BTCUSDT"), house.hold())]
    running = cycle_acquire(bot=house.bot, scheduled_for=house.at)
    before = Cycle.objects.values().get(pk=running.pk)
    assert "answered" in run("paper", "--dry-run", "--yes")
    assert Cycle.objects.values().get() == before


@pytest.mark.postgres  # several threads write
def test_a_cycle_goes_through_while_a_dry_run_waits_for_its_answer(house, model):
    slow, done = threading.Event(), threading.Event()
    quick = answers(house.hold("BTCUSDT"), house.hold())

    def waits(socket: Any, request: dict[str, Any]) -> None:
        slow.set()
        done.wait(10)
        quick(socket, request)

    model.behaviours[:] = [waits, quick]

    def dry() -> None:
        try:
            ask_send(asked=asked)
        finally:
            connection.close()

    asked = ask_prepare(bot=house.bot)
    thread = threading.Thread(target=dry)
    thread.start()
    assert slow.wait(10)
    assert house.run().status == "done"
    done.set()
    thread.join(10)
    assert sorted(Interaction.objects.values_list("purpose", flat=True)) == ["cycle", "dry_run"]


def test_money_that_is_used_up_is_told_and_nobody_is_asked(house, model):
    Bot.objects.update(cost_per_day=Decimal(0))
    assert "budget" in run("paper", "--dry-run", "--yes")
    assert (model.requests, Interaction.objects.count()) == ([], 0)


def test_a_missing_template_is_told_and_opens_no_incident(house, model):
    PromptTemplate.objects.all().delete()
    before = rows()
    assert "there is no prompt template" in run("paper", "--dry-run", "--yes")
    assert grown(before) == {}


@pytest.mark.postgres  # several threads write
def test_several_models_are_asked_as_in_a_cycle_and_each_call_is_kept(house, model, settings):
    settings.FEATURE_ENSEMBLE = True
    Bot.objects.update(ensemble_models=["openrouter/test/second"], shadow_models=["openrouter/test/shadow"])

    def each(socket: Any, request: dict[str, Any]) -> None:
        answers(house.entry(), house.hold(), model=request["model"])(socket, request)

    model.behaviours[:] = [each]
    answer = ask_send(asked=ask_prepare(bot=Bot.objects.get()))
    assert sorted(call.model_requested for call in answer.calls) == ["test/model", "test/second"]
    assert {call.purpose for call in answer.calls} == {"dry_run"}
    assert answer.decided.rulings[0].verdict.value == "accepted"


def test_a_dry_run_cannot_reach_an_exchange():
    with pytest.raises(AssertionError, match="place"):
        NoExchange().place  # noqa: B018


def test_a_bot_is_found_by_id_by_name_or_with_its_account(house):
    make_bot("paper", account=make_account("second"))
    with pytest.raises(CommandError, match=r"several bots are called 'paper': use an id.*second/paper"):
        run("paper", "--dry-run")
    with pytest.raises(CommandError, match="there is no bot 'x/y'"):
        run("x/y", "--dry-run")
