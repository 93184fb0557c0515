"""What ccxt's own client of AsterDEX says of a server. Runs where only ccxt is installed: JSON in, JSON out.

In: `address`; `candles` ([symbol, interval, since, until, limit]); `funding` ([symbol, since, until]); `round` (per
symbol, prices and quantities as text). Out: the same, answered, and `markets`, `rates`, `hours`. Symbols are the venue's.
"""

import json
import sys

import ccxt
from ccxt.base.decimal_to_precision import TICK_SIZE, TRUNCATE


def client(address):
    """Return ccxt's client, pointed at a server on loopback, without the fee for its builder."""
    here = dict.fromkeys(("fapiPublic", "fapiPrivate"), f"{address}/fapi")
    spot = dict.fromkeys(("sapiPublic", "sapiPrivate"), f"{address}/api")
    return ccxt.aster(
        {"rateLimit": 1, "urls": {"api": here | spot}, "options": {"defaultType": "swap", "builderFee": False}}
    )


def rules(market):
    limits, precision = market["limits"], market["precision"]
    return {
        "tick": precision["price"], "step": precision["amount"], "notional": limits["cost"]["min"],
        "min_price": limits["price"]["min"], "max_price": limits["price"]["max"],
        "min_quantity": limits["amount"]["min"], "max_quantity": limits["amount"]["max"],
        "market_min": limits["market"]["min"], "market_max": limits["market"]["max"],
        "active": market["active"], "swap": market["swap"], "linear": market["linear"],
        "base": market["baseId"], "quote": market["quoteId"], "settle": market["settleId"],
    }  # fmt: skip


def rounded(round_one, symbol, values):
    """Return what each becomes: zero where ccxt refuses it because nothing is left."""
    made = []
    for value in values:
        try:
            made.append(round_one(symbol, value))
        except ccxt.InvalidOrder:
            made.append("0")
    return made


def all_rounded(exchange, symbol, values):
    """Return prices to the nearest tick, prices down to the tick, and quantities down to the step."""
    tick = exchange.markets[symbol]["precision"]["price"]
    return {
        "near": rounded(exchange.price_to_precision, symbol, values["prices"]),
        "down": [exchange.decimal_to_precision(price, TRUNCATE, tick, TICK_SIZE) for price in values["prices"]],
        "quantity": rounded(exchange.amount_to_precision, symbol, values["quantities"]),
    }


def main(asked):
    exchange = client(asked["address"])
    exchange.load_markets()
    names = {market["id"]: name for name, market in exchange.markets.items() if market["swap"]}
    hours, rates = exchange.fetch_funding_intervals(), exchange.fetch_funding_rates()
    return {
        "markets": {symbol: rules(exchange.markets[name]) for symbol, name in names.items()},
        "hours": {row["info"]["symbol"]: row["interval"] for row in hours.values()},
        "rates": {
            row["info"]["symbol"]: [row["fundingRate"], row["markPrice"], row["nextFundingTimestamp"]]
            for row in rates.values()
        },
        "candles": [
            exchange.fetch_ohlcv(names[symbol], interval, since, limit, {"until": until})
            for symbol, interval, since, until, limit in asked["candles"]
        ],
        "funding": [
            [
                [row["timestamp"], row["fundingRate"]]
                for row in exchange.fetch_funding_rate_history(names[symbol], since, 1000, {"until": until})
            ]
            for symbol, since, until in asked["funding"]
        ],
        "round": {
            symbol: all_rounded(exchange, names[symbol], values)
            for symbol, values in asked["round"].items()
            if symbol in names
        },
    }


if __name__ == "__main__":
    json.dump(main(json.load(sys.stdin)), sys.stdout)
