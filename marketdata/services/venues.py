"""Where live venues are made: one client per venue and purpose in a process, wired to its budget."""

from __future__ import annotations

import threading
from datetime import timedelta
from functools import cache
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from django.conf import settings
from django.utils import timezone

from marketdata.services.budget import DatabaseBudget, Unmetered
from marketdata.venues.public import PriceStream, PublicVenue, Purpose
from vibex.lib.errors import Rejected, VibexError

ASTER: Final = "aster"
ASTER_TESTNET: Final = "aster_testnet"
OWN: Final = (ASTER, ASTER_TESTNET)
"""Asked by our own client. A testnet is a venue of its own: nothing of it is ever that of the mainnet."""
THROUGH_CCXT: Final = ("binance_usdm", "hyperliquid", "binance_usdm_testnet", "hyperliquid_testnet")
"""These need the optional package ccxt."""
LIVE_VENUES: Final = (ASTER, *THROUGH_CCXT[:2], ASTER_TESTNET, *THROUGH_CCXT[2:])
"""Venues with live prices."""
REAL_MONEY: Final = "asterdex.com"
"""Hosts of AsterDEX below this name keep real money; those of the testnet are below another one."""

TESTNET_IS_REAL: Final = (
    "ASTERDEX_TESTNET_REST_URL or ASTERDEX_TESTNET_STREAM_URL leads to the mainnet, where real money is: set both to the "
    "addresses of the testnet, or leave them out."
)


def public_venue(venue: str, *, purpose: Purpose) -> PublicVenue:
    """Return the client of a venue's public data. Raises Rejected for a venue that is not known."""
    if venue in OWN:
        return _aster(venue, aster_address(venue), purpose)
    return _through_ccxt(known(venue))


def aster_address(venue: str) -> str:
    """Return where the REST interface of AsterDEX or of its testnet is.

    Raises Rejected when what is set for the testnet is the mainnet: there is real money.
    """
    if venue != ASTER_TESTNET:
        return settings.ASTERDEX_REST_URL
    if testnet_is_real():
        raise Rejected(TESTNET_IS_REAL, code="testnet_address")
    return settings.ASTERDEX_TESTNET_REST_URL


def testnet_is_real() -> bool:
    """Return whether an address of AsterDEX's testnet leads to its mainnet: then no account on it is harmless."""
    return _same_money(settings.ASTERDEX_TESTNET_REST_URL, settings.ASTERDEX_REST_URL) or _same_money(
        settings.ASTERDEX_TESTNET_STREAM_URL, settings.ASTERDEX_STREAM_URL
    )


def source_of(venue: str) -> str:
    """Return the address that a venue is asked at, without making a client of it."""
    if known(venue) in OWN:
        return aster_address(venue).rstrip("/")
    from marketdata.venues.ccxt_client import kind_of

    return kind_of(venue).address.rstrip("/")


def price_stream(venue: str) -> PriceStream | None:
    """Return a new stream of prices, not started; None for a venue that is only asked."""
    if known(venue) not in OWN:
        return None
    aster_address(venue)  # it refuses a testnet that is none
    from marketdata.aster.stream import AsterStream

    return AsterStream(settings.ASTERDEX_STREAM_URL if venue == ASTER else settings.ASTERDEX_TESTNET_STREAM_URL)


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
def _aster(venue: str, url: str, purpose: Purpose) -> PublicVenue:
    from marketdata.aster.http import AsterHttp
    from marketdata.aster.public import AsterPublic

    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    # The address is stored and shown: without a name and a password that a server in between may want.
    source = parts._replace(netloc=host, query="").geturl().rstrip("/")
    return AsterPublic(AsterHttp(url, DatabaseBudget(host), purpose), source, venue=venue)


@cache
def _through_ccxt(venue: str) -> PublicVenue:
    from marketdata.venues.through_ccxt import ccxt_venue

    return ccxt_venue(venue)


def _ask(venue: str, seconds: float, reasons: list[str]) -> None:
    """Add the outcome to `reasons`: an empty text when the venue answered."""
    try:
        if venue in OWN:
            _ask_aster(venue, seconds)
        else:
            _through_ccxt(venue).server_time()
        reasons.append("")
    except VibexError as error:
        reasons.append(str(error))
    except Exception as error:  # noqa: BLE001 - nobody else hears of what goes wrong in a thread
        reasons.append(f"{venue} cannot be asked ({type(error).__name__}: {error})"[:200])


def _ask_aster(venue: str, seconds: float) -> None:
    from marketdata.aster.http import AsterHttp
    from marketdata.aster.public import AsterPublic

    with AsterHttp(aster_address(venue), Unmetered(), Purpose.FEED, timeout=seconds, attempts=1) as http:
        AsterPublic(http).server_time()


def _same_money(testnet_url: str, mainnet_url: str) -> bool:
    testnet = _host(testnet_url)
    if testnet == REAL_MONEY or testnet.endswith(f".{REAL_MONEY}"):
        return True
    return testnet == _host(mainnet_url) and not _loopback(testnet)


def _host(url: str) -> str:
    return (urlsplit(url).hostname or "").lower().rstrip(".")  # a dot at the end is the same host


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
