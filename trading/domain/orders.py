"""The life of one order as a table (DESIGN.md section 7). Pure: facts in, facts out.

planned → sending → live → done, with denied, cancelling, unknown and absent beside it. The filled quantity is not
a state: it only grows. What the table does not allow is kept as an incident, never lost as an exception.
"""

from __future__ import annotations

import os
import uuid
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

from trading.domain.venue import ZERO, OrderReport, VenueStatus
from vibex.lib.records import record


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

BASE32: Final = b"abcdefghijklmnopqrstuvwxyz234567" + bytes(224)
"""The digit (RFC 4648, in small letters) of each number from 0 to 31."""


AT_ONCE: Final = 64
"""So many ids are drawn together: a call of the system costs more than all the rest of an id."""


def _digits(number: int) -> int:
    """Return a number of 128 bits as the 26 digits that it has in base32, a byte for each, `AT_ONCE` times one after the
    other; the last two bits are none."""
    return int.from_bytes(bytes((number << 2) >> place & 31 for place in range(125, -1, -5)) * AT_ONCE)


VERSION_4: Final = _digits(uuid.UUID("00000000-0000-4000-8000-000000000000").int)
"""The bits by which a UUID says that it is a random one (RFC 9562)."""
RANDOM: Final = _digits(uuid.UUID("ffffffff-ffff-0fff-3fff-ffffffffffff").int)
"""All other bits of it."""


@record()
class OrderFacts:
    """What is known of one order."""

    state: OrderState
    filled: Decimal = ZERO
    average_price: Decimal | None = None
    exchange_id: str = ""
    reason: str = ""


@record()
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
    return Step(OrderFacts(to, facts.filled, facts.average_price, facts.exchange_id, reason or facts.reason))


def observe(facts: OrderFacts, report: OrderReport) -> Step:
    """Take in what the exchange says of the order. Reports may come twice, late or in any order."""
    return Step(*observed(facts, report))


def observed(facts: OrderFacts, report: OrderReport) -> tuple[OrderFacts, str]:
    """Return the two parts of what `observe` returns: a backtest observes ten orders a decision."""
    state, status = facts.state, report.status
    if state is OrderState.DONE:
        step = _observe_after_the_end(facts, report)
        return step.facts, step.incident
    if not status.open:
        return _reported(facts, report, OrderState.DONE, ENDED[status]), IMPOSSIBLE.get(state, "")
    if state is OrderState.LIVE or state is OrderState.CANCELLING:  # a cancel has not arrived yet
        return _reported(facts, report, state, facts.reason), ""
    return _reported(facts, report, OrderState.LIVE, facts.reason), IMPOSSIBLE.get(state, "")


def _observe_after_the_end(facts: OrderFacts, report: OrderReport) -> Step:
    if facts.reason.startswith(NEVER_PLACED) and report.status is not VenueStatus.REJECTED:
        found = OrderState.LIVE if report.status.open else OrderState.DONE
        return Step(
            _reported(facts, report, found, ENDED.get(report.status, "")),
            "an order that the exchange refused has appeared there",
        )
    if report.filled > facts.filled:
        grown = _reported(facts, report, facts.state, facts.reason)
        return Step(grown, f"{grown.filled - facts.filled} more was filled after the order had ended")
    return Step(facts)  # an old report of an order that is over


def _reported(facts: OrderFacts, report: OrderReport, state: OrderState, reason: str) -> OrderFacts:
    """Return the facts in a state with what a report adds; the same ones where it says nothing new."""
    exchange_id = facts.exchange_id or report.exchange_id
    if report.filled > facts.filled:
        return OrderFacts(state, report.filled, report.average_price or facts.average_price, exchange_id, reason)
    if state is facts.state and reason == facts.reason and exchange_id == facts.exchange_id:
        return facts
    return OrderFacts(state, facts.filled, facts.average_price, exchange_id, reason)


def filled_to(facts: OrderFacts, total: Decimal, average_price: Decimal | None) -> Step:
    """Take in the sum of distinct trades. The filled quantity never falls."""
    if total <= facts.filled:
        return Step(facts)
    grown = OrderFacts(facts.state, total, average_price or facts.average_price, facts.exchange_id, facts.reason)
    if facts.state in FINAL and facts.reason != "filled":
        return Step(grown, f"{total - facts.filled} more was filled after the order had ended")
    return Step(grown)


def new_client_order_id(installation: str) -> str:
    """Return `vx` + the installation's 4 characters + a random UUID in base32: 32 characters, never a database key."""
    try:
        return f"vx{installation}{_DRAWN.pop()}"
    except IndexError:
        first, *others = _draw()
        _DRAWN.extend(others)
        return f"vx{installation}{first}"


_DRAWN: Final[list[str]] = []
"""UUIDs in base32 that nobody has taken yet."""


def _draw() -> list[str]:
    """Return UUIDs in base32 that nobody else gets."""
    digits = int.from_bytes(os.urandom(26 * AT_ONCE)) & RANDOM | VERSION_4
    drawn = digits.to_bytes(26 * AT_ONCE).translate(BASE32).decode()
    return [drawn[place : place + 26] for place in range(0, len(drawn), 26)]


os.register_at_fork(after_in_child=_DRAWN.clear)  # a child would draw the same
