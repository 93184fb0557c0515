"""`manage.py exchange_server` as a process: it says where it is, ends when it is told to, and explains what is wrong."""

import os
import signal
import ssl
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from django.core.management import CommandError, call_command

from vibex.lib.env import ROOT


@contextmanager
def started(*arguments):
    """Run the command on a free port and yield the process with the lines that it printed up to the last one."""
    environment = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    command = [sys.executable, "manage.py", "exchange_server", "--port", "0", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        lines = []
        while not lines or "Ctrl-C" not in lines[-1]:
            lines.append(process.stdout.readline())
            assert lines[-1], "it ended before it was ready"
        yield process, "".join(lines)
    finally:
        process.kill()
        process.communicate()


@pytest.mark.ci
@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_it_says_how_vibex_is_pointed_at_it_and_stops_when_told(ending):
    with started("--symbols", "BTCUSDT,ETHUSDT", "--seed", "5", "--speed", "2") as (process, text):
        address = next(word for word in text.split() if word.startswith("ASTERDEX_REST_URL=")).split("=")[1]
        assert "MARKET=live" in text
        assert address.replace("http", "ws") in text
        assert "simulated, seed 5: 2 symbols" in text
        assert httpx2.get(f"{address}/fapi/v3/ping").json() == {}
        assert httpx2.get(f"{address}/_sim/state").json()["speed"] == 2
        process.send_signal(ending)
        assert process.wait(5) == 0
        assert process.stdout.read() == "Stopped.\n"


@pytest.mark.ci
def test_an_account_to_try_with_trades_with_the_keys_that_were_shown():
    from types import SimpleNamespace

    from trading.exchange_server.auth import TESTNET, Agent, ApiKey
    from trading.tests.signed_kit import Trader

    with started("--symbols", "BTCUSDT", "--account", "250", "--testnet") as (_, text):
        address = next(word for word in text.split() if word.startswith("ASTERDEX_TESTNET_REST_URL=")).split("=")[1]
        assert "MARKET=live VENUE=aster_testnet" in text
        shown = {line.split()[1]: line.split()[2] for line in text.splitlines() if line.startswith("  V3 ")}
        old = {line.split()[1]: line.split()[2] for line in text.splitlines() if line.startswith("  V1 ")}
        where = SimpleNamespace(http=address)
        agent, key = Agent(shown["signer"], shown["key"]), ApiKey(old["key"], old["secret"])
        for version in (3, 1):
            trader = Trader(where, version, shown["user"], agent, key, TESTNET)
            assert trader.told("GET", "balance")[0]["balance"] == "250.00000000"


@pytest.mark.ci
def test_by_tls_it_names_the_certificate_to_trust_and_takes_it_away_in_the_end():
    with started("--symbols", "BTCUSDT", "--tls") as (process, text):
        address = next(word for word in text.split() if word.startswith("ASTERDEX_REST_URL=")).split("=")[1]
        file = Path(next(word for word in text.split() if word.endswith("certificate.pem,")).rstrip(","))
        assert address.startswith("https://")
        assert address.replace("https", "wss") in text
        trusting = ssl.create_default_context(cafile=str(file))
        assert httpx2.get(f"{address}/fapi/v3/ping", verify=trusting).json() == {}
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
        assert not file.parent.exists()


@pytest.mark.ci
def test_it_replays_a_recorded_folder_from_a_start(shared_data):
    folder = shared_data / "candles" / "aster_2025"
    with started("--data", str(folder), "--start", "2025-10-10T20:59", "--symbols", "BTCUSDT") as (_, text):
        assert "recorded" in text
        assert "2025-10-10T20:59" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--data", "/nowhere"], "no such folder"),
        (["--exchange-info", "/nowhere"], "cannot be read"),
        (["--exchange-info", "manage.py"], "not sound JSON"),
        (["--speed", "0"], "speed"),
        (["--port", "99999"], "not a port"),
        (["--start", "yesterday"], "not a date"),
        (["--symbols", "A,A"], "each name once"),
        (["--data", "x", "--seed", "1"], "not allowed"),
        (["--today"], "--data"),
        (["--account", "-5"], "not an amount"),
        (["--account", "--host", "0.0.0.0"], "prints keys"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(arguments, words):
    with pytest.raises(CommandError) as refused:
        call_command("exchange_server", *arguments)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_start_outside_of_the_recording_is_refused(shared_data):
    folder = str(shared_data / "candles" / "aster_2025")
    with pytest.raises(CommandError, match="does not hold"):
        call_command("exchange_server", "--data", folder, "--start", "2030-01-01")


def test_a_port_that_is_taken_is_said_so():
    from trading.exchange_server.build import simulated_markets
    from trading.exchange_server.server import serve_in_thread

    with serve_in_thread(simulated_markets(["BTCUSDT"])) as exchange:
        port = exchange.http.rsplit(":", 1)[1]
        with pytest.raises(CommandError, match="choose another --port"):
            call_command("exchange_server", "--port", port)


@pytest.mark.ci
def test_nothing_of_the_exchange_is_loaded_by_the_rest_of_vibex():
    script = (
        "import os, sys, django; os.environ['DJANGO_SETTINGS_MODULE'] = 'vibex.settings.testing'; django.setup();"
        "from django.core.management import call_command; call_command('check');"
        "print([name for name in sys.modules if name.startswith('trading.exchange_server')])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
