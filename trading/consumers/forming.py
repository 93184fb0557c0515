"""From rows to what is told of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accounts.models import Account, Alert, Bot, Incident, Job
from decisions.api.said import said
from decisions.models import Approval, Cycle, Decision, DiaryEntry
from marketdata.models import Candle, Ticker
from trading.consumers import states
from trading.models import EquityPoint, Fill, Lock, Order, Position, Reconciliation
from trading.selectors.streaming import unrealised_of

type Marks = Mapping[tuple[str, str], Ticker]


def account_state(row: Account, equity: EquityPoint | None) -> states.AccountState:
    values = _same(row, "id name venue mode network state state_since halted_at")
    point = {"equity": equity.equity if equity else None, "equity_at": equity.at if equity else None}
    return states.AccountState(**values, **point, state_reason=said(row.state_reason))


def bot_state(row: Bot) -> states.BotState:
    return states.BotState(**_same(row, "id name status model interval symbols"), account=row.account_id)


def cycle_state(row: Cycle) -> states.CycleState:
    values = _same(row, "id status stage scheduled_for began ended")
    return states.CycleState(**values, bot=row.bot_id, error=said(row.error))


def decision_state(row: Decision) -> states.DecisionState:
    names = "id symbol action verdict quantity leverage stop_loss profit_target confidence rule_ids at"
    return states.DecisionState(**_same(row, names), cycle=row.cycle_id, bot=row.bot_id)


def order_state(row: Order) -> states.OrderState:
    names = (
        "id client_order_id symbol role origin side type state quantity price trigger reduce_only filled "
        "average_price created"
    )
    links = {"bot": row.bot_id, "decision": row.decision_id, "position": row.position_id}
    return states.OrderState(**_same(row, names), **links, reason=said(row.reason))


def fill_state(row: Fill) -> states.FillState:
    values = _same(row, "id symbol side quantity price fee fee_asset realised maker at")
    return states.FillState(**values, order=row.order_id, position=row.position_id, bot=row.order.bot_id)


def position_state(row: Position, marks: Marks) -> states.PositionState:
    names = (
        "id symbol side quantity entry_price leverage stop target bracket opened closed exit_price exit_reason "
        "realised fees funding"
    )
    ticker = marks.get((row.account.market, row.symbol)) if row.closed is None else None
    return states.PositionState(
        **_same(row, names),
        account=row.account_id,
        bot=row.bot_id,
        mark=ticker.mark if ticker else None,
        unrealised=unrealised_of(row, ticker.mark) if ticker else None,
    )


def pnl_state(row: Position, ticker: Ticker) -> states.PnlState:
    return states.PnlState(
        id=row.pk,
        symbol=row.symbol,
        mark=ticker.mark,
        mark_at=ticker.mark_at or ticker.at,
        unrealised=unrealised_of(row, ticker.mark),
    )


def diary_state(row: DiaryEntry) -> states.DiaryState:
    values = _same(row, "id kind symbol at")
    return states.DiaryState(**values, bot=row.bot_id, cycle=row.cycle_id, text=said(row.text))


def lock_state(row: Lock) -> states.LockState:
    return states.LockState(**_same(row, "id symbol kind since until lifted"), reason=said(row.reason))


def incident_state(row: Incident) -> states.IncidentState:
    return states.IncidentState(**_same(row, "id kind severity opened resolved"), text=said(row.text))


def alert_state(row: Alert) -> states.AlertState:
    values = _same(row, "id type severity count created acknowledged")
    return states.AlertState(**values, account=row.account_id, bot=row.bot_id, message=said(row.message))


def approval_state(row: Approval) -> states.ApprovalState:
    decision = row.decision
    links = {"decision": decision.pk, "bot": decision.bot_id, "symbol": decision.symbol}
    return states.ApprovalState(**_same(row, "state until"), **links, reason=said(row.reason))


def job_state(row: Job) -> states.JobState:
    return states.JobState(**_same(row, "id kind status created ended"), account=row.account_id, bot=row.bot_id)


def equity_state(row: EquityPoint) -> states.EquityState:
    return states.EquityState(**_same(row, "at wallet unrealised equity"))


def reconcile_state(row: Reconciliation) -> states.ReconcileState:
    return states.ReconcileState(**_same(row, "id at trigger agreed"))


def price_state(row: Ticker) -> states.PriceState:
    return states.PriceState(**_same(row, "at last bid ask mark funding_rate next_funding_at"))


def candle_state(row: Candle) -> states.CandleState:
    return states.CandleState(**_same(row, "interval open_time open high low close volume closed"))


def _same(row: Any, names: str) -> dict[str, Any]:
    """Return the columns that are told under their own names."""
    return {name: getattr(row, name) for name in names.split()}
