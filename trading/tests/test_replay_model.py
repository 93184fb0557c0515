"""The stored prompt of a cycle put to another model: asked, kept, paid for, ruled, compared, and never traded."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts.models import Bot, RiskLimits
from decisions.models import Cycle, Decision, DiaryEntry, Interaction
from decisions.tests.llm_server import ModelServer, hangs_up, model_server
from marketdata.models import Snapshot
from trading.management.commands import replay as command
from trading.models import Order, PaperOrder, Position
from trading.services import replay_ask
from trading.services.replay import cycle_find
from trading.services.replay_ask import replay_asked, replay_prepare, replay_summary
from trading.tests.replay_kit import House, answers, make_house
from vibex.lib.errors import Rejected

pytestmark = pytest.mark.django_db(transaction=True)
OTHER = "other/model"
NAME = f"openrouter/{OTHER}"
TRADED = (Order, PaperOrder, Position, Decision, DiaryEntry, Cycle)


@pytest.fixture
def house(monkeypatch) -> House:
    return make_house(monkeypatch)


@pytest.fixture
def model(settings) -> Iterator[ModelServer]:
    with model_server(hangs_up()) as server:
        settings.LLM_BASE_URL, settings.LLM_API_KEY = server.url, "of-a-test"
        yield server


@pytest.fixture
def cycle(house, model) -> Cycle:
    """A cycle that bought BTC and held ETH."""
    model.behaviours[:] = [answers(house.entry(), house.hold())]
    cycle = house.cycle()
    model.requests.clear()
    return cycle


def asked(cycle: Cycle, *, repeat: int = 1, name: str = NAME, **options: Any):
    prepared = replay_prepare(cycle=cycle_find(cycle.pk), model=name, **options)
    return list(replay_asked(prepared, repeat=repeat))


def texts(request: dict[str, Any]) -> list[str]:
    return [message["content"] for message in request["messages"]]


def counts() -> list[int]:
    return [table.objects.count() for table in TRADED]


def test_the_very_prompt_goes_to_the_other_model_and_nothing_is_traded(house, model, cycle):
    first = cycle.interactions.get()
    model.behaviours[:] = [answers(house.hold("BTCUSDT"), house.hold(), model=OTHER)]
    before = counts()
    (one,) = asked(cycle)
    assert texts(model.requests[0]) == [first.system_prompt, first.user_prompt]
    assert model.requests[0]["model"] == OTHER
    assert counts() == before
    assert (one.outcome, one.actions) == ("answered", {"BTCUSDT": "hold", "ETHUSDT": "hold"})
    assert [(symbol.symbol, symbol.same) for symbol in one.symbols] == [("BTCUSDT", False), ("ETHUSDT", True)]
    assert (one.prompt_tokens, one.reply_tokens, one.cost) == (4100, 210, Decimal("0.0033100000"))


def test_each_question_is_kept_as_a_replay_that_names_the_cycle_and_belongs_to_none(house, model, cycle):
    model.behaviours[:] = [answers(house.hold("BTCUSDT"), house.hold(), model=OTHER)]
    asked(cycle, repeat=2)
    kept = Interaction.objects.filter(purpose="replay")
    assert [(row.cycle, row.parameters["cycle"], row.model_requested) for row in kept] == [(None, cycle.pk, OTHER)] * 2
    assert cycle.interactions.count() == 1


def test_repeats_that_disagree_are_counted_and_what_cannot_be_used_is_said(house, model, cycle):
    same = (house.entry(), house.hold())
    model.behaviours[:] = [
        answers(*same, model=OTHER),
        answers(house.hold("BTCUSDT"), house.hold(), model=OTHER),
        answers(*same, model=OTHER),
        answers(text=lambda asked: "no json", model=OTHER),
    ]
    repeats = asked(cycle, repeat=3)
    summary = replay_summary(repeats, ("BTCUSDT", "ETHUSDT"))
    assert [one.same for one in repeats] == [True, False, True]
    assert [(each.symbol, each.action, each.times, each.of) for each in summary.agreement] == [
        ("BTCUSDT", "buy_to_enter", 2, 3),
        ("ETHUSDT", "hold", 3, 3),
    ]
    (wrong,) = asked(cycle)
    assert (wrong.outcome, wrong.symbols, wrong.same) == ("rejected", (), False)
    assert wrong.reason.startswith("text.no_json")


def test_an_answer_to_another_question_is_refused(house, model, cycle):
    model.behaviours[:] = [
        answers(text=lambda _: json.dumps({"decision_id": "0" * 16, "decisions": [house.entry()]}), model=OTHER)
    ]
    (one,) = asked(cycle)
    assert one.reason.startswith("reply.decision_id")
    assert one.actions == {}


def test_it_is_ruled_by_the_limits_of_now_or_of_then(house, model, cycle):
    model.behaviours[:] = [answers(house.entry(), house.hold(), model=OTHER)]
    RiskLimits.objects.filter(account=house.account).update(max_leverage=1)
    (now,), (then,) = asked(cycle), asked(cycle, limits="then")
    assert [symbol.now.verdict for symbol in now.symbols] == ["refused", "accepted"]
    assert then.same


def test_the_money_of_the_day_counts_and_ends_the_repeats(house, model, cycle):
    Bot.objects.filter(pk=house.bot.pk).update(cost_per_day=Decimal("0.003"))
    model.behaviours[:] = [answers(house.hold("BTCUSDT"), house.hold(), model=OTHER)]
    repeats = asked(cycle, repeat=5)
    assert [one.refused for one in repeats] == [True]
    assert repeats[0].reason.startswith("budget:")
    assert model.requests == []
    assert "nothing was sent\n" in run(str(cycle.pk), "--model", NAME)


def test_the_development_cache_is_named_since_it_is_no_second_answer(house, model, cycle, settings, tmp_path):
    settings.LLM_REPLY_CACHE, settings.VIBEX_DATA_DIR = True, tmp_path
    model.behaviours[:] = [answers(house.hold("BTCUSDT"), house.hold(), model=OTHER)]
    repeats = asked(cycle, repeat=2)
    assert [one.cached for one in repeats] == [False, True]
    assert replay_summary(repeats, ("BTCUSDT",)).cached == 1


@pytest.mark.parametrize("name", ["rules/trend", "nobody/x", "grok"])
def test_a_name_that_is_no_model_is_refused_before_anything_is_asked(model, cycle, name):
    with pytest.raises(Rejected):
        replay_prepare(cycle=cycle_find(cycle.pk), model=name)
    assert model.requests == []


def test_without_the_prompt_or_the_market_nothing_is_asked(model, cycle):
    Interaction.objects.update(user_prompt="")
    with pytest.raises(Rejected, match="The text of the prompt of cycle"):
        replay_prepare(cycle=cycle_find(cycle.pk), model=NAME)
    Snapshot.objects.all().delete()
    with pytest.raises(Rejected, match="are gone"):
        replay_prepare(cycle=cycle_find(cycle.pk), model=NAME)
    assert model.requests == []


# The command


def run(*options: str) -> str:
    out = io.StringIO()
    call_command("replay", *options, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def test_the_command_tells_what_is_the_same_and_what_differs(house, model, cycle):
    printed = run(str(cycle.pk), "--fail-on-difference")
    assert "1 stored reply read again" in printed
    assert "Same: today it would be decided as it was." in printed
    RiskLimits.objects.filter(account=house.account).update(max_leverage=1)
    printed = run(str(cycle.pk))
    for part in ("max_leverage 5", "max_leverage: 5 → 1", "verdict: accepted → refused", "Different: BTCUSDT of 2"):
        assert part.replace("max_leverage 5", "") in printed
    told = json.loads(run(str(cycle.pk), "--json"))
    assert told["same"] is False
    assert told["limits_changed"] == [{"field": "max_leverage", "then": "5", "now": "1"}]
    assert [symbol["same"] for symbol in told["symbols"]] == [False, True]
    with pytest.raises(CommandError, match="not decided as it was"):
        run(str(cycle.pk), "--fail-on-difference")


def test_the_command_tells_of_each_answer_and_of_all_together(house, model, cycle):
    model.behaviours[:] = [answers(house.hold("BTCUSDT"), house.hold(), model=OTHER)]
    printed = run(str(cycle.pk), "--model", NAME, "--repeat", "2")
    for part in (
        "Nothing is traded",
        "1 of 2  answered",
        "was buy_to_enter",
        "BTCUSDT: hold 2 of 2",
        "$0.00662 in all",
    ):
        assert part in printed
    told = json.loads(run(str(cycle.pk), "--model", NAME, "--json"))
    assert told["repeats"][0]["actions"] == {"BTCUSDT": "hold", "ETHUSDT": "hold"}
    assert (told["summary"]["asked"], told["stopped"]) == (1, False)


def test_what_was_asked_before_an_interrupt_is_kept_and_told(house, model, cycle, monkeypatch, capsys):
    model.behaviours[:] = [answers(house.hold("BTCUSDT"), house.hold(), model=OTHER)]
    once = replay_ask._once

    def interrupted(prepared, number):
        if number == 2:
            raise KeyboardInterrupt
        return once(prepared, number)

    monkeypatch.setattr(replay_ask, "_once", interrupted)
    out, err = io.StringIO(), io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("replay", str(cycle.pk), "--model", NAME, "--repeat", "3", stdout=out, stderr=err)
    assert ended.value.code == 130
    assert "1 of 1 usable" in out.getvalue()
    assert "Interrupted after 1 of 3. What was answered is kept" in err.getvalue()
    assert Interaction.objects.filter(purpose="replay").count() == 1


@pytest.mark.parametrize(
    "options",
    [["--repeat", "2"], ["--model", NAME, "--repeat", "0"], ["--model", NAME, "--repeat", str(command.MOST + 1)]],
)
def test_options_that_make_no_sense_are_a_usage_error(options):
    with pytest.raises(CommandError) as refused:
        run("1", *options)
    assert refused.value.returncode == 2


def test_a_cycle_that_does_not_exist_is_a_failure_with_its_reason():
    with pytest.raises(CommandError, match="no cycle 4711") as refused:
        run("4711")
    assert refused.value.returncode == 1
