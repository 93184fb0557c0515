"""Which decider a name stands for, and what an unknown one is told."""

import subprocess
import sys
from dataclasses import replace
from threading import Event, current_thread

import pytest

from decisions.deciders import registry
from decisions.deciders.registry import decider_for, default_model
from decisions.domain.question import Asking
from decisions.llm import client
from decisions.llm.endpoints import OPENROUTER
from decisions.tests.builders import question
from vibex.lib.errors import Rejected

pytestmark = pytest.mark.django_db

BOT = question().bot


def named(model, *fallbacks):
    return decider_for(replace(BOT, model=model, fallback_models=fallbacks))


def test_rules_are_found_by_their_name():
    assert named("rules/trend").name == "rules/trend"


def test_a_model_is_asked_at_openrouter_with_its_fallbacks(settings):
    settings.OPENROUTER_API_KEY = "a-key"
    decider = named("openrouter/x-ai/grok-4.3", "openrouter/openai/gpt-5", "openrouter/deepseek/v4")
    assert decider.name == "openrouter/x-ai/grok-4.3"
    assert decider.models == ("x-ai/grok-4.3", "openai/gpt-5", "deepseek/v4")
    assert (decider.endpoint.base_url, decider.endpoint.key) == (OPENROUTER, "a-key")
    assert decider.wants_prompt


def test_another_server_gets_its_own_key_and_never_that_of_openrouter(settings):
    settings.OPENROUTER_API_KEY = "a-key"
    settings.LLM_BASE_URL = "http://127.0.0.1:11434/v1"
    assert named("openrouter/llama3:8b").endpoint.key == ""
    settings.LLM_API_KEY = "another"
    assert named("openrouter/llama3:8b").endpoint.key == "another"


@pytest.mark.parametrize(
    "model", ["", "trend", "rules", "rules/", "rules/astrology", "openrouter/", "gpt-5", "Rules/trend"]
)
def test_an_unknown_name_is_refused_with_the_known_ones(model):
    with pytest.raises(Rejected, match="rules/trend") as refusal:
        named(model)
    assert refusal.value.code == "unknown_decider"


def test_a_model_without_key_and_address_is_refused_with_what_to_set():
    with pytest.raises(Rejected, match="OPENROUTER_API_KEY"):
        named("openrouter/x-ai/grok-4.3")


def test_rules_decide_where_no_model_can_be_asked(settings):
    settings.LLM_MODEL = "x-ai/grok-4.3"
    assert default_model() == "rules/trend"


@pytest.mark.parametrize("name", ["OPENROUTER_API_KEY", "LLM_BASE_URL"])
def test_the_configured_model_decides_where_it_can_be_asked(settings, name):
    setattr(settings, name, "http://127.0.0.1/v1")
    settings.LLM_MODEL = "x-ai/grok-4.3"
    assert default_model() == "openrouter/x-ai/grok-4.3"


def test_a_model_of_the_own_server_may_be_configured_by_the_name_that_bots_give_it(settings):
    settings.LLM_MODEL = "local/qwen3:8b"
    settings.OPENROUTER_API_KEY = "a-key"
    assert default_model() == "openrouter/local/qwen3:8b"
    settings.LLM_BASE_URL = "http://127.0.0.1:11434/v1"
    assert default_model() == "local/qwen3:8b"


def test_a_key_without_a_model_is_said_and_rules_do_not_step_in(settings):
    settings.OPENROUTER_API_KEY = "a-key"
    with pytest.raises(Rejected, match="LLM_MODEL"):
        default_model()


# -- votes ------------------------------------------------------------------------------------------------------------


def test_one_model_at_one_server_has_one_vote_under_whatever_name(settings):
    """With LLM_BASE_URL set, `openrouter/m` and `local/m` are asked at the same place: agreeing with oneself opens nothing."""
    settings.LLM_BASE_URL = "http://127.0.0.1:11434/v1"
    asking = Asking(ensemble=("local/llama3:8b", "local/qwen3:8b"))
    members = decider_for(replace(BOT, model="openrouter/llama3:8b", asking=asking)).members
    assert [type(member).__name__ for member in members] == ["ModelDecider", "Unasked", "ModelDecider"]
    assert members[1].reason.startswith("same_model: ")


# -- what is slow the first time ---------------------------------------------------------------------------------------


def test_who_asks_soon_has_every_client_made_in_the_thread_of_the_loop(settings, monkeypatch):
    settings.OPENROUTER_API_KEY, settings.OPENAI_API_KEY, settings.DEEPSEEK_API_KEY = "a-key", "b-key", "c-key"
    made, whole, makes = [], Event(), client._client

    def noted(endpoint, loop):
        made.append((endpoint.provider, current_thread().name))
        if len(made) == 3:
            whole.set()
        return makes(endpoint, loop)

    monkeypatch.setattr(client, "_client", noted)
    model, fallbacks = "openrouter/x-ai/grok-4.3", ("openrouter/deepseek/v4", "openai/gpt-5.6-luna")
    asking = Asking(shadows=("deepseek/deepseek-v4-flash",))
    bot = replace(BOT, model=model, fallback_models=fallbacks, asking=asking)
    try:
        decider_for(bot)
        assert not made, "a page that looks at a name must not load what asks"
        decider_for(bot, soon=True)
        assert whole.wait(30)
        assert sorted(made) == [("deepseek", "llm"), ("openai", "llm"), ("openrouter", "llm")]
    finally:
        client.close()


def test_a_process_without_room_for_a_thread_has_its_decider_all_the_same(settings, monkeypatch):
    settings.OPENROUTER_API_KEY = "a-key"

    def full():
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(client.background, "loop", full)
    assert decider_for(replace(BOT, model="openrouter/x-ai/grok-4.3"), soon=True).wants_prompt


def test_rules_begin_nothing(monkeypatch):
    monkeypatch.setattr(registry, "prepare", lambda endpoint: pytest.fail("nobody is asked"))
    decider_for(replace(BOT, model="rules/trend"), soon=True)


FRESH = """
import sys, time, django
django.setup()
from decisions.llm.client import prepare
from decisions.llm import background
from decisions.llm.endpoints import Endpoint
background.loop()
began = time.perf_counter()
prepare(Endpoint("http://127.0.0.1:9/v1"))
took = time.perf_counter() - began
assert took < 0.2, took
until = time.monotonic() + 60
while "openai.resources.chat.completions" not in sys.modules and time.monotonic() < until:
    time.sleep(0.05)
assert "openai.resources.chat.completions" in sys.modules
"""


@pytest.mark.ci
def test_a_process_that_gets_ready_to_ask_does_not_wait_for_the_import():
    done = subprocess.run([sys.executable, "-c", FRESH], capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
