"""An hour of a hundred bots, each of which decides once a minute: memory stays flat, nothing leaks, the guard is never late.

VIBEX_CI_SOAK_MINUTES says how many minutes instead of sixty, VIBEX_CI_SOAK_BOTS how many bots.
"""

from __future__ import annotations

import itertools
import os
import sys
import time
from typing import Final

import pytest
from celery import Celery

from tests.fleet.fleet import SYMBOL, Fleet, Trader
from tests.fleet.meters import Meters, Reading

pytestmark = [pytest.mark.soak, pytest.mark.redis, pytest.mark.timeout(3 * 3600)]
MINUTES: Final = float(os.environ.get("VIBEX_CI_SOAK_MINUTES", "60"))
BOTS: Final = int(os.environ.get("VIBEX_CI_SOAK_BOTS", "100"))
MINUTE: Final = 60.0
WARM: Final = 1 / 6
"""Share of the run in which memory may still grow: modules and caches are filled."""
FLAT: Final = 0.05
MORE: Final = 4
"""Connections and files that come and go with what is under way."""
HOURLY_AT: Final = (WARM / 2, 1 / 2, 11 / 12)
"""Shares of the run after which all that is done once an hour is done: what that takes for itself belongs to the warm part,
and what it does not give back shows itself."""
HOURLY: Final = (
    "decisions.tasks.catalogues_keep",
    "decisions.tasks.afterwards_count",
    "accounts.tasks.calls_prune",
    "vibex.tasks.backup_hourly",
    "trading.tasks.performance_sum",
)
LATE: Final = 90.0
"""Seconds without a look after which the guard counts as late (docs/guard.md)."""
SECONDS_TO_PROTECT: Final = 10.0
CYCLES: Final = "SELECT status, count(*) FROM decisions_cycle GROUP BY 1"


def test_an_hour_of_a_hundred_bots(house: Fleet) -> None:
    house.bots(BOTS)
    house.begin_all()
    house.wait_for(house.ready)
    house.start(*house.traders)
    broker, meters = Celery(broker=house.redis), Meters(house)
    began, last, hours = time.monotonic(), 0.0, list(HOURLY_AT)
    for number, trader in enumerate(itertools.cycle(house.traders)):
        run = (time.monotonic() - began) / (MINUTES * MINUTE)
        if run >= 1:
            break
        if hours and run >= hours[0]:
            hours.pop(0)
            hourly(house, broker)
        house.model.buys, house.model.closes = ((SYMBOL, 0.01), "") if number // BOTS % 6 < 3 else (None, SYMBOL)
        decide(house, broker, trader)
        time.sleep(MINUTE / BOTS)
        if time.monotonic() - last >= MINUTE / 4:
            last = time.monotonic()
            assert meters.read().guard <= LATE
            protected(house)
    house.model.buys = None
    told(house, meters)
    flat(meters)
    house.wait_for(house.books_agree)
    assert house.sent_twice() == []
    assert set(house.end().values()) == {0}


def protected(house: Fleet) -> None:
    """Fail where a position is without a stop, and is so still after the seconds that placing it takes."""
    if naked := set(house.naked()):
        time.sleep(SECONDS_TO_PROTECT)
        assert naked.isdisjoint(house.naked())


def hourly(house: Fleet, broker: Celery) -> None:
    """Let all that is done once an hour be done now, and all accounts be compared at once."""
    for (account,) in house.asks("SELECT id FROM accounts_account"):
        broker.send_task("trading.tasks.reconcile_account", args=[account, "hourly"], queue="slow")
    for task in HOURLY:
        broker.send_task(task, queue="slow")


def decide(house: Fleet, broker: Celery, trader: Trader) -> None:
    """Let a bot decide as if a candle had closed: the cycle of the present one is dated back to a time of its own."""
    house.sql(
        "UPDATE decisions_cycle SET scheduled_for = scheduled_for - id * interval '3 minutes' "
        f"WHERE bot_id = {trader.bot} AND scheduled_for > now() - interval '10 minutes' AND status <> 'running'"
    )
    broker.send_task("trading.tasks.bot_tick", args=[trader.bot], kwargs={"at_once": True}, queue="cycles")


def flat(meters: Meters) -> None:
    """Fail where something has grown after it was warm."""
    warm = MINUTES * MINUTE * WARM
    grown = meters.grown("megabytes", warm=warm)
    rough = {name: meters.course(name) for name, share in grown.items() if abs(share) > FLAT}
    assert not rough, rough
    # What the hourly work takes while it lasts is in both parts: it comes once in each, besides what comes in the middle.
    half = MINUTES * MINUTE / 2
    before = [reading for reading in meters.readings if reading.at < half]
    after = [reading for reading in meters.readings if reading.at >= half * 1.5]
    for of in ("postgres", "redis"):
        first, last = (max(getattr(reading, of) for reading in some) for some in (before, after))
        assert last <= first + MORE, (of, first, last)
    for name in before[0].files:
        first, last = (max(reading.files[name] for reading in some) for some in (before, after))
        assert last <= first + MORE, (name, first, last)


def told(house: Fleet, meters: Meters) -> None:
    """Print the figures of the run."""
    first, last = meters.readings[len(meters.readings) // 6], meters.readings[-1]
    waited = max(reading.guard for reading in meters.readings)
    lines = [
        f"{BOTS} bots, {MINUTES:.0f} minutes: cycles {dict(house.asks(CYCLES))}",
        f"no account waited longer than {waited:.0f} s for the guard",
        *(f"{name:<14} {_row(first, name)}  →  {_row(last, name)}" for name in last.megabytes),
        f"connections    PostgreSQL {first.postgres} → {last.postgres}, Redis {first.redis} → {last.redis}",
    ]
    sys.stdout.write("\n".join([*lines, ""]))


def _row(reading: Reading, name: str) -> str:
    return f"{reading.megabytes[name]:6.1f} MB {reading.files[name]:4d} files"
