"""What an account is worth, as it was stated last."""

from __future__ import annotations

from decimal import Decimal

from trading.models import EquityPoint


def equity_of(account_id: int) -> Decimal | None:
    """Return the equity of an account as stated last; None before the exchange has stated any."""
    return EquityPoint.objects.filter(account=account_id).order_by("-at").values_list("equity", flat=True).first()
