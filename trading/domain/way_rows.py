"""What the stations of a cycle's way say of one symbol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Final

HOLD: Final = "hold"
CLOSE: Final = "close_position"
NEVER_SENT: Final = ("planned", "denied")


class Station(StrEnum):
    """The eight stations, in order."""

    ASKED = "asked"
    ANSWERED = "answered"
    PARSED = "parsed"
    SCHEMA = "schema"
    MEANING = "meaning"
    RISK = "risk"
    ORDERS = "orders"
    RESULT = "result"

    @classmethod
    def of_reply(cls) -> tuple[Station, ...]:
        """Return those through which the reply of a model goes."""
        return cls.ANSWERED, cls.PARSED, cls.SCHEMA, cls.MEANING


class State(StrEnum):
    """How a station was left."""

    PASSED = "passed"
    PARTLY = "partly"
    STOPPED = "stopped here"
    WAITING = "waiting"
    """It is not over: an approval, an order or a position is open."""
    UNNEEDED = "not needed"
    """There was nothing to do here, such as an order for a hold."""
    UNREACHED = "not reached"

    @property
    def look(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Mark:
    """What one station says: a short sentence, and the reason code where something stopped."""

    station: Station
    state: State
    text: str = ""
    code: str = ""
    word: str = ""
    """What is counted over all symbols: allowed, filled, closed."""
    ms: float | None = None
    """What the steps of the cycle behind it took, in milliseconds."""
    net: Decimal | None = None
    """Result of a position that is closed, after fees and funding, in quote units."""


@dataclass(frozen=True, slots=True)
class Run:
    """How a cycle ran. `unasked` says why no model was asked, where one should have been."""

    status: str
    stage: str = ""
    error: str = ""
    timings: Mapping[str, float] = field(default_factory=dict)
    symbols: tuple[str, ...] = ()
    unasked: str = ""

    @property
    def broken(self) -> bool:
        return self.status in ("failed", "abandoned", "skipped")

    @property
    def running(self) -> bool:
        return self.status == "running"


@dataclass(frozen=True, slots=True)
class Sent:
    """An order that followed from a decision: the one that opens or closes, not its stop and target."""

    state: str
    reason: str = ""
    filled: Decimal = Decimal(0)
    asked: Decimal | None = None
    """None: the whole position."""


@dataclass(frozen=True, slots=True)
class Life:
    """What became of the position that a decision opened or closed. `net` after fees and funding, in quote units."""

    closed: bool
    exit: str = ""
    net: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class After:
    """What the market did after an entry, had it been opened as asked: the end, and result ÷ risk at the stop."""

    end: str
    multiple: float


@dataclass(frozen=True, slots=True)
class Item:
    """A proposal with all that is on record of it."""

    symbol: str
    action: str
    verdict: str = ""
    rule: str = ""
    """The rule that decided, where one refused or reduced."""
    approval: str = ""
    """State of the approval that it waits or waited for."""
    approval_reason: str = ""
    ruled_again: bool = False
    orders: tuple[Sent, ...] = ()
    life: Life | None = None
    after: After | None = None
    split: bool = False
    """Whether it holds because the models that decide together did not agree on an entry."""
    decision_id: int | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """The eight stations of one symbol."""

    symbol: str
    action: str
    marks: tuple[Mark, ...]
    decision_id: int | None = None

    def mark(self, station: Station) -> Mark:
        return self.marks[list(Station).index(station)]


def row_of(item: Item, *, asked: bool) -> Row:
    """Return the row of a proposal. It came through the reply, or without a model none of that was needed."""
    early = State.PASSED if asked else State.UNNEEDED
    marks = [Mark(station, early) for station in (Station.ASKED, *Station.of_reply())]
    risk = _risk(item)
    orders = _orders(item) if risk.state in (State.PASSED, State.PARTLY) else Mark(Station.ORDERS, State.UNREACHED)
    words = ["", "", "", "as it should be", "make sense"]
    early_marks = [Mark(mark.station, mark.state, word=word) for mark, word in zip(marks, words, strict=True)]
    if item.split:
        early_marks[-1] = Mark(Station.MEANING, State.PARTLY, "models disagree", word="without agreement")
    return Row(item.symbol, item.action, (*early_marks, risk, orders, _result(item, orders)), item.decision_id)


def row_held(symbol: str, code: str, at: Station) -> Row:
    """Return the row of a symbol whose part of the reply could not be used."""
    order = list(Station)
    words = {Station.SCHEMA: "as it should be", Station.MEANING: "make sense"}
    marks = [Mark(station, State.PASSED, word=words.get(station, "")) for station in order[: order.index(at)]]
    marks.append(Mark(at, State.STOPPED, code=code, word="held"))
    marks += [Mark(station, State.UNREACHED) for station in order[len(marks) :]]
    return Row(symbol, HOLD, tuple(marks))


def row_silent(symbol: str) -> Row:
    """Return the row of a symbol that the reply does not speak of."""
    marks = [Mark(station, State.PASSED) for station in (Station.ASKED, Station.ANSWERED, Station.PARSED)]
    marks.append(Mark(Station.SCHEMA, State.UNNEEDED, "not in the reply"))
    marks += [Mark(station, State.UNNEEDED) for station in list(Station)[4:]]
    return Row(symbol, "", tuple(marks))


def _risk(item: Item) -> Mark:
    match item.verdict:
        case "accepted":
            return Mark(Station.RISK, State.PASSED, "allowed", word="allowed")
        case "reduced":
            return Mark(Station.RISK, State.PARTLY, "reduced", item.rule, "reduced")
        case "refused":
            return Mark(Station.RISK, State.STOPPED, "refused", item.rule, "refused")
        case _:
            return Mark(Station.RISK, State.UNREACHED)


def _orders(item: Item) -> Mark:
    if item.action == HOLD:
        return Mark(Station.ORDERS, State.UNNEEDED)
    if item.approval == "awaiting":
        return Mark(Station.ORDERS, State.WAITING, "waits for approval", word="waiting for approval")
    if item.approval == "approved" and item.ruled_again:
        return Mark(Station.ORDERS, State.PASSED, "approved and ruled again", word="approved")
    if item.approval:
        return Mark(Station.ORDERS, State.STOPPED, item.approval, f"approval.{item.approval}", "not approved")
    if not item.orders:
        return Mark(Station.ORDERS, State.STOPPED, "no order was sent", word="not sent")
    return _sent(item.orders)


def _sent(orders: tuple[Sent, ...]) -> Mark:
    last = orders[-1]
    filled = sum((order.filled for order in orders), Decimal(0))
    wanted = max((order.asked for order in orders if order.asked is not None), default=None)
    if filled and (wanted is None or filled >= wanted):
        return Mark(Station.ORDERS, State.PASSED, "filled", word="filled")
    if filled:
        return Mark(Station.ORDERS, State.PARTLY, "filled in part", word="filled in part")
    if last.state in ("done", "absent", *NEVER_SENT):
        text = "never sent" if last.state in NEVER_SENT else "nothing filled"
        return Mark(Station.ORDERS, State.STOPPED, f"{text}: {last.reason}" if last.reason else text, word=text)
    return Mark(Station.ORDERS, State.WAITING, f"order is {last.state}", word=last.state)


def _result(item: Item, orders: Mark) -> Mark:
    if item.life is not None:
        return _lived(item.life)
    if item.after is not None:
        return Mark(
            Station.RESULT, State.UNNEEDED, f"not traded: {item.after.end}, {signed(item.after.multiple)} × risk"
        )
    if any(order.filled for order in item.orders):
        return Mark(Station.RESULT, State.WAITING, "counted later", word="open")
    over = orders.state in (State.STOPPED, State.UNREACHED)
    return Mark(Station.RESULT, State.UNREACHED if over else State.UNNEEDED)


def _lived(life: Life) -> Mark:
    if not life.closed:
        return Mark(Station.RESULT, State.WAITING, "position is open", word="open")
    return Mark(Station.RESULT, State.PASSED, f"{signed(life.net)} net by {life.exit}", word="closed", net=life.net)


def signed(number: Decimal | float) -> str:
    """Return a number with its sign and two decimals, a true minus before losses."""
    return f"{number:+,.2f}".replace("-", "−")
