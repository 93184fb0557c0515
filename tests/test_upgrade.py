"""What an older release stored is there after an upgrade, and a way back exists."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

pytestmark = [pytest.mark.ci, pytest.mark.django_db(transaction=True)]

AT = datetime(2025, 10, 10, 21, tzinfo=UTC)
BEFORE = [("accounts", "0001_initial"), ("marketdata", "0001_initial"), ("decisions", "0001_initial")]
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


BEFORE_LIVE = [("accounts", "0001_initial"), ("trading", "0001_initial")]


def test_books_of_a_paper_account_are_kept_when_live_accounts_come_and_on_the_way_back(newest):
    old = migrated(BEFORE_LIVE)
    owner = old.get_model("accounts", "User").objects.create(email="a@vibex.local")
    account = old.get_model("accounts", "Account").objects.create(owner=owner, name="paper", venue="sim")
    old.get_model("accounts", "RiskLimits").objects.create(account=account, max_position=3, max_net=3)
    position = old.get_model("trading", "Position").objects.create(
        account=account, symbol="BTCUSDT", side="long", quantity=1, cost=100, entry_price=100, leverage=2, opened=AT
    )
    order = old.get_model("trading", "Order").objects.create(
        account=account, position=position, client_order_id="vx1", symbol="BTCUSDT", side="BUY", role="entry",
        type="MARKET", quantity=1,
    )  # fmt: skip
    old.get_model("trading", "Fill").objects.create(
        account=account, order=order, exchange_trade_id="7", symbol="BTCUSDT", side="BUY", quantity=1, price=100,
        fee="0.04", at=AT,
    )  # fmt: skip
    old.get_model("trading", "IncomeEntry").objects.create(
        account=account, kind="COMMISSION", transaction_id="9", symbol="BTCUSDT", amount="-0.04", at=AT
    )

    new = migrated(newest)
    kept = new.get_model("accounts", "Account").objects.get()
    assert (kept.mode, kept.foreign_positions, kept.promoted_from_id) == ("paper", "adopt", None)
    limits = new.get_model("accounts", "RiskLimits").objects.get()
    assert limits.trailing_stop is None
    assert [str(cap) for cap in (limits.max_position, limits.max_net, limits.max_gross)] == [
        "1.500000",
        "2.000000",
        "2.000000",
    ]
    fill, line = new.get_model("trading", "Fill").objects.get(), new.get_model("trading", "IncomeEntry").objects.get()
    assert (str(fill.fee), fill.fee_asset, fill.order.client_order_id) == ("0.04000000", "USDT", "vx1")
    assert (str(line.amount), line.asset) == ("-0.04000000", "USDT")

    again = migrated(BEFORE_LIVE)
    assert again.get_model("trading", "Fill").objects.get().order.client_order_id == "vx1"
    assert again.get_model("trading", "Position").objects.get().entry_price == 100
