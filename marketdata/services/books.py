"""The Market port for who trades: the tables, and the venue itself for the one thing that no feed writes, its books."""

from __future__ import annotations

from functools import partial
from typing import Final

from marketdata import selectors
from marketdata.database_market import DatabaseMarket
from marketdata.domain.snapshot import Depth
from marketdata.services.venues import LIVE_VENUES, public_venue
from marketdata.venues.public import Purpose
from vibex.lib.clock import Deadline

PATIENCE: Final = 5.0
"""Seconds that an entry waits for a book; what comes later would be too old soon."""


def market_for(venue: str) -> DatabaseMarket:
    """Return the Market port of a venue, with the order books of a live one. Recorded and simulated markets have none."""
    books = partial(book_of, venue) if venue in LIVE_VENUES else None
    return DatabaseMarket(venue, selectors.market_clock(venue), books=books)


def book_of(venue: str, symbol: str) -> Depth:
    """Ask a venue for the order book of a symbol, out of the weight that all processes share.

    Raises VenueDown, VenueBusy or VenueRefused.
    """
    return public_venue(venue, purpose=Purpose.FEED).depth(symbol, deadline=Deadline(PATIENCE))
