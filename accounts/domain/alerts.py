"""Of what people are told: the kinds of events, how grave they are, in which words, and when it is tried again. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final


class Severity(StrEnum):
    """How grave an event is, from the least."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        return list(Severity).index(self)


class EventType(StrEnum):
    """What happened. A person chooses by these what reaches which channel."""

    FILL = "fill"
    STOP_HIT = "stop-hit"
    REFUSAL_STREAK = "refusal-streak"
    LIMIT_REACHED = "limit-reached"
    MISSING_PROTECTION = "missing-protection"
    RECONCILE_DIFFERENCE = "reconcile-difference"
    DATA_STALE = "data-stale"
    MODEL_FAILING = "model-failing"
    BUDGET_USED = "budget-used"
    LIQUIDATION_NEAR = "liquidation-near"
    HALT = "halt"
    SERVICE_LATE = "service-late"
    APPROVAL_WAITING = "approval-waiting"
    ACCESS = "access"
    INCIDENT = "incident"
    TEST = "test"

    @property
    def label(self) -> str:
        return self.value.replace("-", " ")


WINDOW: Final = timedelta(minutes=10)
"""What repeats within this time of the first, and is not acknowledged, is counted and not sent again."""
WAITS: Final = tuple(timedelta(seconds=seconds) for seconds in (30, 120, 600, 1800, 7200))
"""How long a message that did not get through waits for each next try; after the last it has failed."""
TRANSLATED: Final = IPv6Network("64:ff9b::/96")
HOUR: Final = timedelta(hours=1)
LONGEST_ERROR: Final = 300
LONGEST_TEXT: Final = 1500
"""Characters of what is told in one message: what every messenger takes."""

INCIDENTS: Final[Mapping[str, tuple[EventType, Severity]]] = {
    "no-stop": (EventType.MISSING_PROTECTION, Severity.CRITICAL),
    "stop-failed": (EventType.MISSING_PROTECTION, Severity.CRITICAL),
    "not-attended": (EventType.MISSING_PROTECTION, Severity.ERROR),
    "stop-not-moved": (EventType.MISSING_PROTECTION, Severity.ERROR),
    "position-mismatch": (EventType.RECONCILE_DIFFERENCE, Severity.ERROR),
    "ledger-mismatch": (EventType.RECONCILE_DIFFERENCE, Severity.ERROR),
    "money-mismatch": (EventType.RECONCILE_DIFFERENCE, Severity.WARNING),
    "reconcile-failed": (EventType.RECONCILE_DIFFERENCE, Severity.WARNING),
    "liquidation": (EventType.LIQUIDATION_NEAR, Severity.CRITICAL),
    "liquidation-near": (EventType.LIQUIDATION_NEAR, Severity.CRITICAL),
    "halt": (EventType.HALT, Severity.CRITICAL),
    "data-stale": (EventType.DATA_STALE, Severity.ERROR),
    "service-late": (EventType.SERVICE_LATE, Severity.ERROR),
}
"""Kinds of incidents that are events of their own, each with the least severity at which it is told."""


def told_as(kind: str, severity: str) -> tuple[EventType, Severity]:
    """Return as which event, and how gravely, an incident of a kind and severity is told."""
    event, least = INCIDENTS.get(kind, (EventType.INCIDENT, Severity.WARNING))
    return event, max(Severity(severity), least, key=lambda each: each.rank)


def wait_after(attempts: int) -> timedelta | None:
    """Return how long a message waits that failed so often, at least once; None when it is given up."""
    return WAITS[attempts - 1] if attempts <= len(WAITS) else None


def hour_is_free(told: Sequence[datetime], per_hour: int, now: datetime) -> bool:
    """Return whether one more message may leave, after those that left at the moments `told`."""
    return sum(at > now - HOUR for at in told) < per_hour


@dataclass(frozen=True, slots=True)
class Telling:
    """One alert as it is put into words."""

    type: EventType
    severity: Severity
    message: str
    account: str = ""
    """Its name; empty for what concerns the installation."""
    badge: str = ""
    """paper | live | testnet"""
    bot: str = ""
    count: int = 1
    since: datetime | None = None


def title_of(told: Telling) -> str:
    """Return the line above: `Vibex CRITICAL: missing protection, main (live)`."""
    where = f", {told.account} ({told.badge})" if told.account else ""
    return f"Vibex {told.severity.value.upper()}: {told.type.label}{where}"


def body_of(told: Telling, *, others: Sequence[Telling] = (), link: str = "") -> str:
    """Return the text below: what happened, how often, of which bot, what else was held back, and where to look."""
    lines = [cut(told.message, LONGEST_TEXT)]
    if told.count > 1 and told.since:
        lines.append(f"{told.count} times since {told.since:%Y-%m-%d %H:%M} UTC.")
    if told.bot:
        lines.append(f"Bot: {told.bot}.")
    if others:
        kinds = [(each.severity.value, each.type.label) for each in others]
        lines.append(f"and {len(others)} more: " + ", ".join(_counted(kinds)) + ".")
    return "\n".join([*lines, link] if link else lines)


def cut(text: str, length: int) -> str:
    """Return a text that is at most so long; a longer one ends in dots."""
    return text if len(text) <= length else text[: length - 1] + "…"


def is_private(address: str) -> bool:
    """Return whether an IP address is not one of the public net: loopback, private, link-local, multicast or reserved.

    What is no IP address counts as private: the caller looks at what a name was resolved to.
    """
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return True
    if isinstance(parsed, IPv6Address):
        parsed = parsed.ipv4_mapped or parsed.sixtofour or _translated(parsed) or parsed
    return not parsed.is_global or parsed.is_multicast


def _translated(address: IPv6Address) -> IPv4Address | None:
    """Return what a network that translates to the old protocol makes of an address, if it is one of those (RFC 6052)."""
    return IPv4Address(int(address) & 0xFFFFFFFF) if address in TRANSLATED else None


def _counted(kinds: Sequence[tuple[str, str]]) -> list[str]:
    return [f"{kinds.count(kind)} × {kind[1]} ({kind[0]})" for kind in dict.fromkeys(kinds)]
