"""`manage.py up` on live prices: taken when the venue answers, simulated with a word when not, held when it falls silent."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.tables import tables
from trading.exchange_server.build import simulated_markets
from trading.exchange_server.server import Served, serve_in_thread
from vibex.lib.env import ROOT
from vibex.tests.running import Up, free_port

pytestmark = [pytest.mark.ci, pytest.mark.timeout(400)]

CLOSED = "SELECT symbol, count(*) FROM marketdata_candle WHERE closed GROUP BY symbol"


@pytest.fixture
def exchange() -> Iterator[Served]:
    with serve_in_thread(simulated_markets(["BTCUSDT", "ETHUSDT", "SOLUSDT"], history_days=20)) as served:
        yield served


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    installation = Up(tmp_path / "data")
    yield installation
    installation.kill()


def point(up: Up, exchange: Served, market: str) -> None:
    tables(up.folder)
    up.environment |= {"MARKET": market, "ASTERDEX_REST_URL": exchange.http, "ASTERDEX_STREAM_URL": exchange.ws}


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_auto_takes_the_live_market_and_decides_on_it(up: Up, exchange: Served) -> None:
    point(up, exchange, "auto")
    up.start()
    up.wait_for(lambda: up.rows("SELECT id FROM decisions_cycle WHERE status = 'done'"))
    up.wait_for(lambda: up.rows("SELECT id FROM marketdata_ticker WHERE open_interest IS NOT NULL"))
    code, said = up.stop()
    assert code == 0, said
    assert f"live prices of aster from {exchange.http}" in said
    assert up.rows("SELECT name, venue FROM accounts_account") == [("aster-paper", "aster")]
    assert {symbol for symbol, _ in up.rows(CLOSED)} == {"BTCUSDT", "ETHUSDT", "SOLUSDT"}
    assert min(count for _, count in up.rows(CLOSED)) > 20_000
    (problems,) = up.rows("SELECT count(*) FROM decisions_diaryentry WHERE text LIKE '%held:%'")
    assert problems == (0,)


def test_the_testnet_is_a_market_of_its_own(up: Up, exchange: Served) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    up.environment |= {"MARKET": "live", "VENUE": "aster_testnet"}
    up.environment |= {"ASTERDEX_REST_URL": f"http://{nowhere}", "ASTERDEX_STREAM_URL": f"ws://{nowhere}"}
    up.environment |= {"ASTERDEX_TESTNET_REST_URL": exchange.http, "ASTERDEX_TESTNET_STREAM_URL": exchange.ws}
    up.start()
    up.wait_for(lambda: up.rows("SELECT id FROM decisions_cycle WHERE status = 'done'"))
    code, said = up.stop()
    assert code == 0, said
    assert f"live prices of aster_testnet from {exchange.http}" in said
    account = up.rows("SELECT name, venue, network, mode FROM accounts_account")
    assert account == [("aster_testnet-paper", "aster", "testnet", "paper")]
    assert up.rows("SELECT DISTINCT venue FROM marketdata_candle") == [("aster_testnet",)]
    assert up.rows("SELECT venue FROM marketdata_feed") == [("aster_testnet",)]


def test_auto_says_why_it_is_simulated(up: Up) -> None:
    up.environment |= {"MARKET": "auto", "ASTERDEX_REST_URL": f"http://127.0.0.1:{free_port()}"}
    up.start()
    code, said = up.stop()
    assert code == 0, said
    assert "simulated, prices are made up" in said
    assert "aster was not reached within 2 s" in said
    ((note,),) = up.rows("SELECT note FROM marketdata_feed")
    assert "cannot be reached" in note


def test_live_comes_up_without_the_venue_and_holds(up: Up) -> None:
    up.environment |= {"MARKET": "live", "ASTERDEX_REST_URL": f"http://127.0.0.1:{free_port()}"}
    up.process = up.begin()
    up.wait_for(lambda: answers(f"http://127.0.0.1:{up.port}/api/v1/health/live/"))
    up.wait_for(lambda: up.rows("SELECT problem FROM marketdata_feed WHERE problem != ''"))
    code, said = up.stop()
    assert code == 0, said
    ((problem,),) = up.rows("SELECT problem FROM marketdata_feed")
    assert "aster" in problem
    assert up.rows("SELECT id FROM trading_position") == []


def test_a_venue_that_comes_back_is_gone_on_with(up: Up, exchange: Served) -> None:
    point(up, exchange, "live")
    up.start()
    exchange.control.fault("503")
    exchange.control.stream_fault("silence", seconds=600.0)
    up.wait_for(lambda: up.rows("SELECT id FROM marketdata_feed WHERE problem LIKE 'aster has said nothing since%'"))
    exchange.control.clear()
    up.wait_for(lambda: up.rows("SELECT id FROM marketdata_feed WHERE problem = ''"))
    up.stop()


def test_the_stream_command_keeps_a_venue_current_and_stops_in_order(up: Up, exchange: Served) -> None:
    point(up, exchange, "live")
    command = [sys.executable, "manage.py", "stream", "--venue", "aster", "--symbols", "SOLUSDT"]
    process = subprocess.Popen(command, cwd=ROOT, env=up.environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert "is kept current" in process.stdout.readline()
        first = up.wait_for(lambda: up.rows("SELECT symbol, at FROM marketdata_ticker ORDER BY symbol"))
        up.wait_for(lambda: up.rows("SELECT symbol, at FROM marketdata_ticker ORDER BY symbol") != first)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=30)
        assert process.returncode == 0
        assert "Stopped." in said
        assert time.monotonic() - began < 10
    finally:
        process.kill()
    assert up.rows("SELECT running FROM marketdata_feed") == [(0,)]


def test_an_unknown_venue_is_one_line(up: Up) -> None:
    tables(up.folder)
    command = [sys.executable, "manage.py", "stream", "--venue", "moon"]
    done = subprocess.run(command, cwd=ROOT, env=up.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip().count("\n") == 0
    assert "no live venue 'moon'" in done.stderr


@pytest.mark.parametrize(
    "command",
    [
        ("stream", "--venue", "aster"),
        ("backfill", "--symbols", "BTCUSDT", "--since", "2026-11-01"),
        ("feed", "--venue", "sim"),
        ("cycle", "1"),
    ],
)
def test_a_command_without_tables_says_what_to_run(up: Up, command: tuple[str, ...]) -> None:
    line = [sys.executable, "manage.py", *command]
    done = subprocess.run(line, cwd=ROOT, env=up.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "run `manage.py migrate`" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_stream_command_is_stopped_before_it_is_up_with_one_line(up: Up, exchange: Served, number: int) -> None:
    point(up, exchange, "live")
    exchange.control.fault("delay", seconds=5.0)
    process = subprocess.Popen(
        [sys.executable, "manage.py", "stream", "--venue", "aster"],
        cwd=ROOT,
        env=up.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        up.wait_for(lambda: up.rows("SELECT id FROM marketdata_venuebudget WHERE used > 0"))  # the first question
        process.send_signal(number)
        said, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert said.strip().splitlines() == ["Stopped before it was up."]
