"""What is sent to each provider, exactly."""

from dataclasses import replace
from decimal import Decimal

import pytest

from decisions.domain.dialects import RUNGS, body_of, nullable_by_any_of, refuse_floating, said_besides
from decisions.domain.ladder import Rung
from decisions.domain.question import Asking, Prompt
from decisions.domain.schema import response_schema
from decisions.tests.dialect_servers import schemas_in
from vibex.lib.errors import Rejected

PROMPT = Prompt("rules", "state", "arena#0", "0" * 64)
SCHEMA = response_schema(("BTCUSDT", "ETHUSDT"))


def body(dialect, *, model="a-model", rung=Rung.STRICT, **asking):
    return body_of(dialect, model=model, prompt=PROMPT, asking=Asking(**asking), schema=SCHEMA, rung=rung)


@pytest.mark.parametrize("dialect", RUNGS)
def test_limit_and_texts_are_always_sent_and_nothing_is_streamed_or_sampled_unasked(dialect):
    for rung in RUNGS[dialect]:
        sent = body(dialect, rung=rung)
        assert [message["content"] for message in sent["messages"]] == ["rules", "state"]
        assert 4_000 in (sent.get("max_tokens"), sent.get("max_completion_tokens"))
        assert not {"temperature", "stream", "models", "tools", "n", "top_p", "seed"} & sent.keys()


@pytest.mark.parametrize("dialect", RUNGS)
def test_a_temperature_is_sent_as_it_is_set(dialect):
    assert body(dialect, temperature=Decimal("0.35"))["temperature"] == 0.35


@pytest.mark.parametrize(
    ("dialect", "effort", "said"),
    [
        ("openrouter", "low", {"reasoning": {"effort": "low"}}),
        ("openrouter", "none", {"reasoning": {"effort": "none"}}),
        ("openai", "xhigh", {"reasoning_effort": "xhigh"}),
        ("openai", "none", {"reasoning_effort": "none"}),
        ("anthropic", "low", {"reasoning_effort": "low"}),
        ("deepseek", "max", {"thinking": {"type": "enabled"}, "reasoning_effort": "max"}),
        ("deepseek", "none", {"thinking": {"type": "disabled"}}),
        ("xai", "minimal", {"reasoning_effort": "low"}),
        ("xai", "max", {"reasoning_effort": "high"}),
        ("gemini", "xhigh", {"reasoning_effort": "high"}),
        ("plain", "high", {"reasoning_effort": "high"}),
        ("plain", "none", {}),
    ],
)
def test_effort_is_said_in_the_words_of_the_dialect(dialect, effort, said):
    sent = body(dialect, effort=effort)
    assert {name: sent[name] for name in ("reasoning", "thinking", "reasoning_effort") if name in sent} == said


def test_openrouter_is_told_to_change_nothing():
    for rung in Rung:
        sent = body("openrouter", rung=rung)
        assert sent["plugins"] == [{"id": "context-compression", "enabled": False}]
        assert sent.get("provider") == (None if rung is Rung.PROMPT else {"require_parameters": True})
    assert {"plugins", "provider", "reasoning"}.isdisjoint(body("plain"))


def test_each_rung_asks_for_its_format():
    wanted = [body("openai", rung=rung).get("response_format") for rung in Rung]
    assert [form and form["type"] for form in wanted] == ["json_schema", "json_schema", "json_object", None]
    assert [form["json_schema"]["strict"] for form in wanted[:2]] == [True, False]
    assert wanted[0]["json_schema"]["schema"] == SCHEMA


def test_deepseek_is_not_asked_for_a_schema_that_it_refuses():
    assert RUNGS["deepseek"] == (Rung.JSON, Rung.PROMPT)


def test_the_last_rung_of_a_plain_server_is_the_barest_request():
    assert body("plain", rung=Rung.PROMPT).keys() == {"model", "messages", "max_tokens"}


def test_what_may_be_null_is_said_without_a_list_of_types_to_anthropic():
    sent = body("anthropic")["response_format"]["json_schema"]["schema"]
    kinds = [schema.get("type") for schema in schemas_in(sent)]
    assert not [kind for kind in kinds if isinstance(kind, list)]
    item = sent["properties"]["decisions"]["items"]["properties"]
    assert item["quantity"]["anyOf"] == [{"type": "number"}, {"type": "null"}]
    assert item["coin"] == SCHEMA["properties"]["decisions"]["items"]["properties"]["coin"]


def test_a_property_that_is_named_type_stays_one():
    schema = {"type": "object", "properties": {"type": {"type": ["string", "null"]}}, "required": ["type"]}
    turned = nullable_by_any_of(schema)
    assert turned["required"] == ["type"]
    assert turned["properties"] == {"type": {"anyOf": [{"type": "string"}, {"type": "null"}]}}


@pytest.mark.parametrize(
    ("dialect", "model"),
    [
        ("openrouter", "~x-ai/grok-latest"),
        ("openrouter", "~x-ai/grok"),
        ("xai", "grok-latest"),
        ("gemini", "flash-latest"),
    ],
)
def test_a_name_that_floats_is_refused_with_the_reason(dialect, model):
    with pytest.raises(Rejected, match="different model from day to day") as refusal:
        body(dialect, model=model)
    assert refusal.value.code == "model_floats"


def test_a_tag_of_a_local_server_does_not_float():
    refuse_floating("plain", "llama3:latest")


def test_what_is_sent_besides_the_prompt_is_kept():
    asking = replace(Asking(), temperature=Decimal("0.2"), layout="compact")
    assert said_besides(asking, Rung.JSON) == {
        "format": "json",
        "effort": "low",
        "temperature": "0.2",
        "max_tokens": 4_000,
        "layout": "compact",
    }
