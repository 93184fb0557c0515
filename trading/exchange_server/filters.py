"""What an entry of `exchangeInfo` allows an order to be: read from the payload itself, as a client has to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

NONE: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class Range:
    """From least to most in steps; a zero switches the rule off."""

    least: Decimal
    most: Decimal
    step: Decimal


@dataclass(frozen=True, slots=True)
class Filters:
    """All rules of one contract, in its own units."""

    price: Range
    lot: Range
    market_lot: Range
    min_notional: Decimal
    max_orders: int
    max_stops: int
    up: Decimal
    down: Decimal
    """Shares of the mark price beyond which a limit is refused."""
    price_decimals: int
    quantity_decimals: int
    take_bound: Decimal


def filters_of(info: Mapping[str, Any]) -> Filters:
    found = {one["filterType"]: one for one in info["filters"]}
    percent = found.get("PERCENT_PRICE", {})
    lot = _range(found.get("LOT_SIZE", {}), "Qty", "stepSize")
    return Filters(
        price=_range(found.get("PRICE_FILTER", {}), "Price", "tickSize"),
        lot=lot,
        market_lot=_range(found["MARKET_LOT_SIZE"], "Qty", "stepSize") if "MARKET_LOT_SIZE" in found else lot,
        min_notional=Decimal(str(found.get("MIN_NOTIONAL", {}).get("notional", 0))),
        max_orders=int(found.get("MAX_NUM_ORDERS", {}).get("limit", 200)),
        max_stops=int(found.get("MAX_NUM_ALGO_ORDERS", {}).get("limit", 100)),
        up=Decimal(str(percent.get("multiplierUp", 0))),
        down=Decimal(str(percent.get("multiplierDown", 0))),
        price_decimals=int(info["pricePrecision"]),
        quantity_decimals=int(info["quantityPrecision"]),
        take_bound=Decimal(str(info.get("marketTakeBound", 0))),
    )


def _range(one: Mapping[str, Any], what: str, step: str) -> Range:
    least, most, width = (Decimal(str(one.get(name, 0))) for name in (f"min{what}", f"max{what}", step))
    return Range(least, most, width)
