"""What comes next when a request to a model did not give a usable reply. Pure: tables, and one function that reads them.

The way down: a looser format, the same again, without the texts from outside, once more with the reason, the next
model, and then nothing: everything holds. The source of the tables is research: llm.md 1.4 and 4.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from decisions.domain.envelope import Fault, fault_of
from decisions.domain.question import Attempt, Outcome


class Rung(StrEnum):
    """How a reply's format is asked for, the strictest first."""

    STRICT = "strict"
    SCHEMA = "schema"
    JSON = "json"
    PROMPT = "prompt"


class Move(StrEnum):
    """What is done next."""

    USE = "use"
    NEXT_RUNG = "next rung"
    AGAIN = "again"
    WAIT = "wait, then again"
    WITHOUT_OUTSIDE = "without the texts from outside"
    REASK = "again, with the reason"
    NEXT_MODEL = "next model"
    NEXT_PROVIDER = "next provider"
    NEXT_KEY = "next provider, with its own key"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of one request."""

    code: str = ""
    """Reason code of the gate for a body of HTTP 200; "" when that is usable, or when there was no such body."""
    status: int | None = None
    """Of HTTP, or of the error inside a body of HTTP 200. None: no answer at all."""
    kinds: tuple[str, ...] = ()
    """Codes in words that came with the error."""
    finish_reason: str = ""
    retry_after: float | None = None
    """Seconds that the server wants to be left alone."""
    should_retry: bool | None = None
    """What the server says of trying again; None when it says nothing."""

    @property
    def usable(self) -> bool:
        return self.status == OK and not self.code


@dataclass(frozen=True, slots=True)
class Room:
    """What may still be done for the question."""

    left: float
    """Seconds until the deadline."""
    whole: float
    """Seconds that there were in the beginning."""
    usual: float = 0.0
    """Seconds that the model usually takes; 0 when nobody knows."""
    rungs_below: bool = True
    """Is there a looser format?"""
    again: bool = True
    """May the same be sent to this model again? Once."""
    reask: bool = True
    """May the reason be sent along? Once a question."""
    outside: bool = False
    """Is there the same prompt without a text from outside, and was it not sent yet?"""

    def has_time(self, wait: float = 0.0) -> bool:
        """Is there time for another reply after a wait? A model that nobody knows is given a third of the whole."""
        needed = self.usual or self.whole / 3
        return self.left - wait >= needed


@dataclass(frozen=True, slots=True)
class Step:
    """What comes next, after so many seconds."""

    move: Move
    wait: float = 0.0


OK: Final = 200

STATUSES: Final[Mapping[int, tuple[Move, ...]]] = {
    400: (Move.NEXT_RUNG, Move.NEXT_MODEL),
    401: (Move.NEXT_KEY,),
    402: (Move.NEXT_PROVIDER,),
    403: (Move.WITHOUT_OUTSIDE, Move.NEXT_MODEL),
    404: (Move.NEXT_RUNG, Move.NEXT_MODEL),
    408: (Move.WAIT, Move.NEXT_MODEL),
    413: (Move.NEXT_MODEL,),
    422: (Move.NEXT_RUNG, Move.NEXT_MODEL),
    429: (Move.WAIT, Move.NEXT_MODEL),
    500: (Move.AGAIN, Move.NEXT_MODEL),
    502: (Move.NEXT_MODEL,),
    503: (Move.NEXT_MODEL,),
    504: (Move.NEXT_MODEL,),
    524: (Move.NEXT_MODEL,),
    529: (Move.NEXT_MODEL,),
}
"""By status of HTTP, or of an error inside HTTP 200: the first move that can be made. Any other: the next model."""

KINDS: Final[Mapping[str, tuple[Move, ...]]] = {
    # The key is not taken: nobody is asked with it until a person looks at it. Another provider has a key of its own.
    "authentication": (Move.NEXT_KEY,),
    "authentication_error": (Move.NEXT_KEY,),
    "invalid_api_key": (Move.NEXT_KEY,),
    # No money: every model of this provider says the same.
    "payment_required": (Move.NEXT_PROVIDER,),
    "insufficient_quota": (Move.NEXT_PROVIDER,),
    "billing_error": (Move.NEXT_PROVIDER,),
    "openrouter_workspace_budget": (Move.NEXT_PROVIDER,),
    "openrouter_guardrail_budget": (Move.NEXT_PROVIDER,),
    "openrouter_key_limit": (Move.NEXT_PROVIDER,),
    # Money that other requests under way have set aside: passes.
    "openrouter_in_flight_budget": (Move.WAIT, Move.NEXT_MODEL),
    "weight_exceeds_budget": (Move.NEXT_MODEL,),
    # What no other format mends.
    "context_length_exceeded": (Move.NEXT_MODEL,),
    "max_tokens_exceeded": (Move.NEXT_MODEL,),
    "model_not_found": (Move.NEXT_MODEL,),
    "model_deprecated": (Move.NEXT_MODEL,),
    "free_variant_ended": (Move.NEXT_MODEL,),
    "region_restricted": (Move.NEXT_MODEL,),
    "payload_too_large": (Move.NEXT_MODEL,),
    # What a hostile text from outside can bring about.
    "content_policy_violation": (Move.WITHOUT_OUTSIDE, Move.NEXT_MODEL),
    "content_filter": (Move.WITHOUT_OUTSIDE, Move.NEXT_MODEL),
    "invalid_prompt": (Move.WITHOUT_OUTSIDE, Move.NEXT_MODEL),
    "refusal": (Move.WITHOUT_OUTSIDE, Move.NEXT_MODEL),
    # No endpoint takes all that was asked for, the format among it.
    "constraint_filtered": (Move.NEXT_RUNG, Move.NEXT_MODEL),
    "privacy_restricted": (Move.NEXT_RUNG, Move.NEXT_MODEL),
}
"""By code in words. Goes before the status, which several faults share."""

WORDS: Final[Mapping[str, int]] = {
    "invalid_request": 400,
    "invalid_request_error": 400,
    "permission_denied": 403,
    "permission_error": 403,
    "not_found": 404,
    "not_found_error": 404,
    "no_endpoints": 404,
    "unprocessable": 422,
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "capacity_exhausted": 429,
    "server": 500,
    "server_error": 500,
    "api_error": 500,
    "provider_unavailable": 502,
    "model_unavailable_upstream": 502,
    "provider_overloaded": 503,
    "temporarily_unavailable": 503,
    "timeout": 504,
    "overloaded_error": 529,
}
"""The status that a code in words stands for, where an error states none."""

CODES: Final[Mapping[str, tuple[Move, ...]]] = {
    "envelope.empty": (Move.AGAIN, Move.NEXT_MODEL),
    "envelope.not_json": (Move.AGAIN, Move.NEXT_MODEL),
    "envelope.not_object": (Move.AGAIN, Move.NEXT_MODEL),
    "envelope.choices": (Move.AGAIN, Move.NEXT_MODEL),
    "envelope.message": (Move.AGAIN, Move.NEXT_MODEL),
    "envelope.content": (Move.AGAIN, Move.NEXT_MODEL),
    "envelope.tool_call": (Move.REASK, Move.NEXT_MODEL),
    "envelope.refusal": (Move.WITHOUT_OUTSIDE, Move.NEXT_MODEL),
    "text": (Move.REASK, Move.NEXT_MODEL),
    "json": (Move.REASK, Move.NEXT_MODEL),
    "reply": (Move.REASK, Move.NEXT_MODEL),
}
"""By reason code of the gate, or what stands before its dot. Any other: the next model."""

NOT_SPENT: Final = frozenset({400, 401, 402, 403, 404, 405, 409, 413, 415, 422, 429, 500, 501, 502, 503, 529})
"""Statuses with which a request was not carried out: nothing is paid for it."""


def seen_fault(fault: Fault | None, *, status: int | None, code: str = "", **more: object) -> Seen:
    """Return what an error that a body reports says to the ladder; its own status goes before that of HTTP 200."""
    if fault is None:
        return Seen(code, status, **more)  # type: ignore[arg-type]
    inner = fault.status if status in (None, OK) else status
    hint = more.pop("retry_after", None)
    wait = hint if hint is not None else fault.retry_after
    return Seen(code, inner, fault.kinds, retry_after=wait, **more)  # type: ignore[arg-type]


def next_step(seen: Seen, room: Room) -> Step:
    """Return what to do after a request: the first move of its row for which there is room."""
    if seen.usable:
        return Step(Move.USE)
    row = _row(seen)
    if seen.should_retry and (seen.status or 0) >= 500:
        row = (Move.AGAIN, *row)
    for move in row:
        if _possible(move, seen, room):
            return Step(move, seen.retry_after or 0.0 if move is Move.WAIT else 0.0)
    return Step(Move.NEXT_MODEL)


def needs_person(attempt: Attempt) -> str:
    """Return what a person has to look at: the "key" that is not taken, the "credit" that is used up; else ""."""
    status = attempt.http_status
    if attempt.outcome is Outcome.ANSWERED or status is None:
        return ""
    if status == OK and code_of(attempt.reason) != "envelope.error":
        return ""
    first = _row(seen_fault(fault_of(attempt.raw), status=status))[0]
    return {Move.NEXT_KEY: "key", Move.NEXT_PROVIDER: "credit"}.get(first, "")


def code_of(reason: str) -> str:
    """Return the code that stands before the first colon of a reason."""
    return reason.partition(":")[0].strip()


def _row(seen: Seen) -> tuple[Move, ...]:
    if seen.code and seen.code != "envelope.error":
        if seen.code == "envelope.finish":
            return KINDS.get(seen.finish_reason, (Move.NEXT_MODEL,))
        return CODES.get(seen.code) or CODES.get(seen.code.partition(".")[0]) or (Move.NEXT_MODEL,)
    for kind in seen.kinds:
        if kind in KINDS:
            return KINDS[kind]
    status = seen.status
    if status in (None, OK):
        status = next((WORDS[kind] for kind in seen.kinds if kind in WORDS), None)
    return STATUSES.get(status or 0, (Move.NEXT_MODEL,))


def _possible(move: Move, seen: Seen, room: Room) -> bool:
    match move:
        case Move.NEXT_RUNG:
            return room.rungs_below
        case Move.AGAIN:
            return room.again and seen.should_retry is not False and room.has_time()
        case Move.WAIT:
            stated = seen.retry_after is not None and seen.should_retry is not False
            return stated and room.again and room.has_time(seen.retry_after or 0.0)
        case Move.REASK:
            return room.reask and room.has_time()
        case Move.WITHOUT_OUTSIDE:
            return room.outside
        case _:
            return True
