"""One life of a position at AsterDEX through ccxt's own client. Runs where only ccxt is installed: JSON in, JSON out.

What is asked, and what has to be told in which words, stands in tests/test_conformance.py. The agent's key is given to
ccxt by what it remembers of the main wallet: of itself it takes the address of the key for the user.
"""

import json
import sys
import urllib.request

import ccxt

STATES = {"open": "NEW", "closed": "FILLED", "canceled": "CANCELED"}
SIGNS = {"in": 1, "out": -1}


def client(asked):
    """Return ccxt's client, pointed at a server on loopback. Its builder gets a fee only where the test says so."""
    here = dict.fromkeys(("fapiPublic", "fapiPrivate"), f"{asked['address']}/fapi")
    spot = dict.fromkeys(("sapiPublic", "sapiPrivate"), f"{asked['address']}/api")
    fee = {} if asked.get("fee") else {"builderFee": False}
    known = ccxt.Exchange.hash(ccxt.Exchange.encode(asked["key"]), "keccak", "hex")
    options = {
        "defaultType": "swap", "signerAddress": asked["signer"], "cachedWalletAddress": asked["user"],
        "privateKeyHashForCachedWalletAddress": known,
    }  # fmt: skip
    return ccxt.aster(
        {"privateKey": asked["key"], "rateLimit": 1, "urls": {"api": here | spot}, "options": options | fee}
    )


def move(asked, name):
    """Let the market go on, as the test says."""
    for command, given in asked["moves"][name]:
        body = json.dumps(given).encode()
        urllib.request.urlopen(f"{asked['address']}/_sim/{command}", body, timeout=10).read()


def executed(row):
    return [STATES[row["status"]], row["side"].upper(), row["filled"], row["average"]]


def waiting(exchange, symbol):
    return {row["clientOrderId"]: row["triggerPrice"] for row in exchange.fetch_open_orders(symbol)}


def held(exchange, symbol):
    return [
        [row["contracts"], row["entryPrice"], row["leverage"], row["marginMode"], row["initialMargin"]]
        for row in exchange.fetch_positions([symbol])
        if row["side"] == "long" and row["contracts"]
    ]


def cancelled(exchange, symbol, name):
    try:
        return STATES[exchange.cancel_order("", symbol, {"origClientOrderId": name})["status"]]
    except ccxt.OrderNotFound:
        return "UNKNOWN_ORDER"


def opened(exchange, symbol, asked):
    """Enter, and put a stop and a target behind it. `closePosition` has to be Python's True: see the test."""
    entry = {"clientOrderId": "entry", "newOrderRespType": "RESULT"}
    told = executed(exchange.create_order(symbol, "market", "buy", float(asked["quantity"]), None, entry))
    for name, kind in (("stop", "stopLossPrice"), ("target", "takeProfitPrice")):
        form = {kind: asked[name], "closePosition": True, "workingType": "MARK_PRICE", "clientOrderId": name}
        exchange.create_order(symbol, "market", "sell", None, None, form)
    return told


def booked(exchange, symbol):
    """Return trades, income and wallet."""
    trades = [
        [row["side"].upper(), row["amount"], row["price"], row["fee"]["cost"], row["info"]["realizedPnl"]]
        for row in exchange.fetch_my_trades(symbol)
    ]
    ledger = exchange.fetch_ledger("USDT")
    return {
        "trades": trades,
        "income": [[row["info"]["incomeType"], SIGNS[row["direction"]] * row["amount"]] for row in ledger],
        "wallet": exchange.fetch_balance()["USDT"]["total"],
    }


def life(exchange, asked):
    symbol = next(name for name, one in exchange.markets.items() if one["id"] == asked["symbol"] and one["swap"])
    told = {"tick": exchange.markets[symbol]["precision"]["price"]}
    exchange.set_position_mode(False, symbol)
    exchange.set_margin_mode("isolated", symbol)
    told["leverage"] = exchange.set_leverage(asked["leverage"], symbol)["leverage"]
    told["entry"] = opened(exchange, symbol, asked)
    told["held"], told["waiting"] = held(exchange, symbol), waiting(exchange, symbol)
    move(asked, "funding")
    move(asked, "trigger")
    told["fired"] = executed(exchange.fetch_order("", symbol, {"origClientOrderId": "stop"}))
    told["after"], told["sibling"] = held(exchange, symbol), waiting(exchange, symbol)
    told["cancelled"] = cancelled(exchange, symbol, "target")
    told["left"] = waiting(exchange, symbol)
    return told | booked(exchange, symbol)


def main(asked):
    exchange = client(asked)
    exchange.load_markets()
    if not asked.get("fee"):
        return life(exchange, asked)
    exchange.load_markets_and_sign_in()
    return {}


if __name__ == "__main__":
    json.dump(main(json.load(sys.stdin)), sys.stdout)
