"""`manage.py backfill` as a process: killed at any point it leaves whole rows only, and the next one does the rest."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import timedelta

import pytest
from django.utils import timezone

from tests.support.tables import tables
from trading.exchange_server.build import simulated_markets
from trading.exchange_server.server import serve_in_thread
from vibex.lib.env import ROOT

pytestmark = pytest.mark.ci
DAYS = 5
WHOLE = DAYS * 1440
PATIENCE = 90


@pytest.fixture
def exchange():
    with serve_in_thread(simulated_markets(["BTCUSDT"], history_days=DAYS + 1)) as served:
        yield served


@pytest.fixture
def house(tmp_path, exchange):
    """Return the environment of an installation whose venue is the test exchange."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    mine = {"VIBEX_DATA_DIR": str(tmp_path), "VIBEX_LOG_DIR": str(tmp_path / "logs"), "LOG_LEVEL": "ERROR"}
    environment = {**kept, **mine, "LOG_FILES": "no", "ASTERDEX_REST_URL": exchange.http}
    tables(tmp_path)
    return environment


def begin(house, *more):
    until = timezone.now().replace(minute=0, second=0, microsecond=0)
    span = ("--since", f"{until - timedelta(days=DAYS):%Y-%m-%dT%H:%M}", "--until", f"{until:%Y-%m-%dT%H:%M}")
    command = [sys.executable, "manage.py", "backfill", "--symbols", "BTCUSDT", "--intervals", "1m", *span, *more]
    return subprocess.Popen(command, cwd=ROOT, env=house, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def count(house) -> int:
    with closing(sqlite3.connect(f"{house['VIBEX_DATA_DIR']}/vibex.sqlite3")) as database:
        return database.execute("SELECT count(*) FROM marketdata_candle WHERE closed").fetchone()[0]


def wait_for_rows(house, process) -> None:
    deadline = time.monotonic() + PATIENCE
    while not count(house):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT])
def test_what_ends_in_the_middle_is_gone_on_with(exchange, house, ending):
    exchange.control.command("fault", {"kind": "delay", "path": "*/klines", "seconds": 0.5})
    process = begin(house)
    wait_for_rows(house, process)
    process.send_signal(ending)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == (1 if ending == signal.SIGINT else -signal.SIGKILL)
    assert ("the same command goes on from there" in said) is (ending == signal.SIGINT)
    before = count(house)
    assert 0 < before < WHOLE
    assert before % 1000 == 0  # whole answers only
    exchange.control.command("clear", {})
    again = begin(house, "--json")
    told, said = again.communicate(timeout=PATIENCE)
    assert again.returncode == 0, said
    (candles, _) = json.loads(told)
    assert (candles["fetched"], candles["missing"]) == (WHOLE - before, 0)
    assert count(house) == WHOLE
