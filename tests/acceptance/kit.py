"""What several acceptance tests need."""

from __future__ import annotations

from marketdata.models import VenueBudget
from trading.tests.live_kit import LiveHouse


def looked_at(house: LiveHouse) -> LiveHouse:
    """Return the house after the guard has looked once. A life of a day passes in seconds: requests are not rationed."""
    house.guard()
    VenueBudget.objects.update(limit=10**9)
    return house
