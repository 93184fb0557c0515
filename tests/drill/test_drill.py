"""Trade, back up, trade on, destroy, restore, reconcile: every order of the lost time is found again from the exchange."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.drill.house import destroyed, drop, environment, exchange_running, manage, step

pytestmark = [pytest.mark.ci, pytest.mark.timeout(900)]
DATABASE = "vibex_drill"


@pytest.fixture(params=["sqlite", "postgresql"])
def installation(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param == "sqlite":
        yield tmp_path, {}
        return
    import psycopg

    base, _, _ = request.getfixturevalue("postgres_url").rpartition("/")
    url = f"{base}/{DATABASE}_{os.environ.get('PYTEST_XDIST_WORKER', 'one')}"
    drop(url)
    with psycopg.connect(f"{base}/postgres", autocommit=True) as session:
        session.execute(f'CREATE DATABASE "{url.rpartition("/")[2]}"')
    yield tmp_path, {"DATABASE_URL": url}
    drop(url)


def agrees(facts: dict[str, Any]) -> None:
    for what, theirs in facts["theirs"].items():
        assert facts["books"][what] == theirs, what


def test_every_order_of_the_lost_time_is_found_again(installation):
    folder, database = installation
    key = _key(environment(folder, **database))
    with exchange_running(folder) as exchange:
        keys = {"user": exchange["user"], "signer": exchange["signer"], "key": exchange["key"]}
        env = environment(
            folder,
            **database,
            **key,
            DRILL_KEYS=json.dumps(keys),
            VENUE="aster_testnet",
            MARKET="live",
            ASTERDEX_TESTNET_REST_URL=exchange["rest"],
            ASTERDEX_TESTNET_STREAM_URL=exchange["streams"],
        )
        assert step(env, "open")["left"] == []
        assert step(env, "trade", "buy", "BTCUSDT")["fills"] >= 1
        manage(env, "backup")
        then = step(env, "facts")
        agrees(then)

        # The time that will be lost: an exit, two entries, and a stop that is moved.
        assert step(env, "trade", "close", "BTCUSDT")["fills"] >= 1
        assert step(env, "trade", "sell", "ETHUSDT")["fills"] >= 1
        assert step(env, "trade", "buy", "SOLUSDT")["fills"] >= 1
        step(env, "move", "ETHUSDT")
        before = step(env, "facts")
        agrees(before)
        lost = set(before["theirs"]["orders"]) - set(then["theirs"]["orders"])
        assert len(lost) >= 8, "a close, and twice an entry, a stop and a target; another stop"

        destroyed(env)
        assert "not there yet" in manage(env, "restore", "latest", "--dry-run")
        manage(env, "restore", "latest", "--no-reconcile")

        # Nothing is opened before the books are those of the exchange, whatever the bot says.
        run = step(env, "trade", "buy", "XRPUSDT")
        assert run["orders"] == 0
        assert "Restored from" in run["hits"], "that is why"

        assert "agrees" in manage(env, "reconcile", "main")
        after = step(env, "facts")
        agrees(after)
        assert lost <= set(after["books"]["orders"])
        assert set(after["theirs"]["orders"]) == set(before["theirs"]["orders"]), "nothing was sent for it"
        assert after["theirs"]["stops"] == before["theirs"]["stops"], "the stops stand where they stood"
        assert after["foreign"] == 0
        assert after["roles"] == before["roles"]
        assert after["locks"] == []
        assert after["incidents"] == []

        # And life goes on.
        assert step(env, "trade", "buy", "XRPUSDT")["fills"] >= 1
        assert step(env, "trade", "close", "ETHUSDT")["fills"] >= 1
        agrees(step(env, "facts"))


def _key(env: dict[str, str]) -> dict[str, str]:

    made = json.loads(manage(env, "backup", "--new-key", "--json"))
    return {"BACKUP_KEY": made["key"]}
