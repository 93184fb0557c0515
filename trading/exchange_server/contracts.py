"""What `exchangeInfo` says of each contract: word for word from a recorded payload, or made of built-in rules."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from marketdata.domain.builtin import builtin_spec, split_symbol
from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.simulation import profile_of
from vibex.lib.errors import Rejected

TRADING: Final = "TRADING"
PENDING: Final = "PENDING_TRADING"
RATE_LIMITS: Final = (
    {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 2400},
    {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 1200},
    {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 300},
)
ORDER_TYPES: Final = (
    "LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET",
)  # fmt: skip
TIMES_IN_FORCE: Final = ("GTC", "IOC", "GTX", "RPI", "HIDDEN")
EXTRA_DECIMALS: Final = 2
"""So many more decimals has `pricePrecision` than the tick, as for most symbols of the real venue: a trap."""
PLAIN: Final = ("BTC",)
"""Where the two agree, as they do at the real venue."""
DELIVERY_MS: Final = 4_133_404_800_000
"""The delivery date that the venue names for contracts that have none."""
FEWEST_TICKS, MOST_TICKS = 2_000, 200_000
"""How many ticks a made-up price may be worth."""


@dataclass(frozen=True, slots=True)
class Contract:
    """One symbol: its entry of `exchangeInfo`, and what the server itself needs of it."""

    info: Mapping[str, Any]
    spec: InstrumentSpec
    price_decimals: int
    quantity_decimals: int

    @property
    def symbol(self) -> str:
        return self.spec.symbol

    @property
    def live(self) -> bool:
        """Whether it is traded now. The others stand still, or have not begun."""
        return self.spec.status == TRADING

    def price(self, value: float | Decimal) -> str:
        return f"{value:.{self.price_decimals}f}"

    def quantity(self, value: float) -> str:
        return f"{value:.{self.quantity_decimals}f}"


def read_exchange_info(path: Path) -> dict[str, Any]:
    """Return a recorded `exchangeInfo` (JSON, gzipped or not). Raises Rejected with what is wrong."""
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        payload = json.loads(raw)
    except OSError as error:
        raise Rejected(f"{path} cannot be read ({error.strerror or error}).", code="exchange-info") from None
    except (ValueError, EOFError):
        raise Rejected(f"{path} is not sound JSON: record it again.", code="exchange-info") from None
    if not isinstance(payload, dict) or not isinstance(payload.get("symbols"), list):
        raise Rejected(f"{path} is no exchangeInfo: it has no list of symbols.", code="exchange-info")
    return payload


def recorded_contracts(payload: Mapping[str, Any]) -> dict[str, Contract]:
    """Return the contracts of a recorded `exchangeInfo` in its own order."""
    return {info["symbol"]: _contract(info) for info in payload["symbols"]}


def builtin_contract(spec: InstrumentSpec, *, onboard_ms: int) -> Contract:
    """Return the contract that follows from built-in rules."""
    base, quote = split_symbol(spec.symbol)
    extra = 0 if base in PLAIN else EXTRA_DECIMALS
    prices, quantities = _decimals(spec.tick_size) + extra, _decimals(spec.step_size)
    info = {
        "symbol": spec.symbol,
        "pair": spec.symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": DELIVERY_MS,
        "onboardDate": onboard_ms,
        "status": TRADING,
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": base,
        "quoteAsset": quote,
        "marginAsset": quote,
        "pricePrecision": prices,
        "quantityPrecision": quantities,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "symbolType": 0,
        "settlePlan": 0,
        "triggerProtect": "0.0500",
        "liquidationFee": "0.025000",
        "marketTakeBound": "0.05",
        "filters": _filters(spec, prices, quantities),
        "orderTypes": list(ORDER_TYPES),
        "timeInForce": list(TIMES_IN_FORCE),
    }
    return Contract(info, spec, prices, quantities)


def first_price(contract: Contract) -> float:
    """Return a price that suits the contract: the simulated market's own, moved by tens until ticks are fine enough."""
    spec, price = contract.spec, profile_of(contract.symbol).price
    tick = float(spec.tick_size)
    if split_symbol(contract.symbol)[0] in ("BTC", "ETH", "SOL", "BNB", "XRP", "DOGE"):
        return price
    while price / tick < FEWEST_TICKS:
        price *= 10
    while price / tick > MOST_TICKS:
        price /= 10
    highest = float(spec.max_price) / 4 or price
    return min(max(price, float(spec.min_price) * 4), highest)


def exchange_info(contracts: Iterable[Contract], *, head: Mapping[str, Any] | None, now_ms: int) -> dict[str, Any]:
    """Return the whole payload; `head` is a recorded one whose other fields are kept."""
    assets = sorted({contract.info["marginAsset"] for contract in contracts} | {"USDT"})
    default = {
        "timezone": "UTC",
        "serverTime": now_ms,
        "futuresType": "U_MARGINED",
        "rateLimits": [dict(limit) for limit in RATE_LIMITS],
        "exchangeFilters": [],
        "assets": [{"asset": asset, "marginAvailable": True, "autoAssetExchange": 0} for asset in assets],
    }
    symbols = [contract.info for contract in contracts]
    return {**default, **(head or {}), "serverTime": now_ms, "symbols": symbols}


def _contract(info: Mapping[str, Any]) -> Contract:
    symbol, filters = info["symbol"], {one["filterType"]: one for one in info["filters"]}
    prices, quantities = int(info["pricePrecision"]), int(info["quantityPrecision"])
    price, lot = filters["PRICE_FILTER"], filters["LOT_SIZE"]
    tick = Decimal(price["tickSize"]).normalize() or Decimal(1).scaleb(-prices)
    spec = replace(
        builtin_spec("aster", symbol, price=profile_of(symbol).price),
        tick_size=tick,
        step_size=Decimal(lot["stepSize"]).normalize() or Decimal(1).scaleb(-quantities),
        min_price=Decimal(price["minPrice"]),
        max_price=Decimal(price["maxPrice"]),
        status=info["status"],
    )
    return Contract(info, spec, max(prices, _decimals(tick)), quantities)


def _filters(spec: InstrumentSpec, prices: int, quantities: int) -> list[dict[str, Any]]:
    tick, step = f"{spec.tick_size:.{prices}f}", f"{spec.step_size:.{quantities}f}"
    lot = {"stepSize": step, "maxQty": f"{spec.max_quantity:f}", "minQty": step}
    market = {**lot, "maxQty": f"{spec.max_quantity / 10:f}"}
    return [
        {
            "minPrice": tick,
            "maxPrice": f"{spec.tick_size * 100_000_000:f}",
            "filterType": "PRICE_FILTER",
            "tickSize": tick,
        },
        {"filterType": "LOT_SIZE", **lot},
        {"filterType": "MARKET_LOT_SIZE", **market},
        {"limit": 200, "filterType": "MAX_NUM_ORDERS"},
        {"limit": 10, "filterType": "MAX_NUM_ALGO_ORDERS"},
        {"notional": f"{spec.min_notional:f}", "filterType": "MIN_NOTIONAL"},
        {
            "multiplierDown": "0.9500",
            "multiplierUp": "1.0500",
            "multiplierDecimal": "4",
            "filterType": "PERCENT_PRICE",
        },
    ]


def _decimals(step: Decimal) -> int:
    exponent = step.normalize().as_tuple().exponent
    return max(0, -int(exponent))
