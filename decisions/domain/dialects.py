"""The same question in the words of each provider's chat API: what is sent, exactly. Pure.

All speak the API of OpenAI, and each refuses something of it (research: llm.md 1.1 and 1.7, and the providers' pages).
Limit of tokens and effort of reasoning are always said: what a provider takes by itself may be slow, dear or cut.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from decisions.domain.ladder import Rung
from decisions.domain.question import Asking, Prompt
from vibex.lib.errors import Rejected

type Body = dict[str, Any]

RUNGS: Final[Mapping[str, tuple[Rung, ...]]] = {
    "openrouter": tuple(Rung),
    "openai": tuple(Rung),
    "anthropic": tuple(Rung),
    "deepseek": (Rung.JSON, Rung.PROMPT),
    "xai": tuple(Rung),
    "gemini": tuple(Rung),
    "plain": tuple(Rung),
}
"""Formats of a reply that a dialect has, the strictest first. DeepSeek's own server refuses every schema."""
LIMIT: Final[Mapping[str, str]] = {"openai": "max_completion_tokens", "xai": "max_completion_tokens"}
"""Where the limit of tokens is not named max_tokens: OpenAI refuses that name for models that reason, xAI gives it up."""
EFFORTS: Final[Mapping[str, Mapping[str, str]]] = {
    "xai": {"minimal": "low", "xhigh": "high", "max": "high"},
    "gemini": {"xhigh": "high", "max": "high"},
    "anthropic": {"minimal": "low"},
}
"""Efforts that a dialect does not have, and the nearest that it has."""
NO_COMPRESSION: Final = {"id": "context-compression", "enabled": False}
FLOATING: Final = "-latest"


def body_of(dialect: str, *, model: str, prompt: Prompt, asking: Asking, schema: Mapping[str, Any], rung: Rung) -> Body:
    """Return the body of the request. Raises Rejected for a model whose name means another one from day to day."""
    refuse_floating(dialect, model)
    body: Body = {
        "model": model,
        "messages": [{"role": "system", "content": prompt.system}, {"role": "user", "content": prompt.user}],
        LIMIT.get(dialect, "max_tokens"): asking.max_tokens,
    }
    if asking.temperature is not None:
        body["temperature"] = float(asking.temperature)
    body |= _reasoning(dialect, asking.effort, rung)
    if (wanted := _format(dialect, schema, rung)) is not None:
        body["response_format"] = wanted
    if dialect == "openrouter":
        body |= _at_openrouter(rung)
    return body


def said_besides(asking: Asking, rung: Rung) -> dict[str, object]:
    """Return what is sent besides the prompt, as it is kept."""
    temperature = None if asking.temperature is None else str(asking.temperature)
    return {
        "format": rung.value,
        "effort": asking.effort,
        "temperature": temperature,
        "max_tokens": asking.max_tokens,
        "layout": asking.layout,
    }


def refuse_floating(dialect: str, model: str) -> None:
    """Raise Rejected for an alias like ~x-ai/grok-latest: what it did could neither be repeated nor attributed."""
    if model.startswith("~") or (dialect != "plain" and model.endswith(FLOATING)):
        raise Rejected(
            f"{model} is a different model from day to day. Name the very model, so that its results can be told apart.",
            code="model_floats",
        )


def _reasoning(dialect: str, effort: str, rung: Rung) -> Body:
    effort = EFFORTS.get(dialect, {}).get(effort, effort)
    if dialect == "openrouter":
        return {"reasoning": {"effort": effort}}
    if dialect == "deepseek":
        thinks = effort != "none"
        toggle: Body = {"thinking": {"type": "enabled" if thinks else "disabled"}}
        return toggle | ({"reasoning_effort": effort} if thinks else {})
    if dialect == "plain" and (effort == "none" or rung is Rung.PROMPT):
        # Small servers know the word for some models only. The last rung is the barest request that there is.
        return {}
    return {"reasoning_effort": effort}


def _format(dialect: str, schema: Mapping[str, Any], rung: Rung) -> Body | None:
    if rung is Rung.PROMPT:
        return None
    if rung is Rung.JSON:
        return {"type": "json_object"}
    spoken = nullable_by_any_of(schema) if dialect == "anthropic" else dict(schema)
    named = {"name": "decisions", "strict": rung is Rung.STRICT, "schema": spoken}
    return {"type": "json_schema", "json_schema": named}


def _at_openrouter(rung: Rung) -> Body:
    """Return what only OpenRouter knows: nothing may drop a part of the prompt, or leave the format unread."""
    body: Body = {"plugins": [NO_COMPRESSION]}
    return body if rung is Rung.PROMPT else body | {"provider": {"require_parameters": True}}


def nullable_by_any_of(schema: Any) -> Any:
    """Return a schema in which what may be null is written with anyOf, not with a list of types."""
    if isinstance(schema, list):
        return [nullable_by_any_of(part) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    return dict(_any_of(name, part) for name, part in schema.items())


def _any_of(name: str, part: Any) -> tuple[str, Any]:
    if name == "type" and isinstance(part, list):
        return "anyOf", [{"type": each} for each in part]
    return name, nullable_by_any_of(part)
