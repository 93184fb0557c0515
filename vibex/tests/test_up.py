"""`manage.py up`: from nothing to a decision, stopped in order, and gone on with whatever happened in between."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from vibex.lib.env import ROOT
from vibex.tests.running import Up

pytestmark = [pytest.mark.ci, pytest.mark.timeout(400)]

PASSWORD = re.compile(r"Password: +(\S+)")
KILLED_AFTER = 60.0
"""Seconds after which a container that does not end is killed (compose.yaml)."""
FINISHED = "SELECT id FROM decisions_cycle WHERE status IN ('done', 'failed')"


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    installation = Up(tmp_path / "data")
    yield installation
    installation.kill()


def test_it_comes_up_decides_stops_in_order_and_goes_on(up: Up) -> None:
    up.start()
    up.wait_for(lambda: up.rows("SELECT id FROM decisions_cycle WHERE status = 'done'"))
    asked_to_stop = time.monotonic()
    code, said = up.stop()
    assert code == 0, said
    assert time.monotonic() - asked_to_stop < KILLED_AFTER
    password = PASSWORD.search(said)
    assert password is not None
    assert "simulated" in said
    assert "rules/trend" in said
    assert f"http://127.0.0.1:{up.port}/" in said

    accounts, cycles = up.rows("SELECT id, name, owner_id FROM accounts_account"), len(up.rows(FINISHED))
    up.start()
    code, said = up.stop(signal.SIGINT)
    assert code == 0, said
    assert password[1] not in said
    assert "shown at the first start" in said
    assert up.rows("SELECT id, name, owner_id FROM accounts_account") == accounts == [(1, "paper", 1)]
    assert len(up.rows(FINISHED)) >= cycles
    assert up.rows("SELECT status FROM accounts_bot") == [("running",)]


def test_the_password_is_nowhere_but_on_the_screen(up: Up) -> None:
    up.environment["LOG_FILES"] = "yes"
    up.environment["LOG_LEVEL"] = "DEBUG"
    up.start()
    _, said = up.stop()
    password = PASSWORD.findall(said)
    assert len(password) == 1
    assert said.count(password[0]) == 1
    for file in up.folder.rglob("*"):
        assert not file.is_file() or password[0].encode() not in file.read_bytes(), file


def test_a_killed_process_is_gone_on_with(up: Up) -> None:
    up.start()
    up.wait_for(lambda: up.rows(FINISHED))
    up.stop(signal.SIGKILL)
    up.start()
    code, said = up.stop()
    assert code == 0, said
    assert up.rows("SELECT status FROM accounts_bot") == [("running",)]
    assert up.rows("SELECT id FROM decisions_cycle WHERE status = 'running'") == []
    assert up.rows("PRAGMA integrity_check") == [("ok",)]


def test_a_second_start_on_the_same_data_is_refused_with_the_process_that_has_it(up: Up) -> None:
    up.start()
    assert up.process is not None
    other = Up(up.folder)
    code, said = other.refused()
    assert code == 1
    assert f"process {up.process.pid}" in said
    assert said.count("\n") == 0


def test_a_port_in_use_is_said_before_anything_is_made(up: Up) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", up.port))
        taken.listen()
        code, said = up.refused()
    assert code == 1
    assert said == (
        f"CommandError: Port {up.port} on 127.0.0.1 is in use by another program. "
        f"Stop that, or choose one: --port {up.port + 1}."
    )
    assert not (up.folder / "vibex.sqlite3").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--port", "0"), "no port: use a number from 1 to 65535"),
        (("--port", "70000"), "no port"),
        (("--port", "http"), "no port"),
        (("--speed", "0"), "no speed"),
        (("--speed", "nan"), "no speed"),
        (("--speed", "fast"), "no speed"),
    ],
)
def test_a_wrong_option_is_a_usage_error(up: Up, options: tuple[str, str], told: str) -> None:
    code, said = up.refused(*options)
    assert code == 2
    assert told in said


def test_a_host_that_is_not_ours_is_said(up: Up) -> None:
    code, said = up.refused("--host", "192.0.2.1")
    assert code == 1
    assert "192.0.2.1 is no address of this machine" in said


@pytest.mark.parametrize("fill", ["missing", "empty", "corrupt"])
def test_data_that_cannot_be_replayed_is_one_line_and_nothing_is_configured(up: Up, tmp_path: Path, fill: str) -> None:
    folder = tmp_path / "candles"
    if fill != "missing":
        folder.mkdir()
    if fill == "corrupt":
        (folder / "BTCUSDT-1h.csv.gz").write_bytes(b"not a gzip file")
    code, said = up.refused("--data", str(folder))
    assert code == 1
    assert said.startswith("CommandError: ")
    assert said.count("\n") == 0
    assert "candles" in said
    assert up.rows("SELECT * FROM marketdata_feed") == []
    assert up.rows("SELECT * FROM accounts_user") == []


def test_recorded_candles_have_an_account_of_their_own(up: Up, shared_data: Path) -> None:
    up.start("--data", str(shared_data / "candles" / "binance_um_2025_1h"), "--speed", "600")
    up.wait_for(lambda: up.rows("SELECT id FROM decisions_cycle WHERE status = 'done'"))
    code, said = up.stop()
    assert code == 0, said
    assert "recorded candles" in said
    assert up.rows("SELECT name, venue FROM accounts_account") == [("replay", "recorded")]
    assert up.rows("SELECT interval FROM accounts_bot") == [("1h",)]
    (stood,) = up.rows("SELECT market_at FROM marketdata_feed")
    up.start("--data", str(shared_data / "candles" / "binance_um_2025_1h"))
    up.stop()
    (went_on,) = up.rows("SELECT market_at FROM marketdata_feed")
    assert went_on > stood
    up.start()
    up.stop()
    assert up.rows("SELECT venue, running FROM marketdata_feed ORDER BY venue") == [("recorded", 0), ("sim", 0)]
    assert len(up.rows("SELECT id FROM accounts_account")) == 2


def test_without_a_demo_there_is_nobody(up: Up) -> None:
    up.start("--no-demo")
    code, said = up.stop()
    assert code == 0, said
    assert "createsuperuser" in said
    assert up.rows("SELECT id FROM accounts_user") == up.rows("SELECT id FROM accounts_account") == []


@pytest.fixture
def production(up: Up, tmp_path: Path) -> Up:
    """An installation of production whose collected files lie in the folder of the test."""
    (tmp_path / "production_here.py").write_text(
        f"from vibex.settings.production import *\nSTATIC_ROOT = {str(tmp_path / 'collected')!r}\n"
        f"STATICFILES_DIRS = STATICFILES_DIRS[:1]\n"  # without plotly's 5 MB, which take their time to compress
    )
    up.environment |= {
        "PYTHONPATH": str(tmp_path),
        "DJANGO_SETTINGS_MODULE": "production_here",
        "VIBEX_ENV": "prod",
        "SECRET_KEY": "k3y-with-more-than-fifty-characters-that-nobody-else-knows",
        "CREDENTIALS_KEY": "bm9ib2R5IGVsc2Uga25vd3MgdGhpcyBzZWFsaW5nISE=",
        "ALLOWED_HOSTS": "127.0.0.1",
        "ALLOW_SQLITE_IN_PRODUCTION": "yes",
        "HTTPS": "no",
    }
    return up


def manage(up: Up, *command: str, **more: str) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", *command], check=False, cwd=ROOT, env=up.environment | more, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()


def test_production_without_collected_files_is_refused_and_says_what_to_run(production: Up) -> None:
    code, said = production.refused()
    assert code == 1
    assert said == "CommandError: static files are not collected: run `manage.py collectstatic`"
    assert not (production.folder / "vibex.sqlite3").exists()


def test_production_makes_nobody_prints_no_password_and_says_how_to_make_an_operator(production: Up) -> None:
    manage(production, "collectstatic", "--noinput")
    production.start()
    manage(
        production,
        "createsuperuser",
        "--noinput",
        "--email",
        "me@example.com",
        DJANGO_SUPERUSER_PASSWORD="a long pass-word",
    )
    code, said = production.stop()
    assert code == 0, said
    assert "Password" not in said
    assert "createsuperuser" in said
    assert production.rows("SELECT email, is_staff FROM accounts_user") == [("me@example.com", 1)]
    assert production.rows("SELECT id FROM accounts_account") == []

    production.start("--demo")
    _, said = production.stop()
    assert PASSWORD.search(said)
    assert len(production.rows("SELECT id FROM accounts_account")) == 1


def test_idle_it_takes_little_memory(up: Up) -> None:
    import psutil

    up.start()
    up.wait_for(lambda: up.rows(FINISHED))
    assert up.process is not None
    assert psutil.Process(up.process.pid).memory_info().rss < 250e6
