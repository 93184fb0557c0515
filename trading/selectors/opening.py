"""What an account began with: what its result is counted from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from accounts.models import Account
from trading.models import EquityPoint


@dataclass(frozen=True, slots=True)
class Opening:
    """Equity at the beginning, and the market time from which on deposits and withdrawals are counted apart."""

    equity: Decimal
    at: datetime | None = None
    """None: from the first one after that of the starting balance."""


def opening_of(account: Account) -> Opening:
    """Return what an account began with.

    A paper account is given its starting balance. A live one begins with what the exchange stated when it was first
    looked at, whatever a person wrote down: what had been won, lost or deposited before is no result of Vibex.
    """
    if account.live:
        first = EquityPoint.objects.filter(account=account).order_by("at").values_list("equity", "at").first()
        if first is not None:
            return Opening(*first)
    return Opening(account.starting_balance)
