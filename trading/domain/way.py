"""The way of one cycle: asked → answered → parsed → schema → meaning → risk → orders → result.

Takes what is on record as plain facts, and says of each station whether it was passed, where the way stopped, and by
which reason code: for the cycle as a whole and for each symbol. Nothing is judged anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from typing import Final

from decisions.domain.funnel import UNTOLD, code_of, is_meaning
from trading.domain.way_rows import Item, Mark, Row, Run, State, Station, row_held, row_of, row_silent, signed

ANSWERED: Final = "answered"
REJECTED: Final = "rejected"
PARSING: Final = ("envelope.", "text.", "json.", "reply.", "gate_fault")
"""How codes begin that tell of a reply that could not be read as a whole."""

STEPS_OF: Final[Mapping[Station, tuple[str, ...]]] = {
    Station.ASKED: ("snapshot", "portfolio", "prompt"),
    Station.ANSWERED: ("ask",),
    Station.PARSED: ("read",),
    Station.RISK: ("rule",),
    Station.ORDERS: ("execute",),
    Station.RESULT: ("record", "publish"),
}
"""Which of the nine steps of a cycle each station is made of. One reading parses, checks the form and the meaning."""


class Kind(StrEnum):
    """What a request was made for, as far as the way is concerned."""

    ALONE = "alone"
    TOGETHER = "together"


@dataclass(frozen=True, slots=True)
class Request:
    """One request of a cycle to one model, in the order in which they were made."""

    model: str
    outcome: str
    reason: str = ""
    used: bool = False
    kind: Kind = Kind.ALONE
    tokens: int = 0
    """Of prompt and reply."""
    sent: bool = True
    """False when it was held back: no turn, no money, nobody to ask."""


@dataclass(frozen=True, slots=True)
class Way:
    """The eight stations of a cycle, and a row of eight for each symbol that was spoken of."""

    stations: tuple[Mark, ...]
    rows: tuple[Row, ...] = field(default=())


def station_of(code: str) -> Station:
    """Return the station at which a reply, or its part for one symbol, stops by a reason code of the gate."""
    if code.startswith(PARSING):
        return Station.PARSED
    return Station.MEANING if is_meaning(code) else Station.SCHEMA


def way_of(run: Run, requests: Sequence[Request], items: Sequence[Item], held: Mapping[str, str]) -> Way:
    """Return the way of a cycle.

    `items` are its proposals in order, `held` the symbols whose part of the reply could not be used, with the code.
    """
    rows = _rows(run, items, held, asked=bool(requests))
    marks = [_asked(run, requests), *_reply(requests, rows)]
    marks += [_counted(station, rows) for station in (Station.RISK, Station.ORDERS, Station.RESULT)]
    marks = _broken(run, _up_to_stop(marks))
    return Way(tuple(_timed(run, mark) for mark in marks), rows)


def _up_to_stop(marks: Sequence[Mark]) -> list[Mark]:
    """Return the stations with everything behind a full stop as what it is: not reached."""
    stop = next((place for place, mark in enumerate(marks) if mark.state is State.STOPPED), len(marks))
    behind = [Mark(mark.station, State.UNREACHED) for mark in marks[stop + 1 :]]
    return [*marks[: stop + 1], *behind]


def _rows(run: Run, items: Sequence[Item], held: Mapping[str, str], *, asked: bool) -> tuple[Row, ...]:
    rows = [row_of(item, asked=asked) for item in items]
    rows += [row_held(symbol, code, station_of(code)) for symbol, code in held.items()]
    if rows and asked:
        told = {row.symbol for row in rows}
        rows += [row_silent(symbol) for symbol in run.symbols if symbol not in told]
    return tuple(rows)


def _asked(run: Run, requests: Sequence[Request]) -> Mark:
    unasked = run.unasked
    if requests and not any(request.sent for request in requests):
        unasked = requests[-1].reason
    elif requests:
        models = list(dict.fromkeys(request.model for request in requests))
        text = (
            f"{_count(len(requests), 'request')} to {models[0] if len(models) == 1 else _count(len(models), 'model')}"
        )
        return Mark(Station.ASKED, State.PASSED, text)
    if unasked:
        words = unasked.removeprefix(f"{_code(unasked)}:").strip()
        return Mark(Station.ASKED, State.STOPPED, words[:1].upper() + words[1:], _code(unasked))
    return Mark(Station.ASKED, State.UNNEEDED, "Decided by rules: no model is asked")


def _reply(requests: Sequence[Request], rows: Sequence[Row]) -> list[Mark]:
    """Return what the four stations say through which a reply of a model goes."""
    if not requests:
        return [Mark(station, State.UNNEEDED) for station in Station.of_reply()]
    answered, came = _answered(requests)
    parsed = _parsed(came, rows)
    if not came or parsed.state is State.STOPPED:
        return [answered, parsed, Mark(Station.SCHEMA, State.UNREACHED), Mark(Station.MEANING, State.UNREACHED)]
    if not rows:
        nothing = [Mark(station, State.UNNEEDED, "Nothing is asked for") for station in Station.of_reply()[2:]]
        return [answered, parsed, *nothing]
    return [answered, parsed, _counted(Station.SCHEMA, rows), _counted(Station.MEANING, rows)]


def _answered(requests: Sequence[Request]) -> tuple[Mark, list[Request]]:
    """Return what is said of the answers, and the requests to which one came."""
    came = [request for request in requests if request.outcome in (ANSWERED, REJECTED)]
    if not came:
        last = requests[-1]
        text = "It did not answer" if len(requests) == 1 else f"None of {len(requests)} requests was answered"
        return Mark(Station.ANSWERED, State.STOPPED, text, _code(last.reason)), []
    members = [request for request in requests if request.kind is Kind.TOGETHER]
    if members:
        return _answered_together(members, came), came
    tokens = f", {sum(request.tokens for request in requests):,} tokens"
    if len(requests) == 1:
        return Mark(Station.ANSWERED, State.PASSED, f"By {came[0].model}{tokens}"), came
    used = next((place for place, request in enumerate(requests, 1) if request.used and request.outcome == ANSWERED), 0)
    text = f"Request {used} of {len(requests)} is used" if used else f"{len(came)} of {len(requests)} came back"
    state = State.PASSED if used or len(came) == len(requests) else State.PARTLY
    return Mark(Station.ANSWERED, state, text + tokens), came


def _answered_together(members: Sequence[Request], came: Sequence[Request]) -> Mark:
    """Return what is said when several models were asked at once: which of them answered at all."""
    models = dict.fromkeys(request.model for request in members)
    spoke = dict.fromkeys(request.model for request in came)
    state = State.PASSED if len(spoke) == len(models) else State.PARTLY
    missing = next((request for request in members if request.model not in spoke), None)
    code = _code(missing.reason) if missing else ""
    return Mark(Station.ANSWERED, state, f"{len(spoke)} of {len(models)} models answered", code)


def _parsed(came: Sequence[Request], rows: Sequence[Row]) -> Mark:
    if not came:
        return Mark(Station.PARSED, State.UNREACHED)
    good = [request for request in came if request.outcome == ANSWERED]
    if not good:
        return Mark(Station.PARSED, State.STOPPED, "The whole reply is rejected", _code(came[-1].reason))
    if any(row.mark(Station.PARSED).state is State.STOPPED for row in rows):
        return _counted(Station.PARSED, rows)
    bad = [request for request in came if request.outcome == REJECTED]
    members = any(request.kind is Kind.TOGETHER for request in came)
    if bad and members:
        return Mark(Station.PARSED, State.PARTLY, f"{len(good)} of {len(came)} replies", _code(bad[-1].reason))
    text = f"After {_count(len(bad), 'reply', 'replies')} that could not be read" if bad else "Read as it is written"
    return Mark(Station.PARSED, State.PASSED, text)


def _counted(station: Station, rows: Sequence[Row]) -> Mark:
    """Return what a station says of the whole cycle, from what it says of each symbol."""
    marks = [row.mark(station) for row in rows]
    states = {mark.state for mark in marks}
    if not states - {State.UNNEEDED}:
        return Mark(station, State.UNNEEDED, "" if rows else "Nothing is asked for")
    reached = states - {State.UNNEEDED, State.UNREACHED}
    if not reached:
        return Mark(station, State.UNREACHED)
    codes = list(dict.fromkeys(mark.code for mark in marks if mark.code))
    return Mark(station, _together(reached), _tally(marks), ", ".join(codes[:3]) + (" …" if len(codes) > 3 else ""))


def _together(states: set[State]) -> State:
    if states == {State.STOPPED}:
        return State.STOPPED
    if states & {State.STOPPED, State.PARTLY}:
        return State.PARTLY
    return State.WAITING if State.WAITING in states else State.PASSED


def _tally(marks: Sequence[Mark]) -> str:
    """Return how many symbols have which word: 2 allowed, 1 refused; and what closed positions brought together."""
    counts: dict[str, int] = {}
    for mark in marks:
        if mark.state not in (State.UNNEEDED, State.UNREACHED) and mark.word:
            counts[mark.word] = counts.get(mark.word, 0) + 1
    told = ", ".join(f"{count} {word}" for word, count in counts.items())
    nets = [mark.net for mark in marks if mark.net is not None]
    return f"{told}: {signed(sum(nets, Decimal(0)))} net" if nets else told


def _broken(run: Run, marks: Sequence[Mark]) -> list[Mark]:
    """Return the stations of a cycle that ended early or is still under way: it stands where its last step was."""
    if not (run.broken or run.running):
        return list(marks)
    at = next((station for station, steps in STEPS_OF.items() if run.stage in steps), Station.ASKED)
    place = list(Station).index(at)
    here = _stands(run, marks[place])
    return [*marks[:place], here, *(_after(mark) for mark in marks[place + 1 :])]


def _stands(run: Run, mark: Mark) -> Mark:
    if run.running:
        return replace(mark, state=State.WAITING, text=mark.text or "Under way")
    if mark.state in (State.PASSED, State.PARTLY):  # some of it was done before it ended
        return replace(mark, state=State.PARTLY, text=f"{mark.text}; then it ended early")
    nothing = mark.state in (State.UNNEEDED, State.UNREACHED)
    text = (run.error if nothing else mark.text) or "It ended early"
    return replace(mark, state=State.STOPPED, text=text, code=mark.code or run.status)


def _after(mark: Mark) -> Mark:
    """Return a station behind the end: what is on record of it stands, what is not was never reached."""
    return Mark(mark.station, State.UNREACHED) if mark.state is State.UNNEEDED else mark


def _timed(run: Run, mark: Mark) -> Mark:
    took = [run.timings[step] for step in STEPS_OF.get(mark.station, ()) if step in run.timings]
    reached = mark.state not in (State.UNREACHED, State.UNNEEDED)
    return replace(mark, ms=sum(took)) if took and reached else mark


def _code(reason: str) -> str:
    """Return the code that a reason begins with, "" where it has none."""
    code = code_of(reason)
    return "" if code == UNTOLD else code


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one}" if number == 1 else f"{number} {many or one + 's'}"
