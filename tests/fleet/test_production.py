"""All processes of production trade for a while, and each is killed once: the books are the exchange's, and visitors are answered.

A minute with five bots in the CI tier; five minutes with twenty bots among the long runs, as an operator has them.
"""

from __future__ import annotations

import re
import signal
import sys
import time
import urllib.request
from typing import Final

import pytest

from tests.fleet.fleet import ALL, SYMBOL, Fleet
from tests.fleet.visitors import Visitors
from vibex.tests.running import free_port

pytestmark = [pytest.mark.redis, pytest.mark.timeout(1500)]
TOKEN: Final = "a-token-for-those-who-read-figures"
OBJECTIVE: Final = 0.99
READY: Final = "/api/v1/health/ready/"


@pytest.mark.ci
def test_a_minute_of_production_with_five_bots(house: Fleet) -> None:
    produce(house, bots=5, seconds=60)


@pytest.mark.soak
def test_five_minutes_of_production_with_twenty_bots(house: Fleet) -> None:
    produce(house, bots=20, seconds=300)


def produce(house: Fleet, *, bots: int, seconds: float) -> None:
    """Trade for so long, kill each process once on the way, and compare in the end."""
    house.bots(bots)
    house.model.buys = (SYMBOL, 0.01)
    house.begin_all([name for name in ALL if name != "web"])
    house.begin("web", METRICS_TOKEN=TOKEN)
    another = free_port()  # two web servers, so that one may be away: docs/deployment.md, scaling out
    house.begin("another web", "web", API_PORT=str(another))
    house.wait_for(lambda: house.ready() and house.says(READY, another) == 200)
    before = figures(house)  # counters begin with whoever reads them first
    house.start(*house.traders)

    visitors = Visitors(house, (house.port, another))
    visitors.come()
    each = seconds / len(ALL)
    for number, name in enumerate(ALL):
        time.sleep(each / 2)
        kill_and_begin_again(house, name)
        time.sleep(each / 2)
        if number == len(ALL) // 2:
            house.model.buys, house.model.closes = None, SYMBOL
    house.wait_for(lambda: all(house.healthy(name) for name in ALL))
    visitors.go()

    house.wait_for(lambda: all(house.truth(trader).trades for trader in house.traders))
    assert house.naked() == []
    house.wait_for(house.books_agree)
    assert house.sent_twice() == []
    assert visitors.share >= OBJECTIVE, visitors.waited
    after = figures(house)
    told = {name: after[name] - before.get(name, 0.0) for name in ("vibex_cycles_total", "vibex_cycles_in_time_total")}
    assert told["vibex_cycles_total"] >= bots
    assert set(house.end().values()) <= {0, -signal.SIGTERM}  # one that was begun a moment ago has nothing to end yet
    assert house.naked() == []
    orders = sum(len(house.truth(trader).orders) for trader in house.traders)
    sys.stdout.write(
        f"{bots} bots, {seconds:.0f} s: {told['vibex_cycles_total']:.0f} cycles, {told['vibex_cycles_in_time_total']:.0f} in time; "
        f"{orders} orders; {len(visitors.waited)} visitors, {visitors.share:.2%} told that all is well, the longest wait "
        f"{visitors.longest:.1f} s\n"
    )


def kill_and_begin_again(house: Fleet, name: str) -> None:
    """End a process as a power cut does, and start it again as containers and units are told to."""
    house.kill(name)
    house.begin(name, METRICS_TOKEN=TOKEN)


def figures(house: Fleet) -> dict[str, float]:
    """Return what Prometheus would read, summed over labels."""
    asked = urllib.request.Request(
        f"http://127.0.0.1:{house.port}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}
    )
    with urllib.request.urlopen(asked, timeout=30) as answer:
        text = answer.read().decode()
    found: dict[str, float] = {}
    for name, value in re.findall(r"^(\w+)(?:\{[^}]*\})? ([-+.\deE]+)$", text, re.MULTILINE):
        found[name] = found.get(name, 0.0) + float(value)
    return found
