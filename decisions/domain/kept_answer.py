"""An answer of a model as it is kept on disk, and back again. Pure.

Amounts are text and bodies are base64, so that what is read back is what came, to the byte.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from decisions.domain.question import Answer, Attempt, Outcome, Prompt, Usage

VERSION: Final = 1


class NotAnAnswer(ValueError):
    """What was read is not an answer that was kept by this code."""


def said(answer: Answer) -> bool:
    """Whether a model said something, usable or not: that is kept. What the world did to the request is not.

    A reply that was cut off was written, and paid for. An error in the body, or nothing at all, is no reply.
    """
    if answer.outcome is Outcome.ANSWERED:
        return True
    if answer.outcome is not Outcome.REJECTED or not answer.attempts:
        return False
    last = answer.attempts[-1]
    if last.reason.startswith("envelope.error"):
        return False
    return answer.text is not None or last.usage.completion_tokens > 0


def cost_in(answer: Answer) -> Decimal:
    """Return the US dollars of all requests of an answer: what was said of each, else what it counts as."""
    costs = (each.estimate if each.usage.cost is None else each.usage.cost for each in answer.attempts)
    return sum((cost for cost in costs if cost is not None), Decimal(0))


def answer_data(answer: Answer, prompt: Prompt) -> dict[str, Any]:
    """Return an answer of models to a prompt as data for JSON."""
    return {
        "version": VERSION,
        "prompt": _prompt(prompt),
        "outcome": answer.outcome.value,
        "raw": _text(answer.raw),
        "text": answer.text,
        "model_requested": answer.model_requested,
        "model_served": answer.model_served,
        "finish_reason": answer.finish_reason,
        "usage": _usage(answer.usage),
        "latency": answer.latency,
        "reason": answer.reason,
        "attempts": [_attempt(each, prompt) for each in answer.attempts],
    }


def answer_from(data: Any) -> Answer:
    """Return the answer of `answer_data`. Raises NotAnAnswer for anything else."""
    try:
        if data["version"] != VERSION:
            raise NotAnAnswer(f"version {data['version']}")
        prompt = Prompt(**data["prompt"])
        return Answer(
            Outcome(data["outcome"]),
            raw=_bytes(data["raw"]),
            text=data["text"],
            model_requested=data["model_requested"],
            model_served=data["model_served"],
            finish_reason=data["finish_reason"],
            usage=_usage_from(data["usage"]),
            latency=float(data["latency"]),
            reason=data["reason"],
            attempts=tuple(_attempt_from(each, prompt) for each in data["attempts"]),
        )
    except NotAnAnswer:
        raise
    except (KeyError, TypeError, ValueError, ArithmeticError) as fault:
        raise NotAnAnswer(f"{type(fault).__name__} {fault}") from None


def _attempt(attempt: Attempt, prompt: Prompt) -> dict[str, Any]:
    return {
        "provider": attempt.provider,
        "model": attempt.model,
        "prompt": None if attempt.prompt == prompt else _prompt(attempt.prompt),
        "outcome": attempt.outcome.value,
        "reason": attempt.reason,
        "raw": _text(attempt.raw),
        "http_status": attempt.http_status,
        "model_served": attempt.model_served,
        "finish_reason": attempt.finish_reason,
        "generation_id": attempt.generation_id,
        "reasoning": attempt.reasoning,
        "usage": _usage(attempt.usage),
        "estimate": _amount(attempt.estimate),
        "latency": attempt.latency,
        "parameters": {name: value if _plain(value) else str(value) for name, value in attempt.parameters.items()},
    }


def _attempt_from(data: Mapping[str, Any], prompt: Prompt) -> Attempt:
    own = data["prompt"]
    return Attempt(
        provider=data["provider"],
        model=data["model"],
        prompt=prompt if own is None else Prompt(**own),
        outcome=Outcome(data["outcome"]),
        reason=data["reason"],
        raw=_bytes(data["raw"]),
        http_status=data["http_status"],
        model_served=data["model_served"],
        finish_reason=data["finish_reason"],
        generation_id=data["generation_id"],
        reasoning=data["reasoning"],
        usage=_usage_from(data["usage"]),
        estimate=_amount_from(data["estimate"]),
        latency=float(data["latency"]),
        parameters=dict(data["parameters"]),
    )


def _prompt(prompt: Prompt) -> dict[str, str]:
    return {"system": prompt.system, "user": prompt.user, "template": prompt.template, "digest": prompt.digest}


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "cost": _amount(usage.cost),
        "reasoning_tokens": usage.reasoning_tokens,
        "cached_tokens": usage.cached_tokens,
    }


def _usage_from(data: Mapping[str, Any]) -> Usage:
    return Usage(**{**data, "cost": _amount_from(data["cost"])})


def _amount(amount: Decimal | None) -> str | None:
    return None if amount is None else str(amount)


def _amount_from(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _text(raw: bytes) -> str:
    return b64encode(raw).decode("ascii")


def _bytes(text: str) -> bytes:
    return b64decode(text, validate=True)


def _plain(value: object) -> bool:
    return value is None or isinstance(value, str | int | float | bool)
