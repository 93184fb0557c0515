"""Faults on demand: what the venue, its cache in front and the net have been seen to do."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from random import Random
from typing import Any, Final

from vibex.lib.errors import Rejected

REST: Final = (
    "429", "429-empty", "418", "403", "404", "500", "503", "200-html", "-1001", "refuse", "delay", "drop", "corrupt",
)  # fmt: skip
"""`delay` waits and then answers, `drop` closes the connection, `corrupt` puts the high of a candle below its low,
`refuse` says no with the fault's own `code`."""
AFTER: Final = ("503-after", "-1006-after", "-1007-after", "drop-after", "delay-after")
"""The request is executed, and its answer is lost, late, or says that nobody knows."""
SIGNED: Final = ("-1021", "-4225", "batch-partial")
"""Signed requests only: refused before anything is done, or every second item of a batch fails."""
STREAM: Final = ("silence", "lose", "duplicate", "delay", "reorder", "corrupt")
"""`silence` sends nothing and closes nothing, `lose` drops messages, `delay` sends them `seconds` later, `reorder`
one `after` others."""

HTML: Final = (
    "<html>\r\n<head><title>{title}</title></head>\r\n<body><center><h1>{title}</h1></center></body>\r\n</html>\r\n"
)
TITLES: Final = {
    "403": "403 Forbidden",
    "404": "404 Not Found",
    "500": "500 Internal Server Error",
    "503": "503 Service Temporarily Unavailable",
    "200-html": "Just a moment...",
}


@dataclass(slots=True)
class Fault:
    """One fault: it strikes what fits `path` with `probability`, at most `count` times (None: until it is cleared)."""

    kind: str
    path: str = "*"
    count: int | None = None
    probability: float = 1.0
    seconds: float = 0.0
    """How long `delay` waits, a ban lasts, and a silence too (0: until it is cleared)."""
    after: int = 1
    """How many messages overtake one that is sent out of order."""
    method: str = "*"
    """GET, POST, PUT or DELETE, where a fault of REST strikes only those."""
    form: Mapping[str, str] = field(default_factory=dict)
    """Parameters that a request must have, where a fault of REST strikes only those."""
    skip: int = 0
    """How many that it would strike pass before the first one is struck."""
    code: int = -9999
    """What `refuse` says no with; the default is in nobody's documents."""
    struck: int = 0
    since: float = field(default_factory=time.monotonic)

    def spent(self) -> bool:
        over = self.kind == "silence" and self.seconds > 0 and time.monotonic() > self.since + self.seconds
        return over or (self.count is not None and self.struck >= self.count)


@dataclass(slots=True)
class FaultBook:
    """The faults that are set. The seed makes a run with probabilities repeatable."""

    seed: int = 0
    rest: list[Fault] = field(default_factory=list)
    stream: list[Fault] = field(default_factory=list)
    chance: Random = field(init=False)

    def __post_init__(self) -> None:
        self.chance = Random(self.seed)  # noqa: S311  no secret hangs on it

    def add(self, fault: Fault, *, stream: bool = False) -> None:
        """Set a fault. Raises Rejected for one that cannot be."""
        kinds = STREAM if stream else REST + AFTER + SIGNED
        if fault.kind not in kinds:
            raise Rejected(f"There is no fault {fault.kind!r}. There is {', '.join(kinds)}.", code="fault")
        if (
            not 0 <= fault.probability <= 1
            or fault.seconds < 0
            or fault.after < 1
            or min(fault.count or 0, fault.skip) < 0
        ):
            raise Rejected("A probability lies in 0 to 1, seconds and counts are not below zero.", code="fault")
        (self.stream if stream else self.rest).append(fault)

    def strike(self, path: str, method: str = "GET", form: Mapping[str, str] | None = None) -> Fault | None:
        """Return the fault that strikes a request with these parameters now, None when none does."""
        given = (form or {}).items()
        fitting = [one for one in self.rest if one.method in ("*", method) and one.form.items() <= given]
        return self._first(fitting, path)

    def strike_message(self, stream: str) -> Fault | None:
        """Return the fault that strikes a message of a stream now."""
        return self._first(self.stream, stream)

    def clear(self) -> None:
        self.rest.clear()
        self.stream.clear()

    def listed(self) -> dict[str, Any]:
        return {"rest": [asdict(one) for one in self.rest], "stream": [asdict(one) for one in self.stream]}

    def _first(self, faults: list[Fault], name: str) -> Fault | None:
        for fault in faults:
            fits = not fault.spent() and fnmatchcase(name, fault.path)
            if fits and (fault.probability >= 1 or self.chance.random() < fault.probability):
                if fault.skip:
                    fault.skip -= 1
                    continue
                fault.struck += 1
                return fault
        return None


def page(kind: str) -> str:
    """Return the HTML that stands where JSON should."""
    return HTML.format(title=TITLES[kind])


def broken_rows(rows: Any) -> Any:
    """Return candles of which the last closed one has its high below its low."""
    if not isinstance(rows, list) or not rows or not isinstance(rows[0], list):
        return rows
    place = max(0, len(rows) - 2)
    row = list(rows[place])
    row[2], row[3] = row[3], f"{float(row[2]) * 1.01:.8f}"
    return [*rows[:place], row, *rows[place + 1 :]]


def broken_message(data: Any) -> Any:
    """Return a candle of the stream with its high below its low, an event of an account with an amount that is none.

    Other messages stay as they are.
    """
    kind = data.get("e") if isinstance(data, dict) else None
    if kind == "kline":
        candle = dict(data["k"])
        candle["h"], candle["l"] = candle["l"], f"{float(candle['h']) * 1.01:.8f}"
        return {**data, "k": candle}
    if kind == "ORDER_TRADE_UPDATE":
        return {**data, "o": {**data["o"], "z": "?"}}
    if kind == "ACCOUNT_UPDATE":
        return {**data, "a": {**data["a"], "B": [{"a": "USDT", "wb": "?"}]}}
    return data
