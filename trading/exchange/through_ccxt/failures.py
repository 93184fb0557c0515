"""What went wrong on the way through ccxt, in the words of the Exchange port: the same caution as at AsterDEX.

ccxt's own classes of errors are not trusted: one class holds what certainly did not happen and what nobody knows. What
counts is whether a request left, whether an answer came, and what the venue itself says in it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from django.db import DatabaseError, InterfaceError

from marketdata.venues.public import VenueBusy, VenueDown, VenueRefused
from trading.exchange.aster.failures import lost
from trading.exchange.aster_codes import Call
from trading.exchange.base import Ambiguous, Refused, Unavailable
from vibex.lib.errors import NeedsOperator, Retryable, VibexError

log = logging.getLogger(__name__)

NO_CONNECTION: Final = frozenset({"ConnectTimeout", "ConnectTimeoutError", "NewConnectionError", "ProxyError"})
"""Errors of requests and urllib3."""

type Meaning = Callable[[VenueRefused, Call], VibexError | None]
"""What a venue's no means for a call in the words of the port; None where all is as it was wanted."""


@contextmanager
def asked(meaning: Meaning, call: Call = Call.READ) -> Iterator[None]:
    """A question: whatever fails, nothing has changed. Raises Unavailable, NeedsOperator for keys that do not work."""
    try:
        yield
    except (VenueDown, VenueBusy) as fault:
        raise Unavailable(str(fault)) from fault
    except VenueRefused as refused:
        raise meaning(refused, call) or Unavailable(str(refused)) from refused


@contextmanager
def acted(meaning: Meaning, call: Call) -> Iterator[None]:
    """A change: certainly refused or never sent (Refused, Held, Unavailable), or Ambiguous: what is no clean word."""
    try:
        yield
    except VenueRefused as refused:
        raise meaning(refused, call) or Refused(str(refused)) from refused
    except (VenueDown, VenueBusy) as fault:
        raise lost(fault) from fault
    except VibexError:
        raise
    except Exception as fault:  # a fault of our own must not make an order look as if it had never left
        log.exception("A change at a venue broke off inside of Vibex.")
        raise Ambiguous(f"Vibex itself failed over a change at a venue ({type(fault).__name__}).") from fault


@contextmanager
def never_sent(venue: str) -> Iterator[None]:
    """What is looked up before anything is sent: a passing fault of it is Unavailable."""
    try:
        yield
    except Retryable as fault:
        raise Unavailable(str(fault)) from fault
    except (DatabaseError, InterfaceError) as fault:
        raise Unavailable(f"The database failed before {venue} was asked ({type(fault).__name__}).") from fault


def without_answer(fault: Exception, venue: str, what: str, *, left: bool) -> Exception:
    """Return what a fault means that came without an answer that was judged: of ccxt, of the net, or of our own.

    Before anything left, what ccxt itself complains about is a refusal that is certain, and a fault of our own stays
    what it is.
    """
    if isinstance(fault, VibexError):
        return fault
    if isinstance(fault, DatabaseError | InterfaceError):
        text = f"{what}: {venue} was not asked to the end, because the database failed ({type(fault).__name__})."
        return VenueDown(text, arrived=None if left else False)
    told = _is_ccxts(fault)
    if not left:
        if not told:
            return fault
        if type(fault).__name__ == "AuthenticationError":
            return NeedsOperator(f"{what}: the keys of this account at {venue} cannot sign.")
        return VenueRefused(f"{what}: not sent to {venue}, ccxt refuses it ({fault}).", code=type(fault).__name__)
    if not told:
        log.error("Asking %s through ccxt broke off inside of Vibex or of ccxt.", venue, exc_info=fault)
        return VenueDown(f"{what}: asking {venue} broke off ({type(fault).__name__}).")
    reason = type(fault.__cause__ or fault).__name__
    text = f"{what}: no answer of {venue} that can be used ({reason})."
    return VenueDown(text, arrived=False if never_connected(fault) else None)


def never_connected(fault: BaseException) -> bool:
    """Return whether a fault says for certain that not one byte of the request left: there was no connection.

    The classes are known by name: those that carry requests for ccxt are not installed without it.
    """
    cause: BaseException | None = fault
    while cause is not None:
        reason = getattr(cause.args[0], "reason", None) if cause.args else None
        if NO_CONNECTION & {kind.__name__ for one in (cause, reason) for kind in type(one).__mro__}:
            return True
        cause = cause.__cause__
    return False


def _is_ccxts(fault: Exception) -> bool:
    return any(kind.__name__ == "BaseError" and kind.__module__.startswith("ccxt") for kind in type(fault).__mro__)
