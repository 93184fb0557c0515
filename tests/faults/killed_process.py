"""Processes that are killed at a named request of a life, and fresh ones that go on. Run by test_killed.py.

The test exchange runs in this process and survives them. Prints one JSON line per point: what was wrong, if anything.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import django

from tests.faults.matrix import CALLS, Phase

if TYPE_CHECKING:
    from tests.faults.house import Cell

SENT: Final = {call.name: call for call in CALLS if call.method != "GET"}
POINTS: Final = (
    *(f"{name}: {when}" for name in SENT for when in ("before it is sent", "after it was carried out")),
    "entry: planned",
    "entry: filled",
    "stop: read back",
)
"""`filled`: its answer is in the books, its trades are not. `read back`: the stop stands, the books do not know yet."""


def main(points: Sequence[str] = POINTS) -> None:
    django.setup()
    import pytest

    from tests.faults.house import Cell
    from tests.support.tables import tables_made
    from trading.tests.live_kit import live_exchange, live_house

    tables_made()
    with live_exchange() as served:
        for number, point in enumerate(points):
            _the_weight_is_forgotten(served)
            with pytest.MonkeyPatch.context() as patch, live_house(patch, served=served, name=f"k{number}") as house:
                print(json.dumps({"point": point, **_killed_at(point, Cell(house))}), flush=True)  # noqa: T201


def _killed_at(point: str, cell: Cell) -> dict[str, Any]:
    """Live until a process is killed at the point, go on with fresh ones, and tell."""
    from trading.services.exchanges import exchanges_forget
    from trading.tests.live_kit import BUY, CLOSE

    phase = SENT[point.rpartition(": ")[0]].phase
    house, told = cell.house, dict[str, Any]()
    try:
        cell.live_until(phase)
        house.clock.move_to(_next_candle(house.clock.at))
        house.at(house.market.price)
        house.proposals[:] = [(CLOSE,) if phase is Phase.CLOSE else (BUY,)]
        exchanges_forget()
        bot, account, at = house.bot.pk, house.bot.account_id, house.clock.at
        told["killed"] = in_child(lambda: _step(point, phase, bot, account, at)) is None
        house.proposals.clear()
        told["seconds"] = in_child(lambda: _start_again(account))
        assert cell.safe(), f"{house.held()} with stops {house.stops()} after the start"
        told["held"] = str(house.held())
        cell.a_minute_passes()
        cell.whole()
        assert cell.safe()
        cell.finish()
    except Exception:
        told["wrong"] = traceback.format_exc()
    return told


def _step(point: str, phase: Phase, bot: int, account: int, at: Any) -> str:
    from accounts.models import Account
    from tests.faults.house import MOVED_TO
    from trading.services.guard import guard_run
    from trading.services.live import cycle_run, world_for
    from trading.services.stops import move_stop
    from trading.tests.live_kit import SYMBOL

    _arm(point)
    match phase:
        case Phase.MOVE:
            return str(move_stop(world_for(Account.objects.get(pk=account)), SYMBOL, MOVED_TO))
        case Phase.STOPPED:
            return str(guard_run(account_id=account))
        case _:
            return cycle_run(bot_id=bot, scheduled_for=at).text


def _start_again(account: int) -> float:
    """Do what a start does; return how long it took, with what it would have slept."""
    from functools import partial

    from trading.services import live
    from trading.services.lease import cycles_abandon
    from trading.services.reconcile import account_reconcile
    from trading.services.world import World

    naps: list[float] = []
    live.World = partial(World, sleep=naps.append)  # type: ignore[misc,assignment]
    began = time.monotonic()
    cycles_abandon(account_id=account)
    account_reconcile(account_id=account, trigger="start")
    return time.monotonic() - began + sum(naps)


def _arm(point: str) -> None:
    """Have this process killed when it comes to the point."""
    from marketdata.aster.wire import HttpWire
    from trading.services.journal.orm import OrmJournal

    name, _, when = point.rpartition(": ")
    call = SENT[name]
    if when == "planned":
        _die_around(OrmJournal, "plan", lambda *_, **__: True, before=False)
    elif when == "filled":
        _die_around(OrmJournal, "book", lambda *_, **__: True, before=True)
    elif when == "read back":
        _die_around(OrmJournal, "bracket", lambda symbol, state, **_: state.value == "armed", before=True)
    else:
        left = [call.skip]

        def struck(method: str, path: str, params: Mapping[str, Any], **_: Any) -> bool:
            fits = method == call.method and path.endswith(call.path.strip("*")) and _has(params, call.form)
            left[0] -= fits
            return fits and left[0] < 0

        _die_around(HttpWire, "carry", struck, before=when == "before it is sent")


def _has(params: Mapping[str, Any], form: Mapping[str, str]) -> bool:
    return all(str(params.get(name)) == value for name, value in form.items())


def _die_around(owner: type, name: str, when: Callable[..., bool], *, before: bool) -> None:
    original = getattr(owner, name)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        doomed = when(*args, **kwargs)
        if doomed and before:
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(self, *args, **kwargs)
        if doomed:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, method)


def in_child(work: Callable[[], Any]) -> Any:
    """Do the work in a forked process of its own and return what it returns; None when it was killed."""
    from django.db import connections

    for connection in connections.all():
        connection.close()
        getattr(connection, "close_pool", lambda: None)()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            os.write(writing, json.dumps(work()).encode())
        except BaseException:
            traceback.print_exc()
            os.write(writing, b'"broke off"')
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return json.loads(said) if said else None


def _next_candle(at: Any) -> Any:
    from datetime import timedelta

    return at + timedelta(minutes=3)


def _the_weight_is_forgotten(served: Any) -> None:
    from marketdata.models import VenueBudget

    served.control.clear()
    VenueBudget.objects.all().delete()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or POINTS))
