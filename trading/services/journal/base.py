"""The Journal port: where a cycle keeps what it did. In the database for live and paper, in memory for a backtest.

The order methods are the write-ahead log of trading: `plan` is durable before anything is sent.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Protocol

from decisions.deciders.base import Answer, Question, Reading
from decisions.domain.portfolio import Role
from decisions.domain.proposal import Ruling, Side
from decisions.domain.question import Member
from marketdata.domain.snapshot import MarketSnapshot
from trading.domain.history import History
from trading.domain.losses import Watch
from trading.domain.orders import OrderFacts, OrderState
from trading.domain.risk import Standing
from trading.domain.venue import AccountState, Income, NewOrder, OrderReport, Trade, VenuePosition
from vibex.lib.errors import VibexError
from vibex.lib.records import record


class Stage(StrEnum):
    """The nine steps of a cycle."""

    SNAPSHOT = "snapshot"
    PORTFOLIO = "portfolio"
    PROMPT = "prompt"
    ASK = "ask"
    READ = "read"
    RULE = "rule"
    EXECUTE = "execute"
    RECORD = "record"
    PUBLISH = "publish"


class Bracket(StrEnum):
    """State of the stop and the target of a position."""

    NONE = "none"
    ARMING = "arming"
    ARMED = "armed"
    ADJUSTING = "adjusting"
    RELEASED = "released"


class EntryBarred(VibexError):
    """This entry may not go out; what else the cycle wants may. Nothing was sent."""


class IntentVoid(VibexError):
    """The intent may not be acted on any more: the lease is lost or the account was halted. Nothing was sent."""


@record()
class TrackedOrder:
    """One of our orders that is not over, as the books know it."""

    role: Role
    order: NewOrder
    facts: OrderFacts
    planned_at: datetime
    """Wall time."""
    sent_at: datetime | None = None
    """Wall time."""
    absent_answers: int = 0
    """Clean "no such order" answers since it cannot arrive any more."""
    ours: bool = True
    """False: somebody else placed it. It is watched, and never touched but by a halt."""


@record()
class TrackedPosition:
    """An open position as the books know it, with what protects it."""

    symbol: str
    side: Side
    quantity: Decimal
    entry_price: Decimal
    leverage: int
    opened_at: datetime
    stop: Decimal | None = None
    target: Decimal | None = None
    bracket: Bracket = Bracket.NONE
    plan: str = ""
    confidence: float | None = None
    risk_usd: Decimal | None = None
    foreign: bool = False
    """Nobody here decided on it, nor looks after it: it was opened by hand or by another program."""


@record()
class Line:
    """One line of the diary, at a moment of market time."""

    at: datetime
    kind: str
    text: str
    symbol: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


class Journal(Protocol):
    """Where one account's orders, positions and cycles are kept."""

    # -- orders: intent before action -------------------------------------------------------------------------

    def plan(self, order: NewOrder, *, role: Role, ruling: int | None = None, purpose: str = "") -> None:
        """Make the intent durable. `ruling` is the index of the ruling it follows, `purpose` why a close is sent.

        Raises IntentVoid when the lease is lost or the account was halted, EntryBarred for an entry on a symbol on
        which an order is unresolved or another writer is at work, or whose bot or account takes no entries any more.
        """
        ...

    def sending(self, client_order_id: str) -> None:
        """Note that the order leaves now. Raises IntentVoid when it may not any more: then it must not be sent."""
        ...

    def cancelling(self, client_order_id: str) -> None:
        """Note that the cancel of an order leaves now. Raises IntentVoid when it may not any more."""
        ...

    def may_set(self) -> None:
        """Check that a setting that an entry needs may leave now. Raises IntentVoid or EntryBarred when it may not."""
        ...

    def observe(self, client_order_id: str, report: OrderReport) -> None:
        """Take in what the exchange says of an order."""
        ...

    def move(self, client_order_id: str, to: OrderState, *, reason: str = "") -> None:
        """Move an order to a state that we decide on: denied, done after a refusal, unknown, cancelling, absent."""
        ...

    def asked_in_vain(self, client_order_id: str) -> None:
        """Note one clean "no such order" answer to a question asked when it could not arrive any more."""
        ...

    def orders(self) -> list[TrackedOrder]:
        """Return the orders that are not over, oldest first; those of others that were taken in among them."""
        ...

    def take_in(self, reports: Sequence[OrderReport]) -> None:
        """Keep working orders that are not known here as those of somebody else.

        One of ours that was taken for absent, refused or denied, and stands there, is ours again, with an incident.
        """
        ...

    def claim(self, symbol: str) -> bool:
        """Become the only writer of a symbol for a while. False when somebody else is."""
        ...

    def release(self, symbol: str) -> None:
        """Let go of a claim."""
        ...

    # -- positions ---------------------------------------------------------------------------------------------

    def book(self, trades: Sequence[Trade]) -> int:
        """Book the trades that are not booked yet and return how many they were."""
        ...

    def book_stated(self, held: VenuePosition, *, at: datetime) -> None:
        """Book a position as the exchange states it, because its trades lie too far back to be read."""
        ...

    def adopted(self, symbol: str, *, stop: Decimal) -> None:
        """Look after a foreign position from now on, with this stop."""
        ...

    def book_income(self, income: Sequence[Income]) -> set[str]:
        """Copy ledger lines of the exchange that are not copied yet.

        Returns the symbols of executions that a new line speaks of and that are not booked: trades to be read.
        """
        ...

    def trades_since(self, symbol: str) -> datetime:
        """Return the moment from which trades of a symbol must be asked for so that none is missed."""
        ...

    def income_since(self) -> datetime:
        """Return the moment from which the ledger must be asked for so that nothing is missed."""
        ...

    def positions(self) -> list[TrackedPosition]:
        """Return the open positions."""
        ...

    def unbooked(self, symbol: str) -> TrackedPosition | None:
        """Return what our newest entry order of a symbol filled while none of its trades could be booked yet."""
        ...

    def ledger_total(self) -> Decimal | None:
        """Return the sum of all ledger lines in USDT that we have: what the wallet should hold. None without any line."""
        ...

    def bracket(
        self,
        symbol: str,
        state: Bracket,
        *,
        stop: Decimal | None = None,
        target: Decimal | None = None,
        leverage: int | None = None,
        verified_at: datetime | None = None,
    ) -> None:
        """Note the state of a position's protection; None leaves a value as it is."""
        ...

    def equity(self, state: AccountState) -> None:
        """Add a point to the equity series and carry the watch on with it. Nothing where the equity is not known."""
        ...

    def watch(self) -> Watch | None:
        """Return how the account stands against its loss limits, as of the newest point. None before the first."""
        ...

    def history(self, *, at: datetime) -> History:
        """Return what the account did lately, as of a moment of market time."""
        ...

    def incident(
        self,
        kind: str,
        text: str,
        *,
        critical: bool = False,
        subject: str = "",
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """Open an incident, once for each kind and text; with a `subject`, once for each kind and subject."""
        ...

    def is_open(self, kind: str, subject: str) -> bool:
        """Return whether an incident of a kind about a subject is open."""
        ...

    def mended(self, kind: str, subject: str = "") -> None:
        """Resolve the open incidents of a kind (about a subject), because it was proved that they are over."""
        ...

    def reducing(self, reason: str) -> None:
        """Let the account only lower its exposure from now on, until a person lifts it."""
        ...

    def lock(self, symbol: str, reason: str, *, kind: str = "", data: Mapping[str, str] | None = None) -> str:
        """Let nothing be opened on a symbol ("" = all) until a person lifts it; return why.

        Of one kind there is one lock: with a second the first one stays, and it is its reason that is returned. `kind`
        is the loss limit that was reached, `data` its numbers.
        """
        ...

    def loss_locked(self, *, at: datetime) -> bool:
        """Return whether a lock of a loss limit holds at a moment of market time."""
        ...

    # -- the cycle ---------------------------------------------------------------------------------------------

    def stage(self, stage: Stage) -> None:
        """Note the step that begins. Renews the lease around the ask; raises IntentVoid when it is lost."""
        ...

    def saw(self, snapshot: MarketSnapshot) -> None:
        """Keep the snapshot."""
        ...

    def asked(self, question: Question, answer: Answer, reading: Reading) -> None:
        """Keep the model call, whatever came of it."""
        ...

    def keep(self, question: Question, reading: Reading, standing: Standing, live: MarketSnapshot) -> None:
        """Keep what is about to be ruled in, so that it can be ruled again. Stored with the next step; never raises."""
        ...

    def ruled(self, rulings: Sequence[Ruling], *, at: datetime) -> None:
        """Keep proposals and rulings, before anything is done about them."""
        ...

    def shadowed(
        self,
        question: Question,
        reading: Reading,
        compared: Sequence[tuple[Member, Sequence[Ruling]]],
        *,
        at: datetime,
    ) -> None:
        """Keep what models said that were only compared, each with what risk would have made of it. Nothing follows from it.

        `reading` is that of the decision which was acted on. Needs no lease: it may come after the end of its cycle.
        """
        ...

    def wait(self, rulings: Collection[int], *, until: datetime) -> bool:
        """Let the entries at these places of the rulings wait for a person until then (market time).

        False where there is nobody who could be asked: then they are carried out as if they had been approved at once.
        """
        ...

    def diary(self, lines: Sequence[Line]) -> None:
        """Add lines to the bot's diary."""
        ...

    def publish(self, kind: str) -> None:
        """Tell those who watch the account that something of this kind changed."""
        ...
