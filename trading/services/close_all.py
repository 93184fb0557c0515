"""Closing every open position of an account by hand. One that cannot be closed holds up no other."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from django.db import DatabaseError, connection

from accounts.models import Account, User
from trading.models import Position
from trading.services.by_hand import APART, KEEPS_AT_IT, Tell, nobody, position_close, position_left_open
from vibex.lib.clock import Deadline
from vibex.lib.errors import Retryable, VibexError

log = logging.getLogger(__name__)

UNREAD = "The database did not answer: which positions are open is not known."
STANDS = "It keeps its stop, and the guard looks after it."


@dataclass(frozen=True, slots=True)
class ClosedAll:
    """How closing everything ended."""

    closed: tuple[Position, ...]
    """Those that this call closed."""
    left: dict[str, str]
    """By symbol, why it is not closed yet. It is protected as it was. Under "": why nobody knows what is open."""


def positions_close(
    *, account: Account, actor: User, tell: Tell = nobody, keep_at_it: float | None = None
) -> ClosedAll:
    """Close all that is open on an account now, each as `position_close` does; nothing refuses or delays it.

    Each is tried once before any is tried again, with what was opened meanwhile, for `keep_at_it` seconds (a minute).
    Whatever one of them fails with, the others are closed; audit and diary tell of what is left once, at the end.
    """
    until = Deadline(KEEPS_AT_IT if keep_at_it is None else keep_at_it)
    closed = dict[int, Position]()
    while True:
        left = _try_each(account, actor, tell, closed)
        if not left or until.passed():
            break
        time.sleep(APART)
    for position, text in left:
        _note_left(position, actor, text)
    return ClosedAll(tuple(closed.values()), {_symbol(position): text for position, text in left})


def _try_each(
    account: Account, actor: User, tell: Tell, closed: dict[int, Position]
) -> list[tuple[Position | None, str]]:
    """Try to close what is open, add to `closed` what is, and return what is left with why; None for nobody knows what."""
    left: list[tuple[Position | None, str]] = []
    try:
        found = list(Position.objects.filter(account=account, closed__isnull=True).order_by("symbol"))
    except DatabaseError:
        log.exception("the open positions of account %s could not be read", account.pk)
        connection.close_if_unusable_or_obsolete()
        return [(None, UNREAD)]
    for position in found:
        text = _try(position, actor, tell, closed)
        if text:
            left.append((position, text))
    return left


def _try(position: Position, actor: User, tell: Tell, closed: dict[int, Position]) -> str:
    """Try to close one; return why it is not closed, "" when it is."""
    symbol = position.symbol
    try:
        done = position_close(position=position, actor=actor, tell=tell, keep_at_it=0, note_failure=False)
    except Retryable as fault:
        return str(fault)
    except VibexError as fault:
        log.warning("%s could not be closed: %s", symbol, fault)
        return f"{symbol} is not closed yet: {fault} {STANDS}"
    except DatabaseError:
        log.exception("%s could not be closed", symbol)
        connection.close_if_unusable_or_obsolete()  # the others are tried on a new one
        return f"{symbol} is not known to be closed: the database did not answer. {STANDS}"
    except Exception:  # a fault of ours with one position: nothing keeps the others from being closed
        log.exception("%s could not be closed", symbol)
        return f"{symbol} is not known to be closed: something went wrong in Vibex itself. {STANDS}"
    closed[done.position.pk] = done.position
    return ""


def _note_left(position: Position | None, actor: User, text: str) -> None:
    """Leave in audit and diary that it is open still. Where that cannot be kept, what was done is told all the same."""
    if position is None:
        return
    try:
        position_left_open(position=position, actor=actor, text=text)
    except DatabaseError:
        log.exception("that %s is not closed could not be noted", position.symbol)
        connection.close_if_unusable_or_obsolete()


def _symbol(position: Position | None) -> str:
    return "" if position is None else position.symbol
