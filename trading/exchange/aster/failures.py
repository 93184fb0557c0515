"""What went wrong, in the words of the Exchange port: certainly nothing, certainly refused, or nobody knows.

The codes and what they mean per call stand in `trading/exchange/aster_codes.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Final

from marketdata.venues.public import VenueBusy, VenueDown, VenueRefused
from trading.domain.venue import NewOrder
from trading.exchange.aster.form import lowers
from trading.exchange.base import Ambiguous, Refusal, Refused, Unavailable
from vibex.lib.errors import NeedsOperator, Retryable, VibexError

UNKNOWN_ORDER: Final = "-2013"

log = logging.getLogger(__name__)


class Call(StrEnum):
    ENTRY = "entry"
    PROTECTIVE = "protective"
    CLOSE = "close"
    CANCEL = "cancel"
    LEVERAGE = "leverage"
    MARGIN_MODE = "margin mode"
    POSITION_MODE = "position mode"


_CODES = {
    "-2021": Refusal.WOULD_TRIGGER, "-2022": Refusal.REDUCE_ONLY, "-2010": Refusal.MARGIN, "-2018": Refusal.MARGIN,
    "-2019": Refusal.MARGIN, "-2027": Refusal.MARGIN, "-2028": Refusal.MARGIN, "-4116": Refusal.DUPLICATE_ID,
    "-2011": Refusal.UNKNOWN_ORDER, "-2013": Refusal.UNKNOWN_ORDER, "-1121": Refusal.UNKNOWN_SYMBOL,
    "-4141": Refusal.UNKNOWN_SYMBOL, "-4028": Refusal.LEVERAGE, "-2030": Refusal.LEVERAGE, "-4161": Refusal.LEVERAGE,
} | dict.fromkeys(
    ("-1111", "-4001", "-4002", "-4003", "-4004", "-4005", "-4013", "-4014", "-4023", "-4164", "-5076", "-4016",
     "-4024", "-4131", "-5060"), Refusal.FILTER)  # fmt: skip
_KEYS = frozenset({"-1022", "-2014", "-2015", "-5050", "-1000"})
_AGAIN = frozenset({"-1021", "-4225"})


def kind_of_order(order: NewOrder) -> Call:
    """Return which call placing this order is."""
    if order.type.conditional:
        return Call.PROTECTIVE
    return Call.CLOSE if lowers(order) else Call.ENTRY


@contextmanager
def asked() -> Iterator[None]:
    """A question: whatever fails, nothing has changed. Raises Unavailable, NeedsOperator for keys that do not work."""
    try:
        yield
    except (VenueDown, VenueBusy) as fault:
        raise Unavailable(str(fault)) from fault
    except VenueRefused as refused:
        raise _keys_of(refused) or Unavailable(str(refused)) from refused


@contextmanager
def acted(call: Call) -> Iterator[None]:
    """A change: certainly refused, certainly never sent (Unavailable), or Ambiguous. What is no clean word is the last."""
    try:
        yield
    except VenueRefused as refused:
        raise refused_as(refused, call) from refused
    except (VenueDown, VenueBusy) as fault:
        raise lost(fault) from fault
    except VibexError:
        raise
    except Exception as fault:  # a fault of our own must not make an order look as if it had never left
        log.exception("A %s at AsterDEX broke off inside of Vibex.", call)
        raise Ambiguous(
            f"Vibex itself failed while AsterDEX was asked for a {call}: {type(fault).__name__}."
        ) from fault


@contextmanager
def never_sent() -> Iterator[None]:
    """What is looked up before anything is sent: a passing fault of it is Unavailable."""
    try:
        yield
    except Retryable as fault:
        raise Unavailable(str(fault)) from fault


def lost(fault: VenueDown | VenueBusy) -> Unavailable | Ambiguous:
    """Return what a request without an answer means: one that certainly did not arrive, or one that may have."""
    return Unavailable(str(fault)) if fault.arrived is False else Ambiguous(str(fault))


def refused_as(refused: VenueRefused, call: Call) -> VibexError:
    """Return what the exchange's no means for this call."""
    if refused.code in _AGAIN:
        return Unavailable(str(refused))
    return _keys_of(refused) or Refused(str(refused), refusal=_CODES.get(refused.code, Refusal.OTHER))


def _keys_of(refused: VenueRefused) -> NeedsOperator | None:
    return NeedsOperator(str(refused)) if refused.code in _KEYS else None
