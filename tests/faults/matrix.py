"""The fault matrix as data: which call is struck, by what, and how the life goes on. docs/fault-matrix.md is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

ORDER: Final = "*/order"
LATE: Final = 0.8
"""Seconds by which an answer is late; our client waits for `PATIENT`. In life that is 5 s and more, and 10 s (a close: 4 s)."""
PATIENT: Final = 0.3


class Phase(StrEnum):
    """What is going on when the call is struck."""

    ENTER = "enter"
    """A cycle decides to buy: modes, leverage, entry, trades, stop, target."""
    MOVE = "move"
    """The stop of the position is moved."""
    CLOSE = "close"
    """A cycle decides to close."""
    STOPPED = "stopped"
    """The stop has fired at the exchange, and the guard looks."""


@dataclass(frozen=True, slots=True)
class Struck:
    """One call. What changes something is struck once; a question is not answered until the fault is over."""

    name: str
    phase: Phase
    method: str
    path: str
    form: Mapping[str, str] = field(default_factory=dict)
    skip: int = 0
    after_lost: str = ""
    """Path of the order whose answer is lost first, so that there is something to ask."""

    @property
    def times(self) -> int | None:
        return None if self.method == "GET" else 1


@dataclass(frozen=True, slots=True)
class Column:
    """One fault."""

    name: str
    kind: str
    seconds: float = 0.0


CALLS: Final = (
    Struck("position mode", Phase.ENTER, "GET", "*/positionSide/dual"),
    Struck("fees and brackets", Phase.ENTER, "GET", "*/commissionRate"),
    Struck("margin mode", Phase.ENTER, "POST", "*/marginType"),
    Struck("leverage", Phase.ENTER, "POST", "*/leverage"),
    Struck("entry", Phase.ENTER, "POST", ORDER, {"type": "LIMIT"}),
    Struck("question for the entry", Phase.ENTER, "GET", ORDER, after_lost="LIMIT"),
    Struck("trades of the entry", Phase.ENTER, "GET", "*/userTrades"),
    Struck("stop", Phase.ENTER, "POST", ORDER, {"type": "STOP_MARKET"}),
    Struck("reading the stop back", Phase.ENTER, "GET", ORDER),
    Struck("target", Phase.ENTER, "POST", ORDER, {"type": "TAKE_PROFIT_MARKET"}),
    Struck("moved stop: helper", Phase.MOVE, "POST", ORDER, {"type": "STOP_MARKET", "reduceOnly": "true"}),
    Struck("moved stop: cancel of the old", Phase.MOVE, "DELETE", ORDER),
    Struck("moved stop: final", Phase.MOVE, "POST", ORDER, {"type": "STOP_MARKET", "closePosition": "true"}),
    Struck("moved stop: cancel of the helper", Phase.MOVE, "DELETE", ORDER, skip=1),
    Struck("close", Phase.CLOSE, "POST", ORDER, {"type": "MARKET"}),
    Struck("trades of the close", Phase.CLOSE, "GET", "*/userTrades"),
    Struck("cancel of a child", Phase.CLOSE, "DELETE", ORDER),
    Struck("open orders", Phase.STOPPED, "GET", "*/openOrders"),
    Struck("positions", Phase.STOPPED, "GET", "*/positionRisk"),
    Struck("balance", Phase.STOPPED, "GET", "*/balance"),
    Struck("income", Phase.STOPPED, "GET", "*/income"),
    Struck("trades of the stop", Phase.STOPPED, "GET", "*/userTrades"),
    Struck("cancel of the sibling", Phase.STOPPED, "DELETE", ORDER),
)

FAULTS: Final = (
    Column("reply lost", "drop-after"),
    Column("503 after", "503-after"),
    Column("−1007 after", "-1007-after"),
    Column("−1006 after", "-1006-after"),
    Column("done late", "delay", LATE),
    Column("answered late", "delay-after", LATE),
    Column("disconnect", "drop"),
    Column("503", "503"),
    Column("429 empty", "429-empty"),
    Column("429 −1003", "429"),
    Column("418", "418", 60.0),
    Column("HTML 200", "200-html"),
    Column("unknown code", "refuse"),
)


class End(StrEnum):
    """How the struck step ended, once the venue answers again and the guard has looked once."""

    THROUGH = "through"
    """As if nothing had been: asked again, found by client id, or without meaning. Nothing was left to the guard."""
    MENDED = "mended"
    """Left open by the step, and finished by the first look of the guard: protected, or flat and swept."""
    NOT_ENTERED = "not entered"
    """No entry was filled. The next cycle may try."""
    CLOSED = "closed"
    """It could not be protected in time, so it was closed."""
    HELD = "held"
    """The close did not get through: the position stands, protected, and the next close takes it."""
    KEPT = "kept"
    """The stop stays where it was."""


REDUCING: Final = "reducing"
"""Besides: the account only reduces until a person has looked. So for every code that nobody knows."""

ENDS: Final[Mapping[str, Mapping[str, str]]] = {
    "position mode": {"*": "not entered"},
    "fees and brackets": {"*": "not entered"},
    "margin mode": {
        "*": "not entered",
        "reply lost": "through",
        "503 after": "through",
        "−1007 after": "through",
        "−1006 after": "through",
        "answered late": "through",
    },
    "leverage": {
        "*": "not entered",
        "reply lost": "through",
        "503 after": "through",
        "−1007 after": "through",
        "−1006 after": "through",
        "answered late": "through",
        "unknown code": "not entered, reducing",
    },
    "entry": {
        "*": "not entered",
        "reply lost": "through",
        "503 after": "through",
        "−1007 after": "through",
        "−1006 after": "through",
        "done late": "mended",
        "answered late": "through",
        "unknown code": "not entered, reducing",
    },
    "question for the entry": {"*": "mended"},
    "trades of the entry": {"*": "mended"},
    "stop": {
        "*": "mended",
        "reply lost": "through",
        "503 after": "through",
        "−1007 after": "through",
        "−1006 after": "through",
        "answered late": "through",
        "unknown code": "closed, reducing",
    },
    "reading the stop back": {"*": "mended"},
    "target": {
        "*": "mended",
        "reply lost": "through",
        "503 after": "through",
        "−1007 after": "through",
        "−1006 after": "through",
        "answered late": "through",
        "unknown code": "mended, reducing",
    },
    "moved stop: helper": {
        "*": "kept",
        "reply lost": "through",
        "503 after": "through",
        "−1007 after": "through",
        "−1006 after": "through",
        "answered late": "through",
        "unknown code": "kept, reducing",
    },
    "moved stop: cancel of the old": {"*": "mended", "unknown code": "mended, reducing"},
    "moved stop: final": {
        "*": "mended",
        "reply lost": "through",
        "503 after": "through",
        "−1007 after": "through",
        "−1006 after": "through",
        "answered late": "through",
        "unknown code": "mended, reducing",
    },
    "moved stop: cancel of the helper": {"*": "mended", "unknown code": "mended, reducing"},
    "close": {
        "*": "through",
        "done late": "mended",
        "disconnect": "mended",
        "503": "mended",
        "429 empty": "mended",
        "429 −1003": "held",
        "418": "held",
        "HTML 200": "mended",
        "unknown code": "through, reducing",
    },
    "trades of the close": {"*": "mended", "429 −1003": "held", "418": "held"},
    "cancel of a child": {"*": "mended", "unknown code": "mended, reducing"},
    "open orders": {"*": "mended"},
    "positions": {"*": "mended"},
    "balance": {"*": "mended"},
    "income": {"*": "mended"},
    "trades of the stop": {"*": "mended"},
    "cancel of the sibling": {"*": "mended", "unknown code": "mended, reducing"},
}
"""How each struck step ends, by call and fault; `*` is for all faults that are not named."""


def end_of(call: Struck, fault: Column) -> str:
    """Return how the step ends that is struck so."""
    ends = ENDS[call.name]
    return ends.get(fault.name, ends["*"])


def table() -> str:
    """Return the matrix as a table of the page."""
    lines = ["| call | " + " | ".join(fault.name for fault in FAULTS) + " |", "|---" * (len(FAULTS) + 1) + "|"]
    lines += [f"| {call.name} | " + " | ".join(end_of(call, fault) for fault in FAULTS) + " |" for call in CALLS]
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())  # noqa: T201
