"""The one place where an object of ccxt is made, and what its failures mean here. ccxt is an optional extra.

Nothing imports ccxt before a venue that is read through it is asked for: the import takes 1.5 seconds and 75 MB.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from marketdata.venues.public import VenueBusy, VenueDown, VenueRefused
from vibex.lib.errors import Rejected, VibexError

TIMEOUT_MS: Final = 10_000
"""Of one request, in milliseconds."""
LONGEST_TEXT: Final = 200
BANNED: Final = timedelta(minutes=2)
SLOWED: Final = timedelta(seconds=30)
"""How long nothing is asked after a 418 and a 429, where the venue says no time."""
LONGEST_WAIT: Final = timedelta(days=3)

LIGHT: Final = frozenset({"l2Book", "allMids", "clearinghouseState", "orderStatus", "exchangeStatus"})
LIGHT_WEIGHT, INFO_WEIGHT = 2, 20
CANDLES_PER_WEIGHT: Final = 60
SETTLEMENTS_PER_WEIGHT: Final = 20
SETTLEMENTS: Final = 500
"""Of one answer at Hyperliquid."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How one venue is read through ccxt."""

    exchange: str
    """Name of the class in ccxt."""
    address: str
    paths: Mapping[str, str]
    """What follows the address in each of ccxt's sections that are used."""
    page: int
    """Most candles of one answer."""
    settlements: int
    """Most funding settlements of one answer."""
    milliseconds: int
    """Time for one unit of weight. Half or 70 % of what the venue allows: other processes ask from the same address."""
    options: Mapping[str, Any] = field(default_factory=dict)
    figures: int | None = None
    """Prices have so many significant figures, instead of a tick."""
    funding_hours: int | None = None
    """The same for every contract; None where the venue tells it per contract."""
    kept: int | None = None
    """So many candles of an interval are kept by the venue; None: all."""
    book: Mapping[str, Any] = field(default_factory=dict)
    """What is asked with an order book besides its symbol."""
    quote_in_name: bool = False
    """Its own names are those of coins: ours adds the quote asset (BTC becomes BTCUSDC)."""


_MAINNETS: Final[Mapping[str, Kind]] = {
    "binance_usdm": Kind(
        exchange="binanceusdm",
        address="https://fapi.binance.com",
        paths={"fapiPublic": "/fapi/v1", "fapiPublicV2": "/fapi/v2", "fapiPublicV3": "/fapi/v3"},
        page=1000,
        settlements=1000,
        milliseconds=50,
    ),
    "hyperliquid": Kind(
        exchange="hyperliquid",
        address="https://api.hyperliquid.xyz",
        paths={"public": "", "private": ""},
        page=5000,
        settlements=SETTLEMENTS,
        milliseconds=72,
        options={"fetchMarkets": {"types": ["swap"]}, "refSet": True},
        figures=5,
        funding_hours=1,
        kept=5000,
        # Twenty levels are told: of four figures they reach 0.2 % from the touch at the least, of all figures 0.02 %.
        book={"nSigFigs": 4},
        quote_in_name=True,
    ),
}
_TESTNETS: Final[Mapping[str, str]] = {
    "binance_usdm": "https://demo-fapi.binance.com",
    "hyperliquid": "https://api.hyperliquid-testnet.xyz",
}
"""Binance closed its testnet of futures for demo trading, which has this address and the same calls."""
KINDS: Final[Mapping[str, Kind]] = {
    **_MAINNETS,
    **{f"{name}_testnet": replace(_MAINNETS[name], address=address) for name, address in _TESTNETS.items()},
}
"""Names of venues as in the setting VENUE. Spot, options and the markets that others list at Hyperliquid stay out."""


def kind_of(name: str) -> Kind:
    """Return how the venue is read. Raises Rejected for one that is not read through ccxt."""
    if name not in KINDS:
        raise Rejected(f"{name} is not a venue that is read through ccxt. There is {', '.join(KINDS)}.", code="venue")
    return KINDS[name]


def urls_at(name: str, address: str) -> dict[str, str]:
    """Return ccxt's sections of a venue at another address, for a compatible server."""
    return {section: f"{address.rstrip('/')}{path}" for section, path in kind_of(name).paths.items()}


def exchange_of(name: str, *, urls: Mapping[str, str] | None = None) -> Any:
    """Return ccxt's object for a venue: no keys, no fees for its builders, never faster than the venue allows.

    `urls` replaces the addresses of ccxt's sections. Raises Rejected with the remedy where ccxt is not installed.
    """
    kind = kind_of(name)
    settings = {
        "enableRateLimit": True,
        "rateLimit": kind.milliseconds,
        "timeout": TIMEOUT_MS,
        "requests_trust_env": True,  # proxies of the machine count, as for every other client here
        "options": {"defaultType": "swap", "builderFee": False, **kind.options},
        "urls": {"api": dict(urls or urls_at(name, kind.address))},
    }
    exchange = getattr(_ccxt(), kind.exchange)(settings)
    exchange.options |= {"broker": {}, "ref": None}
    exchange.has["fetchCurrencies"] = False  # one request less: nothing here needs them
    _answers_are_json(exchange)
    if kind.exchange == "hyperliquid":
        exchange.calculate_rate_limiter_cost = lambda *call: hyperliquid_weight(call[3])
    return exchange


@contextmanager
def told_as_ours(exchange: Any, what: str) -> Iterator[None]:
    """Turn what ccxt raises into VenueDown, VenueBusy or VenueRefused. `what` names what was asked."""
    try:
        yield
    except _ccxt().BaseError as error:
        raise _failure(error, exchange, what) from error
    except (TypeError, KeyError, IndexError, AttributeError, ValueError) as error:
        # ccxt read an answer of another shape than the venue documents
        raise VenueDown(f"{exchange.name} answered {what} with something that cannot be read: {error!r}.") from error


def hyperliquid_weight(params: Mapping[str, Any]) -> float:
    """Return the weight of a request as Hyperliquid counts it: ccxt counts half, and candles without their number."""
    kind = params.get("type")
    if kind == "candleSnapshot":
        return INFO_WEIGHT + _candles_asked(params["req"]) / CANDLES_PER_WEIGHT
    if kind == "fundingHistory":
        return INFO_WEIGHT + SETTLEMENTS / SETTLEMENTS_PER_WEIGHT
    return LIGHT_WEIGHT if kind in LIGHT else INFO_WEIGHT


def _candles_asked(request: Mapping[str, Any]) -> float:
    units = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}
    interval = str(request["interval"])
    length = int(interval[:-1]) * units.get(interval[-1], units["d"])
    return float(min((request["endTime"] - request["startTime"]) / length, KINDS["hyperliquid"].page))


def _ccxt() -> Any:
    try:
        import ccxt
    except ModuleNotFoundError as error:
        if error.name != "ccxt":
            raise
        raise Rejected(
            "Binance and Hyperliquid are read through ccxt, which is not installed. Run: uv sync --extra ccxt",
            code="extra",
        ) from None
    return ccxt


def _answers_are_json(exchange: Any) -> None:
    """Refuse answers with status 200 that are no JSON: ccxt takes a page of HTML for an empty list."""
    fetch, broken = exchange.fetch, _ccxt().BadResponse

    def fetch_json(url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
        answer = fetch(url, method, headers, body)
        if not isinstance(answer, dict | list):
            raise broken(f"{exchange.id} {method} {url} answered without JSON: {answer!s:.60}")
        return answer

    exchange.fetch = fetch_json


def _failure(error: Exception, exchange: Any, what: str) -> VibexError:
    ccxt = _ccxt()
    said = " ".join(str(error).split())
    text = f"{exchange.name} was asked for {what}: {said[:LONGEST_TEXT]}"
    if isinstance(error, ccxt.RateLimitExceeded | ccxt.DDoSProtection):
        until = _busy_until(said, exchange.last_response_headers)
        return VenueBusy(f"{text}. Nothing is asked before {until:%T} UTC.", until=until)
    code = re.search(r'"code"\s*:\s*"?(-?\d+)', said)
    # Without a code or a status of refusal, ccxt itself could not read the answer, or a connection broke.
    untold = type(error) is ccxt.ExchangeError and not code and " 422 " not in said
    if isinstance(error, ccxt.OperationFailed) or untold:
        return VenueDown(text)
    return VenueRefused(text, code=code[1] if code else type(error).__name__)


def _busy_until(said: str, headers: Mapping[str, str] | None) -> datetime:
    """Return when the venue may be asked again, after its header, its text, or our own rule."""
    now = datetime.now(UTC)
    seconds = re.fullmatch(r"\d{1,6}", (headers or {}).get("Retry-After", ""))
    if seconds:
        return now + min(timedelta(seconds=int(seconds[0])), LONGEST_WAIT)
    banned = re.search(r"until (\d{13})\b", said)
    if banned:
        return min(datetime.fromtimestamp(int(banned[1]) / 1000, UTC), now + LONGEST_WAIT)
    return now + (BANNED if " 418 " in said else SLOWED)
