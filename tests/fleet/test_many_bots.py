"""A thousand bots on a machine of two cores, each every three minutes with a model that takes ten seconds: for 15 minutes.

Every cycle starts within ten seconds of its moment and ends within its deadline with an answer, no lease is lost, and all
processes together stay below two gigabytes. VIBEX_CI_SOAK_BOTS and VIBEX_CI_SOAK_MINUTES say how many bots and how long;
in the CI tier there are a hundred bots, all of whom decide within a minute.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
from celery import Celery

from tests.fleet.decided import Decided, Due, decided
from tests.fleet.fleet import ALL, Fleet, fleet
from tests.fleet.usage import Usage
from trading.domain.schedule import due, length_of, offset_for, slot_at

pytestmark = [pytest.mark.redis, pytest.mark.timeout(3 * 3600)]
MINUTES: Final = float(os.environ.get("VIBEX_CI_SOAK_MINUTES", "15"))
BOTS: Final = int(os.environ.get("VIBEX_CI_SOAK_BOTS", "1000"))
SYMBOLS: Final = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
INTERVAL: Final = "3m"
THINKS: Final = 10.0
LATE: Final = timedelta(seconds=10)
DEADLINE: Final = timedelta(seconds=30)
"""Of a bot, where nobody says otherwise."""
SHARE: Final = 0.6
"""Of their offsets in the CI tier, so that the last one has its answer within the minute."""
GIGABYTES: Final = 2.0
ABREAST: Final = {
    "CYCLE_THREADS": "256",
    "LLM_REQUESTS_PER_MINUTE": "100000",
    "LLM_AT_ONCE": "2000",
}


@pytest.fixture
def house(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, postgres_url: str, redis_url: str
) -> Iterator[Fleet]:
    """Yield an installation of which nothing runs yet, at an exchange with three symbols."""
    folder = tmp_path_factory.mktemp("many")
    days: int = request.param
    with fleet(folder, postgres_url, redis_url, "vibex_fleet_many", symbols=SYMBOLS, history_days=days) as made:
        made.past_the_gates()
        made.settings |= ABREAST
        made.model.slow = THINKS
        yield made


@pytest.mark.soak
@pytest.mark.parametrize("house", [16], indirect=True)
def test_a_thousand_bots_for_a_quarter_of_an_hour(house: Fleet) -> None:
    house.begin_all()
    house.wait_for(house.ready)
    bots = paper(house, BOTS, timeframes=("3m", "15m", "1h", "4h"), decided=True)
    seeded = datetime.now(UTC)
    usage = Usage(house)
    while datetime.now(UTC) - seeded < timedelta(minutes=MINUTES):
        house.wait_for(lambda: usage.read_every(5.0), 60)
    wanted = slots(seeded, datetime.now(UTC) - timedelta(seconds=60) - LATE, bots)
    running = f"SELECT 1 FROM decisions_cycle WHERE status = 'running' AND scheduled_for <= '{wanted[-1].slot}' LIMIT 1"
    house.wait_for(lambda: not house.asks(running), 120)
    judged(house, decided(house, wanted), usage)


@pytest.mark.ci
@pytest.mark.parametrize("house", [3], indirect=True)
def test_a_hundred_bots_decide_within_a_minute(house: Fleet) -> None:
    """The test stands in for beat, which would wait for a candle to close: it says itself when each of them is due."""
    house.begin_all([name for name in ALL if name != "beat"])
    house.wait_for(lambda: house.healthy("worker-cycles") and house.asks("SELECT 1 FROM marketdata_ticker LIMIT 1"))
    bots = paper(house, 100, timeframes=("3m", "15m", "1h"), decided=False)
    broker, usage, now = Celery(broker=house.redis), Usage(house), datetime.now(UTC)
    wanted = [Due(bot, now + offset_for(f"bot:{bot}", INTERVAL) * SHARE) for bot in bots]
    for one in wanted:
        broker.send_task("trading.tasks.bot_tick", [one.bot], {"at_once": True}, queue="cycles", eta=one.at)
    done = "SELECT 1 FROM decisions_cycle WHERE status <> 'running' HAVING count(*) = 100"
    house.wait_for(lambda: usage.read_every(5.0) and house.asks(done), 90)
    judged(house, decided(house, wanted), usage)


def paper(house: Fleet, count: int, *, timeframes: tuple[str, ...], decided: bool) -> list[int]:
    """Make so many running bots on paper accounts; return their keys."""
    bot = {"symbols": SYMBOLS, "interval": INTERVAL, "timeframes": timeframes, "model": "local/fleet/model"}
    made: list[int] = house.seed("paper", count=count, decided=decided, **bot)
    return made


def slots(after: datetime, until: datetime, bots: list[int]) -> list[Due]:
    """Return when each bot was due for the candles that closed after the first moment, and whose minute was over at the second."""
    slot, wanted = slot_at(after, INTERVAL) + length_of(INTERVAL), list[Due]()
    while slot <= until:
        wanted += [Due(bot, due(slot, offset_for(f"bot:{bot}", INTERVAL)), slot) for bot in bots]
        slot += length_of(INTERVAL)
    return wanted


def judged(house: Fleet, found: Decided, usage: Usage) -> None:
    """Print the figures, and fail where a promise was not kept."""
    ran = house.asks("SELECT count(*) FROM decisions_cycle WHERE status <> 'skipped'")[0][0]
    sys.stdout.write(f"\n{found.told()}\n{usage.told(ran)}\n")
    assert len(found.cycles) == len(found.wanted), f"{len(found.wanted) - len(found.cycles)} cycles never began"
    assert found.latest <= LATE
    assert found.longest <= DEADLINE
    assert found.outcomes.keys() == {"done, answered"}
    assert usage.most <= GIGABYTES * 1024
    assert house.says("/api/v1/health/live/") == 200
