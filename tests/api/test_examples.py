"""The examples of docs/api.md run as they stand, against a server of its own; the page shows these very files."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from drf_spectacular.generators import SchemaGenerator

from tests.support.browser import Served
from vibex.lib.env import ROOT

EXAMPLES = ROOT / "docs" / "examples"
PAGE = ROOT / "docs" / "api.md"
KEY = """
from accounts.models import User
from accounts.services.api_keys import api_key_create
from tests.support.demo import account_of, demo, person
for email in ("one@vibex.local", "two@vibex.local"):
    user = person(email)
    account = account_of(user)
    row, key = api_key_create(user=user, name="example", scopes=["trade"], expires=None, actor=user)
    print("made", account.pk, key)
operator = User.objects.get(email="operator@vibex.local")
row, key = api_key_create(user=operator, name="example", scopes=["read"], expires=None, actor=operator)
print("made", 0, key)
"""


@pytest.mark.parametrize("name", ["client.py", "halt.sh"])
def test_the_page_shows_the_files_that_run(name: str):
    assert (EXAMPLES / name).read_text() in PAGE.read_text()


@pytest.mark.ci
def test_the_page_names_every_address_and_no_other():
    """Addresses below /api/v1/ in its table, with their methods, are those of the schema."""
    shown = set()
    for line in re.findall(r"^\| `([^`]+)` \| ([A-Z, ]+) \|", PAGE.read_text(), re.MULTILINE):
        shown |= {(line[0], method) for method in line[1].split(", ")}
    schema = SchemaGenerator().get_schema(request=None, public=True)
    there = {
        (re.sub(r"\{\w+\}", "<id>", path.removeprefix("/api/v1/")), method.upper())
        for path, methods in schema["paths"].items()
        if path.startswith("/api/v1/")
        for method in methods
    }
    assert shown == there


SERVED = pytest.mark.timeout(300)
"""A busy machine takes a while to make all tables and a history."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory):
    served = Served(tmp_path_factory.mktemp("examples"))
    served.start()
    yield served
    served.stop()


@pytest.fixture(scope="module")
def keys(served: Served) -> list[tuple[int, str]]:
    """Return account and key of two people who may be halted, and a key of the operator that reads."""
    env = os.environ | {"VIBEX_ENV": "dev", "VIBEX_DATA_DIR": str(served.folder / "data"), "VIBEX_LOG_DIR": str(served.folder / "logs"), "DJANGO_SETTINGS_MODULE": "vibex.settings"}  # fmt: skip
    env = {name: value for name, value in env.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    told = subprocess.run(
        [sys.executable, "manage.py", "shell", "-c", KEY], cwd=ROOT, env=env, capture_output=True, text=True, check=True
    )
    return [(int(account), key) for account, key in re.findall(r"^made (\d+) (\S+)$", told.stdout, re.MULTILINE)]


def run(served: Served, key: str, *command: str | Path) -> str:
    env = os.environ | {"VIBEX_URL": served.url, "VIBEX_KEY": key}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@SERVED
@pytest.mark.ci
def test_the_client_lists_positions_and_hears_how_things_stand(served, keys):
    said = run(served, keys[2][1], sys.executable, EXAMPLES / "client.py")
    assert re.search(r"^BTCUSDT long 0\.018 at 70866\.2$", said, re.MULTILINE)
    assert re.search(r"^snapshot \d+$", said, re.MULTILINE)


@SERVED
@pytest.mark.ci
def test_the_client_halts_and_hears_of_it(served, keys):
    said = run(served, keys[0][1], sys.executable, EXAMPLES / "client.py", "halt")
    assert "flat: True" in said
    assert re.search(r"^account \d+$", said, re.MULTILINE)


@SERVED
@pytest.mark.ci
def test_the_shell_halts(served, keys):
    account, key = keys[1]
    job = json.loads(run(served, key, "sh", EXAMPLES / "halt.sh", str(account)))
    assert (job["status"], job["result"]["state"], job["result"]["flat"]) == ("done", "halted", True)
