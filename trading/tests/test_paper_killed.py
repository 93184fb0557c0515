"""Two writers on one paper account, killed at random moments, twelve times: the venue's tables always agree."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from vibex.lib.env import ROOT

pytestmark = [pytest.mark.ci, pytest.mark.timeout(180)]


@pytest.fixture
def on_sqlite() -> dict[str, str]:
    return {}


@pytest.fixture
def on_postgres(postgres_url: str) -> Iterator[dict[str, str]]:
    import psycopg

    name = f"vibex_paper_{os.getpid()}"
    with psycopg.connect(postgres_url, autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}"')
        try:
            yield {"DATABASE_URL": f"{postgres_url.rpartition('/')[0]}/{name}"}
        finally:
            server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.mark.parametrize("database", ["on_sqlite", "on_postgres"])
def test_a_killed_writer_leaves_the_venue_consistent(
    database: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    settings = {"VIBEX_ENV": "dev", "LOG_LEVEL": "ERROR", "LOG_FILES": "no", "VIBEX_DATA_DIR": str(tmp_path)}
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    ran = subprocess.run(
        [sys.executable, "-m", "trading.tests.paper_crash_process"],
        cwd=ROOT,
        env={**kept, **settings, "DJANGO_SETTINGS_MODULE": "vibex.settings", **request.getfixturevalue(database)},
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    rounds = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [found["wrong"] for found in rounds] == [[]] * 12
    assert rounds[-1]["trades"] > 10, "hardly anything was going on"
    assert rounds[-1]["version"] > rounds[0]["version"] > 0
