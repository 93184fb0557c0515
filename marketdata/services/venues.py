"""Where live venues are made: one client per venue and purpose in a process, wired to its budget."""

from __future__ import annotations

import threading
from datetime import timedelta
from functools import cache
from typing import Final
from urllib.parse import urlsplit

from django.conf import settings
from django.utils import timezone

from marketdata.services.budget import DatabaseBudget, Unmetered
from marketdata.venues.public import PriceStream, PublicVenue, Purpose
from vibex.lib.errors import Rejected, VibexError

ASTER: Final = "aster"
THROUGH_CCXT: Final = ("binance_usdm", "hyperliquid")
LIVE_VENUES: Final = (ASTER, *THROUGH_CCXT)
"""Venues with live prices. What stands after the first needs the optional package ccxt."""


def public_venue(venue: str, *, purpose: Purpose) -> PublicVenue:
    """Return the client of a venue's public data. Raises Rejected for a venue that is not known."""
    if venue == ASTER:
        return _aster(settings.ASTERDEX_REST_URL, purpose)
    return _through_ccxt(known(venue))


def source_of(venue: str) -> str:
    """Return the address that a venue is asked at, without making a client of it."""
    if known(venue) == ASTER:
        return settings.ASTERDEX_REST_URL.rstrip("/")
    from marketdata.venues.ccxt_client import kind_of

    return kind_of(venue).address.rstrip("/")


def price_stream(venue: str) -> PriceStream | None:
    """Return a new stream of prices, not started; None for a venue that is only asked."""
    if known(venue) != ASTER:
        return None
    from marketdata.aster.stream import AsterStream

    return AsterStream(settings.ASTERDEX_STREAM_URL)


def venue_reachable(venue: str, seconds: float) -> str | None:
    """Return None when the venue tells its time within `seconds`, else a short reason for a page.

    It takes no longer than that, even when a name server hangs. Needs no database, and is not counted in the budget.
    """
    try:
        if venue in THROUGH_CCXT:
            _through_ccxt(venue)  # loading ccxt takes seconds that are not the venue's
    except VibexError as error:
        return str(error)
    reasons = [f"{venue} did not answer within {seconds:g} s"]
    asking = threading.Thread(target=_ask, args=(known(venue), seconds, reasons), daemon=True, name=f"ask-{venue}")
    asking.start()
    asking.join(seconds)
    return reasons[-1] or None


def clock_offset(port: PublicVenue) -> tuple[float, timedelta]:
    """Return by how many seconds the venue's clock is ahead of ours, and the round trip.

    Its answer is taken for the middle of the trip, so half of that is how wrong it can be.
    """
    began = timezone.now()
    theirs = port.server_time()
    ended = timezone.now()
    return (theirs - (began + (ended - began) / 2)).total_seconds(), ended - began


def known(venue: str) -> str:
    """Return the name of a live venue. Raises Rejected with the names that there are."""
    if venue not in LIVE_VENUES:
        raise Rejected(f"There is no live venue {venue!r}: use one of {', '.join(LIVE_VENUES)}.", code="venue")
    return venue


@cache
def _aster(url: str, purpose: Purpose) -> PublicVenue:
    from marketdata.aster.http import AsterHttp
    from marketdata.aster.public import AsterPublic

    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    # The address is stored and shown: without a name and a password that a server in between may want.
    source = parts._replace(netloc=host, query="").geturl().rstrip("/")
    return AsterPublic(AsterHttp(url, DatabaseBudget(host), purpose), source)


@cache
def _through_ccxt(venue: str) -> PublicVenue:
    from marketdata.venues.through_ccxt import ccxt_venue

    return ccxt_venue(venue)


def _ask(venue: str, seconds: float, reasons: list[str]) -> None:
    """Add the outcome to `reasons`: an empty text when the venue answered."""
    try:
        if venue == ASTER:
            _ask_aster(seconds)
        else:
            _through_ccxt(venue).server_time()
        reasons.append("")
    except VibexError as error:
        reasons.append(str(error))
    except Exception as error:  # noqa: BLE001 - nobody else hears of what goes wrong in a thread
        reasons.append(f"{venue} cannot be asked ({type(error).__name__}: {error})"[:200])


def _ask_aster(seconds: float) -> None:
    from marketdata.aster.http import AsterHttp
    from marketdata.aster.public import AsterPublic

    with AsterHttp(settings.ASTERDEX_REST_URL, Unmetered(), Purpose.FEED, timeout=seconds, attempts=1) as http:
        AsterPublic(http).server_time()
