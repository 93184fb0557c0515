"""The signed endpoints besides orders: balance, positions, settings, history, the listen key."""

from __future__ import annotations

import secrets
import time
from dataclasses import replace
from decimal import Decimal
from typing import Final

from trading.domain.matching import EngineRefusal, PositionRecord
from trading.domain.matching.margin import notional_cap
from trading.domain.venue import ZERO
from trading.exchange_server.accounts import ASSET, CROSSED, ISOLATED, KEY_SECONDS, Account
from trading.exchange_server.answers import Refusal, limit_of, missing, needed, whole_number
from trading.exchange_server.events import cross_wallet
from trading.exchange_server.order_rows import FORCED, order_row, text
from trading.exchange_server.order_rules import flag, number_of
from trading.exchange_server.orders import Call, Json, Private, week_of
from trading.exchange_server.rest import contract_of
from trading.exchange_server.rows import (
    balance_row,
    bracket_row,
    cross_profit,
    empty_balance,
    income_row,
    margin_row,
    money,
    risk_rows,
    trade_row,
    withdrawable,
)

OTHER_ASSETS: Final = ("USDF", "ASTER")
"""Assets that an account has nothing of: they are listed all the same."""
MOST_LEVERAGE: Final = 125
CLOSES: Final = {"LIQUIDATION": "autoclose-", "ADL": "adl_autoclose"}
DONE: Final = {"code": 200, "msg": "success"}


def balance(call: Call) -> Json:
    return [balance_row(call.account), *(empty_balance(call.account, asset) for asset in OTHER_ASSETS)]


def account_info(call: Call) -> Json:
    """Return totals, assets and positions; every symbol is listed, flat ones too."""
    account = call.account
    state, rows = account.state(), [margin_row(account, name) for name in account.markets.contracts]
    maintenance = sum((Decimal(row["maintMargin"]) for row in rows), ZERO)
    held = sum((Decimal(row["positionInitialMargin"]) for row in rows), ZERO)
    ordered = max(state.margin - held, ZERO)
    totals = {
        "InitialMargin": held + ordered,
        "MaintMargin": maintenance,
        "WalletBalance": state.wallet,
        "UnrealizedProfit": state.unrealised,
        "MarginBalance": state.equity,
        "PositionInitialMargin": held,
        "OpenOrderInitialMargin": ordered,
        "CrossWalletBalance": cross_wallet(account),
        "CrossUnPnl": cross_profit(account),
    }
    free = {"availableBalance": money(state.available), "maxWithdrawAmount": money(withdrawable(account))}
    of_asset = {name[0].lower() + name[1:]: money(value) for name, value in totals.items()}
    return {
        "feeTier": 0,
        "canTrade": True,
        "canDeposit": True,
        "canWithdraw": True,
        "updateTime": 0,
        **{f"total{name}": money(value) for name, value in totals.items()},
        **free,
        "assets": [{"asset": ASSET, **of_asset, **free, "marginAvailable": True, "updateTime": call.now_ms}],
        "positions": rows,
    }


def position_risk(call: Call) -> Json:
    account = call.account
    names = [contract_of(account.markets, call.given).symbol] if call.given.get("symbol") else account.markets.contracts
    return [row for name in names for row in risk_rows(account, name)]


def set_leverage(call: Call) -> Json:
    account, symbol = call.account, contract_of(call.account.markets, call.given).symbol
    needed(call.given, "leverage")
    wanted = whole_number(call.given, "leverage") or 0
    spec = account.spec(symbol)
    most = max((bracket.max_leverage for bracket in spec.brackets), default=0)
    if not 1 <= wanted <= min(most, MOST_LEVERAGE):
        raise Refusal(-4028, f"Leverage {wanted} is not valid")
    if wanted < account.leverage(symbol) and account.position(symbol) and account.margin_type(symbol) == ISOLATED:
        raise Refusal(-4161, "Leverage reduction is not supported in Isolated Margin Mode with open positions")
    try:
        account.do(lambda engine, _: engine.set_leverage(symbol, wanted))
    except EngineRefusal:
        raise Refusal(-2030, "Leverage cannot be changed while there is a position or an open order.") from None
    return {"leverage": wanted, "maxNotionalValue": text(notional_cap(spec, wanted)), "symbol": symbol}


def set_margin_type(call: Call) -> Json:
    account, symbol = call.account, contract_of(call.account.markets, call.given).symbol
    wanted = needed(call.given, "marginType")
    if wanted not in (ISOLATED, CROSSED):
        raise Refusal(-1130, "Data sent for parameter 'marginType' is not valid.")
    if wanted == account.margin_type(symbol):
        raise Refusal(-4046, "No need to change margin type.")
    if wanted == ISOLATED and account.multi_assets:
        raise Refusal(-4168, "Unable to adjust to isolated-margin mode under the Multi-Assets mode.")
    if account.working(symbol):
        raise Refusal(-4047, "Margin type cannot be changed if there exists open orders.")
    if account.position(symbol):
        raise Refusal(-4048, "Margin type cannot be changed if there exists position.")
    account.set_margin_type(symbol, wanted)
    return DONE


def position_margin(call: Call) -> Json:
    """Add margin to an isolated position, or take some away."""
    account, symbol = call.account, contract_of(call.account.markets, call.given).symbol
    amount, kind = number_of(call.given, "amount"), needed(call.given, "type")
    if amount is None:
        raise missing("amount")
    if amount <= 0:
        raise Refusal(-4055, "Amount must be positive.")
    if kind not in ("1", "2"):
        raise Refusal(-1130, "Data sent for parameter 'type' is not valid.")
    if account.margin_type(symbol) != ISOLATED:
        raise Refusal(-4049, "Add margin only support for isolated position.")
    account.look(symbol)
    held = account.position(symbol)
    if held is None:
        raise Refusal(-4054, "Cannot add position margin: position is 0.")
    change = amount if kind == "1" else -amount
    _check_margin_change(account, held, change)
    state = account.engine.state()
    moved = [replace(one, margin=one.margin + change) if one.symbol == symbol else one for one in state.positions]
    account.restore(replace(state, positions=tuple(moved)))
    row = {"amount": text(amount), "asset": ASSET, "symbol": symbol, "time": call.now_ms, "type": int(kind)}
    account.margin_changes.append({**row, "positionSide": "BOTH"})
    return {"amount": float(amount), "code": 200, "msg": "Successfully modify position margin.", "type": int(kind)}


def margin_history(call: Call) -> Json:
    symbol = contract_of(call.account.markets, call.given).symbol
    limit = limit_of(call.given, default=500, most=1_000)
    return [row for row in call.account.margin_changes if row["symbol"] == symbol][-limit:]


def get_dual(call: Call) -> Json:
    return {"dualSidePosition": call.account.dual}


def set_dual(call: Call) -> Json:
    needed(call.given, "dualSidePosition")
    account, wanted = call.account, flag(call.given, "dualSidePosition")
    if wanted == account.dual:
        raise Refusal(-4059, "No need to change position side.")
    if account.working():
        raise Refusal(-4067, "Position side cannot be changed if there exists open orders.")
    if account.engine.state().positions:
        raise Refusal(-4068, "Position side cannot be changed if there exists position.")
    account.dual = wanted
    return DONE


def get_multi(call: Call) -> Json:
    return {"multiAssetsMargin": call.account.multi_assets}


def set_multi(call: Call) -> Json:
    needed(call.given, "multiAssetsMargin")
    wanted = flag(call.given, "multiAssetsMargin")
    if wanted and any(call.account.margin_type(name) == ISOLATED for name in call.account.markets.contracts):
        raise Refusal(-4168, "Unable to adjust to Multi-Assets mode with symbols of isolated-margin mode.")
    call.account.multi_assets = wanted
    return DONE


def user_trades(call: Call) -> Json:
    account, symbol = call.account, contract_of(call.account.markets, call.given).symbol
    first, limit = whole_number(call.given, "fromId"), limit_of(call.given, default=500, most=1_000)
    rows = [trade_row(account, trade) for trade in account.trades if trade.symbol == symbol]
    rows.sort(key=lambda row: row["id"])
    if first is not None:
        return [row for row in rows if row["id"] >= first][:limit]
    start, end = week_of(call)
    rows = [row for row in rows if start <= row["time"] <= end]
    return rows[:limit] if call.given.get("startTime") else rows[-limit:]


def income(call: Call) -> Json:
    account, limit = call.account, limit_of(call.given, default=100, most=1_000)
    symbol = contract_of(account.markets, call.given).symbol if call.given.get("symbol") else None
    kind, (start, end) = call.given.get("incomeType"), week_of(call)
    rows = [
        row
        for row in map(income_row, account.income)
        if symbol in (None, row["symbol"]) and kind in (None, "", row["incomeType"]) and start <= row["time"] <= end
    ]
    rows.sort(key=lambda row: (row["time"], int(row["tranId"])))
    return rows[:limit] if call.given.get("startTime") else rows[-limit:]


def leverage_bracket(call: Call) -> Json:
    account = call.account
    if call.given.get("symbol"):
        return bracket_row(account, contract_of(account.markets, call.given).symbol)
    return [bracket_row(account, name) for name in account.markets.contracts]


def leverage_brackets(call: Call) -> Json:
    """Return what newer documents ask for under this name: a list, with a symbol too."""
    told = leverage_bracket(call)
    return told if isinstance(told, list) else [told]


def commission_rate(call: Call) -> Json:
    spec = call.account.spec(contract_of(call.account.markets, call.given).symbol)
    return {
        "symbol": spec.symbol,
        "makerCommissionRate": f"{spec.maker_fee:.6f}",
        "takerCommissionRate": f"{spec.taker_fee:.6f}",
    }


def adl_quantile(call: Call) -> Json:
    account = call.account
    names = [contract_of(account.markets, call.given).symbol] if call.given.get("symbol") else account.markets.contracts
    rows = [{"symbol": name, "adlQuantile": {"LONG": 0, "SHORT": 0, "BOTH": 0}} for name in names]
    return rows[0] if call.given.get("symbol") else rows


def force_orders(call: Call) -> Json:
    account, (start, end) = call.account, week_of(call)
    symbol = contract_of(account.markets, call.given).symbol if call.given.get("symbol") else None
    kind = call.given.get("autoCloseType")
    if kind not in (None, "", *CLOSES):
        raise Refusal(-1130, "Data sent for parameter 'autoCloseType' is not valid.")
    chosen = CLOSES[kind] if kind else FORCED
    rows = [
        order_row(account, order)
        for order in account.orders.values()
        if order.client_order_id.startswith(chosen) and symbol in (None, order.symbol)
    ]
    limit = limit_of(call.given, default=50, most=100)
    return [row for row in rows if start <= row["time"] <= end][-limit:]


def noop(_call: Call) -> Json:
    """Do nothing. Its nonce is used up with it, and a request that still comes with that nonce is refused."""
    return DONE


def post_listen_key(call: Call) -> Json:
    account = call.account
    if account.listen_key is None:
        account.listen_key = secrets.token_hex(32)
    account.listen_until = time.monotonic() + KEY_SECONDS
    return {"listenKey": account.listen_key}


def put_listen_key(call: Call) -> Json:
    _listening(call.account).listen_until = time.monotonic() + KEY_SECONDS
    return {}


def delete_listen_key(call: Call) -> Json:
    _listening(call.account).listen_key = None
    return {}


def builders(call: Call) -> Json:
    return call.account.builders


def approve_builder(call: Call) -> Json:
    """Accept a builder and its fee. Nobody should ever ask for it: the log shows who did."""
    call.account.builders.append(dict(call.given))
    return DONE


PRIVATE: Final[dict[tuple[str, str], Private]] = {
    ("GET", "balance"): balance,
    ("GET", "account"): account_info,
    ("GET", "accountWithJoinMargin"): account_info,
    ("GET", "positionRisk"): position_risk,
    ("POST", "leverage"): set_leverage,
    ("POST", "marginType"): set_margin_type,
    ("POST", "positionMargin"): position_margin,
    ("GET", "positionMargin/history"): margin_history,
    ("GET", "positionSide/dual"): get_dual,
    ("POST", "positionSide/dual"): set_dual,
    ("GET", "multiAssetsMargin"): get_multi,
    ("POST", "multiAssetsMargin"): set_multi,
    ("GET", "userTrades"): user_trades,
    ("GET", "income"): income,
    ("GET", "leverageBracket"): leverage_bracket,
    ("GET", "leverageBrackets"): leverage_brackets,
    ("GET", "commissionRate"): commission_rate,
    ("GET", "adlQuantile"): adl_quantile,
    ("GET", "forceOrders"): force_orders,
    ("POST", "noop"): noop,
    ("POST", "listenKey"): post_listen_key,
    ("PUT", "listenKey"): put_listen_key,
    ("DELETE", "listenKey"): delete_listen_key,
    ("GET", "builder"): builders,
    ("POST", "approveBuilder"): approve_builder,
}


def _listening(account: Account) -> Account:
    if account.listen_key is None:
        raise Refusal(-1125, "This listenKey does not exist.")
    return account


def _check_margin_change(account: Account, held: PositionRecord, change: Decimal) -> None:
    if change > account.state().available:
        raise Refusal(-4050, "Cross balance insufficient.")
    mark = account.engine.prices(held.symbol).mark
    least = abs(held.quantity) * mark / held.leverage
    if change < 0 and held.margin + change + min(held.unrealised(mark), ZERO) < least:
        raise Refusal(-4051, "Isolated balance insufficient.")
