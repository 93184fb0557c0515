"""Redis is gone for a minute, and comes back with nothing in it: nothing is lost but time, and nothing has to be restarted."""

from __future__ import annotations

from functools import partial

import pytest
import redis

from tests.fleet.fleet import SYMBOL, Fleet

pytestmark = [pytest.mark.ci, pytest.mark.redis, pytest.mark.timeout(900)]
SERVICES = ("web", "worker-cycles", "worker-guard", "beat", "stream")
LOOKED = "SELECT count(*) FROM trading_guardstate WHERE at > '{}'"
RAN = "SELECT 1 FROM django_celery_beat_periodictask WHERE name = 'system:heartbeat' AND last_run_at > '{}'"


def now(house: Fleet) -> str:
    """Return the time by the database."""
    return str(house.asks("SELECT now()")[0][0])


def test_a_minute_without_redis(house: Fleet) -> None:
    house.bots(2)
    house.begin_all(SERVICES)
    first, second = house.traders
    house.model.buys = (SYMBOL, 0.01)
    house.wait_for(house.ready)
    house.start(first)
    house.wait_for(lambda: house.protected(first))

    began = now(house)
    house.redis_gate.shut()
    redis.Redis.from_url(house.redis).flushdb()
    house.start(second)  # the message that it may decide cannot be sent
    house.wait_for(lambda: house.asks(LOOKED.format(began))[0][0] >= 1)  # the guard looks without a broker
    again = now(house)
    house.wait_for(lambda: house.asks(LOOKED.format(again))[0][0] >= 1)
    assert house.says("/api/v1/health/live/") == 200
    assert house.says("/accounts/login/") in (200, 404)
    assert house.protected(first)
    assert not house.asks(RAN.format(again)), "no task can have run"

    house.redis_gate.open()
    back = now(house)
    house.wait_for(lambda: house.asks(RAN.format(back)))
    house.wait_for(lambda: house.protected(second))  # found out from the database, not from a message
    house.wait_for(house.ready)
    house.wait_for(house.books_agree)
    assert house.sent_twice() == []
    assert all(service in house.running for service in SERVICES), "none was started anew"

    a_second_beat_does_no_harm(house)
    assert set(house.end().values()) == {0}
    assert house.naked() == []


def a_second_beat_does_no_harm(house: Fleet) -> None:
    apart = house.folder / "another"
    apart.mkdir()
    house.begin("another beat", "beat", TMPDIR=str(apart))
    house.wait_for(lambda: list(apart.glob("*/beat")))  # its sign of life
    for _ in range(3):
        began = now(house)
        house.wait_for(partial(house.asks, RAN.format(began)))
    twice = "SELECT bot_id, scheduled_for FROM decisions_cycle GROUP BY 1, 2 HAVING count(*) > 1"
    assert house.asks(twice) == []
    assert house.sent_twice() == []
