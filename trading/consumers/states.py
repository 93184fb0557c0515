"""What a stream tells of a row: its state, in few words. Amounts are decimals as text, times ISO 8601 in UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, PlainSerializer, WithJsonSchema


def _plain(value: Decimal) -> str:
    return f"{value.normalize():f}" if value else "0"


def _utc(value: datetime) -> str:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


Amount = Annotated[
    Decimal,
    PlainSerializer(_plain, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^-?\d+(\.\d+)?$", "examples": ["103.5"]}),
]
Moment = Annotated[
    datetime,
    PlainSerializer(_utc, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-11-29T12:00:00Z"]}),
]


class State(BaseModel):
    """What is told of a row: all of it, every time, so that the newest word is enough."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class AccountState(State):
    """An account, with its newest equity where it is known."""

    id: int
    name: str
    venue: str
    mode: Literal["paper", "live"]
    network: Literal["mainnet", "testnet"]
    state: Literal["active", "reducing", "halted"]
    state_reason: str
    state_since: Moment
    halted_at: Moment | None
    equity: Amount | None
    equity_at: Moment | None


class BotState(State):
    """A bot."""

    id: int
    account: int
    name: str
    status: Literal["stopped", "running", "paused"]
    model: str
    interval: str
    symbols: list[str]


class CycleState(State):
    """A cycle as it stands. `error` says why one ended early."""

    id: int
    bot: int
    status: Literal["running", "done", "failed", "skipped", "abandoned", "awaiting"]
    stage: str
    scheduled_for: Moment
    began: Moment
    ended: Moment | None
    error: str


class StageState(State):
    """The step that a running cycle has come to."""

    id: int
    bot: int
    stage: Literal["snapshot", "portfolio", "prompt", "ask", "read", "rule", "execute", "record", "publish"]


class DecisionState(State):
    """What was asked for one symbol, and the ruling."""

    id: int
    cycle: int
    bot: int
    symbol: str
    action: Literal["buy_to_enter", "sell_to_enter", "hold", "close_position"]
    verdict: str
    quantity: Amount | None
    leverage: int | None
    stop_loss: Amount | None
    profit_target: Amount | None
    confidence: float | None
    rule_ids: list[str]
    at: Moment


class OrderState(State):
    """An order."""

    id: int
    bot: int | None
    decision: int | None
    position: int | None
    client_order_id: str
    symbol: str
    role: Literal["entry", "stop", "target", "close"]
    origin: Literal["ours", "external"]
    side: str
    type: str
    state: Literal["planned", "denied", "sending", "live", "cancelling", "unknown", "done", "absent"]
    quantity: Amount | None
    price: Amount | None
    trigger: Amount | None
    reduce_only: bool
    filled: Amount
    average_price: Amount | None
    reason: str
    created: Moment


class FillState(State):
    """One execution. It never changes."""

    id: int
    order: int
    position: int | None
    bot: int | None
    symbol: str
    side: str
    quantity: Amount
    price: Amount
    fee: Amount
    fee_asset: str
    realised: Amount
    maker: bool
    at: Moment


class PositionState(State):
    """A position. While it is open: the mark, and what closing there would bring, before fees. null where no price is known."""

    id: int
    account: int
    bot: int | None
    symbol: str
    side: Literal["long", "short"]
    quantity: Amount
    entry_price: Amount
    leverage: int
    stop: Amount | None
    target: Amount | None
    bracket: Literal["none", "arming", "armed", "adjusting", "released"]
    opened: Moment
    closed: Moment | None
    exit_price: Amount | None
    exit_reason: str
    realised: Amount
    fees: Amount
    funding: Amount
    mark: Amount | None
    unrealised: Amount | None


class PnlState(State):
    """An open position at the newest mark."""

    id: int
    symbol: str
    mark: Amount
    mark_at: Moment
    unrealised: Amount


class DiaryState(State):
    """A line of a bot's diary. Its text may hold what a model wrote: it is not to be trusted."""

    id: int
    bot: int
    cycle: int | None
    kind: str
    symbol: str
    text: str
    at: Moment


class LockState(State):
    """A limit that fired."""

    id: int
    symbol: str
    kind: str
    reason: str
    since: Moment
    until: Moment | None
    lifted: Moment | None


class IncidentState(State):
    """Something that should not have happened."""

    id: int
    kind: str
    severity: Literal["warning", "error", "critical"]
    text: str
    opened: Moment
    resolved: Moment | None


class AlertState(State):
    """What a person is told of."""

    id: int
    account: int | None
    bot: int | None
    type: str
    severity: str
    message: str
    count: int
    created: Moment
    acknowledged: Moment | None


class ApprovalState(State):
    """An entry that waits, or waited, for a person."""

    decision: int
    bot: int
    symbol: str
    state: Literal["awaiting", "approved", "rejected", "expired", "void"]
    until: Moment
    reason: str


class JobState(State):
    """Work that was asked for over the API."""

    id: int
    kind: str
    status: Literal["running", "done", "failed", "lost"]
    account: int | None
    bot: int | None
    created: Moment
    ended: Moment | None


class EquityState(State):
    """Wallet and unrealised profit of an account at a moment of market time."""

    at: Moment
    wallet: Amount
    unrealised: Amount
    equity: Amount


class LimitsState(State):
    """That the limits of an account were changed: read them at `/api/v1/accounts/<id>/limits/`."""


class ReconcileState(State):
    """The newest comparison of the books with the exchange."""

    id: int
    at: Moment
    trigger: str
    agreed: bool


class PriceState(State):
    """The newest prices of a symbol."""

    at: Moment
    last: Amount
    bid: Amount
    ask: Amount
    mark: Amount
    funding_rate: Amount | None
    next_funding_at: Moment | None


class CandleState(State):
    """The newest candle of a symbol: numbers, as candles are floats. It may still be forming."""

    interval: str
    open_time: Moment
    open: float
    high: float
    low: float
    close: float
    volume: float
    closed: bool
