"""What Hyperliquid says, and what that means. Pure.

The venue has no codes: it answers with status 200 and a sentence. A sentence that is not known here is a clean no all
the same, for the venue says it instead of doing something.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from marketdata.aster.answers import OK, TOO_MANY, Answer, BadGateway, Throttled, Unreadable
from marketdata.venues.public import VenueDown, VenueRefused
from trading.exchange.aster_codes import Call
from trading.exchange.base import Ambiguous, Held, Refusal, Refused, Unavailable
from vibex.lib.errors import NeedsOperator, VibexError

VENUE: Final = "Hyperliquid"
UNPROCESSABLE: Final = 422
LONGEST: Final = 200
UNKNOWN_OID: Final = "unknownOid"
NO_MATCH: Final = "no-match"
POST_ONLY: Final = "post-only"
GONE: Final = "gone"
SENTENCES: Final[Mapping[str, tuple[str, ...]]] = {
    "filter": (
        "divisible by tick size",
        "minimum value of",
        "invalid size",
        "invalid price",
        "zero size",
        "away from the reference price",
        "Order value too large",
    ),
    "margin": ("Insufficient margin", "insufficient balance", "sufficient margin available"),
    "reduce_only": ("Reduce only order would increase position",),
    "would_trigger": ("Invalid TP/SL price",),
    "leverage": (
        "Invalid leverage",
        "exceeded max position size",
        "Cannot switch leverage type",
        "Cross margin is not",
    ),
    "duplicate_id": ("uplicate cloid", "loid already"),
    GONE: ("never placed, already canceled, or filled",),
    NO_MATCH: ("could not immediately match", "No liquidity available"),
    POST_ONLY: ("Post only order would have immediately matched",),
    "wallet": ("does not exist", "Must deposit before", "Unable to recover signer", "not authorized"),
    "nonce": ("Invalid nonce",),
    "later": ("Only post-only orders allowed", "Too many cumulative requests", "rate limit", "Rate limit"),
}
"""Parts of sentences by what they mean; the first that is found counts."""
REFUSALS: Final = frozenset({"filter", "margin", "reduce_only", "would_trigger", "leverage", "duplicate_id"})


def judge(answer: Answer, what: str) -> object:
    """Read an answer before ccxt does; return its JSON.

    Raises VenueRefused with what is meant as its code, VenueDown, or Throttled.
    """
    if answer.status == TOO_MANY:
        seconds = answer.headers.get("retry-after", "")
        raise Throttled(
            f"{what}: {VENUE} says that this address asks too much.",
            seconds=float(seconds[:6]) if seconds.isdecimal() else None,
        )
    if answer.status >= 500:
        raise VenueDown(f"{what}: {VENUE} answered {answer.status}.")
    if answer.status == UNPROCESSABLE:
        raise VenueRefused(f"{what}: {VENUE} cannot read what it was sent.", code=str(UNPROCESSABLE))
    if answer.status != OK:
        raise BadGateway(f"{what}: {VENUE} answered {answer.status} instead of data.", status=answer.status)
    try:
        content = json.loads(answer.body)
    except (ValueError, RecursionError):
        raise Unreadable(f"{what}: {VENUE} answered with something that is no JSON.") from None
    if (said := refusal_in(content)) is not None:
        raise VenueRefused(f"{what}: {VENUE} refused: {said[:LONGEST]}", code=meant_by(said))
    return content


def refusal_in(content: object) -> str | None:
    """Return the sentence of an answer that says no, None where it says none."""
    if not isinstance(content, Mapping):
        return None
    if content.get("status") == UNKNOWN_OID:
        return UNKNOWN_OID
    if content.get("status") == "err":
        return str(content.get("response"))
    for status in statuses_of(content):
        if isinstance(status, Mapping) and "error" in status:
            return str(status["error"])
    return None


def statuses_of(content: object) -> list[Any]:
    """Return what the venue says of each part of an action, nothing where it says nothing of the kind."""
    found: Any = content
    for name in ("response", "data", "statuses"):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, list) else []


def meant_by(said: str) -> str:
    """Return the name of what a sentence means, "other" for one that is not known."""
    if said == UNKNOWN_OID:
        return UNKNOWN_OID
    return next((name for name, parts in SENTENCES.items() if any(part in said for part in parts)), "other")


def meaning(refused: VenueRefused, call: Call) -> VibexError | None:
    """Return the venue's no in the words of the Exchange port."""
    text, code = str(refused), refused.code
    if code == "wallet":
        advice = f"{text} Check the address, the private key, and that its API wallet is still approved."
        return NeedsOperator(advice) if call.question else Held(advice)
    if call.question:
        return Unavailable(text)
    if code == "later":
        return Unavailable(text)
    if code == "nonce":  # somebody used it; whether it was this very request is not said
        return Ambiguous(text)
    if code in REFUSALS:
        return Refused(text, refusal=Refusal(code))
    if code == GONE:
        return Refused(text, refusal=Refusal.UNKNOWN_ORDER)
    return Refused(text)
