"""The whole way of live prices under fire: what is stored in the end is what the venue has, candle for candle.

A feed in a process of its own follows a test exchange that cuts, lies, delays, repeats, loses and refuses at random,
in time that runs 20 times as fast. VIBEX_CI_SOAK_MINUTES and VIBEX_CI_SOAK_SEED choose how long and which faults.
"""

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from random import Random

import numpy as np
import psutil
import psycopg
import pytest

from tests.support.timelapse import Timelapse
from trading.exchange_server.build import simulated_markets
from trading.exchange_server.server import serve_in_thread

ROOT = Path(__file__).parents[1]
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT", "DOGEUSDT")
SPEED = 20.0
MINUTE_MS = 60_000
HISTORY_MS = 6 * 3_600_000
"""How far back from the start the candles are compared."""
CATCH_UP_SECONDS = 90.0
WARM_UP_SECONDS = 60.0
COLUMNS = ("open_time", "open", "high", "low", "close", "volume")


class Faults:
    """What goes wrong, drawn by a seed. Every draw is one of the ways in which a venue was seen to fail."""

    def __init__(self, control, seed):
        self._control, self._chance = control, Random(seed)
        self.drawn = {}

    def strike(self):
        """Do something bad, or take away what was bad before."""
        chance = self._chance
        name, strike = chance.choice(
            [
                ("calm", self._control.clear),
                ("cut", self._control.cut),
                ("silence", lambda: self._stream("silence", seconds=chance.uniform(0.5, 6.0))),
                ("lose", lambda: self._stream("lose", probability=0.3)),
                ("duplicate", lambda: self._stream("duplicate", probability=0.5)),
                ("reorder", lambda: self._stream("reorder", probability=0.3, after=chance.randint(1, 40))),
                ("corrupt", lambda: self._stream("corrupt", path="*kline*", probability=0.02)),
                ("429", lambda: self._rest("429", count=3)),
                ("429-empty", lambda: self._rest("429-empty", count=3)),
                ("418", lambda: self._rest("418", count=1, seconds=30.0)),
                ("503", lambda: self._rest("503", probability=0.5)),
                ("200-html", lambda: self._rest("200-html", count=2)),
                ("-1001", lambda: self._rest("-1001", count=2)),
                ("drop", lambda: self._rest("drop", probability=0.3)),
                ("delay", lambda: self._rest("delay", seconds=chance.uniform(0.05, 1.0), probability=0.5)),
                ("wrong rows", lambda: self._rest("corrupt", path="*klines", count=2)),
            ]
        )
        self.drawn[name] = self.drawn.get(name, 0) + 1
        strike()

    def pause(self):
        return self._chance.uniform(0.2, 1.5)

    def _stream(self, kind, **options):
        self._control.stream_fault(kind, **options)

    def _rest(self, kind, **options):
        self._control.fault(kind, **options)


class FeedProcess:
    """The feed as its own process, seen from outside."""

    def __init__(self, process, folder):
        self._process, self._folder = process, folder
        self._memory = psutil.Process(process.pid)

    def ready(self):
        assert self._process.stdout.readline() == "ready\n"

    def look(self, since_ms):
        """Return the closed candles since then by symbol, and the counts."""
        path = self._folder / "stored.npz"
        self._process.stdin.write(f"{path} {since_ms}\n")
        self._process.stdin.flush()
        counts = json.loads(self._process.stdout.readline())
        with np.load(path) as stored:
            return {symbol: stored[symbol] for symbol in stored}, counts

    def megabytes(self):
        return self._memory.memory_info().rss / 1e6


@contextmanager
def feeding(folder, venue, lapse, database_url):
    environment = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    environment |= {"DATABASE_URL": database_url} if database_url else {}
    environment |= {
        "DJANGO_SETTINGS_MODULE": "vibex.settings",
        "VIBEX_ENV": "dev",
        "VIBEX_DATA_DIR": str(folder / "data"),
        "VIBEX_LOG_DIR": str(folder / "logs"),
        "ASSETS": ",".join(symbol.removesuffix("USDT") for symbol in SYMBOLS),
        "ASTERDEX_REST_URL": venue.http,
        "ASTERDEX_STREAM_URL": venue.ws,
        "LOG_LEVEL": "ERROR",
    }
    command = [sys.executable, "-m", "tests.support.soak_feed", "--market-ms", str(lapse.market_ms)]
    command += ["--monotonic", repr(lapse.monotonic), "--speed", str(lapse.speed)]
    with (
        (folder / "feed.log").open("w") as log,
        subprocess.Popen(
            command, cwd=ROOT, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
        ) as process,
    ):
        try:
            yield FeedProcess(process, folder)
            process.stdin.close()
            assert process.wait(20) == 0
        finally:
            process.kill()


def true_candles(control, symbol, since_ms, until_ms):
    candles = control.closed(symbol, "1m", since_ms=since_ms, until_ms=until_ms)
    return np.array([getattr(candles, name) for name in COLUMNS]).T


def differences(stored, control, since_ms, until_ms):
    """Return, by symbol, how many candles are missing, too many or different."""
    found = {}
    for symbol in SYMBOLS:
        truth = true_candles(control, symbol, since_ms, until_ms)
        assert len(truth) == (until_ms - since_ms) // MINUTE_MS
        mine = stored.get(symbol, np.empty((0, len(COLUMNS))))
        mine = {tuple(row) for row in mine[mine[:, 0] < until_ms]}
        if wrong := mine ^ {tuple(row) for row in truth}:
            found[symbol] = len(wrong)
    return found


def caught_up(feed, control, since_ms, until_ms):
    """Wait until everything is stored as the venue has it; return what is still different, and the counts."""
    deadline = time.monotonic() + CATCH_UP_SECONDS
    while True:
        stored, counts = feed.look(since_ms)
        wrong = differences(stored, control, since_ms, until_ms)
        if not (wrong or counts["unmended"]) or time.monotonic() > deadline:
            return wrong, counts
        time.sleep(0.5)


def minute_of(control):
    return int(control.now().timestamp() * 1000) // MINUTE_MS * MINUTE_MS


def soak(folder, seconds, seed, database_url=None):
    """Let a feed follow a failing venue for so long; return what it has wrong, the counts and its memory.

    It stores in SQLite, or in the database of the URL.
    """
    markets = simulated_markets(SYMBOLS, seed=seed, speed=SPEED, history_days=1)
    lapse = Timelapse(markets.clock.now_ms(), time.monotonic(), SPEED)
    with (
        lapse.running(),
        serve_in_thread(markets, fault_seed=seed, pulse=0.05) as venue,
        feeding(folder, venue, lapse, database_url) as feed,
    ):
        control = venue.control
        since = minute_of(control) - HISTORY_MS
        feed.ready()
        faults, memory = Faults(control, seed), []
        began = time.monotonic()
        while (passed := time.monotonic() - began) < seconds:
            if len(memory) < 3 and passed >= min(WARM_UP_SECONDS, seconds / 4) + len(memory) * seconds / 3:
                memory.append(feed.megabytes())
            faults.strike()
            time.sleep(faults.pause())
        memory = [*memory[:2], feed.megabytes()]
        control.clear()
        until = minute_of(control)
        wrong, counts = caught_up(feed, control, since, until)
        counts |= {"faults": sum(faults.drawn.values()), "compared": len(SYMBOLS) * (until - since) // MINUTE_MS}
        counts |= {
            "requests": len(control.log()),
            "sent": venue.server.hub.sent,
            "connections": venue.server.hub.opened,
        }
    used = ", ".join(f"{value:.1f}" for value in memory)
    sys.stdout.write(f"\n{counts}\nfaults: {faults.drawn}\nmemory at start, middle and end (MB): {used}\n")
    return wrong, counts, memory


@pytest.mark.ci
@pytest.mark.timeout(300)
def test_a_short_storm_leaves_every_candle_as_the_venue_has_it(tmp_path):
    wrong, counts, _ = soak(tmp_path, 40.0, seed=11)
    assert wrong == {}
    assert counts["unmended"] == 0
    assert counts["corrections"] == 0, "a candle was stored as closed before it had closed"
    assert counts["gaps"] > 1


@pytest.fixture
def empty_database(postgres_url):
    """Return the URL of a PostgreSQL database that is there for this test only."""
    name = f"vibex_market_soak_{os.getpid()}"
    with psycopg.connect(postgres_url, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        try:
            yield f"{postgres_url.rpartition('/')[0]}/{name}"
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.ci
@pytest.mark.timeout(300)
def test_the_same_holds_on_postgresql(tmp_path, empty_database):
    wrong, counts, _ = soak(tmp_path, 20.0, seed=23, database_url=empty_database)
    assert wrong == {}
    assert counts["unmended"] == 0
    assert counts["corrections"] == 0, "a candle was stored as closed before it had closed"


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_after_a_long_storm_every_candle_is_as_the_venue_has_it_and_memory_is_flat(tmp_path):
    minutes = float(os.environ.get("VIBEX_CI_SOAK_MINUTES", "10"))
    wrong, counts, memory = soak(tmp_path, 60 * minutes, seed=int(os.environ.get("VIBEX_CI_SOAK_SEED", "5")))
    assert wrong == {}
    assert counts["unmended"] == 0
    assert counts["corrections"] == 0, "a candle was stored as closed before it had closed"
    assert memory[-1] < 1.1 * memory[0]
