"""Nonces of Hyperliquid: milliseconds, each used once by a signer, over all threads and processes of this installation."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from django.db import connection, transaction

from marketdata.models import SignerNonce

AHEAD: Final = 80_000_000
"""Milliseconds, a little under a day: the venue takes no nonce that is further ahead of its clock, so none was used."""
TABLE: Final = SignerNonce._meta.db_table
TAKE: Final = f"""
    UPDATE {TABLE} SET last = CASE WHEN last >= %s AND last < %s THEN last + 1 ELSE %s END
    WHERE signer = %s RETURNING last
"""  # noqa: S608 - our own table


class DatabaseMilliseconds:
    """The next number of one signer, from a row that all processes share; committed before it is returned.

    Never inside a transaction (RuntimeError): a rollback would give a nonce back that has been sent.
    """

    def __init__(self, signer: str, now: Callable[[], int] | None = None) -> None:
        self._name = f"hyperliquid:{signer.lower()}"
        self._now = now or (lambda: time.time_ns() // 1_000_000)

    def __call__(self) -> int:
        now = self._now()
        taken = self._taken(now)
        if taken is None:
            with transaction.atomic(durable=True):
                SignerNonce.objects.bulk_create([SignerNonce(signer=self._name, last=0)], ignore_conflicts=True)
            taken = self._taken(now)
        assert taken is not None, "the row is there"  # noqa: S101
        return taken

    def _taken(self, now: int) -> int | None:
        """Compare and swap in one statement: the database hands the numbers out one after the other."""
        with transaction.atomic(durable=True), connection.cursor() as cursor:
            cursor.execute(TAKE, [now, now + AHEAD, now, self._name])
            found = cursor.fetchone()
        return int(found[0]) if found else None
