"""Halts, to read: the one in force, and those of a person's accounts."""

from __future__ import annotations

from accounts.models import Account
from trading.models import Halt


def halt_in_force(account: Account) -> Halt | None:
    """Return the halt of an account that nobody has lifted, None for one that is not halted."""
    held = Halt.objects.filter(account=account, account__state=Account.State.HALTED, lifted__isnull=True)
    return held.select_related("actor").first()
