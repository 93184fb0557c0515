"""Servers that refuse what their provider documents as refused, and answer and fail in its own shape.

They know the wire only: nothing here asks the code under test what it would send.
"""

import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from decisions.tests.llm_server import Behave, sends

type Request = dict[str, Any]

OF_OPENAI = {"model", "messages", "max_completion_tokens", "temperature", "reasoning_effort", "response_format"}
OF_XAI = OF_OPENAI | {"max_tokens"}
OF_GEMINI = OF_OPENAI | {"max_tokens"}
OF_DEEPSEEK = {"model", "messages", "max_tokens", "temperature", "reasoning_effort", "response_format", "thinking"}
OF_OPENROUTER = {
    "model", "messages", "max_tokens", "temperature", "response_format", "reasoning", "plugins", "provider",
}  # fmt: skip
BOUNDS = {"minimum", "maximum", "multipleOf", "minLength", "maxLength", "minItems", "maxItems", "pattern", "oneOf"}


@dataclass(frozen=True)
class Dialect:
    """How one provider refuses, answers and fails. `limited` and `unknown_key` are bodies of 429 and 401."""

    name: str
    model: str
    fault: Callable[[Request], str]
    refusal: Callable[[str], Any]
    served: str
    usage: Mapping[str, Any]
    limited: Any
    unknown_key: Any
    message: Mapping[str, Any]
    says_cost: bool = False

    def answers(self, content: str) -> Behave:
        """Answer with a text, or with 400 when the request holds anything that this provider refuses."""

        def behave(connection: socket.socket, request: Request) -> None:
            if wrong := self.fault(request):
                sends(json.dumps(self.refusal(wrong)).encode(), 400)(connection, request)
                return
            message = {"role": "assistant", "content": content, **self.message}
            choice = {"index": 0, "finish_reason": "stop", "message": message, "logprobs": None}
            body = {"id": f"{self.name}-1", "object": "chat.completion", "created": 1, "model": self.served}
            sends(json.dumps(body | {"choices": [choice], "usage": dict(self.usage)}).encode())(connection, request)

        return behave

    def is_busy(self) -> Behave:
        return sends(json.dumps(self.limited).encode(), 429)

    def knows_no_key(self) -> Behave:
        return sends(json.dumps(self.unknown_key).encode(), 401)


def schemas_in(value: Any) -> list[Mapping[str, Any]]:
    """Every schema inside a schema, itself among them."""
    if isinstance(value, list):
        return [found for part in value for found in schemas_in(part)]
    if not isinstance(value, dict):
        return []
    inner = [*value.get("properties", {}).values(), value.get("items"), value.get("anyOf")]
    return [value, *(found for part in inner for found in schemas_in(part))]


def schema_of(request: Request) -> list[Mapping[str, Any]]:
    wanted = request.get("response_format", {})
    return schemas_in(wanted["json_schema"]["schema"]) if wanted.get("type") == "json_schema" else []


def open_or_optional(request: Request) -> str:
    for schema in schema_of(request):
        if schema.get("type") == "object":
            if schema.get("additionalProperties") is not False:
                return "additionalProperties must be false"
            if set(schema["required"]) != set(schema["properties"]):
                return "every property must be required"
    return ""


def unknown(request: Request, known: set[str]) -> str:
    strange = sorted(request.keys() - known)
    return f"unknown parameter {strange[0]}" if strange else ""


def effort_outside(request: Request, known: set[str]) -> str:
    effort = request.get("reasoning_effort")
    if effort is None:
        return "this test wants the effort said"
    return "" if effort in known else f"reasoning_effort {effort} is not supported"


def of_openai(request: Request) -> str:
    if "max_tokens" in request:
        return "max_tokens is not supported with this model, use max_completion_tokens"
    efforts = {"none", "minimal", "low", "medium", "high", "xhigh", "max"}
    return unknown(request, OF_OPENAI) or effort_outside(request, efforts) or open_or_optional(request)


def of_anthropic(request: Request) -> str:
    if "max_tokens" not in request and "max_completion_tokens" not in request:
        return "max_tokens: Field required"
    for schema in schema_of(request):
        if isinstance(schema.get("type"), list):
            return "type: a list of types is not supported, use anyOf"
        if found := BOUNDS & schema.keys():
            return f"property {sorted(found)[0]} is not supported"
    return open_or_optional(request)


def of_deepseek(request: Request) -> str:
    kind = request.get("response_format", {}).get("type", "text")
    if kind == "json_schema":
        return "This response_format type is unavailable now"
    if kind == "json_object" and "json" not in json.dumps(request["messages"]).lower():
        return "the prompt must contain the word json"
    thinks = request.get("thinking", {}).get("type")
    if thinks not in ("enabled", "disabled"):
        return "thinking.type must be enabled or disabled"
    if thinks == "disabled":
        return unknown(request, OF_DEEPSEEK - {"reasoning_effort"})
    return unknown(request, OF_DEEPSEEK) or effort_outside(
        request, {"minimal", "low", "medium", "high", "xhigh", "max"}
    )


def of_xai(request: Request) -> str:
    return unknown(request, OF_XAI) or effort_outside(request, {"none", "low", "medium", "high"})


def of_gemini(request: Request) -> str:
    efforts = {"none", "minimal", "low", "medium", "high"}
    return unknown(request, OF_GEMINI) or effort_outside(request, efforts)


def of_openrouter(request: Request) -> str:
    if any(plugin["id"] == "response-healing" for plugin in request.get("plugins", [])):
        return "this test wants no reply mended"
    if "max_tokens" not in request or "effort" not in request.get("reasoning", {}):
        return "this test wants limit and effort said"
    if "response_format" in request and not request.get("provider", {}).get("require_parameters"):
        return "this test wants the format required"
    return unknown(request, OF_OPENROUTER) or open_or_optional(request)


def of_plain(request: Request) -> str:
    if request.get("response_format", {}).get("type") == "json_schema":
        return "response_format must be text or json_object"
    return unknown(request, OF_DEEPSEEK - {"thinking"})


def as_openai(text: str, kind: str = "invalid_request_error", code: str | None = "unsupported_parameter") -> Any:
    return {"error": {"message": text, "type": kind, "param": None, "code": code}}


def as_gemini(text: str, code: int = 400, status: str = "INVALID_ARGUMENT") -> Any:
    return [{"error": {"code": code, "message": text, "status": status}}]


TOKENS = {"prompt_tokens": 4100, "completion_tokens": 210, "total_tokens": 4310}

DIALECTS = [
    Dialect(
        "openrouter",
        "x-ai/grok-4.3",
        of_openrouter,
        lambda text: {"error": {"code": 400, "message": text}, "user_id": "u"},
        "x-ai/grok-4.3-20260430",
        TOKENS | {"cost": 0.00331, "completion_tokens_details": {"reasoning_tokens": 40}},
        {"error": {"code": 429, "message": "upstream", "metadata": {"error_type": "rate_limit_exceeded"}}},
        {"error": {"code": 401, "message": "No auth credentials found"}},
        {"reasoning": "the trend holds", "refusal": None},
        says_cost=True,
    ),
    Dialect(
        "openai",
        "gpt-5.4",
        of_openai,
        as_openai,
        "gpt-5.4-2026-03-05",
        TOKENS | {"completion_tokens_details": {"reasoning_tokens": 128}},
        as_openai("Rate limit reached", "requests", "rate_limit_exceeded"),
        as_openai("Incorrect API key provided", code="invalid_api_key"),
        {"refusal": None, "annotations": []},
    ),
    Dialect(
        "anthropic",
        "claude-opus-5-5",
        of_anthropic,
        lambda text: {"error": {"code": None, "message": text, "type": "invalid_request_error", "param": None}},
        "claude-opus-5-5",
        TOKENS,
        {"error": {"type": "rate_limit_error", "message": "slow down"}, "type": "error"},
        {"error": {"type": "authentication_error", "message": "invalid x-api-key"}, "type": "error"},
        {},
    ),
    Dialect(
        "deepseek",
        "deepseek-v4-pro",
        of_deepseek,
        lambda text: as_openai(text, code="invalid_request_error"),
        "deepseek-v4-pro",
        TOKENS | {"prompt_cache_hit_tokens": 3968, "prompt_cache_miss_tokens": 132},
        as_openai("Rate limit", "rate_limit_error", "rate_limit"),
        as_openai("Authentication Fails", "authentication_error", "invalid_request_error"),
        {"reasoning_content": "the trend holds"},
    ),
    Dialect(
        "xai",
        "grok-4.3",
        of_xai,
        lambda text: {"code": "Client specified an invalid argument", "error": text},
        "grok-4.3",
        {
            "prompt_tokens": 4100,
            "completion_tokens": 170,
            "total_tokens": 4310,
            "completion_tokens_details": {"reasoning_tokens": 40},
        },
        {"code": "Some resource has been exhausted", "error": "Too many requests"},
        {"code": "Unauthenticated", "error": "Incorrect API key provided"},
        {"refusal": None, "reasoning_content": "the trend holds"},
    ),
    Dialect(
        "gemini",
        "gemini-3.8-flash",
        of_gemini,
        as_gemini,
        "gemini-3.8-flash",
        TOKENS,
        as_gemini("Resource exhausted", 429, "RESOURCE_EXHAUSTED"),
        as_gemini("Request had invalid authentication credentials", 401, "UNAUTHENTICATED"),
        {},
    ),
    Dialect(
        "plain",
        "llama3:8b",
        of_plain,
        lambda text: {"detail": text},
        "llama3:8b",
        TOKENS,
        {"detail": "busy"},
        {"detail": "Unauthorized"},
        {},
    ),
]
