"""An installation for the drill: the test exchange as a process, a data folder or a database of its own, commands."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vibex.lib.env import ROOT
from vibex.tests.running import KEPT, free_port

PATIENCE = 150.0
SECRET = "the secret key of the drill, the same before and after, long enough"


@contextmanager
def exchange_running(folder: Path) -> Iterator[dict[str, str]]:
    """Run the exchange as a process with one account; yield where it is and the account's keys."""
    port, said = free_port(), folder / "exchange.txt"
    command = [sys.executable, "manage.py", "exchange_server", "--testnet", "--account", "10000", "--port", str(port),
               "--symbols", "BTCUSDT,ETHUSDT,SOLUSDT,XRPUSDT", "--weight-limit", "1000000"]  # fmt: skip
    with said.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment(folder), stdout=subprocess.PIPE, stderr=out, text=True
        )
    try:
        found = {"rest": f"http://127.0.0.1:{port}", "streams": f"ws://127.0.0.1:{port}"}
        assert process.stdout is not None
        for line in process.stdout:
            if key := re.match(r"  V3 (user|signer|key) +(\S+)", line):
                found[key[1]] = key[2]
            if "Ctrl-C" in line:
                break
        assert "key" in found, said.read_text()
        yield found
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)


def environment(folder: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in KEPT or name.startswith("COV")}
    own = {
        "VIBEX_ENV": "dev",
        "VIBEX_DATA_DIR": str(folder / "data"),
        "VIBEX_LOG_DIR": str(folder / "logs"),
        "LOG_FILES": "no",
        "LOG_LEVEL": "CRITICAL",
        "SECRET_KEY": SECRET,
        "DJANGO_SETTINGS_MODULE": "vibex.settings",
    }
    return kept | own | more


def ran(env: dict[str, str], *command: str, code: int | None = 0, given: str = "") -> str:
    """Run Python with a command; return what it printed. The exit code has to be `code`, None: any."""
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=env, input=given, capture_output=True, text=True, timeout=PATIENCE,
        check=False,
    )  # fmt: skip
    assert code is None or done.returncode == code, (command, done.returncode, done.stdout[-3000:], done.stderr[-3000:])
    return done.stdout + done.stderr


def manage(env: dict[str, str], *command: str, code: int | None = 0, given: str = "") -> str:
    return ran(env, "manage.py", *command, code=code, given=given)


def step(env: dict[str, str], *command: str) -> Any:
    """Run a step of `tests.drill.trader`, and return what it told."""
    return json.loads(ran(env, "-m", "tests.drill.trader", *command).splitlines()[-1])


def destroyed(env: dict[str, str]) -> None:
    """Lose the database, whole."""
    if url := env.get("DATABASE_URL"):
        drop(url)
        return
    for end in ("", "-wal", "-shm"):
        Path(f"{env['VIBEX_DATA_DIR']}/vibex.sqlite3{end}").unlink(missing_ok=True)


def drop(url: str) -> None:
    import psycopg

    base, _, name = url.rpartition("/")
    with psycopg.connect(f"{base}/postgres", autocommit=True) as session:
        rows = session.execute(
            "SELECT datname FROM pg_database WHERE datname = %s OR datname LIKE %s", [name, f"{name}\\_%"]
        )
        for (each,) in rows.fetchall():
            session.execute(f'DROP DATABASE IF EXISTS "{each}" WITH (FORCE)')


def databases(url: str) -> list[str]:
    """Return the databases whose names begin with that of the URL."""
    import psycopg

    base, _, name = url.rpartition("/")
    with psycopg.connect(f"{base}/postgres", autocommit=True) as session:
        rows = session.execute("SELECT datname FROM pg_database WHERE datname LIKE %s ORDER BY 1", [f"{name}%"])
        return [str(row[0]) for row in rows]
