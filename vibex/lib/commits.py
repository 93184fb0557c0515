"""What is done once a transaction is committed, and undoes nothing if it fails."""

from __future__ import annotations

from collections.abc import Callable

from django.db import transaction


def after_commit(work: Callable[[], object]) -> None:
    """Do it once the running transaction is committed. Trouble with it is logged, and never reaches who committed.

    Django's `robust` alone breaks on a `partial`: it logs the name of a function, and a partial has none.
    """

    def worked() -> None:
        work()

    transaction.on_commit(worked, robust=True)
