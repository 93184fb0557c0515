"""The outer shell of a model's reply: the body of an OpenAI-compatible chat completion.

Errors arrive inside HTTP 200 in several shapes; each of them is told apart here, and none gets through.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from decisions.domain.question import Usage
from decisions.domain.strict_json import MAX_CHARS, Unreadable

MAX_BYTES: Final = 1_000_000
ENDED_EARLY: Final = ("length", "max_tokens", "safety", "filter", "recitation", "refus", "error", "tool", "block")
"""Parts of a provider's own finish reason that betray an incomplete or withheld answer."""
DATED: Final = re.compile(r"-(\d{4}|\d{2}-\d{2}|\d{6}|\d{8}|\d{4}-\d{2}-\d{2})")
"""What a canonical slug adds to the name that was asked: a date."""
VARIANTS: Final = frozenset({"nitro", "floor", "free", "exacto", "online", "thinking", "extended", "beta"})
"""Routing wishes that OpenRouter takes after a colon and leaves out of the served name."""
TEXT_CAP: Final = 120


@dataclass(frozen=True, slots=True)
class Envelope:
    """Facts about a reply and the text of its only message."""

    text: str
    model_served: str
    finish_reason: str
    usage: Usage


def open_envelope(raw: bytes, *, model: str, also: Collection[str] = ()) -> Envelope:
    """Return the message of a complete, single, stated answer of `model`. Raises Unreadable for everything else.

    `also` are names, besides its own, under which the model may answer.
    """
    body = _body(raw)
    if body.get("error") is not None:
        raise Unreadable("envelope.error", f"the server reports an error {error_code(body['error'])}")
    choice = _only_choice(body)
    finish = _finish_reason(choice)
    served = body.get("model")
    if not isinstance(served, str) or not (served in also or same_model(model, served)):
        raise Unreadable("envelope.other_model", f"{model} was asked and {brief(served)} answered")
    return Envelope(_text(choice.get("message")), served, finish, usage_of(body))


def peek(raw: bytes) -> tuple[str, str, Usage]:
    """Return served model, finish reason and usage of any body, as far as it states them. Never raises."""
    try:
        body = _body(raw)
    except Unreadable:
        return "", "", Usage()
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    return brief(body.get("model") or ""), brief(first.get("finish_reason") or ""), usage_of(body)


def same_model(asked: str, served: str) -> bool:
    """Is `served` the model that was asked, by its name or by its dated canonical slug (name, dash, date)?"""
    if served == asked:
        return True
    name, _, variant = asked.partition(":")
    if variant and variant not in VARIANTS:
        return False
    return served == name or (served.startswith(name) and DATED.fullmatch(served[len(name) :]) is not None)


def usage_of(body: dict[str, Any]) -> Usage:
    """Return the tokens and the cost (US dollars) that a body states; a missing or absurd figure counts as unsaid."""
    usage = body.get("usage")
    if not isinstance(usage, dict):
        return Usage()
    return Usage(_count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")), _cost(usage.get("cost")))


def error_code(error: Any) -> str:
    """Return code and type of an error object. Its message is left out: it may repeat parts of a key or a prompt."""
    if not isinstance(error, dict):
        return "without a code"
    metadata = error.get("metadata")
    kind = metadata.get("error_type") if isinstance(metadata, dict) else error.get("type", error.get("error_type"))
    return " ".join(brief(part) for part in (error.get("code"), kind) if part is not None) or "without a code"


def brief(value: Any) -> str:
    """Return a foreign value as short, printable ASCII."""
    return ascii(str(value))[1:-1][:TEXT_CAP]


def _body(raw: bytes) -> dict[str, Any]:
    if not raw.strip():
        raise Unreadable("envelope.empty", "the body is empty")
    if len(raw) > MAX_BYTES:
        raise Unreadable("envelope.too_long", f"the body has more than {MAX_BYTES} bytes")
    try:
        body = json.loads(raw.decode("utf-8-sig"), parse_float=Decimal)
    except (ValueError, InvalidOperation, RecursionError):
        raise Unreadable("envelope.not_json", f"the body is not JSON; it begins with {brief(raw[:40])}") from None
    if not isinstance(body, dict):
        raise Unreadable("envelope.not_object", "the body is not an object")
    return body


def _only_choice(body: dict[str, Any]) -> dict[str, Any]:
    choices = body.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        count = len(choices) if isinstance(choices, list) else "no"
        raise Unreadable("envelope.choices", f"the body has {count} usable choices, not one")
    if choices[0].get("error") is not None:
        raise Unreadable("envelope.error", f"the provider reports an error {error_code(choices[0]['error'])}")
    return choices[0]


def _finish_reason(choice: dict[str, Any]) -> str:
    finish, native = choice.get("finish_reason"), choice.get("native_finish_reason")
    if finish != "stop":
        raise Unreadable("envelope.finish", f"the answer ended with {brief(finish)}, not with stop")
    if isinstance(native, str) and any(part in native.lower() for part in ENDED_EARLY):
        raise Unreadable("envelope.finish", f"the provider ended the answer with {brief(native)}")
    return "stop"


def _text(message: Any) -> str:
    if not isinstance(message, dict):
        raise Unreadable("envelope.message", "the choice has no message")
    if message.get("refusal"):
        raise Unreadable("envelope.refusal", "the model refused")
    if message.get("tool_calls") or message.get("function_call"):
        raise Unreadable("envelope.tool_call", "the answer came as a tool call")
    content = message.get("content")
    if not isinstance(content, str) or not content.strip():
        raise Unreadable("envelope.content", "the message has no text")
    if len(content) > MAX_CHARS:
        raise Unreadable("envelope.too_long", f"the message has more than {MAX_CHARS} characters")
    return content


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31 else 0


def _cost(value: Any) -> Decimal | None:
    """Return a cost in dollars with at most ten decimals, as it is stored."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    cost = Decimal(value)
    usable = cost.is_finite() and 0 <= cost < 10_000
    return cost.quantize(Decimal("1e-10")) if usable else None
