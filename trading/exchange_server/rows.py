"""Balances, positions, trades, income and brackets in the shapes in which REST shows them."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final

from trading.domain.matching.margin import maintenance_margin, notional_cap
from trading.domain.venue import ZERO, Income, IncomeKind, OrderSide, Trade
from trading.exchange_server.accounts import ASSET, CROSSED, ISOLATED, Account
from trading.exchange_server.events import cross_wallet
from trading.exchange_server.order_rows import text
from vibex.lib.clock import to_ms

INCOME_TYPES: Final = {IncomeKind.LIQUIDATION_FEE: "INSURANCE_CLEAR"}
"""The venue books the fee of a liquidation under the insurance fund; the other kinds have the engine's names."""


def money(value: Decimal) -> str:
    return f"{value:.8f}"


def cross_profit(account: Account) -> Decimal:
    crossed = (one for one in account.state().positions if account.margin_type(one.symbol) == CROSSED)
    return sum((one.unrealised for one in crossed), ZERO)


def withdrawable(account: Account) -> Decimal:
    """Return what may be taken out: what is free, without profits that are not realised."""
    state = account.state()
    return min(state.available, max(state.wallet - state.margin, ZERO))


def balance_row(account: Account) -> dict[str, Any]:
    state = account.state()
    return {
        "accountAlias": account.alias,
        "asset": ASSET,
        "balance": money(state.wallet),
        "crossWalletBalance": money(cross_wallet(account)),
        "crossUnPnl": money(cross_profit(account)),
        "availableBalance": money(state.available),
        "maxWithdrawAmount": money(withdrawable(account)),
        "marginAvailable": True,
        "updateTime": account.markets.now_ms(),
    }


def empty_balance(account: Account, asset: str) -> dict[str, Any]:
    names = ("balance", "crossWalletBalance", "crossUnPnl", "availableBalance", "maxWithdrawAmount")
    nothing = dict.fromkeys(names, money(ZERO))
    return {
        "accountAlias": account.alias, "asset": asset, **nothing, "marginAvailable": asset == "USDF", "updateTime": 0,
    }  # fmt: skip


def risk_rows(account: Account, symbol: str) -> Iterable[dict[str, Any]]:
    for side in ("LONG", "SHORT") if account.dual else ("BOTH",):
        yield _risk_row(account, symbol, side)


def _risk_row(account: Account, symbol: str, side: str) -> dict[str, Any]:
    contract, spec = account.contract(symbol), account.spec(symbol)
    view, held = account.state().position(symbol), account.position(symbol)
    isolated = account.margin_type(symbol) == ISOLATED
    mark = view.mark_price if view else _mark(account, symbol)
    own = held.margin if held and isolated else ZERO
    unrealised = view.unrealised if view else ZERO
    return {
        "symbol": symbol,
        "positionAmt": contract.quantity(held.quantity) if held else contract.quantity(0.0),  # type: ignore[arg-type]
        "entryPrice": text(held.entry_price) if held else "0.0",
        "markPrice": money(mark),
        "unRealizedProfit": money(unrealised),
        "liquidationPrice": text(view.liquidation_price) if view and view.liquidation_price else "0",
        "leverage": str(account.leverage(symbol)),
        "maxNotionalValue": text(notional_cap(spec, account.leverage(symbol))),
        "marginType": "isolated" if isolated else "cross",
        "isolatedMargin": money(own + unrealised if isolated and held else ZERO),
        "isAutoAddMargin": "false",
        "positionSide": side,
        "notional": money(held.quantity * mark) if held else "0",
        "isolatedWallet": money(own) if own else "0",
        "updateTime": _touched(account, symbol),
    }


def _mark(account: Account, symbol: str) -> Decimal:
    prices = account.markets.prices(symbol, account.markets.now_ms())
    return Decimal(str(prices.mark)) if prices else ZERO


def _touched(account: Account, symbol: str) -> int:
    """Return when a position changed last, 0 for one that never was."""
    return max((to_ms(trade.at) for trade in account.trades if trade.symbol == symbol), default=0)


def margin_row(account: Account, symbol: str) -> dict[str, Any]:
    risk, spec = _risk_row(account, symbol, "BOTH"), account.spec(symbol)
    notional = abs(Decimal(risk["notional"]))
    used = Decimal(risk["isolatedWallet"]) if risk["marginType"] == "isolated" else notional / account.leverage(symbol)
    return {
        "symbol": symbol,
        "initialMargin": money(used),
        "maintMargin": money(maintenance_margin(spec, notional)),
        "unrealizedProfit": risk["unRealizedProfit"],
        "positionInitialMargin": money(used),
        "openOrderInitialMargin": "0",
        "leverage": risk["leverage"],
        "isolated": risk["marginType"] == "isolated",
        "entryPrice": risk["entryPrice"],
        "maxNotional": risk["maxNotionalValue"],
        "positionSide": "BOTH",
        "positionAmt": risk["positionAmt"],
        "notional": risk["notional"],
        "isolatedWallet": risk["isolatedWallet"],
        "updateTime": risk["updateTime"],
    }


def trade_row(account: Account, trade: Trade) -> dict[str, Any]:
    number = int(trade.exchange_id)
    extra = account.extras.get(number)  # that of an amended order leads to the number that the outside knows
    return {
        "symbol": trade.symbol,
        "id": int(trade.trade_id),
        "orderId": extra.number if extra else number,
        "side": trade.side.value,
        "price": text(trade.price),
        "qty": text(trade.quantity),
        "realizedPnl": money(trade.realised),
        "quoteQty": text(trade.price * trade.quantity),
        "commission": money(trade.fee),
        "commissionAsset": ASSET,
        "time": to_ms(trade.at),
        "positionSide": "BOTH",
        "maker": trade.maker,
        "buyer": trade.side is OrderSide.BUY,
    }


def income_row(one: Income) -> dict[str, Any]:
    kind = INCOME_TYPES.get(one.kind, one.kind.value)
    return {
        "symbol": one.symbol,
        "incomeType": kind,
        "income": money(one.amount),
        "asset": ASSET,
        "info": kind,
        "time": to_ms(one.at),
        "tranId": one.transaction_id,
        "tradeId": one.trade_id,
    }


def bracket_row(account: Account, symbol: str) -> dict[str, Any]:
    rows = [
        {
            "bracket": place,
            "initialLeverage": bracket.max_leverage,
            "notionalCap": int(bracket.cap),
            "notionalFloor": int(bracket.floor),
            "maintMarginRatio": float(bracket.maintenance_rate),
            "cum": float(bracket.cum),
        }
        for place, bracket in enumerate(account.spec(symbol).brackets, start=1)
    ]
    return {"symbol": symbol, "brackets": rows}
