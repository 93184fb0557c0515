"""The nonces of all processes of this installation: one row per signer, one UPDATE per nonce.

AsterDEX counts them by signer. Two processes that each kept their own count would sooner or later use one twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from django.db import connection, transaction

from marketdata.aster.signing import NONCE_AHEAD, clock_put_back, microseconds
from marketdata.models import SignerNonce
from marketdata.services.budget import without_waiting_for_the_disk
from vibex.lib.connections import let_go_of_server

TABLE = SignerNonce._meta.db_table
TAKE = (
    f"UPDATE {TABLE} SET last = CASE WHEN last >= %s THEN last + 1 ELSE %s END "  # noqa: S608 - our own table
    "WHERE signer = %s AND last < %s RETURNING last"
)
STALE = 1_000_000
"""Microseconds after which a nonce that waited for the database is left unused and another one taken."""


NEVER_TAKEN: Final = 120_000_000
"""Microseconds. The venue takes nonces up to a minute ahead of its clock, and ours may be off by as much again: one that
is further ahead was never used there, and to begin anew below it repeats nothing."""

log = logging.getLogger(__name__)


class DatabaseNonces:
    """Nonces from the database. Safe from every thread and process; each is committed before it is returned.

    `ahead` returns the seconds by which the venue's clock is ahead of ours. Not to be used inside a transaction
    (RuntimeError): a rollback would give a nonce back that has been sent.
    """

    def __init__(self, ahead: Callable[[], float] | None = None) -> None:
        self._ahead = ahead

    def next(self, signer: str) -> int:
        """Return the next nonce. Raises NeedsOperator when the clock was put back by five seconds to two minutes.

        By more, the count begins anew: a clock that once ran far ahead must not stand in the way of a close for as long.
        """
        name = signer.lower()
        nonce = self._take(name)
        # The database may have let us wait; what leaves now has to carry a nonce of now.
        return nonce if self._now() - nonce <= STALE else self._take(name)

    def _take(self, signer: str) -> int:
        now = self._now()
        taken = _taken(signer, now)
        if taken is None:
            _row(signer)
            taken = _taken(signer, now)
        if taken is None:
            taken = _taken_anew(signer, now)
        let_go_of_server()  # what follows is a wait for the venue
        return taken

    def _now(self) -> int:
        """Return the venue's clock in microseconds."""
        ahead = round(self._ahead() * 1_000_000) if self._ahead else 0  # first, since it may take a moment to measure
        return microseconds() + ahead


def nonces_forget(*, signer: str) -> None:
    """Begin anew with a signer, for an operator whose clock once ran far ahead and is right again.

    AsterDEX never took a nonce more than a minute ahead of its own clock; whoever forgets a smaller lead may see the next
    requests refused, and nothing worse.
    """
    SignerNonce.objects.filter(signer=signer.lower()).delete()


def _taken(signer: str, now: int) -> int | None:
    """Compare and swap in one statement. None without a row, and when the row is too far ahead of `now`."""
    with transaction.atomic(durable=True):
        without_waiting_for_the_disk()  # a count that a crash loses is made up for by the clock
        with connection.cursor() as cursor:
            cursor.execute(TAKE, [now, now, signer, now + NONCE_AHEAD])
            found = cursor.fetchone()
    return int(found[0]) if found else None


def _taken_anew(signer: str, now: int) -> int:
    """Leave a count that the venue cannot have seen. Raises NeedsOperator for one that it may have."""
    last = SignerNonce.objects.get(signer=signer).last
    if last - now <= NEVER_TAKEN:
        raise clock_put_back(signer, last - now)
    log.warning("The nonces of %s were %.0f s ahead of the clock; they begin anew.", signer, (last - now) / 1_000_000)
    with transaction.atomic(durable=True):
        SignerNonce.objects.filter(signer=signer, last=last).update(last=now)
    taken = _taken(signer, now)
    if taken is None:  # another process, whose clock is still ahead, was quicker
        raise clock_put_back(signer, last - now)
    return taken


def _row(signer: str) -> None:
    with transaction.atomic(durable=True):
        SignerNonce.objects.bulk_create([SignerNonce(signer=signer, last=0)], ignore_conflicts=True)
