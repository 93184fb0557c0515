"""What came of an act, in words, from the job that did it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from accounts.models import Job
from trading.templatetags.figures import exact, money, signed

AGAIN: Final = {
    "close": "position",
    "cancel": "order",
    "stop": "position",
    "target": "position",
    "bot-stop": "bot",
    "bot-start": "bot",
}
"""By kind of job, under which name it was asked on what it acts."""
ACTS: Final = {
    "stop": "move-stop",
    "target": "move-target",
    "bot-stop": "stop-bot",
    "bot-start": "start-bot",
    "cycle": "decide",
}
"""Name of the act where it is not that of the job."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it. `state`: running, done, part (it goes on by itself) or failed."""

    state: str
    title: str
    lines: tuple[str, ...] = ()
    act: str = ""
    """What to ask for to try again."""
    subject: int = 0


def outcome_of(job: Job) -> Outcome:
    """Return what came of a job, or how far it is."""
    act, subject = ACTS.get(job.kind, job.kind), _subject(job)
    if job.status == Job.Status.RUNNING:
        told = tuple(line["text"] for line in job.progress)
        return Outcome("running", "It is being done.", told or ("It has begun.",), act, subject)
    if job.problem is not None or job.status != Job.Status.DONE:
        detail = str((job.problem or {}).get("detail", "Nobody knows how it ended: look at the desk."))
        return Outcome("failed", "Not done.", (detail,), act, subject)
    said = SAID.get(job.kind)
    state, title, lines = said(job.result or {}) if said else ("done", "Done.", ())
    return Outcome(state, title, lines, act, subject)


def _subject(job: Job) -> int:
    if job.kind == "cycle":
        return job.bot_id or 0
    return int(job.request.get(AGAIN.get(job.kind, ""), 0) or 0)


type Said = tuple[str, str, tuple[str, ...]]


def _closed(result: dict[str, Any]) -> Said:
    position = result["position"]
    if result["already"]:
        return "done", f"{position['symbol']} was closed already.", (_line(position),)
    return "done", f"{position['symbol']} is closed.", (_line(position),)


def _closed_all(result: dict[str, Any]) -> Said:
    closed = result["closed"]
    count = len(closed)
    title = f"{count} position{'' if count == 1 else 's'} closed." if count else "Nothing was open any more."
    return "done", title, tuple(_line(position) for position in closed)


def _moved(what: str) -> Callable[[dict[str, Any]], Said]:
    def said(result: dict[str, Any]) -> Said:
        position = result["position"]
        if not result["moved"]:
            return "done", f"The price had passed it: {position['symbol']} was closed.", (_line(position),)
        return "done", f"The {what} of {position['symbol']} is at {_exact(position[what])}.", ()

    return said


def _cancelled(result: dict[str, Any]) -> Said:
    order = result["order"]
    name = f"The {order['role']} of {order['symbol']}"
    if result["already"]:
        return "done", f"{name} was over already.", (order["reason"],) if order["reason"] else ()
    if not result["cancelled"]:
        return "done", f"{name} was filled before it could be cancelled.", (f"Filled {_exact(order['filled'])}.",)
    return "done", f"{name} is cancelled.", ()


def _stopped(result: dict[str, Any]) -> Said:
    return "done", f"{result['name']} is stopped.", ("Open positions keep their stop and target.",)


def _started(result: dict[str, Any]) -> Said:
    return "done", f"{result['name']} is started.", ("It decides at every candle from now on.",)


def _decided(result: dict[str, Any]) -> Said:
    return "done", "It has decided.", (str(result.get("text", "")),) if result.get("text") else ()


def _halted(result: dict[str, Any]) -> Said:
    done = [f"{len(result['cancelled'])} orders cancelled", *result["closed"]]
    if result["keep_positions"]:
        done.append("positions kept, with what protects them")
    if result["flat"]:
        proof = "opens nothing" if result["keep_positions"] else "is flat"
        return "done", f"{result['name']} is halted and {proof}: proved in {result['seconds']:.2f} s.", tuple(done)
    return "part", f"{result['name']} is halted.", (result["note"] or result["problem"], *done)


def _resumed(result: dict[str, Any]) -> Said:
    return "done", f"{result['name']} may open positions again.", ("Books and exchange agree.",)


SAID: Final[dict[str, Callable[[dict[str, Any]], Said]]] = {
    "close": _closed,
    "close-all": _closed_all,
    "stop": _moved("stop"),
    "target": _moved("target"),
    "cancel": _cancelled,
    "bot-stop": _stopped,
    "bot-start": _started,
    "cycle": _decided,
    "halt": _halted,
    "resume": _resumed,
}


def _line(position: dict[str, Any]) -> str:
    """Write how a closed position ended."""
    said = f"{position['symbol']} {position['side']} {_exact(position['peak_quantity'])}"
    if position["closed"] is None:
        return f"{said}, still open"
    realised, fees, funding = (Decimal(position[name]) for name in ("realised", "fees", "funding"))
    net = signed(realised - fees + funding)
    return (
        f"{said} at {_exact(position['exit_price'])}: {net} USDT after {money(fees)} fees and {signed(funding)} funding"
    )


def _exact(value: str | None) -> str:
    return "–" if value is None else exact(Decimal(value))
