"""The outer shell of a model's reply: the body of an OpenAI-compatible chat completion.

Errors arrive inside HTTP 200 in several shapes; each of them is told apart here, and none gets through.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
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
REASONING: Final = ("reasoning", "reasoning_content")
"""Where a message holds what its model let be read of its thoughts."""
STATUS: Final = re.compile(r"[45]\d\d", re.ASCII)
LONGEST_WORD: Final = 60
"""A code is shorter; what is longer may be a key."""
LONGEST_WAIT: Final = 86_400


@dataclass(frozen=True, slots=True)
class Envelope:
    """Facts about a reply and the text of its only message."""

    text: str
    model_served: str
    finish_reason: str
    usage: Usage


@dataclass(frozen=True, slots=True)
class Facts:
    """What a body says of itself besides its message; "" and zeros where it says nothing."""

    model_served: str = ""
    finish_reason: str = ""
    generation_id: str = ""
    reasoning: str = ""
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True)
class Fault:
    """An error that a body reports: codes only. Its message is left out, it may repeat parts of a key or a prompt."""

    status: int | None
    """As of HTTP, None where none is stated."""
    kinds: tuple[str, ...] = ()
    """Codes in words, the most exact first."""
    retry_after: float | None = None
    """Seconds."""
    where: str = "server"

    def __str__(self) -> str:
        return " ".join((*([str(self.status)] if self.status else []), *self.kinds)) or "without a code"


def open_envelope(raw: bytes, *, model: str, also: Collection[str] = ()) -> Envelope:
    """Return the message of a complete, single, stated answer of `model`. Raises Unreadable for everything else.

    `also` are names, besides its own, under which the model may answer.
    """
    body = _body(raw)
    if (fault := _fault_in(body)) is not None:
        raise Unreadable("envelope.error", f"the {fault.where} reports an error {fault}")
    choice = _only_choice(body)
    finish = _finish_reason(choice)
    served = body.get("model")
    if not isinstance(served, str) or not (served in also or same_model(model, served)):
        raise Unreadable("envelope.other_model", f"{model} was asked and {brief(served)} answered")
    return Envelope(_text(choice.get("message")), served, finish, usage_of(body))


def facts_of(raw: bytes) -> Facts:
    """Return what any body states of itself, as far as it states it. Never raises."""
    try:
        body = _body(raw)
    except Unreadable:
        return Facts()
    first = _first_choice(body)
    message = first.get("message")
    reasoning = ""
    if isinstance(message, dict):
        reasoning = next((text for name in REASONING if isinstance(text := message.get(name), str)), "")
    return Facts(
        brief(body.get("model") or ""),
        brief(first.get("finish_reason") or ""),
        brief(body.get("id") or ""),
        reasoning[:MAX_CHARS],
        usage_of(body),
    )


def fault_of(raw: bytes) -> Fault | None:
    """Return the error that a body of any HTTP status reports, None where it reports none. Never raises."""
    try:
        return _fault_in(_body(raw))
    except Unreadable:
        return None


def same_model(asked: str, served: str) -> bool:
    """Is `served` the model that was asked, by its name or by its dated canonical slug (name, dash, date)?"""
    if served == asked:
        return True
    name, _, variant = asked.partition(":")
    if variant and variant not in VARIANTS:
        return False
    return served == name or (served.startswith(name) and DATED.fullmatch(served[len(name) :]) is not None)


def usage_of(body: Mapping[str, Any]) -> Usage:
    """Return the tokens and the cost (US dollars) that a body states; a missing or absurd figure counts as unsaid."""
    usage = body.get("usage")
    if not isinstance(usage, dict):
        return Usage()
    prompt, reply = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    reasoning = _count(_inside(usage, "completion_tokens_details").get("reasoning_tokens"))
    cached = _count(_inside(usage, "prompt_tokens_details").get("cached_tokens"))
    if reasoning and _count(usage.get("total_tokens")) == prompt + reply + reasoning:
        reply += reasoning  # some servers count what was thought beside the reply, and it is paid all the same
    return Usage(
        prompt,
        reply,
        _cost(usage.get("cost")),
        reasoning_tokens=reasoning,
        cached_tokens=cached or _count(usage.get("prompt_cache_hit_tokens")),
    )


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
    if isinstance(body, list) and len(body) == 1 and isinstance(body[0], dict) and body[0].get("error"):
        return {"error": body[0]["error"]}  # how Gemini words its errors
    if not isinstance(body, dict):
        raise Unreadable("envelope.not_object", "the body is not an object")
    return body


def _fault_in(body: Mapping[str, Any]) -> Fault | None:
    """Return the error at any of its places: on top, in the only choice, or under the provider where a body is nested."""
    if body.get("error") is not None:
        return _fault(body["error"])
    choice = _first_choice(body)
    if choice.get("error") is not None:
        return replace(_fault(choice["error"]), where="provider")
    nested = body.get("provider")
    if isinstance(nested, dict) and not body.get("choices"):
        inner = nested.get("error") if nested.get("error") is not None else nested if "code" in nested else None
        return replace(_fault(inner), where="provider") if inner is not None else None
    return None if body.get("choices") or not _status(body.get("code")) else _fault(body)


def _fault(error: Any) -> Fault:
    if not isinstance(error, dict):
        return Fault(None)
    metadata, available = _inside(error, "metadata"), _inside(error, "availability")
    said = (
        metadata.get("limit_source"),
        available.get("code"),
        metadata.get("error_type"),
        error.get("error_type"),
        error.get("code"),
        error.get("type"),
        error.get("status"),
    )
    words = (kind for kind in said if isinstance(kind, str) and len(kind) <= LONGEST_WORD and not _status(kind))
    kinds = tuple(dict.fromkeys(brief(kind) for kind in words))
    status = _status(error.get("code")) or _status(error.get("http_status")) or _status(error.get("status"))
    waits = (_wait(place.get("retry_after")) for place in (available, metadata, error))
    return Fault(status, kinds, next((wait for wait in waits if wait is not None), None))


def _inside(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = body.get(name)
    return value if isinstance(value, dict) else {}


def _first_choice(body: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = body.get("choices")
    return choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}


def _status(value: Any) -> int | None:
    """Return a status of HTTP that is written as number or text."""
    if isinstance(value, str) and STATUS.fullmatch(value):
        value = int(value)
    known = isinstance(value, int) and not isinstance(value, bool) and 400 <= value < 600
    return int(value) if known else None


def _wait(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    return float(value) if Decimal(value).is_finite() and 0 <= value < LONGEST_WAIT else None


def _only_choice(body: dict[str, Any]) -> dict[str, Any]:
    choices = body.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        count = len(choices) if isinstance(choices, list) else "no"
        raise Unreadable("envelope.choices", f"the body has {count} usable choices, not one")
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
