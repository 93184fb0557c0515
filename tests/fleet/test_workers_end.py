"""Workers that are told to end, or are killed, in the middle of a cycle; and a task that comes three times."""

from __future__ import annotations

import time
from typing import Any

import pytest
import redis

from tests.fleet.fleet import SYMBOL, Fleet, Trader

pytestmark = [pytest.mark.ci, pytest.mark.redis, pytest.mark.timeout(900)]
WORKER = "worker-cycles"
CYCLES = "SELECT status FROM decisions_cycle WHERE bot_id = {} ORDER BY id"
LATER = 3.0
"""Seconds that the exchange takes for the stop."""


def test_workers_that_end_or_die_leave_nothing_behind(house: Fleet) -> None:
    house.bots(3)
    house.model.buys = (SYMBOL, 0.01)
    house.begin_all(("stream", WORKER))
    house.wait_for(lambda: house.healthy("stream") and house.healthy(WORKER))
    house.wait_for(lambda: house.asks("SELECT 1 FROM marketdata_candle LIMIT 1"))
    client = redis.Redis.from_url(house.redis)

    told_to_end_it_sets_the_stop_first(house, house.traders[0])
    what_comes_three_times_is_one_cycle(house, house.traders[1], client)
    a_bot_whose_worker_was_killed_decides_again(house, house.traders[2], client)
    what_a_dead_worker_had_in_hand_is_handed_out_again(house, client)

    assert house.sent_twice() == []
    assert [len(house.truth(trader).trades) for trader in house.traders] == [1, 1, 1], "one entry each"
    assert house.naked() == []
    house.wait_for(house.books_agree)
    assert set(house.end().values()) == {0}


def told_to_end_it_sets_the_stop_first(house: Fleet, trader: Trader) -> None:
    stop = {"type": "STOP_MARKET"}
    house.exchange.control.fault("delay", path="/fapi/*/order", method="POST", form=stop, seconds=LATER, count=1)
    house.start(trader)
    house.wait_for(lambda: house.truth(trader).state.position(SYMBOL))
    assert not house.protected(trader), "the stop is still on its way"
    assert house.end(WORKER) == {WORKER: 0}
    assert house.protected(trader)
    assert house.asks(CYCLES.format(trader.bot)) == [("done",)]


def what_comes_three_times_is_one_cycle(house: Fleet, trader: Trader, client: Any) -> None:
    """No worker runs: the three lie in the queue, and are taken side by side by the next one."""
    house.start(trader)
    house.seed("tick", bot=trader.bot, times=3)
    assert client.llen("cycles") >= 3
    house.begin(WORKER)
    house.wait_for(lambda: house.protected(trader))
    house.wait_for(lambda: client.llen("cycles") == 0)
    house.wait_for(lambda: house.asks(CYCLES.format(trader.bot)) == [("done",)])


def a_bot_whose_worker_was_killed_decides_again(house: Fleet, trader: Trader, client: Any) -> None:
    asked = house.model.asked
    house.model.slow = 20.0
    house.start(trader)
    house.wait_for(lambda: house.model.asked > asked)
    house.kill(WORKER)
    assert house.asks(CYCLES.format(trader.bot)) == [("running",)]
    assert client.hlen("unacked") >= 1, "its message is not lost"
    # A lease and a candle pass: what was begun is over, and the next one is due.
    past = "lease_until = now() - interval '1 second', scheduled_for = scheduled_for - interval '3 minutes'"
    house.sql(f"UPDATE decisions_cycle SET {past} WHERE bot_id = {trader.bot}")
    house.model.slow = 0.0
    house.begin(WORKER)
    house.seed("tick", bot=trader.bot, times=1)
    house.wait_for(lambda: house.protected(trader))
    house.wait_for(lambda: house.asks(CYCLES.format(trader.bot)) == [("abandoned",), ("done",)])


def what_a_dead_worker_had_in_hand_is_handed_out_again(house: Fleet, client: Any) -> None:
    """What was not said to be done is taken again when its time is over; the time is over when we say so."""
    if left := client.zrange("unacked_index", 0, -1):
        client.zadd("unacked_index", dict.fromkeys(left, time.time() - 100_000))
    house.wait_for(lambda: client.hlen("unacked") == 0)
