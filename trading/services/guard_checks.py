"""What a look tells of the positions that the exchange stated: near their liquidation, or without prices of now."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from accounts.domain.limits import Limits
from accounts.models import Account, Incident
from accounts.services import incident_resolve
from marketdata.domain.assess import quote_age_limit
from trading.domain.screen import too_near
from trading.domain.venue import AccountState, VenuePosition
from trading.services.world import World
from vibex.lib.errors import Rejected, Retryable

NEAR: Final = "liquidation-near"
STALE: Final = "data-stale"


def positions_check(
    account: Account, world: World, state: AccountState, limits: Limits, *, before: datetime
) -> list[str]:
    """Tell what is wrong with open positions, and resolve what was told before this look began and is over.

    Returns what is wrong, in words.
    """
    near = {held.symbol: text for held in state.positions if (text := _near(held, limits))}
    stale = {held.symbol: text for held in state.positions if (text := _stale(held, world))}
    for symbol, text in near.items():
        world.journal.incident(NEAR, text, critical=True, subject=symbol)
    for symbol, text in stale.items():
        world.journal.incident(STALE, text, subject=symbol)
    _resolve(account, {NEAR: near, STALE: stale}, before=before)
    return [*near.values(), *stale.values()]


def _near(held: VenuePosition, limits: Limits) -> str:
    price, mark, least = held.liquidation_price, held.mark_price, limits.min_liquidation_distance
    if price is None or not mark.is_finite() or not too_near(mark=mark, liquidation=price, least=least):
        return ""
    share = abs(mark - price) / mark
    return (
        f"{held.symbol}: the mark price {mark.normalize():f} is {share:.1%} away from the liquidation at "
        f"{price.normalize():f}; the least is {least:.1%}. Reduce it or add margin."
    )


def _stale(held: VenuePosition, world: World) -> str:
    now = world.clock.now()
    try:
        quote = world.market.quote(held.symbol, at=now)
    except (Retryable, Rejected) as fault:
        return f"{held.symbol} is open, and its price is not known here: {fault}"
    age = now - (quote.mark_at or quote.at)
    if age <= quote_age_limit(world.clock.speed):
        return ""
    return f"{held.symbol} is open, and its mark price here is {age.total_seconds():.0f} s old"


def _resolve(account: Account, found: Mapping[str, Mapping[str, str]], *, before: datetime) -> None:
    past = Incident.objects.filter(account=account, resolved__isnull=True, opened__lt=before)
    for incident in past.filter(kind__in=found):
        if incident.data.get("subject", "") not in found[incident.kind]:
            incident_resolve(incident=incident)
