"""A live account before it trades: its modes set and read back, its own fees and brackets, and the venue's clock.

Done at a start, before the first order, and once a day.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from django.utils import timezone

from accounts.models import Account, Bot, Incident
from accounts.services import incident_open, incidents_mended
from trading.exchange.base import Refused
from trading.models import AccountTerms
from trading.services.exchanges import live_exchange_for, venue_clock_for
from trading.services.terms import terms_put

FRESH: Final = timedelta(hours=24)
CLOCK: Final = "clock-skew"


def account_ready(account: Account, symbols: Sequence[str] = ()) -> None:
    """Make a live account ready for the symbols of its bots and these, where that was not done within a day.

    Raises NeedsOperator for what only a person can set, Unavailable when the venue does not answer.
    """
    if not account.live:
        return
    clock_check(account)
    wanted = set(symbols) | {name for bot in Bot.objects.filter(account=account) for name in bot.symbols}
    fresh = AccountTerms.objects.filter(account=account, read_at__gt=timezone.now() - FRESH)
    missing = sorted(wanted - set(fresh.values_list("symbol", flat=True)))
    if not missing:
        return
    exchange = live_exchange_for(account)
    exchange.prepare({})
    for symbol in missing:
        try:
            terms_put(account=account, spec=exchange.terms(symbol))
        except Refused as refused:
            text = f"{symbol} cannot be traded: {refused}"
            incident_open(account=account, kind="terms", text=text, subject=symbol)
        else:
            incidents_mended(account=account, kind="terms", subject=symbol)


def clock_check(account: Account) -> str:
    """Compare the venue's clock with ours; return why nothing may be opened, "" when it may. A person is told early."""
    clock = venue_clock_for(account)
    if clock is None:
        return ""
    alarm, problem = clock.clock_alarm(), clock.clock_problem()
    if text := problem or alarm:
        severity = Incident.Severity.CRITICAL if problem else Incident.Severity.WARNING
        incident_open(account=account, kind=CLOCK, text=text, severity=severity, subject="clock")
    else:
        incidents_mended(account=account, kind=CLOCK, subject="clock")
    return problem or ""
