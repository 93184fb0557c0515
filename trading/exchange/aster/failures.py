"""What went wrong, in the words of the Exchange port: certainly nothing, certainly refused, or nobody knows.

The codes and what they mean per call stand in `trading/exchange/aster_codes.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from django.db import DatabaseError, InterfaceError

from marketdata.venues.public import VenueBusy, VenueDown, VenueRefused
from trading.domain.venue import NewOrder
from trading.exchange.aster.form import lowers
from trading.exchange.aster_codes import Call, error_of
from trading.exchange.base import Ambiguous, Held, Refused, Unavailable
from vibex.lib.errors import NeedsOperator, Retryable, VibexError

UNKNOWN_ORDER: Final = "-2013"
DUPLICATE_ID: Final = "-4116"


def kind_of_order(order: NewOrder) -> Call:
    """Return which call placing this order is."""
    if order.type.conditional:
        return Call.PROTECTIVE
    return Call.CLOSE if lowers(order) else Call.ENTRY


@contextmanager
def asked(call: Call = Call.READ) -> Iterator[None]:
    """A question: whatever fails, nothing has changed. Raises Unavailable, NeedsOperator for keys that do not work."""
    try:
        yield
    except (VenueDown, VenueBusy) as fault:
        raise Unavailable(str(fault)) from fault
    except VenueRefused as refused:
        raise refused_as(refused, call) or Unavailable(str(refused)) from refused


@contextmanager
def acted(call: Call) -> Iterator[None]:
    """A change: certainly refused or never sent (Refused, Held, Unavailable), or Ambiguous: what is no clean word."""
    try:
        yield
    except VenueRefused as refused:
        raise refused_as(refused, call) or Refused(str(refused)) from refused
    except (VenueDown, VenueBusy) as fault:
        raise lost(fault) from fault
    except NeedsOperator as held:  # the signer had no nonce that the venue would take: nothing was sent
        raise Held(str(held)) from held


@contextmanager
def never_sent() -> Iterator[None]:
    """What is looked up before anything is sent: a passing fault of it is Unavailable."""
    try:
        yield
    except Retryable as fault:
        raise Unavailable(str(fault)) from fault
    except (DatabaseError, InterfaceError) as fault:
        raise Unavailable(f"The database failed before AsterDEX was asked ({type(fault).__name__}).") from fault


def lost(fault: VenueDown | VenueBusy) -> Unavailable | Ambiguous:
    """Return what a request without an answer means: one that certainly did not arrive, or one that may have."""
    return Unavailable(str(fault)) if fault.arrived is False else Ambiguous(str(fault))


def refused_as(refused: VenueRefused, call: Call) -> VibexError | None:
    """Return what the exchange's no means for this call, None where it means that all is as it was wanted."""
    return error_of(refused.code, call, str(refused))
