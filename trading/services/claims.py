"""One writer at a time: whoever writes to the exchange for a symbol holds its claim."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.db import IntegrityError, transaction

from trading.models import Claim
from vibex.lib.alive import gets_on

CLAIM_SECONDS = 8
"""A holder that died is overtaken after this: its position may have no stop yet, and has ten seconds to get one. Every
order renews the claim."""


def claim_take(*, account_id: int, symbol: str, holder: str) -> bool:
    """Take the claim, or take it over when it has run out. Returns False when somebody else holds it."""
    gets_on()
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


def claims_clear(*, account_id: int | None = None) -> None:
    """Drop all claims (of one account). Only for a process that knows itself to be the only writer."""
    held = Claim.objects.all()
    (held if account_id is None else held.filter(account_id=account_id)).delete()


def claim_release(*, account_id: int, symbol: str, holder: str) -> None:
    """Let go of a claim; one that was overtaken meanwhile stays with its new holder."""
    Claim.objects.filter(account_id=account_id, symbol=symbol, holder=holder).delete()
