"""One writer at a time: whoever writes to the exchange for a symbol holds its claim."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.db import IntegrityError, transaction

from trading.models import Claim

CLAIM_SECONDS = 60
"""Longer than any writer needs; a holder that died is overtaken after this."""


def claim_take(*, account_id: int, symbol: str, holder: str) -> bool:
    """Take the claim, or take it over when it has run out. Returns False when somebody else holds it."""
    now = datetime.now(UTC)
    until = now + timedelta(seconds=CLAIM_SECONDS)
    mine = Claim.objects.filter(account_id=account_id, symbol=symbol)
    if mine.filter(holder=holder).update(until=until) or mine.filter(until__lt=now).update(holder=holder, until=until):
        return True
    try:
        with transaction.atomic():
            Claim.objects.create(account_id=account_id, symbol=symbol, holder=holder, until=until)
    except IntegrityError:
        return False
    return True


def claim_release(*, account_id: int, symbol: str, holder: str) -> None:
    """Let go of a claim; one that was overtaken meanwhile stays with its new holder."""
    Claim.objects.filter(account_id=account_id, symbol=symbol, holder=holder).delete()
