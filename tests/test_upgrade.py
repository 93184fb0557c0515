"""What an older release stored is there after an upgrade, and a way back exists."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

pytestmark = [pytest.mark.ci, pytest.mark.django_db(transaction=True)]

AT = datetime(2025, 10, 10, 21, tzinfo=UTC)
BEFORE = [("marketdata", "0001_initial"), ("decisions", "0001_initial")]
SUMMARY = {
    "BTCUSDT": {"price": "104000", "age": 1.5, "problem": None},
    "ETHUSDT": {"price": "3400", "age": 61.0, "problem": "the last price is 61 s old"},
}


def migrated(targets: list[tuple[str, str]]):
    executor = MigrationExecutor(connection)
    executor.migrate(targets)
    return MigrationExecutor(connection).loader.project_state(targets).apps


def cycle_that_saw(apps, snapshot) -> None:
    owner = apps.get_model("accounts", "User").objects.create(email="a@vibex.local")
    account = apps.get_model("accounts", "Account").objects.create(owner=owner, name="paper", venue="sim")
    bot = apps.get_model("accounts", "Bot").objects.create(
        account=account, name="trend", symbols=["BTCUSDT"], timeframes=["3m"]
    )
    apps.get_model("decisions", "Cycle").objects.create(
        bot=bot, account=account, scheduled_for=AT, status="done", lease_until=AT, snapshot=snapshot
    )


@pytest.fixture
def newest() -> Iterator[list[tuple[str, str]]]:
    """Give the newest migrations, which are applied again whatever the test did."""
    leaves = MigrationExecutor(connection).loader.graph.leaf_nodes()
    yield leaves
    migrated(leaves)


def test_snapshots_of_several_symbols_become_one_each_and_a_cycle_keeps_what_it_saw(newest):
    old = migrated(BEFORE)
    snapshot = old.get_model("marketdata", "Snapshot")
    row = snapshot.objects.create(venue="sim", at=AT, digest="a" * 64, summary=SUMMARY)
    cycle_that_saw(old, row)
    snapshot.objects.create(venue="sim", at=AT, digest="b" * 64, summary={})
    old.get_model("marketdata", "Feed").objects.create(venue="recorded", kind="recorded", market_at=AT)
    old.get_model("marketdata", "Candle").objects.create(
        venue="recorded", symbol="BTCUSDT", interval="1h", open_time=AT, open=1, high=2, low=1, close=1, volume=3,
        closed=True,
    )  # fmt: skip

    new = migrated(newest)
    cycle = new.get_model("decisions", "Cycle").objects.get()
    assert cycle.digest == "a" * 64
    assert cycle.seen["ETHUSDT"] == {**SUMMARY["ETHUSDT"], "digest": "a" * 64, "at": AT.isoformat()}
    rows = new.get_model("marketdata", "Snapshot").objects.order_by("symbol")
    assert {row.symbol: row.values for row in rows} == SUMMARY
    assert new.get_model("marketdata", "Feed").objects.get().interval == "1h"

    again = migrated(BEFORE).get_model("marketdata", "Snapshot").objects.get()
    assert (again.at, again.digest, again.summary) == (AT, "a" * 64, SUMMARY)
