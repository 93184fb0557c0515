"""Jobs whose process is killed in the middle, and what is found of them afterwards. Run by test_killed_job.py.

The test exchange runs in this process and survives them. Prints one JSON line per kind of job.
"""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import django

from tests.faults.halted_process import _call, _die_around, _the_weight_is_forgotten
from tests.faults.killed_process import in_child

if TYPE_CHECKING:
    from trading.tests.live_kit import LiveHouse

POINTS: Final[dict[str, tuple[str, str, bool]]] = {
    "close": ("POST", "MARKET", True),
    "stop": ("POST", "STOP_MARKET", False),
}
"""By kind of job: the call around which its process is killed, and whether before it is sent."""


def main() -> None:
    django.setup()
    import pytest

    from tests.support.tables import tables_made
    from trading.tests.live_kit import live_exchange, live_house

    tables_made()
    with live_exchange() as served:
        for kind in POINTS:
            _the_weight_is_forgotten(served)
            with pytest.MonkeyPatch.context() as patch, live_house(patch, served=served, name=kind) as house:
                print(json.dumps({"kind": kind, **_killed(kind, house)}), flush=True)  # noqa: T201


def _killed(kind: str, house: LiveHouse) -> dict[str, Any]:
    """Begin a job in a process that is killed, look at it and at the account, and tell."""
    from django.utils import timezone

    from accounts.models import Job
    from accounts.services.jobs import ALIVE, jobs_sweep
    from trading.models import Claim
    from trading.services.exchanges import exchanges_forget
    from trading.tests.live_kit import BUY

    house.cycle(BUY)
    exchanges_forget()
    killed = in_child(lambda: _begin(kind)) is None
    begun = Job.objects.get(kind=kind)
    told = {
        "killed": killed,
        "failed": begun.problem,
        "before": begun.status,
        "protected": bool(house.stops()) and house.held() != 0,
    }
    Job.objects.update(alive_until=timezone.now() - timedelta(seconds=1))
    jobs_sweep()
    Claim.objects.all().delete()  # that of the dead runs out within seconds
    house.guard(2)
    lost = Job.objects.get(kind=kind)
    return told | {
        "in_time": begun.alive_until <= begun.created + ALIVE + timedelta(seconds=1),
        "after": lost.status,
        "why": (lost.problem or {}).get("detail"),
        "stops": [str(one) for one in house.stops()],
        "held": str(house.held()),
        "working": len(house.truth.working()),
    }


def _begin(kind: str) -> str:
    from accounts.services.jobs import job_begin, job_wait
    from marketdata.aster.wire import HttpWire
    from trading.models import Position
    from trading.services.by_hand import position_close, position_stop_move

    method, mark, before = POINTS[kind]
    _die_around(HttpWire, "carry", _call(method, mark, skip=0), before=before)
    position = Position.objects.select_related("account__owner").get(closed=None, account__name=kind)
    owner = position.account.owner

    def work(_: Any) -> dict[str, Any]:
        if kind == "close":
            position_close(position=position, actor=owner)
        else:
            position_stop_move(position=position, price=Decimal(98_500), actor=owner)
        return {}

    return job_wait(job_begin(owner=owner, kind=kind, work=work, account=position.account), 30).status


if __name__ == "__main__":
    sys.exit(main())
