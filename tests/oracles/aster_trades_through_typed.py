"""One life of a position at AsterDEX through typed-aster, every answer validated by its own types.

Runs where only typed-aster is installed: JSON in, JSON out. What is asked, and what has to be told in which words,
stands in tests/test_conformance.py. With `answers` everything else is asked for once, and what it thinks of it is told.
"""

import asyncio
import json
import sys
import urllib.request

from typed_aster import Aster
from typed_core.exceptions import ApiError, BadRequest, ValidationError


def move(asked, name):
    """Let the market go on, as the test says."""
    for command, given in asked["moves"][name]:
        body = json.dumps(given).encode()
        urllib.request.urlopen(f"{asked['address']}/_sim/{command}", body, timeout=10).read()


def executed(row):
    return [row["status"], row["side"], row["executedQty"], row["avgPrice"]]


async def waiting(futures, symbol):
    return {row["clientOrderId"]: row["stopPrice"] for row in await futures.trade.open_orders(symbol)}


async def held(futures, symbol):
    return [
        [row["positionAmt"], row["entryPrice"], row["leverage"], row["marginType"], row["isolatedWallet"]]
        for row in await futures.position.risk(symbol)
        if row["positionAmt"]
    ]


async def cancelled(futures, symbol, name):
    try:
        return (await futures.trade.cancel_order({"symbol": symbol, "origClientOrderId": name}))["status"]
    except BadRequest as refused:
        return {-2011: "UNKNOWN_ORDER"}.get(refused.args[1]["code"], str(refused))


async def opened(futures, symbol, asked):
    """Enter, and put a stop and a target behind it."""
    entry = {
        "symbol": symbol, "side": "BUY", "type": "MARKET", "quantity": asked["quantity"], "newClientOrderId": "entry",
        "newOrderRespType": "RESULT",
    }  # fmt: skip
    told = executed(await futures.trade.place_order(entry))
    for name, kind in (("stop", "STOP_MARKET"), ("target", "TAKE_PROFIT_MARKET")):
        form = {
            "symbol": symbol, "side": "SELL", "type": kind, "stopPrice": asked[name], "closePosition": "true",
            "workingType": "MARK_PRICE", "newClientOrderId": name,
        }  # fmt: skip
        await futures.trade.place_order(form)
    return told


async def booked(futures, symbol):
    """Return trades, income and wallet."""
    trades = [
        [row["side"], row["qty"], row["price"], row["commission"], row["realizedPnl"]]
        for row in await futures.trade.user_trades(symbol)
    ]
    return {
        "trades": trades,
        "income": [[row["incomeType"], row["income"]] for row in await futures.account.income()],
        "wallet": next(row["balance"] for row in await futures.account.balance() if row["asset"] == "USDT"),
    }


async def life(futures, asked):
    symbol = asked["symbol"]
    # Its types do not know all times in force of this answer: `answers` tells which.
    info = await futures.market.exchange_info(validate=False)
    found = next(one for one in info["symbols"] if one["symbol"] == symbol)
    told = {"tick": next(one["tickSize"] for one in found["filters"] if one["filterType"] == "PRICE_FILTER")}
    await futures.account.set_position_mode(False)
    await futures.account.set_margin_type(symbol, margin_type="ISOLATED")
    told["leverage"] = (await futures.account.set_leverage(symbol, leverage=asked["leverage"]))["leverage"]
    told["entry"] = await opened(futures, symbol, asked)
    told["held"], told["waiting"] = await held(futures, symbol), await waiting(futures, symbol)
    move(asked, "funding")
    move(asked, "trigger")
    told["fired"] = executed(await futures.trade.order({"symbol": symbol, "origClientOrderId": "stop"}))
    told["after"], told["sibling"] = await held(futures, symbol), await waiting(futures, symbol)
    told["cancelled"] = await cancelled(futures, symbol, "target")
    told["left"] = await waiting(futures, symbol)
    return told | await booked(futures, symbol)


def questions(futures, symbol):
    """Return what else can be asked for, in this order."""
    trade, account, market, position = futures.trade, futures.account, futures.market, futures.position
    low = {"symbol": symbol, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "1"}
    name = {"symbol": symbol, "origClientOrderId": "low"}
    return {
        "exchangeInfo": market.exchange_info,
        "one way": lambda: account.set_position_mode(False),
        "order": lambda: trade.place_order({**low, "price": "98", "newClientOrderId": "low"}),
        "held": lambda: trade.place_order({"symbol": symbol, "side": "BUY", "type": "MARKET", "quantity": "1"}),
        "changed order": lambda: trade.modify_order({**name, "side": "BUY", "quantity": "2", "price": "97"}),
        "openOrder": lambda: trade.open_order(name),
        "allOrders": lambda: trade.all_orders(symbol),
        "batchOrders": lambda: trade.place_batch_orders(
            [{**low, "price": price, "newClientOrderId": f"b{price}"} for price in ("96", "96.05")]
        ),
        "no batchOrders": lambda: trade.cancel_batch_orders({"symbol": symbol, "origClientOrderIdList": ["b96", "z"]}),
        "countdownCancelAll": lambda: trade.countdown_cancel_all(symbol, countdown_time=100_000),
        "allOpenOrders": lambda: trade.cancel_all_open_orders(symbol),
        "forceOrders": trade.force_orders,
        "noop": trade.noop,
        "account": account.info,
        "accountWithJoinMargin": account.info_with_join_margin,
        "balance": account.balance,
        "commissionRate": lambda: account.commission_rate(symbol),
        "leverageBrackets": account.leverage_brackets,
        "leverageBrackets of one": lambda: account.leverage_brackets(symbol),
        "positionSide/dual": account.position_mode,
        "multiAssetsMargin": account.multi_assets_margin,
        "positionRisk": position.risk,
        "adlQuantile": position.adl_quantile,
        "adlQuantile of one": lambda: position.adl_quantile(symbol),
        "positionMargin/history": lambda: position.margin_history(symbol),
        "listenKey": futures.listen_key.start,
        "listenKey kept": futures.listen_key.keepalive,
        "listenKey ended": futures.listen_key.close,
        "time": market.time,
        "depth": lambda: market.depth(symbol),
        "trades": lambda: market.trades(symbol),
        "aggTrades": lambda: market.agg_trades(symbol),
        "klines": lambda: market.klines(symbol, interval="1m"),
        "markPriceKlines": lambda: market.mark_price_klines(symbol, interval="1m"),
        "indexPriceKlines": lambda: market.index_price_klines(symbol, interval="1m"),
        "premiumIndex": market.premium_index,
        "fundingRate": lambda: market.funding_rate(symbol),
        "fundingInfo": market.funding_info,
        "ticker/24hr": market.ticker_24hr,
        "ticker/price": market.ticker_price,
        "ticker/bookTicker": market.book_ticker,
        "openInterest": lambda: market.open_interest(symbol),
    }  # fmt: skip


async def objection(question):
    """Return what it does not like about an answer, "" where it likes all of it."""
    try:
        await question()
    except ApiError as refused:
        return f"{refused.args[0]} {json.dumps(refused.args[1])}"
    except ValidationError as wrong:
        places = wrong.__cause__.errors()  # pydantic's own
        return sorted({f"{one['loc'][0]}.{one['loc'][-2]} {one['input']}" for one in places})
    return ""


async def main(asked):
    urls = {"futures": {"rest": f"{asked['address']}/fapi/v3"}}
    async with Aster.new(user=asked["user"], signer=asked["key"], urls=urls) as client:
        if not asked.get("answers"):
            return await life(client.futures, asked)
        every = questions(client.futures, asked["symbol"])
        return {name: await objection(question) for name, question in every.items()}


if __name__ == "__main__":
    json.dump(asyncio.run(main(json.load(sys.stdin))), sys.stdout, default=str)
