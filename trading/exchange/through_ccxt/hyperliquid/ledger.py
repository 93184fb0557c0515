"""What changed the wallet of an account at Hyperliquid: fills, funding, deposits and all that moves money. Pure."""

from __future__ import annotations

import logging
from decimal import Decimal
from typing import Final

from trading.domain.venue import SETTLED_IN, Income, IncomeKind, Trade
from trading.exchange.through_ccxt.hyperliquid.values import (
    COLLATERAL,
    Row,
    broken,
    moment,
    number,
    one_of,
    price,
    side_of,
    symbol_of,
    text,
    whole,
)

HASH: Final = 40
"""Digits of a transaction's hash that name a payment: 160 bits."""
SILENT: Final = frozenset(
    {
        "liquidation", "spotTransfer", "spotGenesis", "rewardsClaim", "cStakingTransfer", "borrowLend",
        "accountActivationGas", "deployGasAuction", "activateDexAbstraction",
    }
)  # fmt: skip
"""Entries of the ledger that leave this wallet as it is: the loss of a liquidation comes with its fills."""

log = logging.getLogger(__name__)


def trade_of(row: Row, client_order_id: str) -> Trade:
    """Return one execution. A fee below zero is a rebate."""
    kind = "fill"
    at, filled = moment(row.get("time"), kind), price(row, "px", kind)
    if at is None or filled is None:
        raise broken(kind, "time or px")
    return Trade(
        trade_id=str(whole(row, "tid", kind)),
        client_order_id=client_order_id,
        exchange_id=str(whole(row, "oid", kind)),
        symbol=symbol_of(row, kind),
        side=side_of(row, kind),
        quantity=number(row, "sz", kind),
        price=filled,
        fee=number(row, "fee", kind),
        realised=number(row, "closedPnl", kind),
        maker=row.get("crossed") is False,
        at=at,
        fee_asset=_asset(row.get("feeToken")),
    )


def paid_by(trade: Trade) -> list[Income]:
    """Return what an execution changed in the wallet: profit or loss, and its fee."""
    told = (
        (IncomeKind.REALIZED_PNL, trade.realised, SETTLED_IN),
        (IncomeKind.COMMISSION, -trade.fee, trade.fee_asset),
    )
    return [
        Income(trade.trade_id, kind, trade.symbol, amount, trade.at, trade.trade_id, asset)
        for kind, amount, asset in told
        if amount
    ]


def funding_of(row: Row) -> Income:
    """Return one payment of funding. The venue gives it no number: there is one of a contract in an hour."""
    kind = "funding"
    at, delta = moment(row.get("time"), kind), one_of(row.get("delta"), kind)
    if at is None:
        raise broken(kind, "time")
    number_ = f"funding:{whole(row, 'time', kind)}"
    return Income(number_, IncomeKind.FUNDING_FEE, symbol_of(delta, kind), number(delta, "usdc", kind), at)


def moved_by(row: Row, user: str) -> Income | None:
    """Return what an entry of the ledger changed in the wallet, None where it changed nothing."""
    kind = "ledger entry"
    at, delta = moment(row.get("time"), kind), one_of(row.get("delta"), kind)
    if at is None:
        raise broken(kind, "time")
    word = text(delta, "type", kind)
    amount = _moved(word, delta, user)
    if not amount:
        return None
    name = f"{word}:{text(row, 'hash', kind).removeprefix('0x')[-HASH:]}"[:60]
    return Income(name, IncomeKind.TRANSFER, "", amount, at)


def _moved(word: str, delta: Row, user: str) -> Decimal | None:
    """Return by how much an entry changed the wallet of the perpetuals, in USDC."""
    kind, fee = "ledger entry", number(delta, "fee", "ledger entry") if delta.get("fee") else Decimal(0)
    match word:
        case "deposit" | "vaultDistribution":
            return number(delta, "usdc", kind)
        case "withdraw" | "vaultDeposit" | "vaultCreate":
            return -number(delta, "usdc", kind) - fee
        case "vaultWithdraw":
            return number(delta, "netWithdrawnUsd", kind)
        case "accountClassTransfer":
            return number(delta, "usdc", kind) * (1 if delta.get("toPerp") is True else -1)
        case "internalTransfer" | "subAccountTransfer":
            sent = _same(delta.get("user"), user)
            return -number(delta, "usdc", kind) - fee if sent else number(delta, "usdc", kind)
        case "send" if delta.get("token") == COLLATERAL:
            out = _same(delta.get("user"), user) and delta.get("sourceDex") == ""
            into = _same(delta.get("destination"), user) and delta.get("destinationDex") == ""
            amount = number(delta, "amount", kind)
            return (amount if into else Decimal(0)) - (amount + fee if out else Decimal(0))
        case "send":
            return None
        case _ if word in SILENT:
            return None
    log.warning("Hyperliquid's ledger has an entry that Vibex does not know: %s. It is in no sum.", word)
    return None


def _asset(told: object) -> str:
    return told if isinstance(told, str) and told != COLLATERAL and told else SETTLED_IN


def _same(address: object, user: str) -> bool:
    return isinstance(address, str) and address.lower() == user.lower()
