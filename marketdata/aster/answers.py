"""What an HTTP answer of AsterDEX means. Pure: status, headers and body go in, JSON or an error comes out.

In front of the exchange stands a content network with answers of its own: pages in HTML, and a 429 with an empty body
and without Retry-After. So nothing here expects JSON.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from marketdata.venues.public import VenueDown, VenueRefused

OK: Final = 200
TOO_MANY, BANNED, UNAVAILABLE = 429, 418, 503
BUSY_CODES: Final = frozenset({-1003, -1015})
"""Too many requests; too many orders."""
PASSING_CODES: Final = frozenset({-1001, -1006, -1007, -1016})
"""Disconnected, unexpected answer from inside, timeout inside, shutting down: nobody knows what was done."""
BAN_SECONDS: Final = 120.0
"""The shortest ban, where the venue does not say how long."""
LONGEST_BAN: Final = 3 * 86_400.0
_BANNED_UNTIL: Final = re.compile(rb"until\s+([0-9]{13})\b")
MOST_READ: Final = 2_000
"""Bytes of a refusal in which the end of a ban is looked for."""
_USED: Final = re.compile(r"x-mbx-used-weight(-1m(-[a-z0-9]+)?)?")
"""Of this minute, and never one of an hour or a day: its count would use up the share that is kept for closing."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers by name in lower case, body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def used(self) -> int | None:
        """Weight of this minute as the venue counts it: the largest, since there may be one count per node."""
        told = [value for name, value in self.headers.items() if _USED.fullmatch(name)]
        counts = [int(part) for value in told for part in re.findall(r"[0-9]{1,9}", value)]
        return max(counts, default=None)


class BadGateway(VenueDown):
    """A page where an answer should be, from a firewall or for a path that is not there: `status` is 403, 404, ….

    Asking again at once does not help.
    """

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class Unreadable(VenueDown):
    """Status 200 over something that is no JSON: a page, half an answer, or a path that is not there."""


class Throttled(Exception):
    """Too many requests. `seconds` is how long the venue wants silence, None where it does not say.

    `signed` is whether the exchange itself says so, with a code of its own, and not what stands in front of it: then the
    request was turned away unread. `told` is whether whoever asks on makes it worse, and even a close has to wait: a
    ban, or the exchange's own word.
    """

    def __init__(self, message: str, *, seconds: float | None, signed: bool = False, told: bool = False) -> None:
        super().__init__(message)
        self.seconds = seconds
        self.signed = signed
        self.told = told


def read(answer: Answer, what: str) -> Any:
    """Return the JSON of a good answer; `what` names the request in errors.

    Raises Throttled, VenueDown (no answer, or one that says nothing) or VenueRefused (the question is wrong).
    """
    content = _json(answer.body)
    code, message = _error_in(content, answer.status)
    if answer.status in (TOO_MANY, BANNED) or code in BUSY_CODES:
        ban = _ban_in(answer.body)
        signed = code in BUSY_CODES
        told = signed or answer.status == BANNED or ban > 0
        raise Throttled(_throttled_text(answer, what), seconds=_silence(answer, ban), signed=signed, told=told)
    if answer.status >= 500 or code in PASSING_CODES:
        raise VenueDown(f"{what}: AsterDEX answered {answer.status}{_reason(code, message)}.")
    if code is not None:
        raise VenueRefused(f"{what}: AsterDEX refused{_reason(code, message)}.", code=str(code))
    if answer.status != OK:
        raise BadGateway(
            f"{what}: AsterDEX answered {answer.status} with a page instead of data.", status=answer.status
        )
    if content is None:
        raise Unreadable(f"{what}: AsterDEX answered with something that is no JSON.")
    return content


def _json(body: bytes) -> Any:
    """Return what the body says, None where it is no JSON."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _error_in(content: object, status: int) -> tuple[int | None, str]:
    """Return code and text of an error body. A success may carry a code too: 200, as number or text."""
    if not isinstance(content, Mapping):
        return None, ""
    try:
        code = int(content.get("code", 0))
    except (TypeError, ValueError, OverflowError):
        return None, ""
    wrong = code < 0 or (code > 0 and status != OK)
    return (code, str(content.get("msg", ""))) if wrong else (None, "")


def _reason(code: int | None, message: str) -> str:
    return "" if code is None else f" ({code}: {message[:160]})"


def _throttled_text(answer: Answer, what: str) -> str:
    if answer.status == BANNED:
        return f"{what}: AsterDEX has banned this address for a while, after too many requests."
    return f"{what}: AsterDEX says that this address asks too much ({answer.status})."


def _silence(answer: Answer, ban: float) -> float | None:
    """Return the seconds of silence that are asked for, by the text of a ban or Retry-After, whichever is longer."""
    told = [seconds for seconds in (ban, _retry_after(answer)) if seconds > 0]
    least = BAN_SECONDS if answer.status == BANNED else None
    return min(max(told), LONGEST_BAN) if told else least


def _ban_in(body: bytes) -> float:
    """Return the seconds until the end of a ban that a body speaks of, zero or less where it speaks of none."""
    found = _BANNED_UNTIL.search(body[:MOST_READ])
    return int(found[1]) / 1000 - time.time() if found else 0.0


def _retry_after(answer: Answer) -> float:
    value = answer.headers.get("retry-after", "").strip()
    if value.isdecimal():
        return float(value[:9])
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    aware = at if at.tzinfo else at.replace(tzinfo=UTC)
    return (aware - datetime.now(UTC)).total_seconds()
