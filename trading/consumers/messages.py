"""Every message of the streams, typed once: what is sent is made of these, and docs/asyncapi.yaml too."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from trading.consumers import states
from trading.consumers.states import Moment, State

ALL: Final = "all"

Name = Annotated[str, Field(min_length=1, max_length=30)]
RowId = Annotated[int, Field(ge=1, le=2**63 - 1)]


class FromClient(BaseModel):
    """What a client sends. A name that there is not is refused: it must not be taken for its default."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Subscribe(FromClient):
    """What a connection wants from now on, in place of what it wanted before.

    Without `since`, or where it is too long ago, the answer is a snapshot; else `resumed`, and what was missed follows.
    """

    type: Literal["subscribe"]
    accounts: Annotated[list[RowId], Field(min_length=1, max_length=500)] | Literal["all"] = ALL
    """Ids of accounts that you may see."""
    markets: Annotated[list[Name], Field(min_length=1, max_length=50)] | Literal["all"] = ALL
    """Names of markets, on market-data only."""
    symbols: Annotated[list[Name], Field(min_length=1, max_length=500)] | Literal["all"] = ALL
    """What has no symbol is told anyway."""
    kinds: Annotated[list[Name], Field(min_length=1, max_length=50)] | Literal["all"] = ALL
    since: Annotated[int, Field(ge=0, le=2**53)] | None = None
    """The newest sequence that was received."""


class Unsubscribe(FromClient):
    """The connection stays open and is told nothing."""

    type: Literal["unsubscribe"]


class Ping(FromClient):
    """A question whether the other side is there; `at` comes back as it was sent."""

    type: Literal["ping"]
    at: Annotated[str, Field(max_length=40)] = ""


class Pong(FromClient):
    """The answer. Every other message is a sign of life too."""

    type: Literal["pong"]
    at: Annotated[str, Field(max_length=40)] = ""


class Change(State):
    """What all changes have."""

    sequence: int
    """Grows with every change; one event may be several changes with the same number."""
    account: int | None = None
    bot: int | None = None
    market: str | None = None
    symbol: str | None = None
    at: Moment
    """When it was published."""


class CycleChange(Change):
    kind: Literal["cycle"] = "cycle"
    data: states.CycleState


class StageChange(Change):
    kind: Literal["stage"] = "stage"
    data: states.StageState


class DecisionChange(Change):
    kind: Literal["decision"] = "decision"
    data: states.DecisionState


class OrderChange(Change):
    kind: Literal["order"] = "order"
    data: states.OrderState


class FillChange(Change):
    kind: Literal["fill"] = "fill"
    data: states.FillState


class PositionChange(Change):
    kind: Literal["position"] = "position"
    data: states.PositionState


class PnlChange(Change):
    kind: Literal["pnl"] = "pnl"
    data: states.PnlState


class DiaryChange(Change):
    kind: Literal["diary"] = "diary"
    data: states.DiaryState


class AccountChange(Change):
    """Also of kind `halt`: an emergency stop has come a step further."""

    kind: Literal["account", "halt"] = "account"
    data: states.AccountState


class BotChange(Change):
    kind: Literal["bot"] = "bot"
    data: states.BotState


class LockChange(Change):
    kind: Literal["lock"] = "lock"
    data: states.LockState


class LimitsChange(Change):
    kind: Literal["limits"] = "limits"
    data: states.LimitsState


class IncidentChange(Change):
    kind: Literal["incident"] = "incident"
    data: states.IncidentState


class AlertChange(Change):
    kind: Literal["alert"] = "alert"
    data: states.AlertState


class ApprovalChange(Change):
    kind: Literal["approval"] = "approval"
    data: states.ApprovalState


class JobChange(Change):
    kind: Literal["job"] = "job"
    data: states.JobState


class EquityChange(Change):
    kind: Literal["equity"] = "equity"
    data: states.EquityState


class ReconcileChange(Change):
    kind: Literal["reconcile"] = "reconcile"
    data: states.ReconcileState


class PriceChange(Change):
    kind: Literal["price"] = "price"
    data: states.PriceState


class CandleChange(Change):
    kind: Literal["candle"] = "candle"
    data: states.CandleState


AnyChange = Annotated[
    CycleChange
    | StageChange
    | DecisionChange
    | OrderChange
    | FillChange
    | PositionChange
    | PnlChange
    | DiaryChange
    | AccountChange
    | BotChange
    | LockChange
    | LimitsChange
    | IncidentChange
    | AlertChange
    | ApprovalChange
    | JobChange
    | EquityChange
    | ReconcileChange
    | PriceChange
    | CandleChange,
    Field(discriminator="kind"),
]


class Changes(State):
    """What happened, in its order: all that waited for this connection."""

    type: Literal["changes"] = "changes"
    changes: list[AnyChange]


class Snapshot(State):
    """How things stand. Everything up to `sequence` is in it; what comes later follows as changes."""

    type: Literal["snapshot"] = "snapshot"
    sequence: int
    at: Moment
    reset: bool = False
    """True where nobody asked: some changes were lost, or what you may see has grown."""


class TradingSnapshot(Snapshot):
    """Of trading-events: your accounts, and what is open on them."""

    accounts: list[states.AccountState]
    bots: list[states.BotState]
    positions: list[states.PositionState]
    orders: list[states.OrderState]
    """Those that work."""
    locks: list[states.LockState]
    incidents: list[states.IncidentState]
    approvals: list[states.ApprovalState]
    jobs: list[states.JobState]


class PositionsSnapshot(Snapshot):
    """Of positions: what is open."""

    positions: list[states.PositionState]


class MarketPrice(State):
    """The newest prices of one symbol."""

    market: str
    symbol: str
    data: states.PriceState


class MarketCandle(State):
    """The newest candle of one symbol."""

    market: str
    symbol: str
    data: states.CandleState


class MarketSnapshot(Snapshot):
    """Of market-data: the newest prices and candles."""

    prices: list[MarketPrice]
    candles: list[MarketCandle]


class BotSnapshot(Snapshot):
    """Of one bot: what it has open, and what it did last, newest first."""

    bot: states.BotState
    cycles: list[states.CycleState]
    decisions: list[states.DecisionState]
    positions: list[states.PositionState]
    orders: list[states.OrderState]
    diary: list[states.DiaryState]


class Resumed(State):
    """Nothing is missing: what happened since follows as changes, then what happens from now on."""

    type: Literal["resumed"] = "resumed"
    sequence: int


class Unsubscribed(State):
    """Nothing is told any more: because you asked, or of accounts that you may not see any more."""

    type: Literal["unsubscribed"] = "unsubscribed"
    reason: Literal["asked", "access"]
    accounts: list[int] | None = None
    """Null: of everything."""


class Error(State):
    """A message that could not be read or done. The connection stays open, for a while."""

    type: Literal["error"] = "error"
    code: Literal["bad-message", "not-found", "unknown-kind"]
    message: str


class PingOut(State):
    """Sent every 30 s. Answer with a pong, or anything else."""

    type: Literal["ping"] = "ping"
    at: str


class PongOut(State):
    """The answer to your ping, with your `at`."""

    type: Literal["pong"] = "pong"
    at: str
