"""The life of one order as a table (DESIGN.md section 7). Pure: facts in, facts out.

planned → sending → live → done, with denied, cancelling, unknown and absent beside it. The filled quantity is not
a state: it only grows. What the table does not allow is kept as an incident, never lost as an exception.
"""

from __future__ import annotations

import base64
import uuid
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

from trading.domain.venue import ZERO, OrderReport, VenueStatus


class OrderState(StrEnum):
    PLANNED = "planned"
    DENIED = "denied"
    SENDING = "sending"
    LIVE = "live"
    CANCELLING = "cancelling"
    UNKNOWN = "unknown"
    DONE = "done"
    ABSENT = "absent"


MOVES: Final[dict[OrderState, frozenset[OrderState]]] = {
    OrderState.PLANNED: frozenset({OrderState.DENIED, OrderState.SENDING}),
    OrderState.DENIED: frozenset(),
    OrderState.SENDING: frozenset({OrderState.LIVE, OrderState.DONE, OrderState.UNKNOWN}),
    OrderState.LIVE: frozenset({OrderState.CANCELLING, OrderState.DONE, OrderState.UNKNOWN}),
    OrderState.CANCELLING: frozenset({OrderState.LIVE, OrderState.DONE, OrderState.UNKNOWN}),
    OrderState.UNKNOWN: frozenset({OrderState.LIVE, OrderState.DONE, OrderState.ABSENT}),
    OrderState.DONE: frozenset(),
    OrderState.ABSENT: frozenset(),
}
"""Moves that need no explanation. `absent` → `live` or `done`, and fills after the end, come with an incident."""

FINAL: Final = frozenset({OrderState.DENIED, OrderState.DONE, OrderState.ABSENT})
UNRESOLVED: Final = frozenset({OrderState.SENDING, OrderState.UNKNOWN})
"""While an order is in one of these, nothing that adds risk goes out for its account and symbol."""

ARRIVES_WITHIN: Final = timedelta(seconds=65)
"""An order cannot arrive any more this long after it left (nonce window 10 s, or recvWindow 60 s + 5 s)."""

WORKING: Final = frozenset({OrderState.LIVE, OrderState.CANCELLING})


@dataclass(frozen=True, slots=True)
class OrderFacts:
    """What is known of one order."""

    state: OrderState
    filled: Decimal = ZERO
    average_price: Decimal | None = None
    exchange_id: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """Facts after an event. `incident` is not empty when the event should not have happened."""

    facts: OrderFacts
    incident: str = ""


NEVER_PLACED: Final = "not placed"
"""How the reason of an order begins that certainly never stood on the exchange."""

ENDED: Final[dict[VenueStatus, str]] = {
    VenueStatus.FILLED: "filled",
    VenueStatus.CANCELED: "cancelled",
    VenueStatus.EXPIRED: "expired",
    VenueStatus.REJECTED: "refused",
}

IMPOSSIBLE: Final[dict[OrderState, str]] = {
    OrderState.PLANNED: "the exchange knows an order that was never sent",
    OrderState.DENIED: "the exchange knows an order that was never sent",
    OrderState.ABSENT: "an order proved absent has appeared on the exchange",
}
"""States in which the exchange cannot know the order. It is taken in all the same, with an incident."""


def move(facts: OrderFacts, to: OrderState, *, reason: str = "") -> Step:
    """Move to a state that we ourselves decide on. A move outside the table changes nothing and is an incident."""
    if to == facts.state:
        return Step(facts)
    if to not in MOVES[facts.state]:
        return Step(facts, f"an order cannot go from {facts.state} to {to}")
    return Step(replace(facts, state=to, reason=reason or facts.reason))


def observe(facts: OrderFacts, report: OrderReport) -> Step:
    """Take in what the exchange says of the order. Reports may come twice, late or in any order."""
    grown = _with_fill(facts, report.filled, report.average_price)
    grown = replace(grown, exchange_id=grown.exchange_id or report.exchange_id)
    if facts.state is OrderState.DONE:
        return _observe_after_the_end(facts, grown, report)
    incident = IMPOSSIBLE.get(facts.state, "")
    if report.status in ENDED:
        return Step(replace(grown, state=OrderState.DONE, reason=ENDED[report.status]), incident)
    if facts.state is OrderState.CANCELLING:
        return Step(grown)  # still open there: the cancel has not arrived yet
    return Step(replace(grown, state=OrderState.LIVE), incident)


def _observe_after_the_end(facts: OrderFacts, grown: OrderFacts, report: OrderReport) -> Step:
    if facts.reason.startswith(NEVER_PLACED) and report.status is not VenueStatus.REJECTED:
        found = OrderState.LIVE if report.status.open else OrderState.DONE
        return Step(
            replace(grown, state=found, reason=ENDED.get(report.status, "")),
            "an order that the exchange refused has appeared there",
        )
    if grown.filled > facts.filled:
        return Step(grown, f"{grown.filled - facts.filled} more was filled after the order had ended")
    return Step(facts)  # an old report of an order that is over


def filled_to(facts: OrderFacts, total: Decimal, average_price: Decimal | None) -> Step:
    """Take in the sum of distinct trades. The filled quantity never falls."""
    grown = _with_fill(facts, total, average_price)
    if grown.filled > facts.filled and facts.state in FINAL and facts.reason != "filled":
        return Step(grown, f"{grown.filled - facts.filled} more was filled after the order had ended")
    return Step(grown)


def _with_fill(facts: OrderFacts, filled: Decimal, average_price: Decimal | None) -> OrderFacts:
    if filled <= facts.filled:
        return facts
    return replace(facts, filled=filled, average_price=average_price or facts.average_price)


def new_client_order_id(installation: str) -> str:
    """Return `vx` + the installation's 4 characters + a random UUID in base32: 32 characters, never a database key."""
    return f"vx{installation}{base64.b32encode(uuid.uuid4().bytes).decode().rstrip('=').lower()}"
