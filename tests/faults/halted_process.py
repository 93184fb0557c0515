"""Halts that are killed at a named point, and what the guard of a fresh process makes of them. Run by test_killed_halt.py.

The test exchange runs in this process and survives them. Prints one JSON line per point: what was wrong, if anything.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import django

from tests.faults.killed_process import in_child

if TYPE_CHECKING:
    from trading.tests.live_kit import LiveHouse

BEFORE, AFTER = "before it is sent", "after it was carried out"
SENT: Final[dict[str, tuple[str, str]]] = {
    "reading what is open": ("GET", "positionRisk"),
    "cancel of an order by hand": ("DELETE", "by-hand"),
    "close": ("POST", "MARKET"),
    "cancel of a child": ("DELETE", ""),
}
"""Method, and what the address ends with or the form holds; "" where the method tells enough: the second such call."""
POINTS: Final = (
    "not latched yet",
    "latched",
    *(f"{name}: {when}" for name in SENT for when in (BEFORE, AFTER)),
    "flat, not written down",
)


def main() -> None:
    django.setup()
    import pytest

    from tests.support.tables import tables_made
    from trading.tests.live_kit import live_exchange, live_house

    tables_made()
    with live_exchange() as served:
        for number, point in enumerate(POINTS):
            _the_weight_is_forgotten(served)
            with pytest.MonkeyPatch.context() as patch, live_house(patch, served=served, name=f"h{number}") as house:
                print(json.dumps({"point": point, **_killed_at(point, house)}), flush=True)  # noqa: T201


def _killed_at(point: str, house: LiveHouse) -> dict[str, Any]:
    """Halt in a process that is killed at the point, let the guard of another look, and tell."""
    from tests.faults.house import Cell
    from trading.models import Claim, Halt
    from trading.services.exchanges import exchanges_forget
    from trading.tests.live_kit import BUY, SYMBOL

    told = dict[str, Any]()
    try:
        house.cycle(BUY)
        hand = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": "90000"}
        house.served.control.order(house.user, **hand, quantity="0.01", newClientOrderId="by-hand")
        exchanges_forget()
        account = house.bot.account_id
        told["killed"] = in_child(lambda: _halt(point, account)) is None
        told["state"] = house.account.state
        in_child(lambda: _look(account))
        told["held"], told["orders"] = str(house.held()), len(house.truth.working())
        told["proved"] = Halt.objects.filter(account=account, flat_at__isnull=False).exists()
        if told["state"] == "halted":
            cell = Cell(house)
            Claim.objects.all().delete()  # those of the dead run out within the minute
            cell.a_minute_passes()
            cell.whole()
            assert cell.safe()
    except Exception:
        told["wrong"] = traceback.format_exc()
    return told


def _halt(point: str, account: int) -> str:
    from accounts.models import Account
    from trading.services.halt import account_halt

    _arm(point)
    return account_halt(account=Account.objects.get(pk=account), reason="killed").problem


def _look(account: int) -> str:
    from trading.services.guard import guard_run

    return str(guard_run(account_id=account))


def _arm(point: str) -> None:
    """Have this process killed when it comes to the point."""
    from marketdata.aster.wire import HttpWire
    from trading.services import halt

    match point:
        case "not latched yet":
            _die_around(halt, "halt_latch", _always, before=True)
        case "latched":
            _die_around(halt, "halt_latch", _always, before=False)
        case "flat, not written down":
            _die_around(halt, "_ended", _always, before=True)
        case _:
            name, _, when = point.rpartition(": ")
            call = _call(*SENT[name], skip=int(name == "cancel of a child"))
            _die_around(HttpWire, "carry", call, before=when == BEFORE)


def _always(*_: Any, **__: Any) -> bool:
    return True


def _call(method: str, mark: str, *, skip: int) -> Callable[..., bool]:
    """Return what knows a call by its method and its mark, after so many others like it."""
    left = [skip]

    def struck(_: object, asked: str, path: str, params: Mapping[str, Any], **__: Any) -> bool:
        fits = asked == method and (path.endswith(mark) or mark in map(str, params.values()))
        left[0] -= fits
        return fits and left[0] < 0

    return struck


def _die_around(owner: Any, name: str, when: Callable[..., bool], *, before: bool) -> None:
    original = getattr(owner, name)

    def replaced(*args: Any, **kwargs: Any) -> Any:
        doomed = when(*args, **kwargs)
        if doomed and before:
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*args, **kwargs)
        if doomed:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, replaced)


def _the_weight_is_forgotten(served: Any) -> None:
    from marketdata.models import VenueBudget

    served.control.clear()
    VenueBudget.objects.all().delete()


if __name__ == "__main__":
    sys.exit(main())
