"""PostgreSQL is gone while a bot waits for its model: the cycle ends, protection stays, everything goes on by itself."""

from __future__ import annotations

import time

import pytest

from tests.fleet.fleet import SYMBOL, Fleet

pytestmark = [pytest.mark.ci, pytest.mark.redis, pytest.mark.timeout(900)]
SERVICES = ("web", "worker-cycles", "worker-guard", "beat", "stream", "user-streams")
GONE = 60.0
"""Seconds: longer than a worker tries again, and than a connection of the pool is waited for."""
LEFT = 420.0
"""Seconds after which a cycle that nobody ends is over: its lease, and the decision after it."""
RUNNING = "SELECT 1 FROM decisions_cycle WHERE status = 'running'"


def test_a_minute_without_postgresql(house: Fleet) -> None:
    house.bots(2)
    house.begin_all(SERVICES)
    first, second = house.traders
    house.model.buys = (SYMBOL, 0.01)
    house.wait_for(house.ready)
    house.start(first)
    house.wait_for(lambda: house.protected(first))

    house.model.slow = 6.0
    house.start(second)
    house.wait_for(lambda: house.model.asked >= 2 and house.asks(RUNNING))
    house.postgres_gate.shut()
    ends = time.monotonic() + GONE
    while time.monotonic() < ends:
        assert house.protected(first), "the stop stands at the exchange, whatever becomes of us"
        assert house.truth(second).state.position(SYMBOL) is None, "nothing is sent without an intent on record"
        time.sleep(1)
    assert house.says("/api/v1/health/live/") == 200
    assert house.says("/api/v1/health/ready/") == 503

    house.model.slow = 0.0
    house.postgres_gate.open()
    house.wait_for(house.ready)
    house.wait_for(lambda: not house.asks(RUNNING + " AND lease_until < now() - interval '40 seconds'"))
    house.wait_for(house.books_agree)
    assert house.sent_twice() == []
    assert house.naked() == []
    first_of_second = f"SELECT status FROM decisions_cycle WHERE bot_id = {second.bot} ORDER BY id LIMIT 1"
    house.wait_for(lambda: house.asks(first_of_second) != [("running",)], LEFT)
    assert house.asks(first_of_second)[0][0] in ("failed", "abandoned", "done")
    assert all(service in house.running for service in SERVICES), "none was started anew"
    assert set(house.end().values()) == {0}
